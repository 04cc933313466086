/// Which rules each literal of a database stands for.
final class PatternTable: Sendable {
  /// nil when it could not be compiled: then every rule of the table is a candidate.
  let database: PatternDatabase?
  let constraints: [HitConstraint]
  /// Rules of pattern p: `rules[starts[p]..<starts[p + 1]]`, ascending.
  let starts: [UInt32]
  let rules: [RuleIndex]
  /// Octets of the longest literal: what scans of consecutive pieces must overlap by, less one.
  let longest: Int
  /// Every rule of the table, ascending: the candidates when the prefilter is switched off.
  let allRules: [RuleIndex]

  init(database: PatternDatabase?, plan: PatternTablePlan) {
    self.database = database
    constraints = plan.patterns.map(\.constraint)
    var starts: [UInt32] = [0]
    var rules: [RuleIndex] = []
    for list in plan.rules {
      rules += list
      starts.append(UInt32(truncatingIfNeeded: rules.count))
    }
    self.starts = starts
    self.rules = rules
    longest = plan.patterns.reduce(0) { max($0, $1.bytes.count) }
    allRules = Array(Set(rules)).sorted()
  }
}

/// What is to become a ``PatternTable``: literals, each once, with their rules.
struct PatternTablePlan {
  private(set) var patterns: [FastPattern] = []
  private(set) var rules: [[RuleIndex]] = []
  private var numbers: [FastPattern: Int] = [:]

  var isEmpty: Bool { patterns.isEmpty }

  mutating func add(_ pattern: FastPattern, rule: RuleIndex) {
    if let number = numbers[pattern] {
      if rules[number].last != rule { rules[number].append(rule) }
      return
    }
    numbers[pattern] = patterns.count
    patterns.append(pattern)
    rules.append([rule])
  }
}
