/// Which rules each literal of a buffer stands for.
final class PatternTable: Sendable {
  /// The databases that the literals are looked for with.
  let parts: [PatternPart]
  let constraints: [HitConstraint]
  /// Rules of pattern p: `rules[starts[p]..<starts[p + 1]]`, ascending.
  let starts: [UInt32]
  let rules: [RuleIndex]
  /// Octets of the longest literal.
  let longest: Int
  /// Every rule of the table, ascending: the candidates when the prefilter is switched off.
  var allRules: [RuleIndex] { Array(Set(rules)).sorted() }

  /// - Parameter databases: one for each part of the plan; nil where it could not be compiled.
  init(databases: [PatternDatabase?], plan: PatternTablePlan) {
    var parts: [PatternPart] = []
    for (ranges, database) in zip(plan.parts, databases) {
      let patterns = plan.patterns[ranges]
      parts.append(
        PatternPart(
          database: database, first: ranges.lowerBound, count: ranges.count,
          longest: patterns.reduce(0) { max($0, $1.bytes.count) },
          reach: patterns.reduce(0) { max($0, $1.constraint.endMax) }))
    }
    self.parts = parts
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
  }
}

/// What a table is scanned over.
enum PatternTableUse: Hashable, Sendable {
  case packets
  /// Streams and bodies, piece by piece.
  case streams
  /// Buffers that are there at once and are mostly short.
  case wholes
}

/// Literals of a table that are looked for together.
struct PatternPart: Sendable {
  /// nil when it could not be compiled: then every rule of the part is a candidate.
  let database: PatternDatabase?
  /// The part's literals are those numbered `first..<first + count`.
  let first: Int
  let count: Int
  /// Octets of the longest literal: what scans of consecutive pieces must overlap by, less one.
  let longest: Int
  /// Octets from the start of the buffer beyond which no hit counts.
  let reach: UInt32
}

/// What is to become a ``PatternTable``: literals, each once, with their rules.
struct PatternTablePlan {
  private(set) var patterns: [FastPattern] = []
  private(set) var rules: [[RuleIndex]] = []
  /// Ranges of literals that get a database each.
  private(set) var parts: [Range<Int>] = []
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
    parts = [0..<patterns.count]
  }

  /// Takes the literals of another buffer in, told apart by its number, which no other has: so none is there yet.
  mutating func add(_ other: PatternTablePlan, as member: UInt8) {
    for (pattern, rules) in zip(other.patterns, other.rules) {
      var pattern = pattern
      pattern.constraint.member = member
      patterns.append(pattern)
      self.rules.append(rules)
    }
    parts = [0..<patterns.count]
  }

  /// Literals that count within so many octets from the start of a stream alone are looked for there alone.
  static let headReach: UInt32 = 1024
  /// The same for packets, each of which has a start: a scan of this is cheap beside that of the rest.
  static let packetHeadReach: UInt32 = 128
  /// Shorter literals make Vectorscan look at every octet, where it could take steps of several.
  static let longMin = 4
  /// Fewer literals than this are not worth a scan of their own.
  static let partMin = 8
  /// So many literals make a table large: each short one among them is seen all the time.
  static let largeMin = 1000

  /// Puts literals together that are looked for in one way.
  ///
  /// What is short as a whole is scanned in one go: there a scan costs more than the octets it looks at.
  mutating func divide(for use: PatternTableUse) {
    let headReach: UInt32 =
      switch use {
      case .packets: Self.packetHeadReach
      case .streams: Self.headReach
      case .wholes: 0
      }
    if use == .wholes, patterns.count < Self.largeMin { return }
    func part(_ pattern: FastPattern) -> Int {
      if pattern.constraint.endMax <= headReach, !pattern.constraint.isAtEnd { return 0 }
      return pattern.bytes.count < Self.longMin ? 1 : 2
    }
    var groups: [[Int]] = [[], [], []]
    for (index, pattern) in patterns.enumerated() { groups[part(pattern)].append(index) }
    if groups[2].count < Self.partMin {
      groups[2] = (groups[1] + groups[2]).sorted()
      groups[1] = []
    }
    let order = groups.flatMap { $0 }
    patterns = order.map { patterns[$0] }
    rules = order.map { rules[$0] }
    numbers = [:]
    parts = []
    var first = 0
    for group in groups where !group.isEmpty {
      parts.append(first..<first + group.count)
      first += group.count
    }
  }
}
