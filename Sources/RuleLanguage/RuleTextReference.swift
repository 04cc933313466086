/// The text of a rule and where it stands, without its options: what is kept of a rule once it is compiled.
public struct RuleTextReference: Sendable {
  let text: RuleText
  public let location: RuleLocation

  /// The rule as written; continued lines are joined. Copies it.
  public var bytes: [UInt8] { Array(text.source.bytes[text.range]) }
}

extension RuleSyntax {
  public var textReference: RuleTextReference { RuleTextReference(text: text, location: location) }
}
