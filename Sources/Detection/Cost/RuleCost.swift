/// What a rule has cost, over workers and reloads.
public struct RuleCost: Sendable {
  public struct Key: Hashable, Sendable {
    public var gid: UInt32
    public var sid: UInt32
  }

  public var gid: UInt32
  public var sid: UInt32
  public var rev: UInt32
  public var message: String
  public var checks: UInt64 = 0
  public var matches: UInt64 = 0
  /// Trials that were timed, the time of them all, and of the longest.
  public var timed: UInt64 = 0
  public var timedNanoseconds: UInt64 = 0
  public var nanosecondsMax: UInt64 = 0

  public init(gid: UInt32, sid: UInt32, rev: UInt32, message: String) {
    self.gid = gid
    self.sid = sid
    self.rev = rev
    self.message = message
  }

  /// Of one trial; 0 where none was timed.
  public var nanosecondsMean: Double { timed > 0 ? Double(timedNanoseconds) / Double(timed) : 0 }
  /// Of all trials, by those that were timed.
  public var nanoseconds: Double { nanosecondsMean * Double(checks) }

  mutating func add(_ other: RuleCost) {
    checks &+= other.checks
    matches &+= other.matches
    timed &+= other.timed
    timedNanoseconds &+= other.timedNanoseconds
    nanosecondsMax = max(nanosecondsMax, other.nanosecondsMax)
    if !other.message.isEmpty { (rev, message) = (other.rev, other.message) }
  }
}

/// The costs of rules by their numbers, so that they outlive a reload.
public struct RuleCosts: Sendable {
  public private(set) var byRule: [RuleCost.Key: RuleCost] = [:]

  public init() {}

  public mutating func add(_ other: RuleCosts) {
    for cost in other.byRule.values { add(cost) }
  }

  public mutating func add(_ cost: RuleCost) {
    let key = RuleCost.Key(gid: cost.gid, sid: cost.sid)
    if byRule[key]?.add(cost) == nil { byRule[key] = cost }
  }

  /// Of all rules together.
  public var nanoseconds: Double { byRule.values.reduce(0) { $0 + $1.nanoseconds } }

  /// The dearest first; those that cost the same by their numbers.
  public func dearest(_ count: Int) -> [RuleCost] {
    let order = byRule.values.sorted {
      ($1.nanoseconds, $1.checks, $0.gid, $0.sid) < ($0.nanoseconds, $0.checks, $1.gid, $1.sid)
    }
    return Array(order.prefix(count))
  }
}

/// What the rules have cost one worker, as it hands it over: made without a look at the rules' texts.
public struct RuleCostSnapshot: Sendable {
  let ruleSet: RuleSet
  let tallies: [(rule: RuleIndex, tally: RuleMeter.Tally)]
  let former: [Former]

  /// A rule of a set that is not in force any more.
  struct Former: Sendable {
    var key: RuleCost.Key
    var rev: UInt32
    var tally: RuleMeter.Tally
  }
}

extension RuleCosts {
  /// Of rules that are not in force any more the messages are not kept.
  public mutating func add(_ snapshot: RuleCostSnapshot) {
    let messages = snapshot.messagesOfFormer
    for (rule, tally) in snapshot.tallies {
      guard let info = snapshot.ruleSet.info(rule) else { continue }
      add(RuleCost(gid: info.gid, sid: info.sid, rev: info.rev, message: info.message, tally))
    }
    for one in snapshot.former {
      add(RuleCost(gid: one.key.gid, sid: one.key.sid, rev: one.rev, message: messages[one.key] ?? "", one.tally))
    }
  }
}

extension RuleCostSnapshot {
  /// What rules that have cost something before the last reload, and are there still, are called.
  fileprivate var messagesOfFormer: [RuleCost.Key: String] {
    guard !former.isEmpty else { return [:] }
    let wanted = Set(former.map(\.key))
    var messages: [RuleCost.Key: String] = [:]
    for info in ruleSet.infos {
      let key = RuleCost.Key(gid: info.gid, sid: info.sid)
      if wanted.contains(key) { messages[key] = info.message }
    }
    return messages
  }
}

extension RuleCost {
  fileprivate init(gid: UInt32, sid: UInt32, rev: UInt32, message: String, _ tally: RuleMeter.Tally) {
    self.init(gid: gid, sid: sid, rev: rev, message: message)
    checks = tally.checks
    matches = tally.matches
    timed = UInt64(tally.timed)
    timedNanoseconds = tally.nanoseconds
    nanosecondsMax = tally.nanosecondsMax
  }
}

extension Detector {
  /// What the rules have cost this worker since it began, those of former sets too.
  public var ruleCosts: RuleCostSnapshot {
    var tallies: [(rule: RuleIndex, tally: RuleMeter.Tally)] = []
    for (index, tally) in meter.tallies.enumerated() where tally.checks > 0 { tallies.append((RuleIndex(index), tally)) }
    return RuleCostSnapshot(ruleSet: ruleSet, tallies: tallies, former: formerCosts)
  }

  /// A timed trial of a rule is over.
  mutating func endTrial(_ rule: RuleIndex, began: UInt64) {
    let now = RuleMeter.now()
    if let excess = meter.end(rule, began: began, at: now) { handle(excess, at: now) }
    takeHeldRules(at: now)
  }

  private mutating func handle(_ excess: RuleExcess, at now: UInt64) {
    guard let info = ruleSet.info(excess.rule) else { return }
    let budget = meter.budget
    var record = RuleExcessRecord(info, excess, windowSeconds: budget.windowSeconds)
    record.isHeld = budget.holds(info.action)
    record.isSpared = budget.action == .quarantine && !record.isHeld
    let until = budget.holdSeconds > 0 ? now &+ UInt64(budget.holdSeconds) &* 1_000_000_000 : nil
    // Another worker may have found the same.
    if shared.excesses.add(record, rule: excess.rule, generation: ruleSet.generation, until: until) {
      excessNews.append(record)
    }
  }

  /// Rules that this or another worker has found too dear are not tried any more here either.
  mutating func takeHeldRules(at now: UInt64) {
    guard let held = shared.excesses.changes(after: &excessesSeen, generation: ruleSet.generation, at: now) else { return }
    for rule in heldRules where !held.contains(rule) { meter.hold(rule, false) }
    for rule in held { meter.hold(rule, true) }
    heldRules = held
  }

  /// Rules have gone past their budget since they were taken last.
  public var hasExcesses: Bool { !excessNews.isEmpty }

  public mutating func takeExcesses() -> [RuleExcessRecord] {
    if excessNews.isEmpty { return [] }
    defer { excessNews = [] }
    return excessNews
  }

  /// Another rule set is in force: what the one before has cost is kept by the numbers of its rules.
  mutating func renewMeter(for next: RuleSet) {
    var former: [RuleCost.Key: RuleCostSnapshot.Former] = [:]
    for one in formerCosts { former[one.key] = one }
    for (index, tally) in meter.tallies.enumerated() where tally.checks > 0 {
      let info = ruleSet.infos[index]
      let key = RuleCost.Key(gid: info.gid, sid: info.sid)
      var sum = former[key] ?? .init(key: key, rev: info.rev, tally: RuleMeter.Tally())
      sum.rev = info.rev
      sum.tally.add(tally)
      former[key] = sum
    }
    formerCosts = Array(former.values)
    let (period, budget) = (meter.period, meter.budget)
    meter = RuleMeter(ruleCount: next.ruleCount)
    meter.period = period
    meter.budget = budget
    heldRules = []
  }
}

extension RuleMeter.Tally {
  fileprivate mutating func add(_ other: Self) {
    checks &+= other.checks
    matches &+= other.matches
    nanoseconds &+= other.nanoseconds
    nanosecondsMax = max(nanosecondsMax, other.nanosecondsMax)
    timed &+= other.timed
  }
}
