import FuzzTargets

extension FuzzTarget {
  /// What needs rules, the path or the settings.
  public static let engine: [FuzzTarget] = [
    // Rule, classification, reference and threshold files, compiled as far as they are right.
    FuzzTarget("rules", RulesTarget.run, seeds: RulesTarget.seeds),
    // TCP segments in any order, through flows, streams, protocols, rules and records.
    FuzzTarget("path", PathTarget.run, seeds: PathTarget.seeds),
    // Lists of names, reputation, datasets, thresholds.
    FuzzTarget("lists", ListsTarget.run, seeds: ListsTarget.seeds),
    // A configuration file with its TLS policy.
    FuzzTarget("configuration", ConfigurationTarget.run, seeds: ConfigurationTarget.seeds),
    // A request of the control socket.
    FuzzTarget("control", ControlTarget.run, seeds: ControlTarget.seeds),
  ]

  public static let all = engine + parsers
}
