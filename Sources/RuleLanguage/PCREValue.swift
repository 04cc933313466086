/// The value of `pcre`: `"/expression/flags, capture names"`, perhaps with `!` before it.
///
/// - Source: Suricata "Payload Keywords", pcre; "Flow Keywords" and "Lua" for captures.
public struct PCREValue: Sendable, Hashable {
  /// Where the text of a capture group is kept.
  public struct Capture: Sendable, Hashable {
    public enum Scope: String, Sendable, Hashable, CaseIterable {
      case flow
      case pkt
      /// Written to the alert.
      case alert
    }

    public var scope: Scope
    public var name: [UInt8]
  }

  public var isNegated: Bool
  /// The expression as written. Escapes such as `\/` and `\;` mean the byte to PCRE2 as well, so they stay.
  public var pattern: [UInt8]
  /// The letters after the closing slash, in order.
  public var flags: [UInt8]
  /// Bytes from the start of the value to the first flag.
  public var flagsOffset: Int
  /// Names for the capture groups, the first for group 1.
  public var captures: [Capture]

  /// PCRE2 is given at most as many groups; Suricata has the same bound.
  public static let capturesMax = 8

  public static func parse(_ value: [UInt8]) throws(RuleValueError) -> PCREValue {
    var start = value.trimmed().lowerBound
    let isNegated = start < value.count && value[start] == ASCII.exclamation
    if isNegated {
      start &+= 1
      while start < value.count, ASCII.isSpace(value[start]) { start &+= 1 }
    }
    // Quotes may be left out.
    let isQuoted = start >= value.count || value[start] == ASCII.quote
    let inside = isQuoted ? try QuotedString.inside(value, from: start) : start..<value.count
    let range = value.trimmed(inside)
    guard !range.isEmpty, value[range.lowerBound] == ASCII.slash else {
      throw RuleValueError("the expression must start with '/'", columnOffset: range.lowerBound)
    }
    guard let close = closingSlash(value, range) else {
      throw RuleValueError("the closing '/' is missing", columnOffset: range.upperBound)
    }
    guard close > range.lowerBound &+ 1 else {
      throw RuleValueError("the expression is empty", columnOffset: close)
    }
    let tail = (close &+ 1)..<range.upperBound
    let comma = value[tail].firstIndex(of: ASCII.comma)
    let flags = value.trimmed(tail.lowerBound..<(comma ?? tail.upperBound))
    return PCREValue(
      isNegated: isNegated, pattern: Array(value[(range.lowerBound &+ 1)..<close]),
      flags: Array(value[flags]), flagsOffset: flags.lowerBound,
      captures: try comma.map { (at) throws(RuleValueError) in
        try captures(value, (at &+ 1)..<tail.upperBound)
      } ?? [])
  }

  /// The last slash that no odd run of backslashes stands before: expressions may hold bare slashes.
  private static func closingSlash(_ value: [UInt8], _ range: Range<Int>) -> Int? {
    var index = range.upperBound &- 1
    while index > range.lowerBound {
      if value[index] == ASCII.slash {
        var before = index
        while before > range.lowerBound, value[before &- 1] == ASCII.backslash { before &-= 1 }
        if (index &- before) & 1 == 0 { return index }
      }
      index &-= 1
    }
    return nil
  }

  private static func captures(
    _ value: [UInt8], _ range: Range<Int>
  ) throws(RuleValueError) -> [Capture] {
    let items: [RuleValueItem]
    do throws(RuleValueError) { items = try RuleValueList.parse(Array(value[range])) } catch {
      throw error.shifted(by: range.lowerBound)
    }
    guard items.count <= capturesMax else {
      throw RuleValueError("more than \(capturesMax) captures", columnOffset: range.lowerBound)
    }
    return try items.map { (item) throws(RuleValueError) in
      guard let colon = item.bytes.firstIndex(of: ASCII.colon), colon &+ 1 < item.bytes.count,
        let scope = Capture.Scope(rawValue: item.bytes[..<colon].text)
      else {
        throw RuleValueError(
          "'\(item.text)' is not a capture", columnOffset: range.lowerBound &+ item.offset,
          hint: "flow:<name>, pkt:<name> or alert:<name>")
      }
      return Capture(scope: scope, name: Array(item.bytes[(colon &+ 1)...]))
    }
  }
}
