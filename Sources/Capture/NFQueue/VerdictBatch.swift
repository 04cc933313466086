import CSluiceLinux
import Glibc
import Traffic

/// Verdicts on their way to the kernel: gathered and sent in one system call.
///
/// Measured: many single verdict messages in one send cost as little as a batch verdict, and each
/// packet keeps its own.
public struct VerdictBatch: ~Copyable {
  /// Verdicts without payload take 32 or 40 octets; a payload up to 64 KiB. When the next one
  /// does not fit, what was gathered is sent first.
  static let capacityBytes = 256 * 1024
  private static let messageLength = 32
  private static let markLength = 8

  private var storage = [UInt8](repeating: 0, count: VerdictBatch.capacityBytes)
  private var used = 0
  private let descriptor: Int32
  private let queueNumber: UInt16
  /// Verdicts gathered and not sent.
  public private(set) var pendingCount = 0
  /// System calls made, and those that the kernel refused: their packets stay queued.
  public private(set) var sendCount: UInt64 = 0
  public private(set) var sendErrorCount: UInt64 = 0

  init(descriptor: Int32, queueNumber: UInt16) {
    self.descriptor = descriptor
    self.queueNumber = queueNumber
  }

  /// Decides about the packet `id`.
  /// - Parameter mark: the packet's new mark; nil leaves it as it is.
  public mutating func add(_ id: UInt32, _ verdict: PacketVerdict, mark: UInt32? = nil) {
    begin(id, verdict, mark: mark, payloadLength: nil)
  }

  /// Decides about the packet `id` and replaces it, from the IP header on. All checksums in
  /// `payload` must be complete, also where the packet's own were not ready.
  /// - Returns: false, and no verdict is given, when `payload` is longer than 65,531 octets.
  public mutating func add(
    _ id: UInt32, _ verdict: PacketVerdict, mark: UInt32? = nil, replacement payload: RawSpan
  ) -> Bool {
    let length = payload.byteCount
    guard length <= Int(UInt16.max) - QueueMessage.attributeHeaderLength else { return false }
    begin(id, verdict, mark: mark, payloadLength: length)
    let start = used
    unsafe storage.withUnsafeMutableBytes { bytes in
      // SAFETY: `begin` made room for the padded payload behind `used`.
      unsafe payload.withUnsafeBytes {
        unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[start..<start + length])
          .copyMemory(from: $0)
      }
      for index in (start + length)..<(start + Self.padded(length)) { unsafe bytes[index] = 0 }
    }
    used += Self.padded(length)
    return true
  }

  /// Sends what was gathered.
  public mutating func flush() {
    guard used > 0 else { return }
    let length = used
    let descriptor = descriptor
    let sent = unsafe storage.withUnsafeBytes { bytes in
      var result = 0
      repeat {
        // SAFETY: the kernel reads `length` octets, which lie in the storage.
        result = unsafe send(descriptor, bytes.baseAddress, length, 0)
      } while result < 0 && errno == EINTR
      return result
    }
    sendCount &+= 1
    if sent < 0 { sendErrorCount &+= 1 }
    used = 0
    pendingCount = 0
  }

  private static func padded(_ length: Int) -> Int { (length &+ 3) & ~3 }

  /// Writes a message up to where its payload would stand.
  private mutating func begin(
    _ id: UInt32, _ verdict: PacketVerdict, mark: UInt32?, payloadLength: Int?
  ) {
    let fixed = Self.messageLength + (mark == nil ? 0 : Self.markLength)
    // Bound: 32 + 8 + 4 + 65,532 octets, far below the capacity.
    let total = fixed + (payloadLength.map { 4 + Self.padded($0) } ?? 0)
    if total > Self.capacityBytes - used { flush() }
    let start = used
    let queueNumber = queueNumber
    unsafe storage.withUnsafeMutableBytes { bytes in
      // SAFETY: `total` octets from `start` lie in the storage, as was made sure above.
      func put<Number: BitwiseCopyable>(_ value: Number, at offset: Int) {
        unsafe bytes.storeBytes(of: value, toByteOffset: start &+ offset, as: Number.self)
      }
      // nlmsghdr: length, type, flags, sequence, port.
      put(UInt32(truncatingIfNeeded: total), at: 0)
      put(
        UInt16(NFNL_SUBSYS_QUEUE) << 8 | UInt16(truncatingIfNeeded: NFQNL_MSG_VERDICT.rawValue),
        at: 4)
      put(UInt16(truncatingIfNeeded: NLM_F_REQUEST), at: 6)
      put(UInt64(0), at: 8)
      // nfgenmsg: family and version, queue number.
      put(UInt16(0), at: 16)
      put(queueNumber.bigEndian, at: 18)
      // NFQA_VERDICT_HDR: verdict, packet.
      put(UInt16(12), at: 20)
      put(UInt16(truncatingIfNeeded: NFQA_VERDICT_HDR.rawValue), at: 22)
      put(verdict.rawValue.bigEndian, at: 24)
      put(id.bigEndian, at: 28)
      if let mark {
        put(UInt16(8), at: 32)
        put(UInt16(truncatingIfNeeded: NFQA_MARK.rawValue), at: 34)
        put(mark.bigEndian, at: 36)
      }
      if let payloadLength {
        put(UInt16(truncatingIfNeeded: payloadLength &+ 4), at: fixed)
        put(UInt16(truncatingIfNeeded: NFQA_PAYLOAD.rawValue), at: fixed &+ 2)
      }
    }
    used += fixed + (payloadLength == nil ? 0 : 4)
    pendingCount += 1
  }
}
