import AppLayer
import PacketDecoding
import RuleLanguage
import Traffic

/// The `flow` keyword, and what else a rule asks of the flow's state.
///
/// - Source: Suricata "Flow Keywords", flow.
struct FlowCondition: OptionSet, Sendable, BitwiseCopyable {
  let rawValue: UInt16

  static let toServer = FlowCondition(rawValue: 1)
  static let toClient = FlowCondition(rawValue: 2)
  static let established = FlowCondition(rawValue: 4)
  static let notEstablished = FlowCondition(rawValue: 8)
  static let stateless = FlowCondition(rawValue: 16)
  static let onlyStream = FlowCondition(rawValue: 32)
  static let noStream = FlowCondition(rawValue: 64)
  static let onlyFragment = FlowCondition(rawValue: 128)
  static let noFragment = FlowCondition(rawValue: 256)

  static let needsFlow: FlowCondition = [.toServer, .toClient, .established]
}

/// Which IP protocols a rule header takes.
struct ProtocolMask: OptionSet, Sendable, BitwiseCopyable {
  let rawValue: UInt8

  static let tcp = ProtocolMask(rawValue: 1)
  static let udp = ProtocolMask(rawValue: 2)
  static let icmp = ProtocolMask(rawValue: 4)
  static let sctp = ProtocolMask(rawValue: 8)
  static let other = ProtocolMask(rawValue: 16)
  /// Packets without an IP header that could be read (for `pkthdr` and decode events).
  static let noIP = ProtocolMask(rawValue: 32)
  static let arp = ProtocolMask(rawValue: 64)

  static let anyIP: ProtocolMask = [.tcp, .udp, .icmp, .sctp, .other]
  static let ports: ProtocolMask = [.tcp, .udp, .sctp]
}

/// The part of a rule that is looked at first: plain data in one array, so that candidates that
/// fail here cost no reference counts and one cache line.
struct RuleHead: Sendable, BitwiseCopyable {
  var protocols = ProtocolMask.anyIP
  /// 4 or 6, 0 for both.
  var ipVersion: UInt8 = 0
  var flow = FlowCondition()
  var isBothWays = false
  /// It spans request and answer (`=>`).
  var isTransactional = false
  /// Conditions beyond the header exist in the body.
  var hasConditions = false
  /// Octets that the payload of a packet has where the rule holds; no bound of `dsize` at 0 and the most there can be.
  var payloadMin: UInt16 = 0
  var payloadMax: UInt16 = .max
  var appProtocols: AppProtocolSet = .any
  /// Numbers in the rule set's tables; 0 is any.
  var sources: UInt32 = 0
  var destinations: UInt32 = 0
  var sourcePorts: UInt32 = 0
  var destinationPorts: UInt32 = 0
}

extension RuleHead {
  /// Whether the size of a packet's payload alone rules it out; the condition itself is still to be looked at.
  ///
  /// - Parameter size: nil where it is ciphertext, whose size no rule is told.
  func excludes(payloadSize size: UInt16?) -> Bool {
    guard payloadMin > 0 || payloadMax < .max else { return false }
    guard let size else { return true }
    return size < payloadMin || size > payloadMax
  }
}

/// A set of application protocols as bits by raw value; empty bits mean any.
struct AppProtocolSet: Sendable, BitwiseCopyable, Equatable {
  var bits: UInt64

  static let any = AppProtocolSet(bits: 0)
  static func only(_ appProtocol: AppProtocol) -> AppProtocolSet {
    AppProtocolSet(bits: 1 << UInt64(appProtocol.rawValue & 63))
  }
  static func of(_ protocols: [AppProtocol]) -> AppProtocolSet {
    AppProtocolSet(bits: protocols.reduce(0) { $0 | 1 << UInt64($1.rawValue & 63) })
  }

  var isAny: Bool { bits == 0 }
  func allows(_ appProtocol: AppProtocol) -> Bool {
    bits == 0 || bits & 1 << UInt64(appProtocol.rawValue & 63) != 0
  }
  func contains(_ appProtocol: AppProtocol) -> Bool {
    bits & 1 << UInt64(appProtocol.rawValue & 63) != 0
  }
}

/// A condition on one packet's headers.
enum PacketCondition: Sendable {
  case payloadSize(NumericCondition)
  case tcpFlags(TCPFlagsCondition)
  case tcpSequence(UInt32)
  case tcpAcknowledgement(UInt32)
  case tcpWindow(UInt16, isNegated: Bool)
  case tcpMSS(NumericCondition)
  case tcpWindowScale(NumericCondition)
  case timeToLive(NumericCondition)
  case typeOfService(UInt8, isNegated: Bool)
  case fragmentID(UInt32)
  case fragmentOffset(NumericCondition)
  case fragmentBits(FragmentBitsCondition)
  case ipOption(IPOptionSet)
  case anyIPOption
  case ipProtocol(IPProtocolCondition)
  case icmpType(NumericCondition)
  case icmpCode(NumericCondition)
  case icmpID(UInt16)
  case icmpSequence(UInt16)
  case icmpv6MTU(NumericCondition)
  case sameAddress
  case vlanID(NumericCondition, VLANLayer)
  case vlanLayers(NumericCondition)
  case decodeEvent(DecodeEvent)
  case streamEvent(StreamEvent)
  case flowEvent(FlowAppLayerEvents)
  case checksum(ChecksumCondition)
  case remoteCall(RemoteCallCondition)
}

/// `rpc`: a call of Sun RPC; nil for any.
struct RemoteCallCondition: Sendable {
  var program: UInt32
  var version: UInt32?
  var procedure: UInt32?
}

/// Which of a packet's VLAN tags a condition is about; 0 is the outermost, -1 the innermost.
enum VLANLayer: Sendable {
  case any, all
  case index(Int)
}

/// `tcpv4-csum:invalid` and its like.
struct ChecksumCondition: Sendable {
  var place: ChecksumPlace
  /// 4 or 6.
  var ipVersion: UInt8
  /// Of the transport; 0 for the IP header itself.
  var ipProtocol: UInt8
  var isValid: Bool
}

struct TCPFlagsCondition: Sendable {
  enum Mode: Sendable { case exactly, all, any, not }
  var mode: Mode
  var flags: UInt8
  /// Flags that are not looked at.
  var ignored: UInt8

  func holds(_ packetFlags: UInt8) -> Bool {
    let seen = packetFlags & ~ignored
    switch mode {
    case .exactly: return seen == flags
    case .all: return seen & flags == flags
    case .any: return seen & flags != 0
    case .not: return seen & flags != flags
    }
  }
}

struct FragmentBitsCondition: Sendable {
  enum Mode: Sendable { case exactly, all, any, not }
  static let more: UInt8 = 1
  static let dont: UInt8 = 2
  static let reserved: UInt8 = 4
  var mode: Mode
  var bits: UInt8

  func holds(_ packetBits: UInt8) -> Bool {
    switch mode {
    case .exactly: return packetBits == bits
    case .all: return packetBits & bits == bits
    case .any: return packetBits & bits != 0
    case .not: return packetBits & bits == 0
    }
  }
}

struct IPProtocolCondition: Sendable {
  enum Mode: Sendable { case equal, notEqual, less, greater }
  var mode: Mode
  var number: UInt8

  func holds(_ other: UInt8) -> Bool {
    switch mode {
    case .equal: return other == number
    case .notEqual: return other != number
    case .less: return other < number
    case .greater: return other > number
    }
  }
}

/// A condition on the flow or on what rules have remembered.
enum StateCondition: Sendable {
  /// At least one of the bits is set (none when negated).
  case flowBits([UInt16], isSet: Bool)
  case flowInteger(UInt16, IntegerComparison, IntegerOperand)
  case flowIntegerIsSet(UInt16, Bool)
  /// A value that an expression has captured into the flow holds these octets.
  case flowVariable(String, [UInt8])
  /// The same of a value that an earlier rule has captured from the packet in hand.
  case packetVariable(String, [UInt8])
  case xbit(XBit, isSet: Bool)
  case streamSize(StreamSizeCondition)
  case flowAge(NumericCondition)
  case flowPackets(NumericCondition, FlowSide)
  case flowBytes(NumericCondition, FlowSide)
  case elephant(FlowSide)
  case appProtocol(AppProtocol, ProtocolView, isNegated: Bool)
  case reputation(ReputationCondition)
  /// The packet is the first of its direction.
  case flowStart
}

/// Which finding of the application protocol `app-layer-protocol` asks for.
enum ProtocolView: Sendable { case settled, original, either, toServer, toClient }

/// The directions of a flow that a count is taken of; with `either` one of them is enough, `both` asks for each.
enum FlowSide: Sendable { case toServer, toClient, either, both }

enum IntegerComparison: Sendable {
  case less, lessOrEqual, equal, notEqual, greaterOrEqual, greater

  func holds<Number: Comparable>(_ left: Number, _ right: Number) -> Bool {
    switch self {
    case .less: left < right
    case .lessOrEqual: left <= right
    case .equal: left == right
    case .notEqual: left != right
    case .greaterOrEqual: left >= right
    case .greater: left > right
    }
  }
}

enum IntegerOperand: Sendable {
  case constant(UInt32)
  case variable(UInt16)
}

struct StreamSizeCondition: Sendable {
  enum Side: Sendable { case client, server, both, either }
  var side: Side
  var comparison: IntegerComparison
  var octets: UInt64
}

/// A bit on a host, a pair of hosts, or a transaction, with an expiry (`xbits`, `hostbits`).
struct XBit: Sendable {
  enum Track: UInt8, Sendable { case source, destination, pair, transaction }
  var name: UInt16
  var track: Track
  var expireSeconds: UInt32
}

/// What a matching rule does to state.
enum StateAction: Sendable {
  case setFlowBits([UInt16])
  case unsetFlowBits([UInt16])
  case toggleFlowBits([UInt16])
  case setFlowInteger(UInt16, IntegerOperand)
  case addFlowInteger(UInt16, IntegerOperand)
  case subtractFlowInteger(UInt16, IntegerOperand)
  case setXBit(XBit)
  case unsetXBit(XBit)
  case toggleXBit(XBit)
  case bypass
  case silence(SilencedRecords)
  case mark(MarkChange)
}

/// `tag`: packets that are told of after the rule has matched.
struct TagAction: Sendable {
  enum Scope: Sendable { case session, source, destination }
  enum Unit: Sendable { case packets, octets, seconds }
  /// Packets where a rule gives no number.
  static let packetsDefault: UInt64 = 256

  var scope: Scope
  var unit: Unit
  var count: UInt64
}
