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
      var tables: Set<UInt32> = []
      for route in routes {
        if tables.insert(route.table).inserted { text += Command("ip", route.routeArguments("add", family)).text + "\n" }
        text += Command("ip", route.ruleArguments("add", family)).text + "\n"
      }
    }
    if let bridgeTable { text += "nft -f - <<'TABLE'\n\(bridgeTable)TABLE\n" }
    for setting in sysctls { text += "sysctl -q -w \(setting.name)=\(setting.value)\n" }
    return text
  }
}

extension DiversionPlan {
  static let bridgeTableName = "sluice"

  /// Lifts marked frames to this machine, behind br_netfilter (priority 0).
  var bridgeTable: String? {
    guard case .bridge(_, let address) = variant else { return nil }
    return """
      table bridge \(Self.bridgeTableName)
      delete table bridge \(Self.bridgeTableName)
      table bridge \(Self.bridgeTableName) {
        chain lift {
          type filter hook prerouting priority 10; policy accept;
          meta mark & \(marks.deliver.hexadecimal) == \(marks.deliver.hexadecimal) ether daddr set \(address) meta pkttype set host
        }
      }

      """
  }
}
