/// The value of `content` and of the keywords that take patterns like it.
///
/// - Source: Suricata "Payload Keywords", content.
public struct ContentPattern: Sendable, Hashable {
  /// `!` stands before the quotes: the pattern must not occur.
  public var isNegated: Bool
  /// The bytes to look for; at least one.
  public var bytes: [UInt8]

  public init(isNegated: Bool, bytes: [UInt8]) {
    self.isNegated = isNegated
    self.bytes = bytes
  }

  /// Suricata keeps pattern lengths in 16 bits.
  public static let bytesMax = Int(UInt16.max)

  /// Parses `"text"`, `!"text"`; text holds hexadecimal bytes between pipes (`|0d 0a|`) and the escapes
  /// `\"`, `\\`, `\;`, `\:`.
  ///
  /// - Throws: for missing quotes, an empty pattern, bad hexadecimal digits or an odd number of them,
  ///   a quote without a backslash, an escape of any other byte.
  public static func parse(_ value: [UInt8]) throws(RuleValueError) -> ContentPattern {
    var start = value.trimmed().lowerBound
    let isNegated = start < value.count && value[start] == ASCII.exclamation
    if isNegated {
      start &+= 1
      while start < value.count, ASCII.isSpace(value[start]) { start &+= 1 }
    }
    let range = try QuotedString.inside(value, from: start)
    return ContentPattern(isNegated: isNegated, bytes: try bytes(value, range))
  }

  /// The bytes that `range` of `value` spells, for patterns that stand in quotes of another value.
  static func bytes(_ value: [UInt8], _ range: Range<Int>) throws(RuleValueError) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(range.count)
    var index = range.lowerBound
    while index < range.upperBound {
      switch value[index] {
      case ASCII.pipe:
        index = try readHexadecimal(value, index, range.upperBound, &result)
      case ASCII.backslash:
        result.append(try escaped(value, index, range.upperBound))
        index &+= 2
      case ASCII.quote:
        throw RuleValueError(
          "a quote inside the pattern", columnOffset: index, hint: "write \\\" or |22|")
      case let byte:
        result.append(byte)
        index &+= 1
      }
    }
    guard !result.isEmpty else {
      throw RuleValueError("the pattern is empty", columnOffset: range.lowerBound)
    }
    guard result.count <= bytesMax else {
      throw RuleValueError("the pattern has more than \(bytesMax) bytes", columnOffset: range.lowerBound)
    }
    return result
  }

  private static func escaped(_ value: [UInt8], _ index: Int, _ end: Int) throws(RuleValueError) -> UInt8 {
    guard index &+ 1 < end else {
      throw RuleValueError(
        "a backslash at the end of the pattern", columnOffset: index, hint: "write \\\\ or |5C|")
    }
    switch value[index &+ 1] {
    case let byte
    where byte == ASCII.quote || byte == ASCII.backslash || byte == ASCII.semicolon || byte == ASCII.colon:
      return byte
    case let byte:
      throw RuleValueError(
        "'\([byte].text)' cannot be escaped", columnOffset: index,
        hint: byte == ASCII.pipe ? "write |7C| for a pipe" : "write |5C| for a backslash")
    }
  }

  /// Reads from the opening pipe at `start`; returns the index past the closing one.
  private static func readHexadecimal(
    _ value: [UInt8], _ start: Int, _ end: Int, _ result: inout [UInt8]
  ) throws(RuleValueError) -> Int {
    var index = start &+ 1
    var first: UInt8?
    while index < end, value[index] != ASCII.pipe {
      let byte = value[index]
      if let digit = ASCII.hexValue(byte) {
        if let high = first {
          result.append(high << 4 | digit)
          first = nil
        } else {
          first = digit
        }
      } else if byte != ASCII.space {
        throw RuleValueError(
          "'\([byte].text)' between pipes is not a hexadecimal digit", columnOffset: index,
          hint: byte == ASCII.comma ? "separate bytes by blanks" : nil)
      }
      index &+= 1
    }
    guard index < end else {
      throw RuleValueError(
        "the closing pipe is missing", columnOffset: start, hint: "write |7C| for a pipe")
    }
    guard first == nil else {
      throw RuleValueError("an odd number of hexadecimal digits between pipes", columnOffset: start)
    }
    return index &+ 1
  }
}
