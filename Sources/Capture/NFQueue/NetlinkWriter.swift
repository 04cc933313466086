import CSluiceLinux

/// Netlink messages, one after the other in one buffer.
struct NetlinkWriter {
  private(set) var bytes: [UInt8] = []
  private var messageStart = 0

  /// Begins a message of the queue subsystem.
  mutating func begin(_ type: nfqnl_msg_types, queue: UInt16, flags: Int32 = 0) {
    begin(
      subsystem: UInt16(NFNL_SUBSYS_QUEUE), type: UInt16(truncatingIfNeeded: type.rawValue),
      family: UInt8(AF_UNSPEC), resource: queue, flags: flags)
  }

  /// Begins a message (nlmsghdr and nfgenmsg).
  mutating func begin(subsystem: UInt16, type: UInt16, family: UInt8, resource: UInt16 = 0, flags: Int32 = 0) {
    messageStart = bytes.count
    appendHost(UInt32(0))
    appendHost(subsystem << 8 | type)
    appendHost(UInt16(truncatingIfNeeded: NLM_F_REQUEST | flags))
    appendHost(UInt32(0))
    appendHost(UInt32(0))
    bytes.append(family)
    bytes.append(0)
    appendHost(resource.bigEndian)
  }

  mutating func attribute(_ type: UInt32, _ value: [UInt8]) {
    appendHost(UInt16(truncatingIfNeeded: value.count + 4))
    appendHost(UInt16(truncatingIfNeeded: type))
    bytes += value
    while bytes.count % 4 != 0 { bytes.append(0) }
  }

  mutating func attribute(_ type: UInt32, bigEndian value: UInt32) {
    attribute(type, (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * $0)) })
  }

  /// Writes the length of the message begun last.
  mutating func end() {
    let length = UInt32(truncatingIfNeeded: bytes.count - messageStart)
    let start = messageStart
    unsafe bytes.withUnsafeMutableBytes {
      // SAFETY: `begin` wrote the four octets at `start`.
      unsafe $0.storeBytes(of: length, toByteOffset: start, as: UInt32.self)
    }
  }

  private mutating func appendHost<Number: FixedWidthInteger & BitwiseCopyable>(_ value: Number) {
    unsafe withUnsafeBytes(of: value) { unsafe bytes.append(contentsOf: $0) }
  }
}
