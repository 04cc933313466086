/// The text of a rule and where it stands, without its options: what is kept of a rule once it is compiled.
public struct RuleTextReference: Sendable {
  let text: RuleText
  /// Where the value of `msg` stands in the source; empty without one.
  let messageOffset: UInt32
  let messageLength: UInt32

  /// Where the rule stands.
  public var location: RuleLocation { text.location(of: text.range.lowerBound) }

  /// What `msg` says, without quotes and escapes; nil if the rule has none. Made anew each time: a text for each rule
  /// would take more memory than most of the rules' steps.
  public var message: [UInt8]? {
    guard messageLength > 0 else { return nil }
    let range = Int(messageOffset)..<Int(messageOffset) + Int(messageLength)
    return try? QuotedString.parse(Array(text.source.bytes[range]))
  }

  /// The rule as written; continued lines are joined. Copies it.
  public var bytes: [UInt8] { Array(text.source.bytes[text.range]) }
}

extension RuleSyntax {
  public var textReference: RuleTextReference {
    let message = first("msg")
    return RuleTextReference(
      text: text, messageOffset: message?.valueOffset ?? 0, messageLength: UInt32(message?.valueByteCount ?? 0))
  }
}
