import AppLayer
import Synchronization
import Traffic

/// What rules remember across flows: thresholds, bits on hosts and on pairs of hosts.
///
/// Shared by all workers and kept over reloads. In shards under a lock each; only rules that have
/// already matched, or that ask for a host's bit, come here.
public final class SharedDetectionState: Sendable {
  public struct Limits: Sendable {
    /// Counters of thresholds, over all rules and addresses.
    public var thresholdsMax = 65_536
    /// Bits on hosts and pairs.
    public var hostBitsMax = 65_536
    /// Hosts with a `tag` in force.
    public var hostTagsMax = 4096

    public init() {}
  }

  public let names: VariableNames
  /// Connections that protocols have announced; no rule's memory, but shared and kept like it.
  public let expectedFlows: ExpectedFlows
  /// Rules that cost too much.
  public let excesses: RuleExcesses
  let thresholds: ExpiringTable<ThresholdKey, ThresholdEntry>
  let hostBits: ExpiringTable<HostBitKey, Timestamp>
  let hostTags: ExpiringTable<IPAddress, [PacketTag]>
  /// A host was ever tagged: packets are looked up only then.
  private let hostTagCount = Atomic<Int>(0)

  /// Lets workers come here in the order of their packets; nil where any order will do.
  let turn: (any DetectionTurn)?

  public init(names: VariableNames = VariableNames(), limits: Limits = Limits()) {
    self.names = names
    turn = nil
    thresholds = ExpiringTable(countMax: limits.thresholdsMax)
    hostBits = ExpiringTable(countMax: limits.hostBitsMax)
    hostTags = ExpiringTable(countMax: limits.hostTagsMax)
    expectedFlows = ExpectedFlows()
    excesses = RuleExcesses()
  }

  /// The same memory for another worker, which comes to it when its turn is.
  ///
  /// - Parameter expected: how it comes to announced connections, for which every connection asks.
  public init(sharing other: SharedDetectionState, turn: any DetectionTurn, expected: ExpectedFlows.Order) {
    names = other.names
    self.turn = turn
    thresholds = other.thresholds
    hostBits = other.hostBits
    hostTags = other.hostTags
    excesses = other.excesses
    expectedFlows = ExpectedFlows(sharing: other.expectedFlows, expected)
  }

  var hasHostTags: Bool { hostTagCount.load(ordering: .relaxed) > 0 }
  func noteHostTag() { hostTagCount.wrappingAdd(1, ordering: .relaxed) }

  /// Entries thrown out before their time because a table was full.
  public var evictedCount: UInt64 { thresholds.evictedCount &+ hostBits.evictedCount &+ hostTags.evictedCount }
}

struct ThresholdKey: Hashable, Sendable {
  /// A rule may have a threshold, and the threshold file a rate filter beside it.
  var isRateFilter: Bool
  var gid: UInt32
  var sid: UInt32
  var first: IPAddress
  var second: IPAddress
}

struct HostBitKey: Hashable, Sendable {
  var name: UInt16
  var isPair: Bool
  var first: IPAddress
  var second: IPAddress
}

/// A bounded table in shards, each under its lock; entries have a time after which they are dead.
///
/// - Limits: a full shard first drops the dead, then an arbitrary entry; both are counted.
final class ExpiringTable<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  struct Slot: Sendable {
    var value: Value
    var expiry: Timestamp
  }

  struct Shard: Sendable {
    var slots: [Key: Slot] = [:]
    var evicted: UInt64 = 0
  }

  static var shardCount: Int { 16 }
  private let shards: [Lock<Shard>]
  private let shardMax: Int

  init(countMax: Int) {
    shardMax = max(1, countMax / Self.shardCount)
    shards = (0..<Self.shardCount).map { _ in Lock(Shard()) }
  }

  var evictedCount: UInt64 { shards.reduce(0) { $0 &+ $1.value.withLock { $0.evicted } } }

  /// Reads and changes the entry of `key`; a dead one is handed over as nil.
  /// - Parameter body: gets the live value or nil, leaves what is to be kept and until when.
  func update<Result: Sendable>(
    _ key: Key, at time: Timestamp, _ body: (inout Value?) -> (Timestamp, Result)
  ) -> Result {
    var hasher = Hasher()
    hasher.combine(key)
    let index = Int(UInt(bitPattern: hasher.finalize()) % UInt(Self.shardCount))
    return shards[index].value.withLock { shard in
      let slot = shard.slots[key]
      var value: Value? = slot.flatMap { $0.expiry > time ? $0.value : nil }
      let (expiry, result) = body(&value)
      if let value {
        if slot == nil, shard.slots.count >= shardMax { Self.makeRoom(&shard, at: time) }
        shard.slots[key] = Slot(value: value, expiry: expiry)
      } else if slot != nil {
        shard.slots[key] = nil
      }
      return result
    }
  }

  private static func makeRoom(_ shard: inout Shard, at time: Timestamp) {
    let before = shard.slots.count
    shard.slots = shard.slots.filter { $0.value.expiry > time }
    if shard.slots.count == before, let victim = shard.slots.keys.first {
      shard.slots[victim] = nil
      shard.evicted &+= 1
    }
  }
}

/// A mutex that can stand in an array.
final class Lock<Value: Sendable>: Sendable {
  let value: Mutex<Value>
  init(_ initial: Value) { value = Mutex(initial) }
}

/// The order in which workers that share one capture come to what rules remember across flows, so that it says the same
/// as if one worker had seen all packets.
public protocol DetectionTurn: AnyObject, Sendable {
  /// Returns once all packets before the one in hand are done with, whoever has them.
  func take()
  /// What is asked for depends on every packet: only one worker can do it.
  func refuse(_ reason: String)
}
