/// What of a plan is in the kernel.
public struct DiversionStatus: Sendable, Equatable {
  /// One line for each part that is as planned.
  public var present: [String] = []
  /// One line for each part that is not, or not so.
  public var missing: [String] = []
  /// What Sluice doesn't change, but an operator should know.
  public var notes: [String] = []
  /// Whether there is anything of Sluice's at all, of this plan or another.
  public var isAnythingThere = false

  public var isUp: Bool { missing.isEmpty }
}

extension Diversion {
  /// Compares the kernel with the plan; changes nothing.
  public func status() throws(DiversionError) -> DiversionStatus {
    var status = DiversionStatus()
    let all = try snapshot(AddressFamily.allCases)
    for family in all.families.keys.sorted() {
      guard let state = all.families[family] else { continue }
      if !state.filter.owned.isEmpty || plan.routes.contains(where: { $0.isRule(in: state.routing) }) { status.isAnythingThere = true }
      if plan.families.contains(family) { try compare(family, state, &status) }
    }
    if case .bridge(_, let address) = plan.variant {
      status.note(
        try hasBridgeTable(address: address), "nft table bridge \(DiversionPlan.bridgeTableName) for \(address)")
    }
    for setting in plan.sysctls {
      guard let value = try read(setting.name) else { continue }
      status.note(value == setting.value, "\(setting.name) = \(setting.value)", instead: "it is \(value)")
    }
    status.notes += try forwardingNotes()
    return status
  }

  private func compare(
    _ family: AddressFamily, _ state: FamilyState, _ status: inout DiversionStatus
  ) throws(DiversionError) {
    let owned = state.filter.owned
    for jump in plan.jumps {
      let isThere = owned.jumps.contains { $0.specification == jump.specification && $0.table == jump.table }
      status.note(isThere, "\(family.ruleCommand) -t \(jump.table.rawValue) -A \(jump.specification)")
    }
    let wanted = plan.ownedFilter(family, memo: Memo())
    for table in FilterTable.allCases {
      for (chain, lines) in (wanted.chains[table] ?? [:]).sorted(by: { $0.key < $1.key }) {
        guard chain != ChainName.memo else { continue }
        try compare(
          family, table, chain, present: owned.chains[table]?[chain] ?? [], count: lines.count, &status)
      }
    }
    for route in plan.routes {
      status.note(route.isRule(in: state.routing), "ip \(family.flag) rule \(route.priority): \(route.ruleText)")
      status.note(
        state.routing.has(route), "ip " + route.routeArguments("add", family).filter { $0 != "add" }.joined(separator: " "))
    }
  }

  /// The kernel prints rules in its own words, so each is looked up by the tool that made it; then the number
  /// of rules says that there is no other.
  private func compare(
    _ family: AddressFamily, _ table: FilterTable, _ chain: String, present: [String], count: Int,
    _ status: inout DiversionStatus
  ) throws(DiversionError) {
    let name = "\(family.ruleCommand) -t \(table.rawValue)"
    for rule in plan.rules where rule.table == table && rule.chain == chain && rule.holds(for: family) {
      let check = ["-w", "10", "-t", table.rawValue, "-C", chain] + rule.arguments
      let found = present.isEmpty ? nil : try commands.run(Command(family.ruleCommand, check))
      status.note(found?.status == 0, "\(name) \(rule.line)")
    }
    if present.count > count {
      status.missing.append("\(name) \(chain): \(present.count - count) other rules")
    }
  }

  /// Whether the machine forwards at all is the operator's decision.
  private func forwardingNotes() throws(DiversionError) -> [String] {
    var notes: [String] = []
    guard plan.variant == .router || plan.variant == .translatingRouter else { return notes }
    for family in plan.sortedFamilies {
      let setting = family == .ipv4 ? "net.ipv4.ip_forward" : "net.ipv6.conf.all.forwarding"
      if try read(setting) == "0" { notes.append("\(setting) is 0: this machine does not forward \(family)") }
    }
    return notes
  }
}

extension DiversionStatus {
  mutating func note(_ isThere: Bool, _ what: String, instead: String? = nil) {
    if isThere {
      present.append(what)
    } else {
      missing.append(what + (instead.map { " (\($0))" } ?? ""))
    }
  }
}
