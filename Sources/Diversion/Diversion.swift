/// Sets up in the kernel what a `DiversionPlan` says, looks whether it is there, and takes it away again.
///
/// `up` is all or nothing: whatever fails on the way, what was there before is put back. `down` removes what is
/// Sluice's and nothing else, whichever settings it was made with. Both may be run any number of times.
/// Needs root (CAP_NET_ADMIN) and the programs of iptables, iproute2 and procps.
public struct Diversion<Commands: CommandRunner> {
  public let plan: DiversionPlan
  let commands: Commands

  public init(plan: DiversionPlan, commands: Commands) {
    self.plan = plan
    self.commands = commands
  }

  /// Sets everything up, or puts back what was there.
  /// - Returns: what is worth telling the operator, in lines.
  public func up() throws(DiversionError) -> [String] {
    guard plan.faults.isEmpty else { throw .unusable(faults: plan.faults) }
    let before = try snapshot(plan.sortedFamilies)
    let clashes = self.clashes(in: before) + (try bridgeTableClash(before).map { [$0] } ?? [])
    guard clashes.isEmpty else { throw .clashes(clashes.map(\.what)) }
    // Connection tracking brings its settings with it; where it is built in there is no such module.
    _ = try? commands.run(Command("modprobe", ["-q", "nf_conntrack"]))
    if plan.variant.isBridge { _ = try? commands.run(Command("modprobe", ["-q", "br_netfilter"])) }
    do throws(DiversionError) {
      let notes = try apply(before)
      let missing = try status().missing
      guard missing.isEmpty else { throw .incomplete(missing) }
      return notes
    } catch {
      try restore(before)
      throw error
    }
  }

  /// Takes away what there is of Sluice's.
  /// - Returns: what could not be put back as it was, in lines; usually none.
  public func down() throws(DiversionError) -> [String] {
    var notes: [String] = []
    let present = try snapshot(AddressFamily.allCases)
    for family in present.families.keys.sorted() {
      guard let state = present.families[family] else { continue }
      let memo = state.filter.owned.memo
      notes += try putBack(memo.settings)
      for route in Set(memo.routes + plan.routes).sorted(by: { $0.priority < $1.priority }) {
        try remove(route, family)
      }
      if memo.bridge != nil { try removeBridgeTable() }
      try load(OwnedFilter().transition(from: state.filter.owned), family)
      try dropBareTables(memo.createdTables, family)
    }
    return notes
  }

  // MARK: The steps of `up`

  /// The rules come first, because they hold the memo that a later `down` needs.
  private func apply(_ before: Snapshot) throws(DiversionError) -> [String] {
    var notes: [String] = []
    let (settings, unknown) = try settingsToKeep(before)
    notes += unknown.map { "\($0.name) is not known to this kernel; it stays as it is" }
    for (index, family) in plan.sortedFamilies.enumerated() {
      guard let state = before.families[family] else { continue }
      let owned = state.filter.owned
      var memo = owned.memo
      memo.settings = index == 0 ? settings : []
      memo.routes = plan.routes
      if case .bridge(let name, _) = plan.variant { memo.bridge = name } else { memo.bridge = nil }
      if owned.isEmpty {
        memo.createdTables = FilterTable.allCases.filter { state.filter.tables[$0.rawValue] == nil }
      }
      try load(plan.ownedFilter(family, memo: memo).transition(from: owned), family)
    }
    for family in plan.sortedFamilies {
      for old in before.families[family]?.filter.owned.memo.routes ?? [] where !plan.routes.contains(old) {
        try remove(old, family)
      }
      for route in plan.routes { try add(route, family) }
    }
    if let table = plan.bridgeTable { _ = try output(Command("nft", ["-f", "-"], input: table)) }
    for setting in settings { try write(setting.name, setting.set) }
    return notes
  }

  /// The values before: those of the memo where there is one, else those of now.
  private func settingsToKeep(
    _ before: Snapshot
  ) throws(DiversionError) -> (known: [Memo.Setting], unknown: [SysctlSetting]) {
    let remembered = before.families.values.flatMap { $0.filter.owned.memo.settings }
    var known: [Memo.Setting] = []
    var unknown: [SysctlSetting] = []
    for setting in plan.sysctls {
      if var old = remembered.first(where: { $0.name == setting.name }) {
        old.set = setting.value
        known.append(old)
      } else if let value = try read(setting.name) {
        known.append(Memo.Setting(name: setting.name, before: value, set: setting.value))
      } else {
        unknown.append(setting)
      }
    }
    return (known, unknown)
  }

  /// Makes everything as `before`, as far as it goes; the first error of `up` is the one that counts.
  private func restore(_ before: Snapshot) throws(DiversionError) {
    for (family, state) in before.families {
      guard let now = try? snapshot([family]).families[family] else { continue }
      let (owned, old) = (now.filter.owned, state.filter.owned)
      if old.isEmpty { _ = try? putBack(owned.memo.settings) }
      for setting in old.memo.settings { try? write(setting.name, setting.set) }
      if owned.memo.bridge != nil, old.memo.bridge == nil { try? removeBridgeTable() }
      for route in Set(owned.memo.routes + plan.routes) where !old.memo.routes.contains(route) {
        // Whoever had the same rule before keeps it.
        if !route.isRule(in: state.routing) { try? remove(route, family) }
      }
      for route in old.memo.routes { try? add(route, family) }
      try? load(old.transition(from: owned), family)
      if old.isEmpty { try? dropBareTables(owned.memo.createdTables, family) }
    }
  }
}

// MARK: - What is there

extension Diversion {
  struct FamilyState {
    var filter: SavedFilter
    /// Of the plan's table.
    var routing: RoutingState
  }
  struct Snapshot {
    var families: [AddressFamily: FamilyState] = [:]
  }

  /// A family that the plan leaves out and that can't be read has nothing of ours.
  func snapshot(_ families: [AddressFamily]) throws(DiversionError) -> Snapshot {
    var snapshot = Snapshot()
    for family in families {
      do throws(DiversionError) {
        snapshot.families[family] = FamilyState(
          filter: SavedFilter(text: try output(Command(family.saveCommand))),
          routing: try routing(family, tables: plan.routeTables))
      } catch {
        if plan.families.contains(family) { throw error }
      }
    }
    return snapshot
  }

  private func routing(_ family: AddressFamily, tables: [UInt32]) throws(DiversionError) -> RoutingState {
    let rules = try output(Command("ip", [family.flag, "rule", "show"]))
    var routes: [String] = []
    for table in tables {
      // A table that was never used doesn't exist, which ip(8) takes for an error.
      let listing = try commands.run(
        Command("ip", [family.flag, "route", "show", "table", String(table)]))
      routes += listing.output.split(separator: "\n").map(String.init)
    }
    return RoutingState(rules: rules.split(separator: "\n").compactMap(PolicyRule.init), routes: routes)
  }

  func read(_ setting: String) throws(DiversionError) -> String? {
    let result = try commands.run(Command("sysctl", ["-n", setting]))
    let value = result.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    return result.status == 0 && !value.isEmpty ? value : nil
  }
}

// MARK: - Single changes

extension Diversion {
  func load(_ rules: String, _ family: AddressFamily) throws(DiversionError) {
    guard !rules.isEmpty else { return }
    _ = try output(Command(family.restoreCommand, ["-w", "10", "--noflush"], input: rules))
  }

  func add(_ route: Memo.Route, _ family: AddressFamily) throws(DiversionError) {
    let state = try routing(family, tables: [route.table])
    if !state.has(route) { _ = try output(Command("ip", route.routeArguments("add", family))) }
    if !route.isRule(in: state) { _ = try output(Command("ip", route.ruleArguments("add", family))) }
  }

  func remove(_ route: Memo.Route, _ family: AddressFamily) throws(DiversionError) {
    let state = try routing(family, tables: [route.table])
    if route.isRule(in: state) { _ = try output(Command("ip", route.ruleArguments("del", family))) }
    if state.has(route) { _ = try output(Command("ip", route.routeArguments("del", family))) }
  }

  func removeBridgeTable() throws(DiversionError) {
    guard try hasBridgeTable() else { return }
    _ = try output(Command("nft", ["delete", "table", "bridge", DiversionPlan.bridgeTableName]))
  }

  /// Whether it is there, and as planned where there is a plan.
  func hasBridgeTable(address: String? = nil) throws(DiversionError) -> Bool {
    let listing = try commands.run(Command("nft", ["list", "table", "bridge", DiversionPlan.bridgeTableName]))
    return listing.status == 0 && (address.map { listing.output.contains($0) } ?? true)
  }

  /// What translates addresses on this machine; nil where nothing does.
  public func addressTranslation() throws(DiversionError) -> String? {
    for family in AddressFamily.allCases {
      let saved = try? commands.run(Command(family.saveCommand, ["-t", "nat"]))
      let line = saved?.output.split(separator: "\n").first { line in
        ["MASQUERADE", "SNAT", "DNAT", "REDIRECT", "NETMAP"].contains { line.contains("-j " + $0) }
      }
      if let line { return "\(family.ruleCommand) -t nat \(line)" }
    }
    let ruleset = try? commands.run(Command("nft", ["-n", "list", "ruleset"]))
    let line = ruleset?.output.split(separator: "\n").first { line in
      ["masquerade", "snat to", "dnat to", "snat ip to", "dnat ip to"].contains { line.contains($0) }
    }
    return line.map { "nft: " + $0.split(whereSeparator: \.isWhitespace).joined(separator: " ") }
  }

  /// The address of a bridge; nil where there is no such bridge.
  public func bridgeAddress(_ name: String) throws(DiversionError) -> String? {
    let result = try commands.run(Command("ip", ["-o", "-d", "link", "show", "dev", name]))
    let words = result.output.split(whereSeparator: \.isWhitespace).map(String.init)
    guard result.status == 0, words.contains("bridge"), let place = words.firstIndex(of: "link/ether"),
      place + 1 < words.count
    else { return nil }
    return words[place + 1]
  }

  func write(_ setting: String, _ value: String) throws(DiversionError) {
    _ = try output(Command("sysctl", ["-q", "-w", "\(setting)=\(value)"]))
  }

  /// Puts back the values from before where they are still the ones that were set.
  func putBack(_ settings: [Memo.Setting]) throws(DiversionError) -> [String] {
    var notes: [String] = []
    for setting in settings {
      let now = try read(setting.name)
      if now == setting.set {
        try write(setting.name, setting.before)
      } else if now != setting.before {
        notes.append("\(setting.name) was changed meanwhile and stays at \(now ?? "nothing")")
      }
    }
    return notes
  }

  /// Tables of nftables' emulation appear with their first rule and stay. The ones that came with ours go, when
  /// nobody has put anything in them; without the program nft they stay, empty, which does no harm.
  func dropBareTables(_ tables: [FilterTable], _ family: AddressFamily) throws(DiversionError) {
    guard !tables.isEmpty, try output(Command(family.ruleCommand, ["--version"])).contains("nf_tables")
    else { return }
    let state = SavedFilter(text: try output(Command(family.saveCommand)))
    for table in tables where state.isBare(table) {
      _ = try? commands.run(Command("nft", ["delete", "table", family.nftablesName, table.rawValue]))
    }
  }

  /// Runs a program that has to succeed.
  func output(_ command: Command) throws(DiversionError) -> String {
    let result = try commands.run(command)
    guard result.status == 0 else {
      let lines = result.errors.split(separator: "\n").map(String.init)
      let message = lines.first { !$0.isEmpty && !$0.hasPrefix("#") } ?? "no message"
      throw .failed(command: command.text, status: result.status, message: Self.explained(message))
    }
    return result.output
  }

  private static func explained(_ message: String) -> String {
    message.contains("Permission denied") || message.contains("Operation not permitted")
      ? message + " (this needs root)" : message
  }
}
