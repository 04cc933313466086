import CSluiceLinux
import Traffic

/// One connection as the kernel's connection tracking knows it.
///
/// - Source: linux/netfilter/nfnetlink_conntrack.h. Numbers in attributes are in network order.
public struct ConntrackEntry: Sendable {
  public struct Counts: Sendable, Hashable {
    public var packets: UInt64 = 0
    public var bytes: UInt64 = 0
    public init() {}
  }

  /// As the connection's first packet had it, before any translation of addresses.
  public var tuple = FlowTuple(
    source: IPAddress(high: 0, low: 0), destination: IPAddress(high: 0, low: 0), sourcePort: 0,
    destinationPort: 0, ipProtocol: 0)
  public var mark: UInt32 = 0
  /// In the direction of `tuple`, and back; zero unless `net.netfilter.nf_conntrack_acct` is on.
  public var original = Counts()
  public var reply = Counts()
  /// CTA_TUPLE_ORIG as the kernel wrote it, to name the entry to the kernel again.
  var nameOctets: [UInt8] = []
  var family: UInt8 = 0

  /// - Parameter message: a datagram of the conntrack subsystem, from its nlmsghdr on.
  /// - Returns: nil for a message without a tuple of TCP, UDP or another protocol with ports or none.
  init?(_ message: borrowing RawSpan) {
    guard message.byteCount >= QueueMessage.headerLength else { return nil }
    let end = min(message.byteCount, Int(message.hostU32(at: 0)))
    guard end >= QueueMessage.headerLength else { return nil }
    family = message.u8(at: 16)
    var hasTuple = false
    Self.forEach(message, QueueMessage.headerLength..<end) { type, value in
      switch type {
      case UInt32(CTA_TUPLE_ORIG.rawValue):
        hasTuple = takeTuple(message, value)
        nameOctets = message.extracting(value).copied()
      case UInt32(CTA_MARK.rawValue) where value.count >= 4: mark = message.u32(at: value.lowerBound)
      case UInt32(CTA_COUNTERS_ORIG.rawValue): original = Self.counts(message, value)
      case UInt32(CTA_COUNTERS_REPLY.rawValue): reply = Self.counts(message, value)
      default: break
      }
    }
    guard hasTuple else { return nil }
  }

  private mutating func takeTuple(_ message: borrowing RawSpan, _ range: Range<Int>) -> Bool {
    var hasAddresses = false
    Self.forEach(message, range) { type, value in
      if type == UInt32(CTA_TUPLE_IP.rawValue) {
        Self.forEach(message, value) { type, value in
          let address = Self.address(message, value)
          switch type {
          case UInt32(CTA_IP_V4_SRC.rawValue), UInt32(CTA_IP_V6_SRC.rawValue):
            tuple.source = address ?? tuple.source
            hasAddresses = address != nil
          case UInt32(CTA_IP_V4_DST.rawValue), UInt32(CTA_IP_V6_DST.rawValue):
            tuple.destination = address ?? tuple.destination
          default: break
          }
        }
      } else if type == UInt32(CTA_TUPLE_PROTO.rawValue) {
        Self.forEach(message, value) { type, value in
          switch type {
          case UInt32(CTA_PROTO_NUM.rawValue) where value.count >= 1:
            tuple.ipProtocol = message.u8(at: value.lowerBound)
          case UInt32(CTA_PROTO_SRC_PORT.rawValue) where value.count >= 2:
            tuple.sourcePort = message.u16(at: value.lowerBound)
          case UInt32(CTA_PROTO_DST_PORT.rawValue) where value.count >= 2:
            tuple.destinationPort = message.u16(at: value.lowerBound)
          default: break
          }
        }
      }
    }
    return hasAddresses
  }

  private static func address(_ message: borrowing RawSpan, _ range: Range<Int>) -> IPAddress? {
    if range.count == 4 { return IPAddress(ipv4: message.u32(at: range.lowerBound)) }
    guard range.count == 16 else { return nil }
    return IPAddress(high: message.u64(at: range.lowerBound), low: message.u64(at: range.lowerBound &+ 8))
  }

  private static func counts(_ message: borrowing RawSpan, _ range: Range<Int>) -> Counts {
    var counts = Counts()
    forEach(message, range) { type, value in
      guard value.count >= 8 else { return }
      if type == UInt32(CTA_COUNTERS_PACKETS.rawValue) { counts.packets = message.u64(at: value.lowerBound) }
      if type == UInt32(CTA_COUNTERS_BYTES.rawValue) { counts.bytes = message.u64(at: value.lowerBound) }
    }
    return counts
  }

  /// Walks attributes; one whose length does not fit ends the walk.
  private static func forEach(
    _ message: borrowing RawSpan, _ range: Range<Int>, _ body: (UInt32, Range<Int>) -> Void
  ) {
    var position = range.lowerBound
    while range.upperBound &- position >= QueueMessage.attributeHeaderLength {
      let length = Int(message.hostU16(at: position))
      let type = UInt32(message.hostU16(at: position &+ 2) & 0x3fff)
      guard length >= QueueMessage.attributeHeaderLength, length <= range.upperBound &- position else { return }
      body(type, (position &+ QueueMessage.attributeHeaderLength)..<(position &+ length))
      position &+= (length &+ 3) & ~3
    }
  }
}
