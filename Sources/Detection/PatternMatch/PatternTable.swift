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

  /// - Parameter databases: one for each part of the plan; nil where it could not be compiled, and for literals that
  ///   are not scanned for, which have none.
  init(databases: [PatternDatabase?], plan: PatternTablePlan) {
    parts = zip(plan.parts, databases).map { part, database in
      PatternPart(
        plan.patterns[part.range], first: part.range.lowerBound, way: part.way, database: database)
    }
    constraints = plan.patterns.map { pattern in
      var constraint = pattern.constraint
      constraint.length = UInt16(clamping: pattern.bytes.count)
      return constraint
    }
    var starts = [UInt32](repeating: 0, count: plan.patterns.count + 1)
    for entry in plan.rules { starts[Int(entry.pattern) + 1] += 1 }
    for number in plan.patterns.indices { starts[number + 1] += starts[number] }
    var rules = [RuleIndex](repeating: 0, count: plan.rules.count)
    var next = starts
    for entry in plan.rules {
      rules[Int(next[Int(entry.pattern)])] = entry.rule
      next[Int(entry.pattern)] += 1
    }
    self.starts = starts
    self.rules = rules
    longest = plan.patterns.reduce(0) { max($0, $1.bytes.count) }
  }
}

/// Whose literals those of a table for streams are, so that octets are scanned once for all of them.
enum TableMember {
  /// Of rules on packets whose payload is what is new of the stream; positions count from the packet's start.
  static let packets: UInt8 = 0
  /// Of rules on streams of any protocol.
  static let streams: UInt8 = 1
  /// Of rules on streams of one protocol.
  static let appProtocol: UInt8 = 2
}

/// How the literals of a part are looked for.
enum PatternSearch: Sendable {
  /// By a database, in every place.
  case scan
  /// In the few places where they count.
  case fixedPlaces
  /// By what the buffer ends with.
  case bufferEnd
}

/// What a table is scanned over.
enum PatternTableUse: Hashable, Sendable {
  case packets
  /// Streams, and the packets that bring them: with literals of ``TableMember/packets``.
  case streamsWithPackets
  /// Streams and bodies, piece by piece.
  case streams
  /// Buffers that are there at once and are mostly short.
  case wholes
}

/// Literals of a table that are looked for together; looked at in place, where a structure would be copied.
final class PatternPart: Sendable {
  /// nil when it could not be compiled: then every rule of the part is a candidate.
  let database: PatternDatabase?
  /// The literals are looked for in their places, without a database.
  let fixed: FixedLiterals?
  /// The literals are looked for where the buffer ends, without a database.
  let ending: EndLiterals?
  /// The part's literals are those numbered `first..<first + count`.
  let first: Int
  let count: Int
  /// Octets of the longest literal: what scans of consecutive pieces must overlap by, less one.
  let longest: Int
  /// Octets from the start of the buffer beyond which no hit counts.
  let reach: UInt32
  /// Octets of a buffer above which none of the literals counts.
  let sizeMax: UInt32
  /// Of those that share the table, the first and the last that has literals here.
  let members: ClosedRange<UInt8>

  init(_ patterns: ArraySlice<FastPattern>, first: Int, way: PatternSearch, database: PatternDatabase?) {
    self.database = database
    fixed = way == .fixedPlaces ? FixedLiterals(Array(patterns)) : nil
    ending = way == .bufferEnd ? EndLiterals(Array(patterns)) : nil
    self.first = first
    count = patterns.count
    longest = patterns.reduce(0) { max($0, $1.bytes.count) }
    reach = patterns.reduce(0) { max($0, $1.constraint.endMax) }
    sizeMax = patterns.reduce(0) { max($0, $1.constraint.sizeMax) }
    let last = patterns.reduce(0) { max($0, $1.constraint.member) }
    members = patterns.reduce(last) { min($0, $1.constraint.member) }...last
  }

  /// All literals are of rules on packets, in a table that others share.
  var isOnPacketsAlone: Bool { members.upperBound == TableMember.packets }
}

/// What is to become a ``PatternTable``: literals, each once, with their rules.
struct PatternTablePlan {
  private(set) var patterns: [FastPattern] = []
  /// The rules and the numbers of their literals; once the plan is divided, in the order of both.
  private(set) var rules: [Entry] = []
  struct Entry: BitwiseCopyable, Equatable {
    var pattern: Int32
    var rule: RuleIndex
  }
  /// Literals that are looked for together.
  struct Part: Equatable {
    var range: Range<Int>
    var way = PatternSearch.scan
  }
  private(set) var parts: [Part] = []
  private var numbers: [FastPattern: Int] = [:]

  var isEmpty: Bool { patterns.isEmpty }

  /// The same literals, of the same rules, in the same order.
  func isSame(as other: PatternTablePlan) -> Bool { rules == other.rules && patterns == other.patterns }

  mutating func add(_ pattern: FastPattern, rule: RuleIndex) {
    let next = patterns.count
    let number = Self.value(&numbers[pattern, default: next])
    if number == next {
      patterns.append(pattern)
      parts = [Part(range: 0..<patterns.count)]
    }
    rules.append(Entry(pattern: Int32(truncatingIfNeeded: number), rule: rule))
  }

  /// Each once: a rule may name a literal twice.
  private mutating func sortRules() {
    rules.sort { ($0.pattern, $0.rule) < ($1.pattern, $1.rule) }
    var kept = 0
    for index in rules.indices where index == 0 || rules[index] != rules[kept - 1] {
      rules[kept] = rules[index]
      kept += 1
    }
    rules.removeLast(rules.count - kept)
  }

  /// What is there or has just been put there: by one look-up.
  private static func value(_ place: inout Int) -> Int { place }

  /// Gives the rules the indices that they have in the set; those without one go, and literals that no other has.
  mutating func renumber(_ places: [RuleIndex?]) {
    var kept: [FastPattern] = []
    kept.reserveCapacity(patterns.count)
    var entries: [Entry] = []
    entries.reserveCapacity(rules.count)
    for entry in rules {
      if let place = places[Int(entry.rule)] { entries.append(Entry(pattern: entry.pattern, rule: place)) }
    }
    entries.sort { ($0.pattern, $0.rule) < ($1.pattern, $1.rule) }
    rules = []
    rules.reserveCapacity(entries.count)
    var last: Int32 = -1
    for entry in entries {
      if entry.pattern != last { kept.append(patterns[Int(entry.pattern)]) }
      last = entry.pattern
      rules.append(Entry(pattern: Int32(truncatingIfNeeded: kept.count - 1), rule: entry.rule))
    }
    (patterns, numbers) = (kept, [:])
    parts = patterns.isEmpty ? [] : [Part(range: 0..<patterns.count)]
  }

  /// Takes the literals of another buffer in, told apart by its number, which no other has: so none is there yet.
  mutating func add(_ other: PatternTablePlan, as member: UInt8) {
    let first = Int32(truncatingIfNeeded: patterns.count)
    for var pattern in other.patterns {
      pattern.constraint.member = member
      patterns.append(pattern)
    }
    for entry in other.rules { rules.append(Entry(pattern: first + entry.pattern, rule: entry.rule)) }
    parts = [Part(range: 0..<patterns.count)]
  }

  /// Literals that count within so many octets from the start of a stream alone are looked for there alone.
  static let headReach: UInt32 = 256
  /// The same for packets, each of which has a start: a scan of this is cheap beside that of the rest.
  static let packetHeadReach: UInt32 = 128
  /// Rules on packets of so many octets at most are not looked for in larger ones.
  static let smallPacketMax: UInt32 = 512
  /// Fewer literals than this are not worth a scan of the first octets.
  static let partMin = 32
  /// Literals of fewer octets keep Vectorscan from taking more than one at a step.
  static let longMin = 4
  /// Fewer short literals are scanned for with the long ones.
  static let shortMin = 8

  /// Puts literals together that are looked for in one way.
  ///
  /// Vectorscan's time goes by the octets more than by the literals, so that few octets are scanned twice; many
  /// short literals in a large table are the exception (docs/decisions/pattern-library.md).
  ///
  /// Where packets share the table of their stream, short literals stay with the others: one scan of all takes no
  /// longer than two, and a quarter less on random octets (docs/decisions/detection-speed.md).
  mutating func divide(for use: PatternTableUse) {
    var groups: [[Int]] = Array(repeating: [], count: 8)
    for (index, pattern) in patterns.enumerated() {
      let constraint = pattern.constraint
      let isOnPackets = use == .packets || use == .streamsWithPackets && constraint.member == TableMember.packets
      let headReach = use == .wholes ? 0 : isOnPackets ? Self.packetHeadReach : Self.headReach
      let isSmall = isOnPackets && constraint.sizeMax <= Self.smallPacketMax
      if FixedLiterals.takes(pattern) {
        groups[isSmall ? 0 : 1].append(index)
      } else if use == .wholes, EndLiterals.takes(pattern) {
        groups[7].append(index)
      } else if isSmall {
        groups[2].append(index)
      } else if constraint.endMax <= headReach, !constraint.isAtEnd {
        groups[isOnPackets ? 3 : 4].append(index)
      } else {
        let isApart = pattern.bytes.count < Self.longMin && (use == .packets || use == .streams)
        groups[isApart ? 5 : 6].append(index)
      }
    }
    for (group, least) in [(2, Self.partMin), (3, Self.partMin), (4, Self.partMin), (5, Self.shortMin)]
    where groups[group].count < least {
      groups[6] += groups[group]
      groups[group] = []
    }
    let order = groups.flatMap { $0 }
    patterns = order.map { patterns[$0] }
    var places = [Int32](repeating: 0, count: order.count)
    for (place, index) in order.enumerated() { places[index] = Int32(truncatingIfNeeded: place) }
    for index in rules.indices { rules[index].pattern = places[Int(rules[index].pattern)] }
    sortRules()
    numbers = [:]
    parts = []
    var first = 0
    for (number, group) in groups.enumerated() where !group.isEmpty {
      let way: PatternSearch = number < 2 ? .fixedPlaces : number == 7 ? .bufferEnd : .scan
      parts.append(Part(range: first..<first + group.count, way: way))
      first += group.count
    }
  }
}
