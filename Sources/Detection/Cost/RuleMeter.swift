import Glibc
import RuleLanguage

/// What the rules of the set in force cost one worker: trials, matches, and time by sampling.
///
/// A trial is counted where a rule is tried whose literal was seen and whose header holds ("checks" in Suricata's rule
/// profiling). One in ``period`` is timed, at random distances, so that no rule's trials fall beside the beat.
/// - Limits: 48 octets a rule; time is that of the trials alone, without the scan that found the literals.
/// - Complexity: for each trial two counters; the clock for one in ``period``.
public struct RuleMeter: Sendable {
  /// Of one rule.
  struct Tally: Sendable, BitwiseCopyable {
    var checks: UInt64 = 0
    var matches: UInt64 = 0
    /// Of timed trials.
    var nanoseconds: UInt64 = 0
    var nanosecondsMax: UInt64 = 0
    var timed: UInt32 = 0
    /// Where it stands in ``windows``; -1 before its first timed trial.
    var window: Int32 = -1
    /// Not tried any more: it went past the budget.
    var isHeld = false
    /// Its excess was told of.
    var isTold = false
  }

  /// What a rule has taken since the beginning of a stretch of time.
  private struct Window: Sendable, BitwiseCopyable {
    var start: UInt64
    var nanoseconds: UInt64 = 0
    var nanosecondsMax: UInt64 = 0
    var timed: UInt64 = 0
  }

  /// Trials to one that is timed.
  public var period: UInt32 = 64 {
    didSet { countdown = 1 }
  }
  public var budget = RuleBudget()
  var tallies: [Tally]
  private var windows: [Window] = []
  private var countdown: UInt32 = 1
  private var random: UInt64 = 0x9e37_79b9_7f4a_7c15

  init(ruleCount: Int) { tallies = Array(repeating: Tally(), count: ruleCount) }

  /// A trial begins.
  /// - Returns: nil where the rule is held; when it began, where it is timed, and 0 otherwise.
  @inline(__always)
  mutating func begin(_ rule: RuleIndex) -> UInt64? {
    let index = Int(rule)
    if tallies[index].isHeld { return nil }
    tallies[index].checks &+= 1
    countdown &-= 1
    if countdown > 0 { return 0 }
    countdown = drawDistance()
    return Self.now()
  }

  /// Between 1 and twice the period less 1, the period in the mean.
  private mutating func drawDistance() -> UInt32 {
    random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return UInt32(truncatingIfNeeded: (random >> 33) % UInt64(max(1, 2 &* period &- 1))) &+ 1
  }

  @inline(__always)
  mutating func noteMatch(_ rule: RuleIndex) { tallies[Int(rule)].matches &+= 1 }

  /// A timed trial is over.
  /// - Returns: not nil where the rule has gone past the budget just now.
  mutating func end(_ rule: RuleIndex, began: UInt64, at now: UInt64) -> RuleExcess? {
    let spent = now > began ? now &- began : 0
    let index = Int(rule)
    tallies[index].nanoseconds &+= spent
    tallies[index].nanosecondsMax = max(tallies[index].nanosecondsMax, spent)
    tallies[index].timed &+= 1
    guard budget.action != .off, !tallies[index].isTold else { return nil }
    return excess(index, spent, at: now)
  }

  private mutating func excess(_ index: Int, _ spent: UInt64, at now: UInt64) -> RuleExcess? {
    if tallies[index].window < 0 {
      tallies[index].window = Int32(truncatingIfNeeded: windows.count)
      windows.append(Window(start: now))
    }
    let place = Int(tallies[index].window)
    if now &- windows[place].start >= budget.windowNanoseconds { windows[place] = Window(start: now) }
    windows[place].nanoseconds &+= spent
    windows[place].nanosecondsMax = max(windows[place].nanosecondsMax, spent)
    windows[place].timed &+= 1
    let window = windows[place]
    // The longest trial is left out: the thread may have been stopped in its midst.
    let taken = (window.nanoseconds &- window.nanosecondsMax) &* UInt64(period)
    let checks = window.timed &* UInt64(period)
    guard checks >= budget.checksMin, taken > budget.nanosecondsMax else { return nil }
    tallies[index].isTold = true
    return RuleExcess(
      rule: RuleIndex(index), checks: checks, nanoseconds: taken,
      share: Double(taken) / Double(budget.windowNanoseconds))
  }

  mutating func hold(_ rule: RuleIndex, _ isHeld: Bool) {
    guard tallies.indices.contains(Int(rule)) else { return }
    tallies[Int(rule)].isHeld = isHeld
    // Let go, it may go past the budget again.
    if !isHeld { tallies[Int(rule)].isTold = false }
  }

  @inline(never)
  static func now() -> UInt64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
  }
}

/// A rule that went past the budget.
struct RuleExcess: Sendable {
  var rule: RuleIndex
  /// Within the window, estimated.
  var checks: UInt64
  var nanoseconds: UInt64
  /// Of the worker's time in a window.
  var share: Double
}
