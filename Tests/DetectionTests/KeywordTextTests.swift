import RuleLanguage
import Testing

@testable import Detection

@Suite struct KeywordTextTests {
  private func word(_ value: String) throws -> String? {
    let rule = try RuleFile.parseRule("alert tcp any any -> any any (target:\(value); sid:1;)")
    return try rule.options.first { $0.name == "target" }?.word()
  }

  @Test(arguments: [
    ("src_ip", "src_ip"), ("  src_ip\t", "src_ip"), ("\"src_ip\"", "src_ip"), (" \" src_ip \" ", " src_ip "),
    ("src\u{e9}", "src\u{e9}"), ("\u{a0}src_ip\u{a0}", "src_ip"), ("a\"", "a\""), ("\u{2003}\"x\"", "x"),
  ]) func aWordHasNeitherBlanksNorQuotesAround(value: String, word: String) throws {
    #expect(try self.word(value) == word)
  }

  @Test func aWordMustBeThere() {
    #expect(throws: RuleValueError.self) { try self.word("") }
  }

  @Test(arguments: [
    ("", ""), (" \t\r\n", ""), ("a", "a"), (" a b ", "a b"), ("\u{a0}a\u{a0}", "a"), (" \u{301}a", "a"),
    ("\u{e9}", "\u{e9}"), (" \u{e9} ", "\u{e9}"),
  ]) func textIsTrimmedOfBlanksOfAllKinds(text: String, trimmed: String) {
    #expect(text.trimmed == trimmed)
  }

  @Test func theMessageIsReadFromTheTextOfTheRule() {
    let bench = Bench(
      """
      alert tcp any any -> any any (msg:"says \\"this\\; and that\\"";  content:"a"; sid:1;)
      alert tcp any any -> any any (content:"a"; sid:2;)
      """)
    #expect(bench.result.ruleSet.info(0)?.message == "says \"this; and that\"")
    #expect(bench.result.ruleSet.info(1)?.message == "")
    #expect(bench.result.ruleSet.info(1)?.location.line == 2)
  }
}
