import AppLayer
import PacketDecoding
import RuleLanguage
import Traffic

/// Makes a ``RuleSet`` out of rule syntax.
///
/// Every keyword is compiled with its meaning, or the rule is refused with a diagnostic.
public struct RuleCompiler {
  public struct Settings: Sendable {
    public var variables = RuleVariables()
    public var classification = ClassificationFile()
    public var thresholds = ThresholdFile()
    /// Numbers of stream events by the name that `stream-event` gives them.
    public var streamEvents: [String: UInt8] = [:]
    /// Which actions are tried and take effect first (Suricata `action-order`).
    public var actionOrder: [RuleAction] = [.pass, .drop, .reject, .alert]
    /// Where compiled pattern databases are kept between starts; nil keeps none.
    public var cacheDirectory: String?
    /// Threads that compile pattern databases.
    public var threadCount = 2

    public init() {}
  }

  /// What came out: the set, and why rules are not in it.
  public struct Result: Sendable {
    public var ruleSet: RuleSet
    public var diagnostics: [RuleDiagnostic]
  }

  let settings: Settings
  let shared: SharedDetectionState
  var resolver: RuleVariableResolver
  public private(set) var diagnostics: [RuleDiagnostic] = []
  var drafts: [RuleDraft] = []

  public init(settings: Settings, shared: SharedDetectionState) {
    self.settings = settings
    self.shared = shared
    resolver = RuleVariableResolver(settings.variables)
  }

  /// Compiles one rule; keeps none of its syntax. A rule that cannot be compiled yields a diagnostic.
  public mutating func add(_ rule: RuleSyntax) {
  }

  /// Builds the groups and databases of all rules added.
  public consuming func finish() -> Result {
    Result(ruleSet: .empty, diagnostics: diagnostics)
  }
}
