import RuleLanguage
import Testing
import Traffic

@testable import Detection

@Suite struct PayloadExpressionTests {
  @Test(arguments: [
    (#"pcre:"/ab+c/";"#, "xabbbc", "xac"), (#"pcre:"/abc/i";"#, "ABC", "AB"), (#"pcre:!"/abc/";"#, "ab", "abc"),
    (#"pcre:"/^b/m";"#, "a\nb", "ab"), (#"pcre:"/a.b/s";"#, "a\nb", "ab"), (#"pcre:"/a b/x";"#, "ab", "a b"),
    (#"pcre:"/b/A";"#, "ba", "ab"), (#"pcre:"/a$/E";"#, "a", "a\n"), (#"pcre:"/a$/";"#, "a\n", "ab"),
    (#"pcre:"/a.+b(?<=ab)/G";"#, "axab", "axb"),
    (#"content:"a"; pcre:"/^b/R";"#, "xab", "axb"), (#"content:"a"; pcre:!"/^b/R";"#, "axb", "ab"),
    (#"content:"a"; pcre:"/^b/R";"#, "axab", "axa"), (#"pcre:"/a/"; content:"b"; within:1;"#, "axab", "axxb"),
    (#"pcre:"/a/"; pcre:"/^b/R";"#, "axab", "axxb"), (#"pcre:"/a+/"; content:"b"; distance:0; within:1;"#, "aab", "aaxb"),
  ])
  func expressionsHoldOrNot(options: String, holds: String, fails: String) throws {
    #expect(try matches(options, holds), "\(options) on \(holds)")
    #expect(try !matches(options, fails), "\(options) on \(fails)")
  }

  @Test(arguments: [
    #"pcre:"abc";"#, #"pcre:"/abc";"#, #"pcre:"/a(b/";"#, #"pcre:"/abc/q";"#, #"pcre:"//";"#,
    #"pcre:"/abc/,flow:x";"#, #"pcre:"/(?P<flow_x>a)/,flow:x";"#,
  ])
  func badExpressionsAreRefused(options: String) {
    #expect(throws: (any Error).self) { try program(options) }
  }

  @Test(arguments: [
    #"pcre:"/user=(\w+) pass=(\w+)/,flow:user,pkt:pass";"#,
    #"pcre:"/user=(?P<flow_user>\w+) pass=(?P<pkt_pass>\w+)/";"#,
  ])
  func groupsAreCapturedByEitherSpelling(options: String) throws {
    let result = run(try program(options), Array("user=bob pass=secret".utf8))
    #expect(result.isMatch)
    #expect(result.captures.map(\.name) == ["user", "pass"])
    #expect(result.captures.map(\.scope) == [.flow, .packet])
    #expect(result.captures.map { String(decoding: $0.bytes, as: UTF8.self) } == ["bob", "secret"])
  }

  @Test func capturesOfPlacesTriedInVainAreForgotten() throws {
    let rule = try program(#"pcre:"/n=(\d)/,flow:n"; content:"!"; distance:0; within:1;"#)
    let hit = run(rule, Array("n=1 n=2!".utf8))
    #expect(hit.captures.map(\.bytes) == [Array("2".utf8)])
    #expect(run(rule, Array("n=1 n=2".utf8)).captures.isEmpty)
  }

  @Test func namedGroupsOfOtherNamesCaptureNothing() throws {
    #expect(run(try program(#"pcre:"/(?P<word>a)/";"#), Array("a".utf8)).captures.isEmpty)
  }

  @Test func aMatchAtTheEndWithoutOctetsEndsTheSearch() throws {
    #expect(try !matches(#"pcre:"/x*/"; content:"b"; distance:0;"#, "aaa"))
  }

  // MARK: Base64

  @Test(arguments: [
    (#"base64_decode; base64_data; content:"hello";"#, "aGVsbG8=", "aGVsbA=="),
    (#"base64_decode:bytes 8; base64_data; content:"hello"; endswith;"#, "aGVsbG8=AAAA", "aGVsbG8hAAAA"),
    (#"base64_decode:offset 2; base64_data; content:"hello"; startswith;"#, "xxaGVsbG8=", "aGVsbG8="),
    (#"content:"b64:"; base64_decode:bytes 8, offset 0, relative; base64_data; content:"hello";"#, "b64:aGVsbG8=", "aGVsbG8=b64:"),
    // What fails at one place is tried at the next.
    (#"content:"="; base64_decode:relative; base64_data; content:"hello";"#, "a=AAAA b=aGVsbG8", "a=AAAA b=AAAA"),
    (#"base64_decode; base64_data; content:"h"; content:"l"; distance:1; within:1;"#, "aGVsbG8=", "aGxlbG8="),
    (#"base64_decode; base64_data; pcre:"/^he/";"#, "aGVsbG8=", "eGVsbG8="),
    ("base64_decode;", "aGVs", "!!!!"),
  ])
  func base64IsLookedInto(options: String, holds: String, fails: String) throws {
    #expect(try matches(options, holds), "\(options) on \(holds)")
    #expect(try !matches(options, fails), "\(options) on \(fails)")
    #expect(try !matches(options, ""))
  }

  @Test(arguments: [
    #"base64_data; content:"a";"#, "base64_decode:bytes x;", "base64_decode:sideways;", "base64_decode:bytes -1;",
  ])
  func badBase64IsRefused(options: String) {
    #expect(throws: (any Error).self) { try program(options) }
  }

  @Test func whatCanBeDecodedCounts() {
    func decode(_ text: String, skippingBlanks: Bool = false) -> String {
      var out: [UInt8] = []
      Base64.decode(Array(text.utf8).rawSpan, skippingBlanks: skippingBlanks, into: &out)
      return String(decoding: out, as: UTF8.self)
    }
    #expect(decode("aGVsbG8gd29ybGQ=") == "hello world")
    #expect(decode("aGVsbG8gd29ybGQ") == "hello world")
    #expect(decode("aGVs bG8=") == "hel")
    #expect(decode("aGVs\r\nbG8=", skippingBlanks: true) == "hello")
    #expect(decode("aGVs=bG8=", skippingBlanks: true) == "hel")
    #expect(decode("a") == "")
    #expect(decode("") == "")
  }
}
