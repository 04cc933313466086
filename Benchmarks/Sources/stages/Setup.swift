import Detection
import Engine
import RuleLanguage

/// Settings and rules, as the daemon has them in line.
struct Setup {
  var settings: Settings
  var ruleSet = RuleSet.empty
  private let names: VariableNames

  init(rules: [String], overrides: [String]) throws(StageError) {
    let shared = SharedDetectionState()
    names = shared.names
    do throws(SettingsError) {
      settings = try Settings.load(file: nil, overrides: overrides, flowSeed: 0)
      settings.prepareForTraffic(isInline: true)
      // Under valgrind every rule takes long.
      settings.inspection.ruleBudget.action = .off
      if !rules.isEmpty { ruleSet = try RuleLoader.load(settings, paths: rules, shared: shared).ruleSet }
    } catch {
      throw StageError(error.message)
    }
    if !rules.isEmpty, ruleSet.ruleCount == 0 { throw StageError("no rule was loaded") }
  }

  /// The same without any rule.
  var withoutRules: Setup {
    var plain = self
    plain.ruleSet = .empty
    return plain
  }

  /// What rules remember across flows, empty.
  func makeShared() -> SharedDetectionState { SharedDetectionState(names: names) }
}
