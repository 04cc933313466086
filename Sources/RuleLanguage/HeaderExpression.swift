/// What stands at a leaf of an address or port expression: one value or one range.
public protocol HeaderLeaf: Sendable, Hashable {
  /// Parses `bytes[range]`, which holds no blank at its ends, no comma, bracket, `!` or `$`, and is not empty.
  static func parse(_ bytes: [UInt8], _ range: Range<Int>) throws(RuleValueError) -> Self
}

/// The tree of an address or port expression of a rule header or of a variable.
public indirect enum HeaderNode<Leaf: HeaderLeaf>: Sendable, Hashable {
  case any
  case leaf(Leaf)
  /// `$NAME`, without the dollar; the offset is that of the dollar in the expression.
  case variable(String, offset: Int)
  case list([HeaderNode])
  case negated(HeaderNode)
}

/// An address or port expression as written, and its tree.
///
/// Equal text gives equal trees, so the text serves as key of caches.
public struct HeaderExpression<Leaf: HeaderLeaf>: Sendable, Hashable {
  public let text: String
  public let root: HeaderNode<Leaf>

  /// Parses `any`, a value, `$NAME`, `!…` and lists `[…,…]` in any nesting.
  ///
  /// As in Suricata, a list at the outermost level needs no brackets.
  /// - Throws: `RuleValueError` if the expression is not well formed; the rule's author is to be told.
  /// - Limits: nests at most `HeaderExpressionLimits.nestingMax` deep.
  public init(_ bytes: [UInt8]) throws(RuleValueError) {
    var reader = HeaderExpressionReader<Leaf>(bytes)
    root = try reader.readWhole()
    text = bytes.text
  }

  public init(_ text: String) throws(RuleValueError) { try self.init(Array(text.utf8)) }

  public static func == (left: Self, right: Self) -> Bool { left.text == right.text }
  public func hash(into hasher: inout Hasher) { hasher.combine(text) }
}

public enum HeaderExpressionLimits {
  /// Brackets and negations inside each other in one expression, and variables inside variables.
  /// Real sets stay below 5; the bound keeps hostile text from exhausting the stack.
  public static let nestingMax = 64
}

struct HeaderExpressionReader<Leaf: HeaderLeaf> {
  private let bytes: [UInt8]
  private var index = 0
  private var depth = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  mutating func readWhole() throws(RuleValueError) -> HeaderNode<Leaf> {
    let items = try readItems(isBracketed: false)
    return items.count == 1 ? items[0] : .list(items)
  }

  /// Items up to the end, or up to and past the closing bracket.
  private mutating func readItems(isBracketed: Bool) throws(RuleValueError) -> [HeaderNode<Leaf>] {
    var items: [HeaderNode<Leaf>] = []
    while true {
      items.append(try readItem())
      skipBlanks()
      guard index < bytes.count else {
        if isBracketed { throw RuleValueError("']' is missing at the end of the list", columnOffset: index) }
        return items
      }
      switch bytes[index] {
      case ASCII.comma:
        index &+= 1
      case ASCII.closeBracket where isBracketed:
        index &+= 1
        return items
      case ASCII.closeBracket:
        throw RuleValueError("']' without a '[' before it", columnOffset: index)
      default:
        throw RuleValueError(
          "'\(bytes[index...index].text)' where ',' or the end is expected", columnOffset: index)
      }
    }
  }

  private mutating func readItem() throws(RuleValueError) -> HeaderNode<Leaf> {
    skipBlanks()
    guard index < bytes.count else {
      throw RuleValueError(
        bytes.isEmpty ? "nothing here" : "an item is missing at the end", columnOffset: index)
    }
    guard depth < HeaderExpressionLimits.nestingMax else {
      throw RuleValueError(
        "nested more than \(HeaderExpressionLimits.nestingMax) deep", columnOffset: index)
    }
    depth &+= 1
    defer { depth &-= 1 }
    switch bytes[index] {
    case ASCII.exclamation:
      return try readNegated()
    case ASCII.openBracket:
      index &+= 1
      return .list(try readItems(isBracketed: true))
    case ASCII.comma, ASCII.closeBracket:
      throw RuleValueError(
        "an item is missing before '\(bytes[index...index].text)'", columnOffset: index)
    default:
      return try readValue()
    }
  }

  private mutating func readNegated() throws(RuleValueError) -> HeaderNode<Leaf> {
    index &+= 1
    skipBlanks()
    if index < bytes.count, bytes[index] == ASCII.exclamation {
      throw RuleValueError("'!' twice in a row", columnOffset: index, hint: "leave both out")
    }
    return .negated(try readItem())
  }

  private mutating func readValue() throws(RuleValueError) -> HeaderNode<Leaf> {
    let start = index
    while index < bytes.count, !isEnd(bytes[index]) { index &+= 1 }
    let range = bytes.trimmed(start..<index)
    if bytes.spells("any", in: range) { return .any }
    guard bytes[start] == ASCII.dollar else { return .leaf(try Leaf.parse(bytes, range)) }
    guard range.count > 1 else {
      throw RuleValueError("'$' without the name of a variable", columnOffset: start)
    }
    return .variable(bytes[(start &+ 1)..<range.upperBound].text, offset: start)
  }

  private func isEnd(_ byte: UInt8) -> Bool {
    byte == ASCII.comma || byte == ASCII.openBracket || byte == ASCII.closeBracket || byte == ASCII.exclamation
  }

  private mutating func skipBlanks() {
    while index < bytes.count, ASCII.isSpace(bytes[index]) { index &+= 1 }
  }
}
