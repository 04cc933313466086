import Detection
import EventOutput
import RuleLanguage
import Testing
import TestSupport
import Traffic

@testable import Engine

@Suite struct EvaluationTests {
  private static let rules = """
    drop http any any -> any any (msg:"dropped"; flow:established,to_server; http.uri; content:"/attack"; sid:1;)
    alert http any any -> any any (msg:"seen"; flow:established,to_server; http.uri; content:"/page"; sid:2;)

    """

  /// A request for each path, each on a connection of its own.
  private func capture(_ paths: [String], from port: UInt16 = 40_000) -> PcapWriter {
    var writer = PcapWriter()
    for (index, path) in paths.enumerated() {
      var conversation = TCPConversation(
        clientPort: port + UInt16(index), start: Timestamp(seconds: 1_700_000_000 + Int64(index)))
      conversation.handshake()
      conversation.send(.toServer, "GET \(path) HTTP/1.1\r\nHost: a.example\r\n\r\n")
      conversation.send(.toClient, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
      conversation.fin()
      conversation.fin(from: .toClient)
      for packet in conversation.packets { writer.add(packet) }
    }
    return writer
  }

  private func evaluate(
    _ captures: [String], in folder: TemporaryFolder, jobs: Int = 1, isInline: Bool = false
  ) throws -> (summary: EvaluationSummary, records: String) {
    var settings = try Settings.load(file: nil, flowSeed: 1)
    settings.prepareForCaptures(isInline: isInline)
    let shared = SharedDetectionState()
    let rules = try RuleLoader.load(
      settings, paths: [folder.file("t.rules", Array(Self.rules.utf8))], shared: shared)
    var summary = EvaluationSummary()
    let path = folder.path + "/eve.json"
    try Evaluation(settings: settings, ruleSet: rules.ruleSet, names: shared.names)
      .run(captures, jobs: jobs, to: path, into: &summary) { _, _ in }
    return (summary, String(decoding: TextFile.read(path) ?? [], as: UTF8.self))
  }

  private func count(_ part: String, in records: String) -> Int {
    records.split(separator: "\n").count { $0.contains(part) }
  }

  @Test func `a summary counts what the records tell`() throws {
    let folder = try TemporaryFolder()
    let writer = capture(["/page", "/attack", "/page"])
    let (summary, records) = try evaluate([folder.file("a.pcap", writer.bytes)], in: folder)
    #expect(summary.flows == 3 && count(#""event_type":"flow""#, in: records) == 3)
    #expect(summary.alerts == 3 && count(#""event_type":"alert""#, in: records) == 3)
    #expect(summary.drops == 0 && count(#""action":"blocked""#, in: records) == 0)
    #expect(summary.packets > 20 && summary.bytes > summary.packets * 40)
    #expect(summary.warnings.isEmpty)
    let last = try #require(records.split(separator: "\n").last)
    #expect(last.contains(#""event_type":"stats""#))
    #expect(last.contains(#""pkts":\#(summary.packets)"#) && last.contains(#""uptime":2"#))
  }

  @Test func `inline, a drop reaches the rest of its flow and no other`() throws {
    let folder = try TemporaryFolder()
    let (summary, records) = try evaluate(
      [folder.file("a.pcap", capture(["/page", "/attack", "/page"]).bytes)], in: folder, isInline: true)
    #expect(summary.drops > 1)
    #expect(count(#""event_type":"alert""#, in: records) == 3)
    #expect(count(#""action":"blocked","gid":1,"signature_id":1"#, in: records) == 2, "the alert and the drop record")
    #expect(count(#""event_type":"http""#, in: records) >= 2)
  }

  @Test(arguments: [1, 2, 3, 8])
  func `records stand in the order of the captures, however many are evaluated at once`(jobs: Int) throws {
    let folder = try TemporaryFolder()
    let captures = try (0..<5).map { index in
      try folder.file("\(index).pcap", capture(["/page/\(index)", "/attack"], from: UInt16(1000 * (index + 1))).bytes)
    }
    let alone = try evaluate(captures, in: folder)
    let together = try evaluate(captures, in: folder, jobs: jobs)
    #expect(together.records == alone.records)
    #expect(together.summary.alerts == 10 && together.summary.flows == 10)
    let folderNow = TextFile.read(folder.path + "/eve.json.part0")
    #expect(folderNow == nil, "the parts are gone")
  }

  @Test func `a capture that is not there is an error that names it, with others at once too`() throws {
    let folder = try TemporaryFolder()
    let good = try folder.file("a.pcap", capture(["/page"]).bytes)
    for jobs in [1, 2] {
      let message = try #require(
        refusal { _ = try evaluate([good, folder.path + "/none.pcap"], in: folder, jobs: jobs) })
      #expect(message.contains("none.pcap"))
    }
  }

  @Test func `a capture cut short is evaluated as far as it goes, with a warning that names it`() throws {
    let folder = try TemporaryFolder()
    let whole = capture(["/page", "/attack"]).bytes
    let (summary, records) = try evaluate([folder.file("cut.pcap", Array(whole.dropLast(5)))], in: folder)
    #expect(summary.warnings.count == 1)
    #expect(summary.warnings.first?.contains("cut.pcap") == true)
    #expect(count(#""event_type":"alert""#, in: records) == 2)
  }

  @Test func `a rule that is refused is told of once and the others are loaded`() throws {
    let folder = try TemporaryFolder()
    let text = Self.rules + "alert tcp any any -> any any (content:\"x; sid:3;)\n" + Self.rules
    let rules = try RuleLoader.load(
      Settings.load(file: nil, flowSeed: 1), paths: [folder.file("b.rules", Array(text.utf8))],
      shared: SharedDetectionState())
    let errors = rules.diagnostics.filter { $0.severity == .error }
    #expect(rules.loaded == 2)
    #expect(rules.total == 5)
    #expect(errors.count == 3, "one without an end, two that stand twice")
    #expect(errors.first?.location.line == 3)
  }
}
