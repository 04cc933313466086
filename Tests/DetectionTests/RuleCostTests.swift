import PacketDecoding
import RuleLanguage
import Testing
import Traffic

@testable import Detection

@Suite struct RuleCostTests {
  /// Backtracks behind each needle, until the limit of steps ends it; the other one is found or not at once.
  private static let rules = """
    alert tcp any any -> any any (msg:"dear"; flow:established; content:"needle"; pcre:"/^ (?:a+)+(?:a+)+$/R"; sid:1; rev:4;)
    alert tcp any any -> any any (msg:"cheap"; flow:established; content:"needle"; pcre:"/needle b/"; sid:2;)
    drop tcp any any -> any any (msg:"dear drop"; flow:established; content:"needle"; pcre:"/^ (?:a+)+(?:a+)+$/R"; sid:3;)
    alert tcp any any -> any any (msg:"matches"; flow:established; content:"needle"; sid:4;)

    """
  private static let payload = String(repeating: "needle " + String(repeating: "a", count: 30) + "!", count: 40)

  /// What one rule took, by a meter told the time of each trial.
  private func meter(_ change: (inout RuleBudget) -> Void = { _ in }) -> RuleMeter {
    var meter = RuleMeter(ruleCount: 3)
    meter.period = 1
    meter.budget.windowSeconds = 1
    meter.budget.checksMin = 10
    meter.budget.share = 0.5
    change(&meter.budget)
    return meter
  }

  @Test func `trials and matches are counted by rule, and a timed one is added`() {
    var meter = meter()
    for _ in 0..<5 { #expect(meter.begin(1) ?? 0 > 0) }
    meter.noteMatch(1)
    #expect(meter.end(1, began: 100, at: 350) == nil)
    #expect(meter.end(1, began: 400, at: 500) == nil)
    let tally = meter.tallies[1]
    #expect(tally.checks == 5 && tally.matches == 1 && tally.timed == 2)
    #expect(tally.nanoseconds == 350 && tally.nanosecondsMax == 250)
    #expect(meter.tallies[0].checks == 0 && meter.tallies[2].checks == 0)
  }

  @Test func `one trial in as many as the period says is timed, at distances that differ`() {
    var meter = meter()
    meter.period = 64
    var places: [Int] = []
    for index in 0..<64_000 where meter.begin(0) ?? 0 > 0 { places.append(index) }
    #expect((800...1200).contains(places.count))
    #expect(Set(zip(places, places.dropFirst()).map { $1 - $0 }).count > 32)
    #expect(meter.tallies[0].checks == 64_000)
  }

  @Test func `a rule goes past its budget once, and only with enough trials in one window`() throws {
    var meter = meter()
    var now: UInt64 = 5_000_000_000
    // 60 ms each: nine are too few, whatever they take.
    for _ in 0..<9 {
      now += 60_000_000
      #expect(meter.end(0, began: now - 60_000_000, at: now) == nil)
    }
    now += 60_000_000
    let found = meter.end(0, began: now - 60_000_000, at: now)
    let excess = try #require(found)
    #expect(excess.rule == 0 && excess.checks == 10 && excess.nanoseconds == 540_000_000)
    #expect(abs(excess.share - 0.54) < 0.001)
    #expect(meter.end(0, began: now, at: now + 900_000_000) == nil, "told of once")
  }

  @Test func `what is spread over windows, or taken by one long trial, is within the budget`() {
    var meter = meter()
    var now: UInt64 = 5_000_000_000
    for _ in 0..<100 {
      now += 120_000_000
      #expect(meter.end(0, began: now - 40_000_000, at: now) == nil, "a third of the time")
    }
    for index in 0..<50 {
      // The thread was not run for a while in the midst of one.
      let spent: UInt64 = index == 20 ? 5_000_000_000 : 1000
      #expect(meter.end(1, began: now, at: now + spent) == nil)
    }
  }

  @Test func `what is held is not tried until it is let go`() {
    var meter = meter()
    meter.hold(2, true)
    #expect(meter.begin(2) == nil)
    #expect(meter.tallies[2].checks == 0)
    meter.hold(2, false)
    #expect(meter.begin(2) != nil)
    meter.hold(99, true)
  }

  @Test(arguments: RuleAction.allCases)
  func `rules that pass are never held, those that drop where the settings say so`(action: RuleAction) {
    var budget = RuleBudget()
    #expect(!budget.holds(action), "by default rules are only told of")
    budget.action = .quarantine
    let alerts = action == .alert || action == .config
    #expect(budget.holds(action) == alerts)
    budget.holdsDrops = true
    #expect(budget.holds(action) == (action != .pass))
  }

  // MARK: Detectors

  private func bench(
    _ shared: SharedDetectionState = SharedDetectionState(), with rules: RuleCompiler.Result? = nil,
    _ change: (inout RuleBudget) -> Void
  ) -> Bench {
    let bench = Bench(Self.rules, shared: shared, compiled: rules)
    bench.meter {
      $0.period = 1
      $0.budget.windowSeconds = 3600
      $0.budget.checksMin = 64
      // Of an hour: ten milliseconds of trials, where the dear rule takes hundreds and its twin one or two.
      $0.budget.share = 2.8e-6
      change(&$0.budget)
    }
    return bench
  }

  private func cost(_ bench: Bench, _ sid: UInt32) -> RuleCost? {
    var costs = RuleCosts()
    costs.add(bench.costs)
    return costs.byRule[RuleCost.Key(gid: 1, sid: sid)]
  }

  @Test func `a rule that backtracks is the dearest, and told of where that is all that is asked for`() throws {
    let shared = SharedDetectionState()
    let bench = bench(shared) { $0.action = .report }
    for _ in 0..<200 { #expect(bench.packet(Self.payload) == [4]) }
    var costs = RuleCosts()
    costs.add(bench.costs)
    #expect(Set(costs.dearest(2).map(\.sid)) == [1, 3])
    let dear = try #require(cost(bench, 1))
    let cheap = try #require(cost(bench, 2))
    #expect(dear.checks == 200 && dear.matches == 0 && dear.timed == 200 && dear.rev == 4 && dear.message == "dear")
    #expect(cheap.checks == 200)
    #expect(try #require(cost(bench, 4)).matches == 200)
    #expect(dear.nanoseconds > 5 * cheap.nanoseconds)
    let told = shared.excesses.records
    #expect(Set(told.map(\.sid)) == [1, 3] && told.allSatisfy { $0.outcome == "reported" })
    #expect(shared.excesses.counts.held == 0)
  }

  @Test func `in quarantine the dear rule is not tried any more, by no worker, while one that drops is`() throws {
    let shared = SharedDetectionState()
    let one = bench(shared) { $0.action = .quarantine }
    for _ in 0..<400 { _ = one.packet(Self.payload) }
    #expect(try #require(cost(one, 1)).checks < 400)
    #expect(try #require(cost(one, 3)).checks == 400, "drops are tried on")
    let records = shared.excesses.records
    #expect(records.first { $0.sid == 1 }?.outcome == "quarantined")
    #expect(records.first { $0.sid == 3 }?.outcome == "kept")
    #expect(records.count == 2 && cost(one, 2)?.checks == 400, "the cheap twin is tried on")
    #expect(one.takeExcesses().map(\.sid).contains(1))
    // Another worker learns of it with its first timed trial.
    let other = bench(shared, with: one.result) { $0.action = .quarantine }
    for _ in 0..<100 { _ = other.packet(Self.payload) }
    #expect(cost(other, 1)?.checks ?? 0 <= 1)
    #expect(try #require(cost(other, 2)).checks == 100)
    #expect(other.takeExcesses().isEmpty, "it was told of once")
  }

  @Test func `where drops may be held, they are`() throws {
    let bench = bench {
      $0.action = .quarantine
      $0.holdsDrops = true
    }
    for _ in 0..<400 { _ = bench.packet(Self.payload) }
    #expect(try #require(cost(bench, 3)).checks < 400)
  }

  @Test func `a held rule is tried again after its time, and with the next rule set`() throws {
    let shared = SharedDetectionState()
    let bench = bench(shared) { $0.action = .quarantine }
    for _ in 0..<400 { _ = bench.packet(Self.payload) }
    let before = try #require(cost(bench, 1)).checks
    var seen: UInt64 = 0
    let generation = bench.result.ruleSet.generation
    #expect(shared.excesses.changes(after: &seen, generation: generation, at: .max - 1)?.isEmpty == false, "for good")
    bench.replaceRules()
    #expect(try #require(cost(bench, 1)).message == "dear", "also before it is tried again")
    _ = bench.packet(Self.payload)
    let after = try #require(cost(bench, 1))
    #expect(after.checks == before + 1 && after.message == "dear", "costs are kept by number")

    let timed = RuleExcesses()
    var record = try #require(shared.excesses.records.first { $0.isHeld })
    record.sid = 7
    #expect(timed.add(record, rule: 5, generation: 1, until: 1000))
    #expect(!timed.add(record, rule: 5, generation: 1, until: 1000), "once")
    seen = 0
    #expect(timed.changes(after: &seen, generation: 1, at: 999) == [5])
    #expect(timed.changes(after: &seen, generation: 1, at: 999) == nil)
    #expect(timed.changes(after: &seen, generation: 1, at: 1000) == [])
    #expect(timed.records.isEmpty && timed.counts.held == 1)
  }
}
