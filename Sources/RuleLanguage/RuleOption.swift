/// One `keyword;` or `keyword:value;` of a rule.
///
/// The value is what stands between the colon and the semicolon, without blanks at its ends, quotes and
/// escapes as written; the parsers of values (``ContentPattern``, ``PCREValue``, ``NumericCondition``, …) take it so.
public struct RuleOption: Sendable {
  /// The keyword in lower case (Suricata looks keywords up so).
  public let name: String

  /// The place of the keyword among those that the reader of the file was given; `UInt16.max` where it is none of them.
  public let keywordNumber: UInt16
  let source: RuleSource
  let nameOffset: UInt32
  let nameLength: UInt32
  let valueOffset: UInt32
  /// `UInt32.max` says that there is no colon, hence no value.
  let valueLength: UInt32
  let line: UInt32
  let column: UInt32

  /// The keyword as the rule spells it.
  public var originalName: String {
    source.bytes[Int(nameOffset)..<Int(nameOffset &+ nameLength)].text
  }

  public var hasValue: Bool { valueLength != .max }

  /// The bytes of the value; nil without a colon, empty if nothing follows the colon. Copies them.
  public var value: [UInt8]? {
    hasValue ? Array(source.bytes[Int(valueOffset)..<Int(valueOffset &+ valueLength)]) : nil
  }

  /// Octets of the value; 0 without one.
  public var valueByteCount: Int { hasValue ? Int(valueLength) : 0 }

  /// Whether the byte stands in the value. Copies nothing.
  public func valueContains(_ byte: UInt8) -> Bool {
    hasValue && source.bytes[Int(valueOffset)..<Int(valueOffset &+ valueLength)].contains(byte)
  }

  /// The value as text, for messages and for values made of names; not for patterns, which may hold any byte.
  public var valueText: String? { value?.text }

  /// Where the keyword stands.
  public var location: RuleLocation {
    RuleLocation(file: source.fileName, line: Int(line), column: Int(column))
  }

  /// Where the byte at `offset` of the value stands.
  public func location(valueOffset offset: Int) -> RuleLocation {
    let from = hasValue ? Int(valueOffset) : Int(nameOffset)
    return source.location(
      of: from &+ offset, anchor: Int(nameOffset), line: Int(line), column: Int(column))
  }

  /// The diagnostic for an error that a value parser threw on this option's value.
  public func diagnostic(_ error: RuleValueError, sid: UInt32? = nil) -> RuleDiagnostic {
    RuleDiagnostic(
      location: error.blamesKeyword ? location : location(valueOffset: error.columnOffset), sid: sid,
      message: "\(name): \(error.message)", hint: error.hint)
  }
}
