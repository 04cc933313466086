import RuleLanguage

/// What the threshold file says, by rule.
struct ThresholdOverlay {
  private(set) var suppressions: [SuppressionKey: [Suppression]] = [:]
  private(set) var rateFilters: [SuppressionKey: [RateFilter]] = [:]
  private(set) var diagnostics: [RuleDiagnostic] = []
  private var thresholds: [SuppressionKey: RuleThreshold] = [:]

  init(_ file: ThresholdFile, variables: RuleVariables) {
    diagnostics = file.diagnostics
    var resolver = RuleVariableResolver(variables)
    for entry in file.entries {
      let key = SuppressionKey(gid: entry.gid, sid: entry.sid)
      switch entry.action {
      case .suppress(let track, let expression):
        do throws(RuleValueError) {
          var addresses: AddressSet?
          if let expression { addresses = try resolver.addresses(expression) }
          suppressions[key, default: []].append(Suppression(track: track, addresses: addresses))
        } catch {
          diagnostics.append(
            RuleDiagnostic(location: entry.location, message: error.message, hint: error.hint))
        }
      case .threshold(let kind, let track, let count, let seconds, let multiplier):
        thresholds[key] = RuleThreshold(
          kind: Self.kind(kind), track: track, count: count, seconds: seconds,
          multiplier: max(multiplier, 1))
      case .rate(let track, let count, let seconds, let newAction, let timeout):
        rateFilters[key, default: []].append(
          RateFilter(
            track: track, count: count, seconds: seconds, newAction: newAction,
            timeoutSeconds: timeout))
      }
    }
  }

  private static func kind(_ kind: ThresholdFile.Kind) -> RuleThreshold.Kind {
    switch kind {
    case .limit: .limit
    case .threshold: .threshold
    case .both: .both
    case .backoff: .backoff
    }
  }

  /// A line for the rule itself replaces its threshold; one for many only fills in where there is none.
  func apply(to draft: RuleDraft) {
    guard !thresholds.isEmpty else { return }
    if let own = thresholds[SuppressionKey(gid: draft.info.gid, sid: draft.info.sid)] {
      draft.threshold = own
    } else if draft.threshold == nil {
      draft.threshold =
        thresholds[SuppressionKey(gid: draft.info.gid, sid: 0)]
        ?? thresholds[SuppressionKey(gid: 0, sid: 0)]
    }
  }
}
