import RuleLanguage
import Testing

@testable import Engine

@Suite struct RuleExcerptTests {
  private func excerpt(_ text: String) throws -> String {
    let folder = try TemporaryFolder()
    let path = try folder.file("t.rules", Array(text.utf8))
    let loaded = try RuleLoader.load(try Settings.load(file: nil, flowSeed: 1), paths: [path], shared: .init())
    var excerpt = RuleExcerpt()
    return excerpt.text(try #require(loaded.diagnostics.first))
  }

  @Test func `the caret stands below the column`() throws {
    #expect(
      try excerpt("# one\nalert tcp any any -> any any (contnt:\"a\"; sid:1;)\n") == """
         2 | alert tcp any any -> any any (contnt:"a"; sid:1;)
           |                               ^

        """)
  }

  @Test func `a long line is shown around the column`() throws {
    let text = try excerpt(
      "alert tcp any any -> any any (msg:\"\(String(repeating: "a", count: 300))\"; contnt:\"a\"; sid:1;)\n")
    let lines = text.split(separator: "\n").map(Array.init)
    #expect(lines.count == 2 && lines[0].count < 120 && lines[0].contains("…"))
    let caret = try #require(lines[1].firstIndex(of: "^"))
    #expect(String(lines[0][caret...]).hasPrefix("contnt"))
  }

  @Test func `octets that are no ASCII take one place each`() throws {
    let text = try excerpt("alert tcp any any -> any any (msg:\"äöü\"; contnt:\"a\"; sid:1;)\n")
    let lines = text.split(separator: "\n").map(Array.init)
    let caret = try #require(lines[1].firstIndex(of: "^"))
    #expect(String(lines[0][caret...]).hasPrefix("contnt"))
  }
}
