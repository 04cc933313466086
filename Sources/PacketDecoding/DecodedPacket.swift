import Traffic

/// What the headers of one packet say; offsets count octets from the start of the captured bytes.
///
/// Filled by ``PacketDecoder``; every offset and length lies inside the captured bytes, so later
/// accesses through them cannot fail. `payload…` is what the transport carries (for ICMP: after the
/// 8-byte header; without a transport header: after the network header).
public struct DecodedPacket: Sendable, BitwiseCopyable {
  public var time = Timestamp(nanoseconds: 0)
  public var events = DecodeEventSet()

  // MARK: Link
  public var linkType = LinkType.ethernet
  /// Where the innermost Ethernet header begins; -1 where there is none.
  public var linkOffset: Int32 = -1
  /// EtherType of what the frame carries after VLAN tags, 0 when the link has none.
  public var etherType: UInt16 = 0
  /// VLAN identifiers (12 bits) from the outside in; `vlanCount` of them are valid (at most 3).
  public var vlan0: UInt16 = 0
  public var vlan1: UInt16 = 0
  public var vlan2: UInt16 = 0
  public var vlanCount: UInt8 = 0

  // MARK: Network
  /// 4, 6, or 0 when there is no IP header that could be read.
  public var ipVersion: UInt8 = 0
  /// The transport protocol after all IPv6 extension headers.
  public var ipProtocol: UInt8 = 0
  public var source = IPAddress(high: 0, low: 0)
  public var destination = IPAddress(high: 0, low: 0)
  public var networkOffset: Int32 = 0
  /// Octets of the IP header with options, or of the IPv6 header with extension headers.
  public var networkHeaderLength: Int32 = 0
  /// TTL or hop limit.
  public var timeToLive: UInt8 = 0
  /// IPv4 type of service or IPv6 traffic class.
  public var typeOfService: UInt8 = 0
  /// IPv4 identification, or that of the IPv6 fragment header.
  public var fragmentID: UInt32 = 0
  /// Octets from the start of the original datagram's payload; valid where `isFragment`.
  public var fragmentOffset: Int32 = 0
  public var moreFragments = false
  public var dontFragment = false
  public var reservedFragmentBit = false
  public var isFragment = false
  /// Made from fragments; its bytes are the defragmenter's.
  public var isReassembled = false
  public var ipOptions = IPOptionSet()
  public var networkChecksum = ChecksumState.notVerified

  // MARK: Transport
  public var transportOffset: Int32 = 0
  public var transportHeaderLength: Int32 = 0
  public var payloadOffset: Int32 = 0
  public var payloadLength: Int32 = 0
  /// An ARP message for Ethernet and IPv4 stands at `networkOffset`; see ``ARPFields``.
  public var isARP = false
  /// A TCP, UDP, ICMP or SCTP header was read.
  public var hasTransport = false
  public var sourcePort: UInt16 = 0
  public var destinationPort: UInt16 = 0
  public var transportChecksum = ChecksumState.notVerified
  /// The transport checksum is not filled in yet: nothing can be said about it.
  public var isChecksumLeftToCard = false
  /// Meaningful where `ipProtocol` is TCP and `hasTransport`.
  public var tcp = TCPFields()
  /// Meaningful where `ipProtocol` is ICMP or ICMPv6 and `hasTransport`.
  public var icmp = ICMPFields()

  // MARK: Encapsulation
  /// A packet inside this one that is to be decoded on its own.
  public var inner = InnerPacket.none
  public var innerOffset: Int32 = 0
  /// Where the packet inside ends; what follows is padding of an outer layer.
  public var innerEnd: Int32 = 0
  /// How many packets this one is wrapped in; 0 for one as captured.
  public var tunnelDepth: UInt8 = 0
  /// Stands for a stretch or the end of a flow: its addresses mean something, other header fields do not.
  public var isStandIn = false
  /// The payload is ciphertext, which rules are not tried on.
  public var hidesPayload = false
  /// Headers decoded so far, those of the packets around this one included.
  var layerCount: UInt8 = 0

  @inlinable
  public init() {}

  @inlinable
  public var isTCP: Bool { hasTransport && ipProtocol == IPProtocol.tcp }
  @inlinable
  public var isUDP: Bool { hasTransport && ipProtocol == IPProtocol.udp }
  @inlinable
  public var isICMP: Bool {
    hasTransport && (ipProtocol == IPProtocol.icmp || ipProtocol == IPProtocol.icmpv6)
  }

  /// Notes a further tag, inside those there are; false for a fourth.
  mutating func push(vlan tag: UInt16) -> Bool {
    let identifier = tag & 0x0fff
    switch vlanCount {
    case 0: vlan0 = identifier
    case 1: vlan1 = identifier
    case 2: vlan2 = identifier
    default: return false
    }
    vlanCount += 1
    return true
  }

  /// The VLANs as `FlowTuple` holds them.
  @inlinable
  public var vlanKey: UInt32 { UInt32(vlan0) | UInt32(vlan1) << 16 }

  @inlinable
  public var tuple: FlowTuple {
    FlowTuple(
      source: source, destination: destination, sourcePort: sourcePort,
      destinationPort: destinationPort, ipProtocol: ipProtocol, vlan: vlanKey)
  }

  /// What the transport carries, as a part of the captured bytes this was decoded from.
  @inlinable
  @_lifetime(copy bytes)
  public func payload(of bytes: RawSpan) -> RawSpan {
    let start = min(Int(payloadOffset), bytes.byteCount)
    let end = hidesPayload ? start : min(start &+ Int(payloadLength), bytes.byteCount)
    return bytes.extracting(start..<max(start, end))
  }
}

public enum ChecksumState: UInt8, Sendable, BitwiseCopyable {
  /// Not looked at: switched off, not complete in the capture, or left to the network card.
  case notVerified
  case valid
  case invalid
}

/// What lies inside a tunnel packet.
public enum InnerPacket: UInt8, Sendable, BitwiseCopyable {
  case none
  case ethernet
  /// The four octets of a VLAN tag first (GRE with protocol 0x8100).
  case vlan
  /// An ERSPAN type II header, then an Ethernet frame.
  case erspan
  case arp
  case ipv4
  case ipv6
  /// Not an IP packet: a PPP frame (GRE version 1).
  case ppp
}

/// The fixed header of RFC 9293 section 3.1 and the options Sluice follows.
public struct TCPFields: Sendable, BitwiseCopyable {
  public var sequence: UInt32 = 0
  public var acknowledgement: UInt32 = 0
  /// CWR ECE URG ACK PSH RST SYN FIN from the highest bit down.
  public var flags: UInt8 = 0
  public var window: UInt16 = 0
  public var urgentPointer: UInt16 = 0
  public var hasTimestamp = false
  public var timestampValue: UInt32 = 0
  public var timestampEcho: UInt32 = 0
  /// Octets, 0 when the option is absent.
  public var maximumSegmentSize: UInt16 = 0
  /// Shift count, 255 when the option is absent.
  public var windowScale: UInt8 = 255
  public var sackPermitted = false
  /// TCP Fast Open option (RFC 7413) present.
  public var hasFastOpen = false
  /// A signature that only the ends can check: MD5 (RFC 2385) or TCP-AO (RFC 5925).
  public var hasSignature = false

  @inlinable
  public init() {}

  public static let fin: UInt8 = 0x01
  public static let syn: UInt8 = 0x02
  public static let rst: UInt8 = 0x04
  public static let psh: UInt8 = 0x08
  public static let ack: UInt8 = 0x10
  public static let urg: UInt8 = 0x20
  public static let ece: UInt8 = 0x40
  public static let cwr: UInt8 = 0x80

  @inlinable
  public func has(_ flag: UInt8) -> Bool { flags & flag != 0 }
}

public struct ICMPFields: Sendable, BitwiseCopyable {
  public var type: UInt8 = 0
  public var code: UInt8 = 0
  /// Identifier and sequence of echo and similar messages; valid where `hasIdentifier`.
  public var identifier: UInt16 = 0
  public var sequence: UInt16 = 0
  public var hasIdentifier = false
  /// ICMPv6 packet too big / ICMPv4 fragmentation needed.
  public var mtu: UInt32 = 0
  /// The message quotes the packet that caused it, whose headers could be read.
  public var hasQuoted = false
  public var quotedSource = IPAddress(high: 0, low: 0)
  public var quotedDestination = IPAddress(high: 0, low: 0)
  public var quotedSourcePort: UInt16 = 0
  public var quotedDestinationPort: UInt16 = 0
  public var quotedProtocol: UInt8 = 0

  @inlinable
  public init() {}
}

/// IPv4 options present, as the `ipopts` keyword names them.
public struct IPOptionSet: OptionSet, Sendable, BitwiseCopyable {
  public let rawValue: UInt16
  @inlinable
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  public static let recordRoute = IPOptionSet(rawValue: 1)
  public static let looseSourceRoute = IPOptionSet(rawValue: 2)
  public static let strictSourceRoute = IPOptionSet(rawValue: 4)
  public static let endOfList = IPOptionSet(rawValue: 8)
  public static let noOperation = IPOptionSet(rawValue: 16)
  public static let timestamp = IPOptionSet(rawValue: 32)
  public static let security = IPOptionSet(rawValue: 64)
  public static let streamID = IPOptionSet(rawValue: 128)
  public static let extendedSecurity = IPOptionSet(rawValue: 256)
  public static let commercialSecurity = IPOptionSet(rawValue: 512)
  public static let routerAlert = IPOptionSet(rawValue: 1024)
}
