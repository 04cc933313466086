/// What `iptables-save` says is there, for one family.
struct SavedFilter: Equatable {
  struct Chain: Equatable {
    /// `ACCEPT` or `DROP` for the kernel's chains, `-` for others.
    var policy: String
    /// The lines of its rules, each from `-A` on.
    var rules: [String] = []
  }

  /// By table and chain.
  private(set) var tables: [String: [String: Chain]] = [:]

  /// Reads the output of `iptables-save` or `ip6tables-save`; lines of another form are comments to it.
  init(text: String) {
    var table = ""
    for line in text.split(separator: "\n") {
      if line.hasPrefix("*") {
        table = String(line.dropFirst())
        tables[table] = [:]
      } else if line.hasPrefix(":") {
        let words = line.dropFirst().split(separator: " ")
        guard words.count >= 2 else { continue }
        tables[table]?[String(words[0])] = Chain(policy: String(words[1]))
      } else if line.hasPrefix("-A ") {
        let words = line.split(separator: " ", maxSplits: 2)
        guard words.count >= 2 else { continue }
        tables[table]?[String(words[1]), default: Chain(policy: "-")].rules.append(String(line))
      }
    }
  }

  func chain(_ table: FilterTable, _ name: String) -> Chain? { tables[table.rawValue]?[name] }

  /// Whether nothing would be lost with the table.
  func isBare(_ table: FilterTable) -> Bool {
    guard let chains = tables[table.rawValue] else { return false }
    return chains.values.allSatisfy { $0.rules.isEmpty && $0.policy == "ACCEPT" }
  }

  /// What there is of Sluice's, whichever version or settings it came from.
  var owned: OwnedFilter {
    var owned = OwnedFilter()
    for table in FilterTable.allCases {
      for (name, chain) in tables[table.rawValue] ?? [:] {
        if name.hasPrefix(ChainName.prefix) {
          owned.chains[table, default: [:]][name] = chain.rules
        } else {
          owned.jumps += chain.rules.enumerated().compactMap { index, line in
            Self.jump(table, name, line, isFirst: index == 0)
          }
        }
      }
    }
    return owned
  }

  /// The rules of others: table and line.
  var foreignRules: [(table: String, line: String)] {
    tables.sorted { $0.key < $1.key }.flatMap { table, chains in
      chains.sorted { $0.key < $1.key }
        .filter { !$0.key.hasPrefix(ChainName.prefix) }
        .flatMap { $0.value.rules }
        .filter { !$0.contains(" -j " + ChainName.prefix) }
        .map { (table, $0) }
    }
  }

  private static func jump(
    _ table: FilterTable, _ chain: String, _ line: String, isFirst: Bool
  ) -> FilterJump? {
    let lead = "-A \(chain) -j "
    guard line.hasPrefix(lead + ChainName.prefix) else { return nil }
    return FilterJump(table: table, from: chain, to: String(line.dropFirst(lead.count)), first: isFirst)
  }
}

/// Chains of Sluice's and the rules that lead there, as they are or as they shall be.
struct OwnedFilter: Equatable {
  /// Lines of rules by table and chain.
  var chains: [FilterTable: [String: [String]]] = [:]
  var jumps: [FilterJump] = []

  var isEmpty: Bool { chains.values.allSatisfy(\.isEmpty) && jumps.isEmpty }

  /// What `down` has to know, from the comments it is kept in.
  var memo: Memo {
    let lines = chains[.mangle]?[ChainName.memo] ?? []
    return Memo(comments: lines.compactMap(Self.comment))
  }

  private static func comment(_ line: String) -> String? {
    let parts = line.split(separator: "\"", omittingEmptySubsequences: false)
    return parts.count >= 3 ? String(parts[1]) : nil
  }

  /// A rule file that makes this out of `current`, each table at one stroke; empty when there is nothing to do.
  func transition(from current: OwnedFilter) -> String {
    FilterTable.allCases.map { transition(of: $0, from: current) }.joined()
  }

  private func transition(of table: FilterTable, from current: OwnedFilter) -> String {
    let wanted = chains[table] ?? [:]
    let present = current.chains[table] ?? [:]
    let wantedJumps = Set(jumps.filter { $0.table == table }.map(\.specification))
    var kept: Set<String> = []
    var lines: [String] = []

    // Naming a chain makes it, or empties it when it is there.
    lines += wanted.keys.sorted().map { ":\($0) - [0:0]" }
    for jump in current.jumps where jump.table == table {
      let isKept = wantedJumps.contains(jump.specification) && kept.insert(jump.specification).inserted
      if !isKept { lines.append("-D \(jump.specification)") }
    }
    lines += wanted.keys.sorted().flatMap { wanted[$0] ?? [] }
    for jump in jumps where jump.table == table && kept.insert(jump.specification).inserted {
      lines.append(jump.first ? "-I \(jump.from) 1 -j \(jump.to)" : "-A \(jump.specification)")
    }
    let leftover = present.keys.filter { wanted[$0] == nil }.sorted()
    lines += leftover.map { "-F \($0)" } + leftover.map { "-X \($0)" }
    guard !lines.isEmpty else { return "" }
    return (["*" + table.rawValue] + lines + ["COMMIT"]).joined(separator: "\n") + "\n"
  }
}

/// What was there before, kept in the comments of rules that no packet meets: it can't get lost or be taken for
/// that of another network namespace, and it goes when the rules go.
struct Memo: Equatable {
  struct Setting: Equatable {
    var name: String
    var before: String
    var set: String
  }
  struct Route: Hashable {
    var mark: UInt32
    var table: UInt32
    var priority: UInt32
    /// nil for local delivery.
    var device: String?
  }

  var settings: [Setting] = []
  var routes: [Route] = []
  /// The bridge whose frames are lifted to this machine.
  var bridge: String?
  /// Tables that weren't there.
  var createdTables: [FilterTable] = []

  init() {}

  init(comments: [String]) {
    for comment in comments {
      let words = comment.split(separator: " ").map(String.init)
      if words.count >= 4, words[0] == "sysctl" {
        settings.append(Setting(name: words[1], before: words[2], set: words[3]))
      } else if words.count == 4 || words.count == 5, words[0] == "route", let mark = UInt32(words[1]),
        let table = UInt32(words[2]), let priority = UInt32(words[3])
      {
        routes.append(
          Route(mark: mark, table: table, priority: priority, device: words.count == 5 ? words[4] : nil))
      } else if words.count == 2, words[0] == "bridge" {
        bridge = words[1]
      } else if words.count == 2, words[0] == "table", let table = FilterTable(rawValue: words[1]) {
        createdTables.append(table)
      }
    }
  }

  private var comments: [String] {
    settings.map { "sysctl \($0.name) \($0.before) \($0.set)" }
      + routes.map { "route \($0.mark) \($0.table) \($0.priority)" + ($0.device.map { " " + $0 } ?? "") }
      + (bridge.map { ["bridge " + $0] } ?? [])
      + createdTables.map { "table \($0.rawValue)" }
  }

  /// The lines that keep it.
  var lines: [String] {
    comments.map { "-A \(ChainName.memo) -m comment --comment \"\($0)\" -j RETURN" }
  }
}

extension DiversionPlan {
  /// What shall be there for one family.
  func ownedFilter(_ family: AddressFamily, memo: Memo) -> OwnedFilter {
    var owned = OwnedFilter()
    for rule in rules where rule.holds(for: family) {
      owned.chains[rule.table, default: [:]][rule.chain, default: []].append(rule.line)
    }
    owned.chains[.mangle, default: [:]][ChainName.memo] = memo.lines
    owned.jumps = jumps
    return owned
  }
}
