import Testing

@testable import RuleLanguage

@Suite("Rules that come twice")
struct RuleDuplicatesTests {
  private func file(_ name: String, _ options: String...) -> RuleFileSyntax {
    RuleFile.parse(
      options.map { "alert ip any any -> any any (\($0))" }.joined(separator: "\n"), fileName: name)
  }

  @Test func `a higher rev replaces in place, the same or a lower one is refused`() {
    let merged = RuleDuplicates.merge([
      file("a", "sid:1; rev:2;", "sid:2;", "sid:1; gid:9;"), file("b", "sid:1; rev:3;", "sid:1; rev:3;", "sid:2;"),
    ])
    #expect(merged.rules.map(\.sid) == [1, 2, 1])
    #expect(merged.rules.map(\.rev) == [3, 0, 0])
    #expect(merged.rules.map(\.gid) == [1, 1, 9])
    #expect(merged.diagnostics.map(\.line) == [2, 3])
    #expect(
      merged.diagnostics.first?.description
        == "b:2:1: error: sid 1 is already used at b:1:1 (give it another sid, or a rev above 3 to replace that rule)")
  }
}
