import CSluiceCompression
import Glibc

/// The octets of one capture file in order, decompressed where it is gzip or zstd.
///
/// - Limits: holds one input buffer and the decompressor's own window (zstd: at most 128 MiB, its
///   default bound), however large the file and whatever it claims.
///
/// Safe to use: the pointers it stores are its own, and no buffer outlives the call it came with.
@safe
final class CaptureFileInput {
  enum Compression { case none, gzip, zstd }

  /// For messages.
  let name: String
  private(set) var compression = Compression.none
  /// Why reading stopped before the end; set once.
  private(set) var failure: CaptureError?
  /// The compressed data ends in the middle.
  private(set) var isCutShort = false
  /// Octets taken from the file itself, for progress.
  private(set) var bytesTaken: UInt64 = 0
  /// The size of a regular file, else nil.
  let fileSize: UInt64?

  private let descriptor: Int32
  private let ownsDescriptor: Bool
  /// Octets from the file that nobody has taken yet: `pending[pendingStart..<pendingEnd]`.
  private var pending: [UInt8]
  private var pendingStart = 0
  private var pendingEnd = 0
  private var inflater: UnsafeMutablePointer<z_stream>?
  private var zstdStream: OpaquePointer?
  /// A gzip member or zstd frame has begun and not ended.
  private var isInsideFrame = false

  private static let inputBufferBytes = 64 * 1024

  /// - Parameter path: "-" for standard input.
  init(path: String) throws(CaptureError) {
    if path == "-" {
      name = "standard input"
      descriptor = STDIN_FILENO
      ownsDescriptor = false
    } else {
      name = path
      descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
      ownsDescriptor = true
      guard descriptor >= 0 else {
        throw CaptureError(path, .configuration, "can't be opened", systemError: errno)
      }
    }
    var status = stat()
    let isKnown = unsafe fstat(descriptor, &status) == 0
    let isRegular = isKnown && status.st_mode & S_IFMT == S_IFREG
    fileSize = isRegular ? UInt64(clamping: status.st_size) : nil
    pending = Array(repeating: 0, count: Self.inputBufferBytes)
    if isKnown, status.st_mode & S_IFMT == S_IFDIR {
      throw CaptureError(name, .configuration, "is a directory")
    }
    try detectCompression()
  }

  /// A capture that is in memory already.
  init(bytes: [UInt8], name: String) throws(CaptureError) {
    self.name = name
    descriptor = -1
    ownsDescriptor = false
    pending = bytes
    pendingEnd = bytes.count
    fileSize = UInt64(bytes.count)
    bytesTaken = UInt64(bytes.count)
    try detectCompression()
  }

  deinit {
    if ownsDescriptor, descriptor >= 0 { close(descriptor) }
    // SAFETY: both were made by this object, are freed only here, and nobody else holds them.
    if let inflater = unsafe inflater {
      unsafe inflateEnd(inflater)
      unsafe inflater.deallocate()
    }
    unsafe ZSTD_freeDStream(zstdStream)
  }

  /// Fills the front of `buffer`.
  /// - Returns: octets written; 0 at the end and after a failure, which `failure` tells.
  func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    guard failure == nil, unsafe !buffer.isEmpty else { return 0 }
    switch compression {
    case .none: return unsafe readPlain(into: buffer)
    case .gzip: return unsafe inflate(into: buffer)
    case .zstd: return unsafe decompressZstd(into: buffer)
    }
  }

  private func detectCompression() throws(CaptureError) {
    while pendingEnd < 4, fillPending() {}
    if let failure { throw failure }
    let head = Array(pending[..<min(6, pendingEnd)])
    if head.starts(with: [0x1f, 0x8b]) {
      compression = .gzip
      try startInflater()
    } else if head.starts(with: [0x28, 0xb5, 0x2f, 0xfd]) || isSkippableZstdFrame(head) {
      compression = .zstd
      unsafe zstdStream = ZSTD_createDStream()
    } else if let format = Self.foreignCompression(head) {
      throw CaptureError(
        name, .configuration,
        "is compressed with \(format), which is not supported; decompress it first")
    }
  }

  private func isSkippableZstdFrame(_ head: [UInt8]) -> Bool {
    head.count >= 4 && head[0] & 0xf0 == 0x50 && head[1...3].elementsEqual([0x2a, 0x4d, 0x18])
  }

  private static func foreignCompression(_ head: [UInt8]) -> String? {
    if head.starts(with: [0xfd, 0x37, 0x7a, 0x58, 0x5a]) { return "xz" }
    if head.starts(with: [0x42, 0x5a, 0x68]) { return "bzip2" }
    if head.starts(with: [0x04, 0x22, 0x4d, 0x18]) { return "lz4" }
    if head.starts(with: [0x50, 0x4b, 0x03, 0x04]) { return "zip" }
    return nil
  }

  // MARK: Octets of the file

  /// Adds octets to `pending` where there is room.
  /// - Returns: false at the end of the file or on failure.
  private func fillPending() -> Bool {
    if pendingStart == pendingEnd {
      guard descriptor >= 0 else { return false }
      pendingStart = 0
      pendingEnd = 0
    }
    let end = pendingEnd
    guard end < pending.count else { return false }
    let count = unsafe pending.withUnsafeMutableBytes { bytes in
      unsafe readDescriptor(UnsafeMutableRawBufferPointer(rebasing: bytes[end...]))
    }
    pendingEnd += count
    return count > 0
  }

  private func readDescriptor(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
    guard descriptor >= 0 else { return 0 }
    while true {
      // SAFETY: the kernel writes at most `buffer.count` octets into the borrowed buffer.
      let count = unsafe Glibc.read(descriptor, buffer.baseAddress, buffer.count)
      if count >= 0 {
        bytesTaken += UInt64(count)
        return count
      }
      if errno != EINTR {
        failure = CaptureError(name, .kernel, "can't be read", systemError: errno)
        return 0
      }
    }
  }

  private func readPlain(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    guard pendingStart < pendingEnd else { return unsafe readDescriptor(buffer) }
    let count = min(buffer.count, pendingEnd - pendingStart)
    let start = pendingStart
    unsafe pending.withUnsafeBytes { bytes in
      unsafe buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[start..<start + count]))
    }
    pendingStart += count
    return count
  }

  // MARK: gzip

  private func startInflater() throws(CaptureError) {
    // zlib keeps the address of its stream, so it lives in memory of its own.
    let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    unsafe stream.initialize(to: z_stream())
    guard unsafe sluice_inflate_init(stream, 15 + 32) == Z_OK else {
      unsafe stream.deallocate()
      throw CaptureError(name, .kernel, "no memory for decompression")
    }
    unsafe inflater = stream
  }

  /// gzip members one after the other count as one stream (RFC 1952 section 2.2).
  private func inflate(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    guard let stream = unsafe inflater else { return 0 }
    var produced = 0
    while produced == 0 {
      if pendingStart == pendingEnd, !fillPending() {
        isCutShort = isInsideFrame
        return 0
      }
      if !isInsideFrame {
        // Zeros or other octets after the last member are padding, as gzip(1) takes them.
        guard pending[pendingStart] == 0x1f else { return 0 }
        isInsideFrame = true
      }
      let start = pendingStart
      let available = pendingEnd - pendingStart
      // SAFETY: both pointers stay valid for the call, and zlib is told their exact lengths;
      // they are cleared again before the borrow ends.
      let (status, left) = unsafe pending.withUnsafeMutableBytes { input -> (Int32, Int) in
        unsafe stream.pointee.next_in = input.baseAddress?.advanced(by: start)
          .assumingMemoryBound(to: UInt8.self)
        unsafe stream.pointee.avail_in = UInt32(clamping: available)
        unsafe stream.pointee.next_out = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
        unsafe stream.pointee.avail_out = UInt32(clamping: buffer.count)
        let status = unsafe CSluiceCompression.inflate(stream, Z_NO_FLUSH)
        unsafe stream.pointee.next_in = nil
        unsafe stream.pointee.next_out = nil
        return unsafe (status, Int(stream.pointee.avail_in))
      }
      pendingStart += min(available, Int(UInt32.max)) - left
      produced = unsafe min(buffer.count, Int(UInt32.max)) - Int(stream.pointee.avail_out)
      if status == Z_STREAM_END {
        isInsideFrame = false
        unsafe inflateReset(stream)
      } else if status != Z_OK && status != Z_BUF_ERROR {
        failure = CaptureError(
          name, .captureFile, "the gzip data is damaged", offset: bytesTaken &- UInt64(left))
        return produced
      }
    }
    return produced
  }

  // MARK: zstd

  /// Tells damage from a window larger than we allow.
  private static func zstdReason(_ result: Int) -> String {
    // SAFETY: the library returns a constant string.
    unsafe String(cString: ZSTD_getErrorName(result))
  }

  private func decompressZstd(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    var produced = 0
    while produced == 0 {
      if pendingStart == pendingEnd, !fillPending() {
        isCutShort = isInsideFrame
        return 0
      }
      let start = pendingStart
      let end = pendingEnd
      // SAFETY: both buffers are valid for the call, and zstd stays within the sizes it is told.
      let (result, position, written) = unsafe pending.withUnsafeBytes { bytes -> (Int, Int, Int) in
        var input = unsafe ZSTD_inBuffer(src: bytes.baseAddress, size: end, pos: start)
        var output = unsafe ZSTD_outBuffer(dst: buffer.baseAddress, size: buffer.count, pos: 0)
        let result = unsafe ZSTD_decompressStream(zstdStream, &output, &input)
        return unsafe (result, input.pos, output.pos)
      }
      pendingStart = position
      produced = written
      if ZSTD_isError(result) != 0 {
        failure = CaptureError(
          name, .captureFile, "the zstd data can't be decompressed (\(Self.zstdReason(result)))",
          offset: bytesTaken &- UInt64(end - position))
        return produced
      }
      // 0 tells that a frame is complete; anything else that more is to come.
      isInsideFrame = result != 0
    }
    return produced
  }
}
