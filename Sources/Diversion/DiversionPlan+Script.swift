extension DiversionPlan {
  /// The rules as one file that `iptables-restore --noflush` and `ip6tables-restore --noflush` both take: lines
  /// of one family begin with -4 or -6.
  public var ruleFile: String {
    FilterTable.allCases.map { table in
      let rules = rules.filter { $0.table == table }
      let chains = Set(rules.map(\.chain)).sorted()
      let jumps = jumps.filter { $0.table == table }
      let lines =
        ["*" + table.rawValue] + chains.map { ":\($0) - [0:0]" }
        + rules.map { ($0.family.map { $0.flag + " " } ?? "") + $0.line }
        + jumps.map { $0.first ? "-I \($0.from) 1 -j \($0.to)" : "-A \($0.specification)" }
      return (lines + ["COMMIT"]).joined(separator: "\n") + "\n"
    }.joined()
  }

  /// What `up` does, to be read, or to be run by hand where Sluice isn't installed.
  public var script: String {
    var text = ""
    for family in sortedFamilies {
      text += "\(family.restoreCommand) -w 10 --noflush <<'RULES'\n\(ruleFile)RULES\n"
    }
    for family in sortedFamilies {
      for arguments in [route.routeArguments("add", family), route.ruleArguments("add", family)] {
        text += Command("ip", arguments).text + "\n"
      }
    }
    for setting in sysctls { text += "sysctl -q -w \(setting.name)=\(setting.value)\n" }
    return text
  }
}
