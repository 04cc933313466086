import AppLayer
import PacketDecoding
import Traffic

/// The rules by what they are tried on, so that traffic never looks at those of other groups.
struct RuleGroups: Sendable {
  /// Rules on addresses alone.
  var addresses = AddressIndex()
  /// Rules on headers, for each class of protocol and direction.
  var packet: [[RuleIndex]] = Array(repeating: [], count: PacketClass.countMax * 2)
  /// Rules on the payload of each packet, the same way.
  var packetPayload: [PayloadGroup] = Array(repeating: PayloadGroup(), count: PacketClass.countMax * 2)
  /// Rules on the stream, for each direction.
  var stream: [PayloadGroup] = [PayloadGroup(), PayloadGroup()]
  /// Rules on the stream of one application protocol, by protocol and direction.
  var streamByProtocol: [PayloadGroup] = Array(
    repeating: PayloadGroup(), count: RuleGroups.protocolCount * 2)
  /// Rules on transactions, by protocol and direction.
  var transactions: [TransactionGroup] = Array(
    repeating: TransactionGroup(), count: RuleGroups.protocolCount * 2)
  /// Rules on the application protocol alone.
  var protocolFound: [RuleIndex] = []
  var decodeEvents: [RuleIndex] = []
  var streamEvents: [RuleIndex] = []
  var flowEvents: [RuleIndex] = []
  /// Rules on frames of application protocols.
  var frames: [RuleIndex] = []
  var tables: [PatternTable] = []

  static let protocolCount = 64

  static func slot(_ appProtocol: AppProtocol, _ direction: Direction) -> Int {
    Int(appProtocol.rawValue & 63) &* 2 &+ direction.index
  }
}

/// Protocols as rules on packets are grouped by.
enum PacketClass: Int {
  case tcp, udp, icmp, other, noIP

  static let countMax = 5

  init(_ packet: DecodedPacket) {
    guard packet.ipVersion != 0 else {
      self = .noIP
      return
    }
    if packet.isTCP {
      self = .tcp
    } else if packet.isUDP {
      self = .udp
    } else if packet.isICMP {
      self = .icmp
    } else {
      self = .other
    }
  }
}

/// Rules on raw bytes: those for any port, and those for some.
struct PayloadGroup: Sendable {
  /// Number of the table for rules with no or many ports; -1 for none.
  var table: Int32 = -1
  /// Tables for narrow port sets by server port, sorted.
  var ports: [UInt16] = []
  var portTables: [Int32] = []
  /// Rules without a literal to look for: always candidates.
  var unconditional: [RuleIndex] = []

  var isEmpty: Bool { table < 0 && ports.isEmpty && unconditional.isEmpty }

  /// The table of the rules for one server port, -1 for none.
  func table(forPort port: UInt16) -> Int32 {
    var first = 0
    var end = ports.count
    while first < end {
      let middle = first &+ (end &- first) / 2
      if ports[middle] < port { first = middle &+ 1 } else { end = middle }
    }
    return first < ports.count && ports[first] == port ? portTables[first] : -1
  }
}

/// Rules on the transactions of one protocol in one direction.
struct TransactionGroup: Sendable {
  var scans: [BufferScan] = []
  /// Rules without a literal to look for: always candidates.
  var unconditional: [RuleIndex] = []
  /// Rules on events of the parser: candidates once there is an event.
  var events: [RuleIndex] = []

  var isEmpty: Bool { scans.isEmpty && unconditional.isEmpty && events.isEmpty }
}

/// One buffer that is run through one table.
struct BufferScan: Sendable {
  var buffer: BufferID
  var transforms: [BufferTransform]
  var table: Int32
  /// The progress values at which it is scanned, ascending.
  var progress: [Int]
  var isMultiple: Bool
  var isStreaming: Bool
  /// Not a buffer but the raw stream or datagram.
  var isPayload = false
}

/// Rules on addresses, found by where the more selective side of them lies.
struct AddressIndex: Sendable {
  var bySource = AddressSegments()
  var byDestination = AddressSegments()
  /// Rules for which neither side is selective.
  var always: [RuleIndex] = []

  var isEmpty: Bool { bySource.starts.isEmpty && byDestination.starts.isEmpty && always.isEmpty }
}

/// The address space cut where the set of rules changes.
struct AddressSegments: Sendable {
  /// First address of each segment, ascending; it reaches to the next one.
  var lows: [IPAddress] = []
  /// Rules of segment s: `rules[starts[s]..<starts[s + 1]]`.
  var starts: [UInt32] = []
  var rules: [RuleIndex] = []

  func range(of address: IPAddress) -> Range<Int> {
    var first = 0
    var end = lows.count
    while first < end {
      let middle = first &+ (end &- first) / 2
      if address < lows[middle] { end = middle } else { first = middle &+ 1 }
    }
    guard first > 0, first < starts.count else { return 0..<0 }
    return Int(starts[first &- 1])..<Int(starts[first])
  }
}
