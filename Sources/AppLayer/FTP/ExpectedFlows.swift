import Synchronization
import Traffic

/// Connections that others have announced: the data connections of FTP.
///
/// Shared by all workers, as the queue that a connection comes through has nothing to do with that of the one that
/// announced it. Where nothing is expected, asking costs one atomic load.
/// - Limits: ``perPairMax`` connections between two hosts, ``countMax`` in all, each for ``lifetimeSeconds``; the oldest
///   go first, and are counted.
/// - Source: Suricata `app-layer-expectation`: ten for a pair of hosts, thirty seconds.
public final class ExpectedFlows: Sendable {
  public static let perPairMax = 10
  public static let countMax = 16_384
  public static let lifetimeSeconds: Int64 = 30

  private struct Pair: Hashable, Sendable {
    let low: IPAddress
    let high: IPAddress

    init(_ one: IPAddress, _ other: IPAddress) {
      low = min(one, other)
      high = max(one, other)
    }
  }

  private struct Entry: Sendable {
    let port: UInt16
    let transfer: FTPTransfer
    let expiry: Int64
  }

  private struct Table: Sendable {
    var entries: [Pair: [Entry]] = [:]
    var count = 0
  }

  /// What all workers share.
  private final class Memory: Sendable {
    let count = Atomic<Int>(0)
    let evicted = Atomic<UInt64>(0)
    let table = Mutex(Table())
  }

  /// How workers come to what they share.
  public enum Order: Sendable {
    case any
    /// That of packets: returns once it is the turn of who asks.
    case byTurn(@Sendable () -> Void)
    /// None is expected to be announced, so that who asks needs not wait; called where one is after all, since others
    /// may have asked too early by then.
    case unexpected(@Sendable () -> Void)
  }

  private let memory: Memory
  private let order: Order

  public init() {
    memory = Memory()
    order = .any
  }

  /// The same for another worker.
  public init(sharing other: ExpectedFlows, _ order: Order) {
    memory = other.memory
    self.order = order
  }

  /// Those that were given up for want of room.
  public var evictedCount: UInt64 { memory.evicted.load(ordering: .relaxed) }

  /// A connection between the ends of `tuple`, to `port`, will carry `transfer`.
  func expect(_ transfer: FTPTransfer, between tuple: FlowTuple, port: UInt16, at time: Timestamp) {
    let pair = Pair(tuple.source, tuple.destination)
    let entry = Entry(port: port, transfer: transfer, expiry: time.seconds &+ Self.lifetimeSeconds)
    switch order {
    case .any: break
    case .byTurn(let takeTurn): takeTurn()
    case .unexpected(let report): report()
    }
    let (now, lost) = memory.table.withLock { table -> (Int, Int) in
      var lost = 0
      if table.count >= Self.countMax { lost += Self.makeRoom(&table, at: time.seconds) }
      var own = table.entries[pair, default: []]
      let before = own.count
      own.removeAll { $0.expiry <= time.seconds || $0.port == port }
      if own.count >= Self.perPairMax {
        own.removeFirst()
        lost += 1
      }
      own.append(entry)
      table.entries[pair] = own
      table.count += own.count - before
      return (table.count, lost)
    }
    memory.count.store(now, ordering: .relaxed)
    if lost > 0 { memory.evicted.wrappingAdd(UInt64(lost), ordering: .relaxed) }
  }

  /// Takes what the connection of `tuple` was announced for, if its first octets go the right way.
  func take(_ tuple: FlowTuple, _ direction: Direction, isDecrypted: Bool, at time: Timestamp) -> FTPTransfer? {
    if case .byTurn(let takeTurn) = order { takeTurn() }
    guard memory.count.load(ordering: .relaxed) > 0 else { return nil }
    let pair = Pair(tuple.source, tuple.destination)
    let (found, now) = memory.table.withLock { table -> (FTPTransfer?, Int) in
      guard var own = table.entries[pair] else { return (nil, table.count) }
      let index = own.firstIndex {
        $0.port == tuple.destinationPort && $0.expiry > time.seconds && $0.transfer.direction == direction
          && (isDecrypted || !$0.transfer.isProtected)
      }
      guard let index else { return (nil, table.count) }
      let found = own.remove(at: index).transfer
      table.entries[pair] = own.isEmpty ? nil : own
      table.count -= 1
      return (found, table.count)
    }
    if found != nil { memory.count.store(now, ordering: .relaxed) }
    return found
  }

  /// Drops what is past its time; where nothing is, all between one pair of hosts.
  private static func makeRoom(_ table: inout Table, at seconds: Int64) -> Int {
    table.entries = table.entries.compactMapValues { entries in
      let live = entries.filter { $0.expiry > seconds }
      return live.isEmpty ? nil : live
    }
    table.count = table.entries.values.reduce(0) { $0 + $1.count }
    guard table.count >= countMax, let victim = table.entries.first else { return 0 }
    table.entries[victim.key] = nil
    table.count -= victim.value.count
    return victim.value.count
  }
}

/// What a protocol has to know of its connection to announce others.
public struct FlowEnds: Sendable {
  let expected: ExpectedFlows
  /// From client to server.
  var tuple: FlowTuple
  /// The bytes come from inside TLS.
  let isDecrypted: Bool
  /// The number of the flow, for those that it announces.
  let flowID: UInt64

  public init(_ tuple: FlowTuple, expected: ExpectedFlows, isDecrypted: Bool = false, flowID: UInt64 = 0) {
    self.tuple = tuple
    self.flowID = flowID
    self.expected = expected
    self.isDecrypted = isDecrypted
  }

  /// The same connection whose ends were taken for each other.
  var reversed: FlowEnds {
    var result = self
    result.tuple = tuple.reversed
    return result
  }
}

/// What a data connection of FTP is for.
struct FTPTransfer: Sendable, Equatable {
  /// "RETR", "STOR", …
  var command: [UInt8]
  /// Empty for lists of a folder.
  var fileName: [UInt8]
  var isFile: Bool
  /// Which way its octets go in the data connection.
  var direction: Direction
  /// It will be TLS of its own (`PROT P`).
  var isProtected = false
  /// The number of the flow that has announced it.
  var parentID: UInt64 = 0
}
