import Synchronization

/// A rule that went past the budget, as it is told of.
public struct RuleExcessRecord: Sendable {
  public var gid: UInt32
  public var sid: UInt32
  public var rev: UInt32
  public var message: String
  /// Within the window, estimated.
  public var checks: UInt64
  public var nanoseconds: UInt64
  /// Of a worker's time in a window.
  public var share: Double
  public var windowSeconds: Int
  /// It is not tried any more.
  public var isHeld = false
  /// It would not be, but that it drops or passes.
  public var isSpared = false

  init(_ info: RuleInfo, _ excess: RuleExcess, windowSeconds: Int) {
    gid = info.gid
    sid = info.sid
    rev = info.rev
    message = info.message
    checks = excess.checks
    nanoseconds = excess.nanoseconds
    share = excess.share
    self.windowSeconds = windowSeconds
  }

  /// "quarantined", "reported", or "kept" where it would be quarantined but that it drops or passes.
  public var outcome: String { isHeld ? "quarantined" : isSpared ? "kept" : "reported" }

  /// Why, in words.
  public var reason: String {
    let percent = Int((share * 100).rounded())
    let mean = Int((Double(nanoseconds) / Double(max(1, checks)) / 1000).rounded())
    return "took \(percent) % of \(windowSeconds) s of a worker: \(checks) checks of \(mean) µs"
  }
}

/// Rules past their budget, of all workers; kept until they are let go or the rules are loaded anew.
///
/// A worker looks here after a timed trial, and that is two atomic loads where nothing has changed.
public final class RuleExcesses: Sendable {
  private struct Entry: Sendable {
    var record: RuleExcessRecord
    var rule: RuleIndex
    var generation: UInt64
    /// By the clock of ``RuleMeter``; nil for no end.
    var until: UInt64?
  }

  private struct State: Sendable {
    var entries: [Entry] = []
    var told: UInt64 = 0
    var held: UInt64 = 0
  }

  /// Entries kept; the oldest goes, and what it held is tried again.
  static let countMax = 1024

  private let state = Mutex(State())
  private let version = Atomic<UInt64>(0)
  /// When the first that is held is let go; `max` where none is.
  private let nextRelease = Atomic<UInt64>(.max)

  init() {}

  /// Rules that went past the budget since the start, and those that were held for it.
  public var counts: (told: UInt64, held: UInt64) { state.withLock { ($0.told, $0.held) } }

  /// Those of now, the newest last.
  public var records: [RuleExcessRecord] { state.withLock { $0.entries.map(\.record) } }

  /// - Returns: false where the rule is there already.
  func add(_ record: RuleExcessRecord, rule: RuleIndex, generation: UInt64, until: UInt64?) -> Bool {
    let isNew = state.withLock { state -> Bool in
      // What was found of rules before a reload says nothing of those after.
      state.entries.removeAll { $0.generation != generation }
      guard !state.entries.contains(where: { $0.rule == rule }) else { return false }
      state.told += 1
      if record.isHeld { state.held += 1 }
      if state.entries.count >= Self.countMax { state.entries.removeFirst() }
      state.entries.append(Entry(record: record, rule: rule, generation: generation, until: record.isHeld ? until : nil))
      nextRelease.store(state.entries.compactMap(\.until).min() ?? .max, ordering: .relaxed)
      return true
    }
    if isNew { version.wrappingAdd(1, ordering: .releasing) }
    return isNew
  }

  /// The rules that are held now; nil where nothing has changed since `seen`.
  func changes(after seen: inout UInt64, generation: UInt64, at now: UInt64) -> [RuleIndex]? {
    if now >= nextRelease.load(ordering: .relaxed) { release(at: now) }
    let latest = version.load(ordering: .acquiring)
    guard latest != seen else { return nil }
    seen = latest
    return state.withLock { state in
      state.entries.filter { $0.generation == generation && $0.record.isHeld }.map(\.rule)
    }
  }

  private func release(at now: UInt64) {
    state.withLock { state in
      state.entries.removeAll { ($0.until ?? .max) <= now }
      nextRelease.store(state.entries.compactMap(\.until).min() ?? .max, ordering: .relaxed)
    }
    version.wrappingAdd(1, ordering: .releasing)
  }

  /// Other rules are in force.
  public func forget() {
    state.withLock { $0.entries = [] }
    nextRelease.store(.max, ordering: .relaxed)
    version.wrappingAdd(1, ordering: .releasing)
  }
}
