import RuleLanguage
import Synchronization
import Testing

@testable import Detection

/// Rules that are compiled on several threads are the ones that one thread would have made.
@Suite struct RuleLoadingTests {
  /// Some hundred rules with numbered addresses, ports and variables, doubles, and rules that are refused.
  static let text: String = {
    var lines: [String] = []
    for number in 1...400 {
      let address = "10.0.\(number % 7).0/24"
      let bit = "bit\(number * 7 % 31)"
      let rest = "sid:\(number); rev:1; priority:\(number % 3 + 1);"
      switch number % 8 {
      case 0:
        lines.append("alert tcp \(address) any -> any \(number % 5 + 80) (content:\"abc\(number)\"; flowbits:set,\(bit); \(rest))")
      case 1:
        lines.append("alert http any any -> \(address) any (http.uri; content:\"/\(number)\"; flowbits:isset,\(bit)|other; \(rest))")
      case 2: lines.append("drop udp any any -> any any (content:\"x\(number)\"; xbits:set,\(bit),track ip_pair; \(rest))")
      case 3: lines.append("alert ip \(address) any -> any any (flowint:\(bit),+,other\(number % 3); \(rest))")
      case 4: lines.append("alert http any any -> any any (http.host; dataset:set,hosts,type string; \(rest))")
      case 5: lines.append("alert tcp any any -> any any (flowbits:set,\(bit)b; unknown\(number % 2); \(rest))")
      case 6: lines.append("alert tcp any any -> any any (content:\"again\"; sid:\(number - 2); rev:\(number % 3);)")
      default: lines.append("alert tcp any any -> $NOBODY any (content:\"z\"; \(rest))")
      }
    }
    return lines.joined(separator: "\n")
  }()

  private struct Loaded {
    var result: RuleCompiler.Result
    var shared: SharedDetectionState
    var count: Int

    /// All that numbers and order show in.
    var words: [String] {
      let set = result.ruleSet
      var words = ["\(count)"] + result.diagnostics.map(\.description)
      for index in set.infos.indices {
        words.append("\(set.infos[index].sid) \(set.infos[index].rev) \(set.heads[index])")
        words.append("\(set.bodies[index].conditions) \(set.bodies[index].actions)")
      }
      words.append("\(set.addressSets) \(set.portSets)")
      for kind in VariableNames.Kind.allCases { words.append("\(shared.names.names(kind))") }
      for table in set.groups.tables { words.append("\(table.rules) \(table.starts)") }
      words.append("\(set.groups.packet)")
      return words
    }
  }

  private func cut(_ text: String, _ bytesWanted: Int) -> @Sendable () -> RuleFilePiece? {
    var cutter = RuleFileCutter(fileName: "t.rules", bytesWanted: bytesWanted)
    cutter.add(Array(text.utf8)[...])
    cutter.finish()
    let pieces = Mutex(cutter)
    return { pieces.withLock { $0.next() } }
  }

  private func load(threadCount: Int, bytesWanted: Int = 2_000) -> Loaded {
    var settings = RuleCompiler.Settings()
    settings.variables = .home
    settings.threadCount = threadCount
    let shared = SharedDetectionState()
    var compiler = RuleCompiler(settings: settings, shared: shared)
    let count = compiler.add(cut(Self.text, bytesWanted))
    return Loaded(result: compiler.finish(), shared: shared, count: count)
  }

  @Test func threadsMakeNoDifference() {
    let alone = load(threadCount: 1)
    #expect(alone.count == 400)
    #expect(alone.result.ruleSet.ruleCount > 200)
    for count in [2, 5] { #expect(load(threadCount: count).words == alone.words) }
  }

  /// Doubles apart, which are told of in other words.
  @Test func rulesThatComeOneByOneAreTheSame() {
    var settings = RuleCompiler.Settings()
    settings.variables = .home
    var compiler = RuleCompiler(settings: settings, shared: SharedDetectionState())
    let merged = RuleDuplicates.merge([RuleFile.parse(Self.text, fileName: "t.rules")])
    for rule in merged.rules { compiler.add(rule) }
    let single = compiler.finish()
    let pieces = load(threadCount: 3, bytesWanted: 1 << 20)
    #expect(single.ruleSet.infos.map(\.sid) == pieces.result.ruleSet.infos.map(\.sid))
    #expect(single.ruleSet.infos.map(\.rev) == pieces.result.ruleSet.infos.map(\.rev))
    #expect((merged.diagnostics + single.diagnostics).map(\.description) == pieces.result.diagnostics.map(\.description))
  }

  @Test func aRuleIsReplacedByOneOfAHigherRevisionInAnotherPiece() {
    let rules =
      "alert tcp any any -> any any (content:\"old\"; sid:1; rev:1;)\n"
      + "alert tcp any any -> any any (content:\"next\"; sid:2;)\n"
      + "alert tcp any any -> any any (content:\"new\"; sid:1; rev:2;)\n"
      + "alert tcp any any -> any any (content:\"late\"; sid:1; rev:2;)\n"
    var compiler = RuleCompiler(settings: RuleCompiler.Settings(), shared: SharedDetectionState())
    let count = compiler.add(cut(rules, 1))
    let result = compiler.finish()
    #expect(count == 4)
    #expect(result.ruleSet.infos.map(\.sid) == [1, 2])
    #expect(result.ruleSet.infos.map(\.rev) == [2, 0])
    #expect(result.diagnostics.map(\.description) == [
      "t.rules:4:1: error: sid 1 is already used at t.rules:3:1 (give it another sid, or a rev above 2 to replace that rule)"
    ])
  }
}
