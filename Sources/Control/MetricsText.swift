import Detection
import Engine

/// Counters as Prometheus reads them.
/// - Source: Prometheus "Exposition formats", text format 0.0.4.
enum MetricsText {
  /// Rules that have series of their own, so that their number is bounded whatever the rule set.
  static let rulesMax = 20

  static func text(_ daemon: Daemon) -> String {
    text(daemon.statistics()) + rules(daemon.ruleCosts().dearest(rulesMax))
  }

  /// The dearest rules; one that is not among them any more has no values.
  static func rules(_ costs: [RuleCost]) -> String {
    let values: [(name: String, value: (RuleCost) -> String)] = [
      ("checks", { "\($0.checks)" }), ("matches", { "\($0.matches)" }), ("seconds", { "\($0.nanoseconds / 1e9)" }),
    ]
    return values.map { name, value in
      let metric = "sluice_rule_\(name)_total"
      return "# TYPE \(metric) counter\n"
        + costs.map { "\(metric){gid=\"\($0.gid)\",sid=\"\($0.sid)\"} \(value($0))\n" }.joined()
    }.joined()
  }

  static func text(_ counters: [(name: String, value: UInt64)]) -> String {
    var text = ""
    for (name, value) in counters {
      let metric = "sluice_" + name.hasPrefixDropped("sluice.").map { isWord($0) ? String($0) : "_" }.joined()
      text += "# TYPE \(metric) \(isGauge(name) ? "gauge" : "counter")\n\(metric) \(value)\n"
    }
    return text
  }

  private static func isWord(_ character: Character) -> Bool {
    character.isASCII && (character.isLetter || character.isNumber)
  }

  private static func isGauge(_ name: String) -> Bool {
    name == "uptime" || name.hasSuffix(".active") || name.hasSuffix(".held") || name.hasPrefix("sluice.rules.")
  }
}

extension String {
  fileprivate func hasPrefixDropped(_ prefix: String) -> String {
    hasPrefix(prefix) ? String(dropFirst(prefix.count)) : self
  }
}
