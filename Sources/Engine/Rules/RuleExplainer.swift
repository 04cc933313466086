import Detection
import RuleLanguage

/// Finds rules and says how they are compiled, without building what matching needs.
public struct RuleExplainer {
  private var compiler: RuleCompiler
  private let rules: [RuleSyntax]
  /// Which rules set and read each variable, by "flowbits a".
  private let uses: [String: (set: [UInt32], read: [UInt32])]

  /// - Throws: where a file that is named does not exist or cannot be read.
  public init(_ settings: Settings, paths: [String] = []) throws(SettingsError) {
    let read = try RuleLoader.read(settings, paths)
    compiler = RuleCompiler(settings: read.compilerSettings, shared: SharedDetectionState())
    rules = RuleDuplicates.merge(read.files).rules
    uses = Self.uses(rules)
  }

  /// Explains rules by number (`2001219`, `1:2001219`) or by their text.
  ///
  /// - Throws: where there is no such rule, or it is refused.
  public mutating func explain(_ wanted: String) throws(RuleDiagnostic) -> [RuleExplanation] {
    guard let number = Self.number(wanted) else {
      return [try explain(try RuleFile.parseRule(wanted))]
    }
    let found = rules.filter { $0.sid == number.sid && (number.gid ?? $0.gid) == $0.gid }
    guard !found.isEmpty else {
      throw RuleDiagnostic(
        location: RuleLocation(file: "", line: 0, column: 0), sid: number.sid,
        message: "no rule among \(rules.count) has sid \(wanted)")
    }
    var explanations: [RuleExplanation] = []
    for rule in found { explanations.append(try explain(rule)) }
    return explanations
  }

  private mutating func explain(_ rule: RuleSyntax) throws(RuleDiagnostic) -> RuleExplanation {
    var explanation = try compiler.explain(rule)
    explanation.reads = explanation.reads.map { text in
      text + Self.others("set by", uses[Self.variable(text)]?.set ?? [], but: rule.sid)
    }
    explanation.writes = explanation.writes.map { text in
      text + Self.others("read by", uses[Self.variable(text)]?.read ?? [], but: rule.sid)
    }
    return explanation
  }

  private static let othersMax = 8

  private static func others(_ words: String, _ sids: [UInt32], but own: UInt32) -> String {
    let others = Set(sids).subtracting([own]).sorted()
    guard !others.isEmpty else { return ", \(words) no other rule" }
    let shown = others.prefix(othersMax).map { "\($0)" }.joined(separator: ", ")
    return ", \(words) \(shown)\(others.count > othersMax ? " and \(others.count - othersMax) more" : "")"
  }

  /// "flowbits isset a" and "flowint a > 3" are about "flowbits a" and "flowint a".
  private static func variable(_ text: String) -> String {
    let words = text.split(separator: " ").map(String.init)
    guard words.count > 2 else { return text }
    return "\(words[0]) \(words[0] == "flowint" ? words[1] : words[2])"
  }

  private static func uses(_ rules: [RuleSyntax]) -> [String: (set: [UInt32], read: [UInt32])] {
    var uses: [String: (set: [UInt32], read: [UInt32])] = [:]
    for rule in rules {
      for use in RuleCompiler.variableUses(of: rule) {
        let name = variable(use.text)
        if use.isRead { uses[name, default: ([], [])].read.append(rule.sid) } else { uses[name, default: ([], [])].set.append(rule.sid) }
      }
    }
    return uses
  }

  private static func number(_ text: String) -> (gid: UInt32?, sid: UInt32)? {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    if parts.count == 1, let sid = UInt32(text) { return (nil, sid) }
    guard parts.count == 2, let gid = UInt32(parts[0]), let sid = UInt32(parts[1]) else { return nil }
    return (gid, sid)
  }
}
