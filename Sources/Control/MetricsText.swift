/// Counters as Prometheus reads them.
/// - Source: Prometheus "Exposition formats", text format 0.0.4.
enum MetricsText {
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
