import CSluiceCompression
import Traffic

// SAFETY: the decoder is made, used and destroyed by this object alone; the pointers handed to it are
// valid for the one call that uses them, and the counts beside them are those of their buffers.

/// Undoes the Zstandard coding (`zstd`).
///
/// - Source: RFC 8878, RFC 9659 (windows of at most 8 MiB). Data that is none, or breaks off, is passed
///   on as it is from there.
@safe final class HTTPZstd: HTTPDecodingStage {
  private var decoder: OpaquePointer?
  /// Input before the first output: shown as it is when it turns out to be something else.
  private var held: [UInt8] = []
  private var hasOutput = false
  private(set) var hasFailed = false

  private static let outputCount = 65_536
  private static let heldCountMax = 65_536
  /// As a power of two: what browsers accept.
  private static let windowLogMax: Int32 = 23

  init() {
    unsafe decoder = ZSTD_createDCtx()
    if let open = unsafe decoder {
      _ = unsafe ZSTD_DCtx_setParameter(open, ZSTD_d_windowLogMax, Self.windowLogMax)
    }
  }

  deinit { close() }

  private func close() {
    if let open = unsafe decoder { _ = unsafe ZSTD_freeDCtx(open) }
    unsafe decoder = nil
  }

  func write(_ bytes: RawSpan, _ output: (RawSpan) -> Bool) -> Bool {
    if hasFailed { return output(bytes) }
    if !hasOutput, held.count < Self.heldCountMax { held.append(bytes) }
    return unsafe withUnsafeTemporaryAllocation(byteCount: Self.outputCount, alignment: 1) { room in
      unsafe bytes.withUnsafeBytes { unsafe run($0, room, output) }
    }
  }

  func finish(_ output: (RawSpan) -> Bool) -> Bool {
    guard !hasOutput, !hasFailed, !held.isEmpty else { return true }
    return fail([], output)
  }

  private func run(
    _ input: UnsafeRawBufferPointer, _ room: UnsafeMutableRawBufferPointer, _ output: (RawSpan) -> Bool
  ) -> Bool {
    var source = unsafe ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
    while let open = unsafe decoder {
      var target = unsafe ZSTD_outBuffer(dst: room.baseAddress, size: room.count, pos: 0)
      let result = unsafe ZSTD_decompressStream(open, &target, &source)
      if ZSTD_isError(result) != 0 {
        return fail(unsafe [UInt8](input.dropFirst(source.pos)), output)
      }
      let produced = unsafe target.pos
      if produced > 0 {
        hasOutput = true
        held = []
        let span = unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: room[0..<produced]))
        if !output(span) { return false }
      }
      // A full output buffer may mean that there is more of it.
      if unsafe source.pos >= source.size, produced < room.count { return true }
    }
    return true
  }

  /// Not Zstandard, or no longer: what is left comes out as it is.
  private func fail(_ rest: [UInt8], _ output: (RawSpan) -> Bool) -> Bool {
    close()
    hasFailed = true
    let raw = hasOutput ? rest : held
    held = []
    return raw.isEmpty || output(raw.rawSpan)
  }
}
