import Synchronization

/// Pattern tables to be compiled, each once, on several threads.
struct PatternJobs {
  private var plans: [PatternTablePlan] = []

  struct Outcome {
    var tables: [PatternTable]
    var failures: [String]
  }

  /// - Returns: the number that the table will have.
  mutating func add(_ plan: PatternTablePlan, for use: PatternTableUse) -> Int {
    plans.append(plan)
    plans[plans.count - 1].divide(for: use)
    return plans.count - 1
  }

  /// Compiles all tables; a table that fails is left empty and told of.
  consuming func run(threadCount: Int, cache: PatternCache?) -> Outcome {
    let work = PatternWork(plans: plans, cache: cache)
    SharedWork.run(count: work.count, threadCount: threadCount) { work.run($0) }
    return work.outcome()
  }
}

/// What the threads compile.
private final class PatternWork: Sendable {
  private let plans: [PatternTablePlan]
  /// The parts of all tables, each compiled by itself; empty for those that need no database.
  private let parts: [[FastPattern]]
  /// Largest first, so that the threads end together.
  private let order: [Int]
  private let cache: PatternCache?
  private let results: Mutex<(databases: [Int: PatternDatabase], failures: [String])>

  init(plans: [PatternTablePlan], cache: PatternCache?) {
    self.plans = plans
    self.cache = cache
    let parts = plans.flatMap { plan in plan.parts.map { $0.isFixed ? [] : Array(plan.patterns[$0.range]) } }
    self.parts = parts
    order = parts.indices.filter { !parts[$0].isEmpty }.sorted { parts[$0].count > parts[$1].count }
    results = Mutex(([:], []))
  }

  var count: Int { order.count }

  func run(_ shared: SharedWork) {
    while let position = shared.take() {
      let index = order[position]
      do throws(PatternCompileError) {
        let database = try compile(parts[index])
        results.withLock { $0.databases[index] = database }
      } catch { results.withLock { $0.failures.append(error.message) } }
    }
  }

  private func compile(_ patterns: [FastPattern]) throws(PatternCompileError) -> PatternDatabase {
    let cache = patterns.count >= PatternCache.patternsMin ? cache : nil
    if let cached = cache?.load(patterns) { return cached }
    let database = try PatternDatabase.compile(patterns)
    cache?.store(database, patterns)
    return database
  }

  func outcome() -> PatternJobs.Outcome {
    results.withLock { results in
      var tables: [PatternTable] = []
      var first = 0
      for plan in plans {
        let databases = (first..<first + plan.parts.count).map { results.databases[$0] }
        tables.append(PatternTable(databases: databases, plan: plan))
        first += plan.parts.count
      }
      return PatternJobs.Outcome(tables: tables, failures: results.failures)
    }
  }
}
