import RuleLanguage

/// What logs and reports say about a rule.
public struct RuleInfo: Sendable {
  /// Which side of the connection is the target of the attack (`target` keyword).
  public enum Target: UInt8, Sendable {
    case source, destination
  }

  public var sid: UInt32
  public var gid: UInt32
  public var rev: UInt32
  public var action: RuleAction
  /// Short name of the class ("trojan-activity"); nil without `classtype`.
  public var className: String?
  /// Its description ("A Network Trojan was detected"), empty without a class.
  public var classDescription: String
  /// 1 is the highest; 3 where neither the rule nor its class says.
  public var priority: UInt8
  public var target: Target?
  /// The rule's text; reads the file's bytes that all rules of the file share.
  let text: RuleTextReference

  /// What `msg` says.
  public var message: String { text.message.map { String(decoding: $0, as: UTF8.self) } ?? "" }

  /// The rule as written.
  public var originalText: String { String(decoding: text.bytes, as: UTF8.self) }

  /// Where the rule stands.
  public var location: RuleLocation { text.location }

  /// `reference` values, as written ("cve,2021-44228"). Parses the rule again: not for the data path.
  public var references: [String] { texts(of: "reference").map(\.trimmed) }

  /// `metadata` as key and value, in order. Parses the rule again: not for the data path.
  public var metadata: [(key: String, value: String)] {
    texts(of: "metadata").flatMap { $0.split(separator: ",") }.compactMap { item in
      let words = String(item).trimmed.split(separator: " ", maxSplits: 1)
      guard let key = words.first else { return nil }
      return (String(key), words.count > 1 ? String(words[1]).trimmed : "")
    }
  }

  private func texts(of keyword: String) -> [String] {
    guard let rule = try? RuleFile.parseRule(originalText) else { return [] }
    return rule.options.filter { $0.name == keyword }.compactMap(\.valueText)
  }
}
