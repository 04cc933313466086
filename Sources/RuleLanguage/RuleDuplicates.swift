/// Finds rules that come twice, in one file or in several.
///
/// A rule is known by gid and sid. As in Suricata, a higher rev replaces the rule that came before; the same
/// or a lower one is refused.
public struct RuleDuplicates: Sendable {
  public enum Outcome: Sendable, Hashable {
    case new
    /// The rule replaces the one at that index, counted over rules that were admitted as `new`.
    case replaces(index: Int)
    case refused(RuleDiagnostic)
  }

  private var known: [UInt64: (index: Int, rev: UInt32, location: RuleLocation)] = [:]

  public init() {}

  public mutating func admit(_ rule: RuleSyntax) -> Outcome {
    let key = UInt64(rule.gid) << 32 | UInt64(rule.sid)
    guard let first = known[key] else {
      known[key] = (known.count, rule.rev, rule.location)
      return .new
    }
    guard rule.rev > first.rev else {
      return .refused(.alreadyUsed(rule.sid, rev: first.rev, at: rule.location, first: first.location))
    }
    known[key] = (first.index, rule.rev, rule.location)
    return .replaces(index: first.index)
  }

  /// Admits all rules of a file and of those after it into one list.
  public static func merge(_ files: [RuleFileSyntax]) -> (rules: [RuleSyntax], diagnostics: [RuleDiagnostic]) {
    var duplicates = RuleDuplicates()
    var rules: [RuleSyntax] = []
    var diagnostics = files.flatMap(\.diagnostics)
    for rule in files.lazy.flatMap(\.rules) {
      switch duplicates.admit(rule) {
      case .new: rules.append(rule)
      case .replaces(let index): rules[index] = rule
      case .refused(let diagnostic): diagnostics.append(diagnostic)
      }
    }
    return (rules, diagnostics)
  }
}

extension RuleDiagnostic {
  /// Of a rule whose gid and sid another one has.
  public static func alreadyUsed(_ sid: UInt32, rev: UInt32, at location: RuleLocation, first: RuleLocation) -> RuleDiagnostic {
    RuleDiagnostic(
      location: location, sid: sid, message: "sid \(sid) is already used at \(first)",
      hint: "give it another sid, or a rev above \(rev) to replace that rule")
  }
}
