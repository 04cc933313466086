import Synchronization

/// Pattern tables to be compiled, each once, on several threads.
struct PatternJobs {
  private var plans: [(plan: PatternTablePlan, use: PatternTableUse)] = []

  struct Outcome {
    var tables: [PatternTable]
    var failures: [String]
  }

  /// - Returns: the number that the table will have; that of the same one where there is one: most buffers of HTTP/1 and
  ///   HTTP/2 have the same rules.
  mutating func add(_ plan: PatternTablePlan, for use: PatternTableUse) -> Int {
    if let known = plans.firstIndex(where: { $0.use == use && $0.plan.isSame(as: plan) }) { return known }
    plans.append((plan, use))
    return plans.count - 1
  }

  /// Compiles all tables; a table that fails is left empty and told of.
  consuming func run(threadCount: Int, cache: PatternCache?) -> Outcome {
    let divided = PatternResults(plans)
    SharedWork.run(count: plans.count, threadCount: threadCount) { work in
      while let number = work.take() { divided.change(number) { $0.plan.divide(for: $0.use) } }
    }
    let work = PatternWork(plans: divided.values.map(\.plan), cache: cache)
    SharedWork.run(count: work.count, threadCount: threadCount) { work.compile($0) }
    let tables = PatternResults([PatternTable?](repeating: nil, count: plans.count))
    SharedWork.run(count: plans.count, threadCount: threadCount) { shared in
      while let number = shared.take() { tables.change(number) { $0 = work.table(number) } }
    }
    return Outcome(tables: tables.values.compactMap { $0 }, failures: work.failures)
  }
}

/// What threads make, each at its number.
private final class PatternResults<Value: Sendable>: Sendable {
  private let all: Mutex<[Value?]>

  init(_ values: [Value]) { all = Mutex(values.map { $0 }) }

  var values: [Value] { all.withLock { $0.compactMap { $0 } } }

  /// Takes one out while it is changed: the others are free meanwhile.
  func change(_ number: Int, _ body: (inout Value) -> Void) {
    guard var value = all.withLock({ $0[number].take() }) else { return }
    body(&value)
    all.withLock { [value] in $0[number] = value }
  }
}

/// What the threads compile.
private final class PatternWork: Sendable {
  private let plans: [PatternTablePlan]
  /// The parts of all tables, each compiled by itself; empty for those that need no database.
  private let parts: [ArraySlice<FastPattern>]
  /// Where each table's begin.
  private let starts: [Int]
  /// Largest first, so that the threads end together.
  private let order: [Int]
  private let cache: PatternCache?
  private let results: Mutex<(databases: [Int: PatternDatabase], failures: [String])>

  init(plans: [PatternTablePlan], cache: PatternCache?) {
    self.plans = plans
    self.cache = cache
    let parts = plans.flatMap { plan in plan.parts.map { $0.way == .scan ? plan.patterns[$0.range] : [] } }
    self.parts = parts
    var next = 0
    starts = plans.map { plan in
      defer { next += plan.parts.count }
      return next
    }
    order = parts.indices.filter { !parts[$0].isEmpty }.sorted { parts[$0].count > parts[$1].count }
    results = Mutex(([:], []))
  }

  var count: Int { order.count }

  func compile(_ shared: SharedWork) {
    while let position = shared.take() {
      let index = order[position]
      do throws(PatternCompileError) {
        let database = try compile(parts[index])
        results.withLock { $0.databases[index] = database }
      } catch { results.withLock { $0.failures.append(error.message) } }
    }
  }

  private func compile(_ patterns: ArraySlice<FastPattern>) throws(PatternCompileError) -> PatternDatabase {
    let cache = patterns.count >= PatternCache.patternsMin ? cache : nil
    if let cached = cache?.load(patterns) { return cached }
    let database = try PatternDatabase.compile(patterns)
    cache?.store(database, patterns)
    return database
  }

  /// The table with that number, when all parts are compiled.
  func table(_ number: Int) -> PatternTable {
    let plan = plans[number]
    let databases = results.withLock { results in plan.parts.indices.map { results.databases[starts[number] + $0] } }
    return PatternTable(databases: databases, plan: plan)
  }

  var failures: [String] { results.withLock { $0.failures } }
}
