import Detection
import EventOutput
import RuleLanguage
import Testing
import TestSupport
import Traffic

@testable import Engine

@Suite struct RuleTraceTests {
  private static let request = "POST /view?id=7 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\nBODY"

  private func trace(_ rule: String, beside others: String = "", alerts: Int? = nil) throws -> RuleTracer {
    let folder = try TemporaryFolder()
    var conversation = TCPConversation(serverPort: 80)
    conversation.handshake()
    conversation.send(.toServer, Self.request)
    conversation.send(.toClient, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    conversation.fin()
    conversation.fin(from: .toClient)
    var writer = PcapWriter()
    for packet in conversation.packets { writer.add(packet) }
    let capture = try folder.file("a.pcap", writer.bytes)
    let rules = [try folder.file("t.rules", Array((rule + "\n" + others + "\n").utf8))]
    var settings = try Settings.load(file: nil, flowSeed: 1)
    settings.prepareForCaptures(isInline: false)
    let shared = SharedDetectionState()
    let loaded = try RuleLoader.load(settings, paths: rules, shared: shared)
    var explainer = try RuleExplainer(settings, paths: rules)
    let explanation = try #require(explainer.explain("1").first)
    let tracer = try #require(RuleTracer(explanation, in: loaded.ruleSet))
    settings.inspection.tracer = tracer
    var summary = EvaluationSummary()
    try Evaluation(settings: settings, ruleSet: loaded.ruleSet, names: shared.names)
      .run([capture], jobs: 1, to: folder.path + "/eve.json", into: &summary) { _, _ in }
    if let alerts { #expect(Int(summary.alerts) == alerts) }
    return tracer
  }

  @Test func `a match is told with the steps that held`() throws {
    let tracer = try trace(
      #"alert http any any -> any any (http.method; content:"POST"; http.uri; content:"/view"; startswith; sid:1;)"#,
      alerts: 1)
    let entry = try #require(tracer.report.entries.first)
    #expect(entry.scope == .transaction(0) && entry.direction == .toServer)
    #expect(entry.result.isMatch)
    #expect(entry.result.held == [#"http.method: content:"POST""#, #"http.uri: content:"/view"; startswith"#])
  }

  @Test(arguments: [
    (#"http.uri; content:"/nowhere""#, "http.uri", "stands nowhere in the 10 octets", 0),
    (#"http.uri; content:"ID=7""#, "http.uri", "stands nowhere in the 10 octets; in other case at offset 6", 0),
    (#"http.uri; content:"view"; startswith"#, "http.uri", "stands at offset 1, but must lie in 0…4", 0),
    (#"http.uri; content:"/view"; endswith"#, "http.uri", "stands at offset 0, not at the end of the 10 octets", 0),
    (#"http.uri; content:"view"; content:"id"; within:2"#, "http.uri",
     "stands at offset 6, but must lie in 5…7 (the match before ends at 5)", 5),
    (#"http.uri; content:!"id""#, "http.uri", "it stands at offset 6, and must not", 0),
    (#"http.uri; bsize:4"#, "http.uri", "the buffer has 10 octets", 0),
    (#"http.uri; content:"id="; pcre:"/^[a-z]/R""#, "http.uri", "does not match behind offset 9 of the 10 octets", 9),
    (#"http.cookie; content:"a""#, "http.cookie", "the transaction has no http.cookie, or not yet", nil),
  ] as [(String, String, String, Int?)])
  func `the step that fails is told with its buffer, reason and offset`(
    options: String, buffer: String, reason: String, offset: Int?
  ) throws {
    let tracer = try trace("alert http any any -> any any (flow:to_server; \(options); sid:1;)", alerts: 0)
    let entry = try #require(tracer.report.entries.first { $0.scope == .transaction(0) })
    let failure = try #require(entry.result.failure)
    #expect(failure.buffer == buffer)
    #expect(failure.reason == reason)
    #expect(failure.offset == offset)
  }

  @Test func `a condition that does not hold is told before any buffer`() throws {
    let tracer = try trace(#"alert tcp any any -> any any (flow:to_server; flowbits:isset,a; content:"POST"; sid:1;)"#)
    let failure = try #require(tracer.report.entries.first?.result.failure)
    #expect(failure.step == "flowbits:isset,a" && failure.buffer == nil)
  }

  @Test func `what another rule sets is seen`() throws {
    let tracer = try trace(
      #"alert http any any -> any any (flow:to_server; flowbits:isset,a; http.uri; content:"/view"; sid:1;)"#,
      beside: #"alert http any any -> any any (flow:to_server; http.method; content:"POST"; flowbits:set,a; sid:2;)"#)
    #expect(tracer.report.entries.contains { $0.result.isMatch })
  }

  @Test(arguments: [
    (#"alert tcp any any -> any 81 (content:"POST"; sid:1;)"#, "destination port 80 is not in 81"),
    (#"alert udp any any -> any any (content:"POST"; sid:1;)"#, "its protocol is not udp"),
    (#"alert dns any any -> any any (dns.query; content:"a"; sid:1;)"#, "its application protocol is http, not dns or doh2"),
  ])
  func `a flow whose header does not fit is told apart`(rule: String, reason: String) throws {
    let report = try trace(rule).report
    #expect(report.entries.isEmpty)
    #expect(report.misses.map(\.reason) == [reason])
  }

  @Test func `watching a rule changes no alert and puts nothing into a set`() throws {
    let rule = #"alert http any any -> any any (flow:to_server; http.host; dataset:isnotset,hosts,type string; sid:1;)"#
    _ = try trace(
      rule, beside: #"alert http any any -> any any (flow:to_server; http.host; dataset:set,hosts,type string; sid:2;)"#,
      alerts: 2)
  }

  @Test func `the report is readable and has a line of JSON for each entry`() throws {
    let tracer = try trace(#"alert http any any -> any any (flow:to_server; http.uri; content:"/nowhere"; sid:1;)"#)
    let text = TraceReport.text(tracer)
    #expect(text.contains("transaction 0 to server"))
    #expect(text.contains("    fails  http.uri: content:\"/nowhere\"\n"))
    #expect(text.contains(#"it begins "/view?id=7""#))
    let lines = TraceReport.jsonLines(tracer).split(separator: "\n")
    #expect(lines.count == tracer.report.entries.count + tracer.report.misses.count)
    #expect(lines[0].contains(#""failed":{"buffer":"http.uri","step":"content:\"/nowhere\"","reason":"#))
  }
}
