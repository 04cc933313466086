/// A value in double quotes.
///
/// - Source: Suricata removes one pair of quotes around the value, and looks only at its first and last byte.
public enum QuotedString {
  /// What stands between the quotes, a backslash before a byte taken away.
  ///
  /// - Throws: if the value is not quoted.
  public static func parse(_ value: [UInt8]) throws(RuleValueError) -> [UInt8] {
    let range = try inside(value)
    var result: [UInt8] = []
    result.reserveCapacity(range.count)
    var isEscaped = false
    for byte in value[range] {
      if byte == ASCII.backslash, !isEscaped {
        isEscaped = true
      } else {
        result.append(byte)
        isEscaped = false
      }
    }
    return result
  }

  /// What stands between the quotes, as written.
  public static func parseRaw(_ value: [UInt8]) throws(RuleValueError) -> [UInt8] {
    Array(value[try inside(value)])
  }

  /// What stands between the quotes if there are any, else the value.
  public static func parseOptional(_ value: [UInt8]) throws(RuleValueError) -> [UInt8] {
    value.first == ASCII.quote ? try parse(value) : value
  }

  /// The range between the quotes; not empty.
  static func inside(_ value: [UInt8], from start: Int = 0) throws(RuleValueError) -> Range<Int> {
    guard start < value.count, value[start] == ASCII.quote else {
      throw RuleValueError("the value must be in double quotes", columnOffset: start)
    }
    guard value.count &- start > 1, value.last == ASCII.quote else {
      throw RuleValueError(
        "the closing quote is missing", columnOffset: value.count, hint: "a ';' may be missing after it")
    }
    guard value.count &- start > 2 else {
      throw RuleValueError("the quotes are empty", columnOffset: start)
    }
    return (start &+ 1)..<(value.count &- 1)
  }
}
