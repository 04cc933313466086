/// Turns keyword spellings into lower-case names, each made once.
///
/// A rule set names some hundred keywords 750,000 times; the table saves that many strings.
/// - Limits: keeps `namesMax` names; further ones are made anew each time.
struct NameTable {
  static let namesMax = 4_096
  /// Twice the names at least, so that chains stay short; a power of two.
  private static let slotCount = 16_384

  private var names: [(bytes: [UInt8], name: String)] = []
  /// Indexes into `names`, or -1.
  private var slots = [Int32](repeating: -1, count: slotCount)
  /// How many names there were from the beginning; they have the first numbers.
  private var knownCount = 0

  /// - Parameter known: names that are numbered in this order, in lower case.
  init(_ known: [String] = []) {
    for name in known.prefix(Self.namesMax) {
      let bytes = Array(name.utf8)
      _ = self.name(bytes, bytes.indices)
    }
    knownCount = names.count
  }

  /// The name, and its number where it was known from the beginning.
  mutating func numberedName(_ bytes: [UInt8], _ range: Range<Int>) -> (name: String, number: Int?) {
    let (name, index) = find(bytes, range)
    return (name, index < knownCount ? index : nil)
  }

  mutating func name(_ bytes: [UInt8], _ range: Range<Int>) -> String { find(bytes, range).name }

  private mutating func find(_ bytes: [UInt8], _ range: Range<Int>) -> (name: String, index: Int) {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for index in range { hash = (hash ^ UInt64(ASCII.lowercased(bytes[index]))) &* 0x100_0000_01b3 }
    // Fold the high bits in: FNV-1a mixes upwards.
    var slot = Int(truncatingIfNeeded: hash ^ hash >> 32) & (Self.slotCount &- 1)
    while slots[slot] >= 0 {
      let index = Int(slots[slot])
      if Self.equal(names[index].bytes, bytes, range) { return (names[index].name, index) }
      slot = (slot &+ 1) & (Self.slotCount &- 1)
    }
    let lowercased = ASCII.lowercased(bytes[range])
    let name = lowercased.text
    if names.count < Self.namesMax {
      slots[slot] = Int32(names.count)
      names.append((lowercased, name))
      return (name, names.count &- 1)
    }
    return (name, .max)
  }

  private static func equal(_ known: [UInt8], _ bytes: [UInt8], _ range: Range<Int>) -> Bool {
    guard known.count == range.count else { return false }
    var index = range.lowerBound
    for byte in known {
      guard byte == ASCII.lowercased(bytes[index]) else { return false }
      index &+= 1
    }
    return true
  }
}

/// Header expressions by their text: a few hundred texts serve tens of thousands of rules.
///
/// - Limits: keeps `expressionsMax`; further ones are parsed anew.
struct ExpressionTable<Leaf: HeaderLeaf> {
  static var expressionsMax: Int { 65_536 }
  private var expressions: [Text: HeaderExpression<Leaf>] = [:]

  /// Hashed as one number: the library's hash takes an array element by element.
  private struct Text: Hashable {
    var bytes: [UInt8]

    func hash(into hasher: inout Hasher) {
      var sum: UInt64 = 0xcbf2_9ce4_8422_2325
      for byte in bytes { sum = (sum ^ UInt64(byte)) &* 0x100_0000_01b3 }
      hasher.combine(sum)
    }
  }

  mutating func expression(_ bytes: [UInt8]) throws(RuleValueError) -> HeaderExpression<Leaf> {
    if let known = expressions[Text(bytes: bytes)] { return known }
    let expression = try HeaderExpression<Leaf>(bytes)
    if expressions.count < Self.expressionsMax { expressions[Text(bytes: bytes)] = expression }
    return expression
  }
}
