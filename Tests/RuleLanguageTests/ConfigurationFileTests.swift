import Testing

@testable import RuleLanguage

@Suite("Files beside the rules")
struct ConfigurationFileTests {
  @Test func `classifications are read, the first of a name counts`() {
    let file = ClassificationFile.parse(
      bytes(
        """
        # comment
        config classification: Trojan-Activity,A Network Trojan, it seems, 1
          config  classification : misc, Misc activity ,3
        config classification: misc,Other,2
        config classification: bad,No priority
        config classification: bad,Priority,256
        config classification: ,x,1
        config reference: cve x
        """), fileName: "c")
    #expect(
      file.entries == [
        .init(name: "trojan-activity", description: "A Network Trojan, it seems", priority: 1),
        .init(name: "misc", description: "Misc activity", priority: 3),
      ])
    #expect(file.entry("TROJAN-activity")?.priority == 1)
    #expect(file.entry("none") == nil)
    #expect(file.diagnostics.map(\.line) == [4, 5, 6, 7, 8])
    #expect(file.diagnostics.map(\.severity) == [.warning, .error, .error, .error, .error])
    #expect(file.diagnostics.map(\.column) == [1, 28, 37, 24, 8])
  }

  @Test func `references are read`() {
    let file = ReferenceFile.parse(
      bytes("config reference: CVE   http://c/?name=\r\nconfig reference: url http://\nconfig reference: x\nconfig reference: y a b\nconfig reference: url z"),
      fileName: "r")
    #expect(file.prefix("cve") == "http://c/?name=")
    #expect(file.prefix("URL") == "http://")
    #expect(file.prefixes.count == 2)
    #expect(file.diagnostics.map(\.line) == [3, 4, 5])
  }

  @Test func `thresholds, rate filters and suppressions are read`() throws {
    let file = ThresholdFile.parse(
      bytes(
        """
        suppress gen_id 1, sig_id 2
        suppress gen_id 1, sig_id 3, track by_src, ip [10.0.0.0/8,!10.1.1.1]
        threshold gen_id 0, sig_id 0, type limit, track by_dst, count 5, \\
          seconds 60
        event_filter gen_id 1, sig_id 4, type backoff, track by_flow, count 1, multiplier 10
        rate_filter gen_id 1, sig_id 5, track by_rule, count 9, seconds 2, new_action drop, timeout 30
        """), fileName: "t")
    #expect(file.diagnostics == [])
    #expect(file.entries.map(\.sid) == [2, 3, 0, 4, 5])
    #expect(file.entries.map(\.gid) == [1, 1, 0, 1, 1])
    #expect(file.entries.map(\.location.line) == [1, 2, 3, 5, 6])
    try #require(file.entries.count == 5)
    #expect(file.entries[0].action == .suppress(nil, nil))
    #expect(file.entries[1].action == .suppress(.bySource, try AddressExpression("[10.0.0.0/8,!10.1.1.1]")))
    #expect(file.entries[2].action == .threshold(.limit, .byDestination, count: 5, seconds: 60, multiplier: 0))
    #expect(file.entries[3].action == .threshold(.backoff, .byFlow, count: 1, seconds: 0, multiplier: 10))
    #expect(file.entries[4].action == .rate(.byRule, count: 9, seconds: 2, newAction: .drop, timeoutSeconds: 30))
  }

  @Test(arguments: [
    ("supress gen_id 1, sig_id 2", 1, "unknown command 'supress'"),
    ("suppress", 9, "the value is empty"),
    ("suppress gen_id 1", 18, "'sig_id' is missing"),
    ("suppress gen_id 1, sig_id 2, ip 1.1.1.1", 40, "'track' is missing"),
    ("suppress gen_id 1, sig_id 2, track by_src", 42, "'track' needs 'ip'"),
    ("suppress gen_id 1, sig_id 2, track by_rule, ip 1.1.1.1", 36, "'by_rule' is not a track"),
    ("suppress gen_id 1, sig_id 2, track by_src, ip 1.1.1.", 47, "'1.1.1.' is not an address"),
    ("suppress gen_id 1, sig_id 2, sig_id 3", 30, "'sig_id' stands twice"),
    ("suppress gen_id 0, sig_id 2", 9, "gen_id 0 stands for every rule and needs sig_id 0"),
    ("suppress gen_id 1, sig_id", 20, "'sig_id' has no value"),
    ("suppress gen_id x, sig_id 2", 17, "a number is missing"),
    ("threshold gen_id 1, sig_id 2, type limits, track by_src, count 1, seconds 1", 36, "'limits' is not a type"),
    ("threshold gen_id 1, sig_id 2, type limit, track by_src, count 0, seconds 1", 63, "0 is not between 1 and 4294967295"),
    ("threshold gen_id 1, sig_id 2, type limit, track by_src, count 1", 64, "'seconds' is missing"),
    ("rate_filter gen_id 1, sig_id 2, track by_src, count 1, seconds 1, new_action drop", 82, "'timeout' is missing"),
    ("rate_filter gen_id 1, sig_id 2, kind x", 33, "'kind' is not known here"),
  ])
  func `threshold faults are told with their place`(line: String, column: Int, message: String) {
    let file = ThresholdFile.parse(bytes(line), fileName: "t")
    #expect(file.entries.isEmpty)
    #expect(file.diagnostics.map(\.message) == [message])
    #expect(file.diagnostics.map(\.column) == [column])
  }
}
