import Detection

extension Settings {
  /// `detect.rule-budget`: ours, as Suricata profiles rules only in builds made for it.
  mutating func readRuleBudget(_ reader: inout SettingsReader) throws(SettingsError) {
    let path = "detect.rule-budget."
    if let name = try reader.text(path + "action") {
      // YAML 1.1 reads a bare `off` as a flag.
      guard let action = RuleBudget.Action(rawValue: name.lowercased() == "no" || name == "false" ? "off" : name) else {
        let names = RuleBudget.Action.allCases.map(\.rawValue).joined(separator: ", ")
        throw SettingsError("\(reader.file): \(path)action must be one of \(names), not \(name)")
      }
      inspection.ruleBudget.action = action
      isRuleBudgetSet = true
    }
    if let percent = try reader.number(path + "percent", in: 1...100) {
      inspection.ruleBudget.share = Double(percent) / 100
    }
    if let seconds = try reader.number(path + "window", in: 1...3600) { inspection.ruleBudget.windowSeconds = seconds }
    if let count = try reader.number(path + "checks-min", in: 64...1_000_000_000) {
      inspection.ruleBudget.checksMin = UInt64(count)
    }
    if let name = try reader.text(path + "drops") {
      guard name == "open" || name == "closed" else {
        throw SettingsError("\(reader.file): \(path)drops must be open or closed, not \(name)")
      }
      inspection.ruleBudget.holdsDrops = name == "open"
    }
    if let seconds = try reader.number(path + "hold", in: 0...31_536_000) {
      inspection.ruleBudget.holdSeconds = seconds
    }
  }
}
