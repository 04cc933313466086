import CSluiceLinux
import Traffic

/// The fields of one packet message of the kernel.
///
/// The kernel is trusted, its messages are parsed as if it were not: each attribute is checked
/// against the message, and one that is too short for its type is ignored.
/// - Source: linux/netfilter/nfnetlink_queue.h, linux/netlink.h.
struct QueueMessage {
  /// nlmsghdr and nfgenmsg.
  static let headerLength = 20
  static let attributeHeaderLength = 4

  static let checksumNotReady = UInt32(NFQA_SKB_CSUMNOTREADY)
  static let isGSO = UInt32(NFQA_SKB_GSO)

  private(set) var id: UInt32 = 0
  private(set) var mark: UInt32 = 0
  private(set) var inputInterface: UInt32 = 0
  private(set) var outputInterface: UInt32 = 0
  private(set) var physicalInputInterface: UInt32 = 0
  private(set) var physicalOutputInterface: UInt32 = 0
  private(set) var capturedLength: UInt32 = 0
  private(set) var skbInfo: UInt32 = 0
  private(set) var hardwareProtocol: UInt16 = 0
  private(set) var vlanTag: UInt16 = 0
  /// Six octets in the lower 48 bits; 0 for none.
  private(set) var hardwareSource: UInt64 = 0
  private(set) var hook: UInt8 = 0
  private(set) var time: Timestamp?
  /// Where the packet lies in the message.
  private(set) var payload = 0..<0

  /// What a datagram from the kernel is.
  enum Kind {
    case packet
    /// An acknowledgment (0) or a refusal (errno) of something we sent.
    case answer(error: Int32)
    /// Cut, malformed or of another kind.
    case other
  }

  /// - Parameter message: a datagram of the netlink socket.
  static func kind(of message: borrowing RawSpan) -> Kind {
    guard message.byteCount >= 16 else { return .other }
    let length = Int(message.hostU32(at: 0))
    let type = message.hostU16(at: 4)
    guard length >= 16, length <= message.byteCount else { return .other }
    if type == UInt16(NLMSG_ERROR) {
      guard length >= 20 else { return .other }
      // The kernel writes the negated errno.
      return .answer(error: 0 &- Int32(bitPattern: message.hostU32(at: 16)))
    }
    let packetType = UInt16(NFNL_SUBSYS_QUEUE) << 8 | UInt16(NFQNL_MSG_PACKET.rawValue)
    return type == packetType && length >= headerLength ? .packet : .other
  }

  /// - Returns: nil when the message names no packet.
  init?(_ message: borrowing RawSpan) {
    let end = min(message.byteCount, Int(message.hostU32(at: 0)))
    var position = Self.headerLength
    var hasPacketHeader = false
    while end &- position >= Self.attributeHeaderLength {
      let length = Int(message.hostU16(at: position))
      let type = UInt32(message.hostU16(at: position &+ 2) & 0x3fff)
      guard length >= Self.attributeHeaderLength, length <= end &- position else { return nil }
      let value = (position &+ Self.attributeHeaderLength)..<(position &+ length)
      if type == NFQA_PACKET_HDR.rawValue {
        guard value.count >= 7 else { return nil }
        id = message.u32(at: value.lowerBound)
        hardwareProtocol = message.u16(at: value.lowerBound &+ 4)
        hook = message.u8(at: value.lowerBound &+ 6)
        hasPacketHeader = true
      } else {
        take(type, value, message)
      }
      // Attributes are aligned to four octets; the last one may lack its padding.
      position &+= (length &+ 3) & ~3
    }
    guard hasPacketHeader else { return nil }
  }

  /// Where the payload lies when the message begins at `offset` of a larger buffer.
  mutating func move(by offset: Int) {
    payload = (payload.lowerBound &+ offset)..<(payload.upperBound &+ offset)
  }

  private mutating func take(_ type: UInt32, _ value: Range<Int>, _ message: borrowing RawSpan) {
    let start = value.lowerBound
    switch type {
    case NFQA_PAYLOAD.rawValue: payload = value
    case NFQA_HWADDR.rawValue where value.count >= 10:
      // nfqnl_msg_packet_hw: length, two octets of padding, the address.
      guard message.u16(at: start) == 6 else { return }
      hardwareSource = UInt64(message.u16(at: start &+ 4)) << 32 | UInt64(message.u32(at: start &+ 6))
    case NFQA_VLAN.rawValue: vlanTag = Self.vlanTag(message, value)
    case NFQA_TIMESTAMP.rawValue where value.count >= 16:
      time = Timestamp(
        seconds: Int64(truncatingIfNeeded: message.u64(at: start)),
        nanoseconds: Int64(truncatingIfNeeded: message.u64(at: start &+ 8)) &* 1000)
    case _ where value.count < 4: return
    case NFQA_MARK.rawValue: mark = message.u32(at: start)
    case NFQA_IFINDEX_INDEV.rawValue: inputInterface = message.u32(at: start)
    case NFQA_IFINDEX_OUTDEV.rawValue: outputInterface = message.u32(at: start)
    case NFQA_IFINDEX_PHYSINDEV.rawValue: physicalInputInterface = message.u32(at: start)
    case NFQA_IFINDEX_PHYSOUTDEV.rawValue: physicalOutputInterface = message.u32(at: start)
    case NFQA_CAP_LEN.rawValue: capturedLength = message.u32(at: start)
    case NFQA_SKB_INFO.rawValue: skbInfo = message.u32(at: start)
    default: return
    }
  }

  /// NFQA_VLAN holds attributes of its own; the tag is the one of type NFQA_VLAN_TCI.
  private static func vlanTag(_ message: borrowing RawSpan, _ nested: Range<Int>) -> UInt16 {
    var position = nested.lowerBound
    while nested.upperBound &- position >= 6 {
      let length = Int(message.hostU16(at: position))
      guard length >= attributeHeaderLength, length <= nested.upperBound &- position else { return 0 }
      let type = UInt32(message.hostU16(at: position &+ 2) & 0x3fff)
      if type == NFQA_VLAN_TCI.rawValue, length >= 6 { return message.u16(at: position &+ 4) }
      position &+= (length &+ 3) & ~3
    }
    return 0
  }
}

// Netlink headers are in the byte order of the host. As with the others, callers check the length.
extension RawSpan {
  @inline(__always)
  func hostU16(at index: Int) -> UInt16 { u16(at: index).bigEndian }
  @inline(__always)
  func hostU32(at index: Int) -> UInt32 { u32(at: index).bigEndian }
}
