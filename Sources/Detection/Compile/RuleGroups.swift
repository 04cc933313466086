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
  /// Tables of streams hold the literals of rules on TCP packets, too.
  var scansPacketsWithStreams = false
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
final class PayloadGroup: Sendable {
  /// The table for rules that are looked for on all ports; nil for none.
  let table: PatternTable?
  /// Which literals of the table are those of the group: of a protocol it may hold those for any protocol as well,
  /// and of a stream those on its packets, so that octets are scanned once for all.
  let member: UInt8
  /// The table holds the literals of the group for any protocol, too.
  let isShared: Bool
  /// Tables for narrow port sets by server port, sorted.
  private let ports: [UInt16]
  private let portTables: [PatternTable]
  /// Rules without a literal to look for: always candidates.
  let unconditional: [RuleIndex]

  init(
    table: PatternTable? = nil, member: UInt8 = 0, isShared: Bool = false,
    portTables: [(port: UInt16, table: PatternTable)] = [], unconditional: [RuleIndex] = []
  ) {
    self.table = table
    self.isShared = isShared
    self.member = member
    ports = portTables.map(\.port)
    self.portTables = portTables.map(\.table)
    self.unconditional = unconditional
  }

  var isEmpty: Bool { table == nil && ports.isEmpty && unconditional.isEmpty }

  /// The table of the rules for one server port.
  func table(forPort port: UInt16) -> PatternTable? {
    var first = 0
    var end = ports.count
    while first < end {
      let middle = first &+ (end &- first) / 2
      if ports[middle] < port { first = middle &+ 1 } else { end = middle }
    }
    return first < ports.count && ports[first] == port ? portTables[first] : nil
  }
}

/// Rules on the transactions of one protocol in one direction.
final class TransactionGroup: Sendable {
  let scans: [BufferScan]
  /// Numbers of those scans whose buffers may hold something new while the progress stays.
  let growing: [Int]
  /// Rules without a literal to look for: always candidates.
  let unconditional: [RuleIndex]
  /// Rules on events of the parser: candidates once there is an event.
  let events: [RuleIndex]

  init(scans: [BufferScan] = [], unconditional: [RuleIndex] = [], events: [RuleIndex] = []) {
    self.scans = scans
    growing = scans.indices.filter { scans[$0].isStreaming }
    self.unconditional = unconditional
    self.events = events
  }

  var isEmpty: Bool { scans.isEmpty && unconditional.isEmpty && events.isEmpty }
}

/// One buffer that is run through one table.
final class BufferScan: Sendable {
  let buffer: BufferID
  let transforms: [BufferTransform]
  let table: PatternTable
  /// Which of the buffers that share the table this is.
  let member: UInt8
  /// Other buffers share the table, so that short ones are scanned together.
  let isBatched: Bool
  /// The progress values at which it is scanned, a bit each; there are no more than a handful.
  private let progress: UInt64
  let isMultiple: Bool
  let isStreaming: Bool

  init(
    buffer: BufferID, transforms: [BufferTransform], table: PatternTable, member: UInt8, isBatched: Bool,
    progress: [Int], isMultiple: Bool, isStreaming: Bool
  ) {
    self.buffer = buffer
    self.transforms = transforms
    self.table = table
    self.member = member
    self.isBatched = isBatched
    self.progress = progress.reduce(0) { $0 | 1 << UInt64(min(max($1, 0), 63)) }
    self.isMultiple = isMultiple
    self.isStreaming = isStreaming
  }

  /// How many of the values at which it is scanned a transaction has reached.
  func reachedCount(_ progress: Int) -> Int {
    progress < 0 ? 0 : (self.progress & (.max >> UInt64(63 &- min(progress, 63)))).nonzeroBitCount
  }
}
