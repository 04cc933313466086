import Detection
import RuleLanguage
import Testing

@testable import Engine

@Suite struct RuleExplanationTests {
  private func explain(_ rule: String, beside rules: String = "") throws -> RuleExplanation {
    let folder = try TemporaryFolder()
    let paths = rules.isEmpty ? [] : [try folder.file("t.rules", Array(rules.utf8))]
    var explainer = try RuleExplainer(try Settings.load(file: nil, flowSeed: 1), paths: paths)
    return try #require(try explainer.explain(rule).first)
  }

  @Test func `buffers stand in order with transforms, steps and modifiers`() throws {
    let rule = try explain(
      #"""
      alert http any any -> any any (flow:to_server; http.method; content:"POST"; http.uri; to_lowercase; \#
      content:"/a"; startswith; content:!"b"; distance:2; pcre:"/c/R"; http.request_body; content:"d"; nocase; sid:1;)
      """#)
    #expect(rule.kind == .transaction)
    #expect(rule.directions == ["to server"])
    #expect(rule.buffers.map(\.name) == ["http.method", "http.uri", "http.request_body"])
    #expect(rule.buffers[1].transforms == ["to_lowercase"])
    #expect(
      rule.buffers[1].steps == [#"content:"/a"; startswith"#, #"content:!"b"; distance:2"#, #"pcre:"/c/R""#])
    #expect(rule.buffers[2].steps == [#"content:"d"; nocase"#] && rule.buffers[2].isStreaming)
  }

  @Test func `a modifier of old moves its content, and its own modifiers go with it`() throws {
    let rule = try explain(
      #"alert http any any -> any any (content:"abc"; nocase; http_uri; content:"x"; http_method; sid:1;)"#)
    #expect(rule.buffers.map(\.name) == ["http.uri", "http.method"])
    #expect(rule.buffers[0].steps == [#"content:"abc"; nocase; http_uri"#])
  }

  @Test func `the fast pattern that a rule asks for is named with its place`() throws {
    let rule = try explain(
      #"alert tcp any any -> any 80 (content:"a much longer one"; content:"abc"; offset:4; depth:10; fast_pattern; sid:1;)"#)
    let literal = try #require(rule.groups.first?.fastPattern)
    #expect(literal.bytes == Array("abc".utf8) && literal.isRequested)
    #expect(literal.endMin == 7 && literal.endMax == 14)
    #expect(rule.groups.first?.reason == "the rule asks for it (fast_pattern)")
    #expect(rule.groups.first?.lookup == "table of literals for server port 80")
    #expect(rule.otherLiterals.map(\.text) == [#"content:"a much longer one""#])
  }

  @Test func `without a wish the highest score is chosen`() throws {
    let rule = try explain(#"alert tcp any any -> any any (content:"ab"; content:"|f3 f4 f5 f6|"; sid:1;)"#)
    #expect(rule.groups.first?.fastPattern?.bytes == [0xf3, 0xf4, 0xf5, 0xf6])
    let other = try #require(rule.otherLiterals.first)
    let chosen = try #require(rule.groups.first?.fastPattern)
    #expect(other.score < chosen.score)
  }

  @Test func `a rule that is found by another literal in each direction tells both`() throws {
    let rule = try explain(#"alert tcp any any -> any 445 (content:"|ff|SMB"; offset:4; depth:4; content:"far behind"; distance:0; sid:1;)"#)
    #expect(rule.groups.map(\.traffic).map { $0.hasSuffix("to server") } == [true, false])
    #expect(rule.groups.map(\.lookup) == ["table of literals for server port 445", "table of literals for any port"])
    #expect(rule.groups.map(\.fastPattern?.bytes) == [Array("far behind".utf8), [0xff] + Array("SMB".utf8)])
    #expect(rule.groups.last?.reason == "it stands near the start, and is looked for there alone")
    #expect(rule.otherLiterals.isEmpty)
  }

  @Test func `a rule without a content has no fast pattern`() throws {
    let rule = try explain("alert tcp any any -> any any (flags:S; dsize:>5; sid:1;)")
    #expect(rule.kind == .packet && rule.conditions == ["flags:S", "dsize:>5"])
    #expect(rule.groups.first?.fastPattern == nil)
  }

  @Test(arguments: [
    ("alert ip 192.0.2.1 any -> any any (sid:1;)", RuleExplanation.Kind.addresses),
    (#"alert udp any any -> any any (content:"a"; sid:1;)"#, .payload),
    (#"alert tcp any any -> any any (content:"a"; sid:1;)"#, .stream),
    (#"alert tcp any any -> any any (content:"a"; depth:4; sid:1;)"#, .payloadAndStream),
    ("alert tcp any any -> any any (app-layer-protocol:http; sid:1;)", .protocolFound),
    ("alert pkthdr any any -> any any (decode-event:ipv4.trunc_pkt; sid:1;)", .event),
    (#"alert dns any any -> any any (dns.query; content:"a"; sid:1;)"#, .transaction),
  ])
  func `the kind says when a rule is tried`(rule: String, kind: RuleExplanation.Kind) throws {
    #expect(try explain(rule).kind == kind)
  }

  @Test func `variables are told with the rules that set and read them`() throws {
    let rules = """
      alert tcp any any -> any any (content:"a"; flowbits:set,seen; flowbits:noalert; sid:1;)
      alert tcp any any -> any any (content:"b"; flowbits:isset,seen; flowbits:set,twice; sid:2;)

      """
    let rule = try explain("2", beside: rules)
    #expect(rule.reads == ["flowbits isset seen, set by 1"])
    #expect(rule.writes == ["flowbits set twice, read by no other rule"])
    #expect(try explain("1:1", beside: rules).isSilent)
  }

  @Test func `action, threshold and hook are told`() throws {
    let rule = try explain(
      #"drop http1:request_headers any any -> any any (http.host; content:"a"; threshold:type limit, track by_src, count 1, seconds 60; sid:1;)"#)
    #expect(rule.hook == "request_headers")
    #expect(rule.transactionConditions == ["http1:request_headers"])
    #expect(rule.threshold == "threshold type limit, track by_src, count 1, seconds 60")
    #expect(rule.effect.hasPrefix("inline, the packet that completes the match and the rest of its flow is dropped"))
    #expect(rule.printed.contains("  hook        http1:request_headers\n"))
    #expect(rule.json.contains(#""hook":"request_headers""#))
  }

  @Test func `a rule that is refused says where`() throws {
    var explainer = try RuleExplainer(try Settings.load(file: nil, flowSeed: 1))
    let error = try #require(throws: RuleDiagnostic.self) {
      try explainer.explain(#"alert tcp any any -> any any (contnt:"a"; sid:1;)"#)
    }
    #expect(error.column == 31 && error.hint == "did you mean content?")
  }

  @Test func `a number that no rule has is told`() throws {
    var explainer = try RuleExplainer(try Settings.load(file: nil, flowSeed: 1))
    let error = try #require(throws: RuleDiagnostic.self) { try explainer.explain("4711") }
    #expect(error.message == "no rule among 0 has sid 4711")
  }
}
