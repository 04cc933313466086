import Detection
import EventOutput
import Foundation
import Inspection
import RuleLanguage
import Testing
import TestSupport
import Traffic

@testable import Engine

@Suite struct RuleProfileTests {
  private static let rules = """
    alert http any any -> any any (msg:"dear"; flow:established,to_server; http.uri; content:"needle"; pcre:"/(?:a+)+(?:a+)+\\$/"; sid:1; rev:3;)
    alert http any any -> any any (msg:"cheap"; flow:established,to_server; http.uri; content:"needle"; sid:2;)
    alert http any any -> any any (msg:"other"; flow:established,to_server; http.uri; content:"nowhere"; sid:3;)

    """

  private func capture(_ count: Int) -> [UInt8] {
    var writer = PcapWriter()
    for index in 0..<count {
      var one = TCPConversation(clientPort: UInt16(20_000 + index), start: Timestamp(seconds: 1_700_000_000 + Int64(index)))
      one.handshake()
      one.send(.toServer, "GET /needle-\(String(repeating: "a", count: 80))! HTTP/1.1\r\nHost: a.example\r\n\r\n")
      one.send(.toClient, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
      for packet in one.packets { writer.add(packet) }
    }
    return writer.bytes
  }

  private func profile(_ count: Int = 40, top: Int = 20) throws -> RuleProfile {
    let folder = try TemporaryFolder()
    return try RuleProfile(
      settings: Settings.load(file: nil, flowSeed: 1), paths: [folder.file("t.rules", Array(Self.rules.utf8))],
      captures: [folder.file("a.pcap", capture(count))], count: top, period: 1)
  }

  @Test func `the dearest rule stands first, with its checks and matches, and one that was never tried not at all`() throws {
    let profile = try profile()
    // Which one took longer is the machine's to say: a pause of it may fall into either.
    #expect(Set(profile.rules.map(\.sid)) == [1, 2] && profile.rules[0].nanoseconds >= profile.rules[1].nanoseconds)
    let dear = try #require(profile.rules.first { $0.sid == 1 })
    let cheap = try #require(profile.rules.first { $0.sid == 2 })
    #expect(dear.checks >= 40 && dear.matches == 0 && dear.rev == 3)
    #expect(cheap.checks == 40 && cheap.matches == 40)
    #expect(dear.timed == dear.checks, "each trial is timed")
    #expect(profile.ruleCount == 2 && profile.packets > 40 * 5)
    #expect(try self.profile(5, top: 1).rules.count == 1)
  }

  @Test func `the table has Suricata's words, and the object the same figures`() throws {
    let profile = try profile()
    let lines = profile.text.split(separator: "\n")
    #expect(lines.count == 4)
    #expect(lines[1].split(separator: " ").prefix(4) == ["Num", "Rule", "Gid", "Rev"])
    #expect([2, 3].map { lines[$0].hasSuffix("  dear") ? 1 : lines[$0].hasSuffix("  cheap") ? 2 : 0 } == profile.rules.map { Int($0.sid) })
    let object = try #require(try JSONSerialization.jsonObject(with: Data(profile.json.utf8)) as? [String: Any])
    let rules = try #require(object["rules"] as? [[String: Any]])
    #expect(rules.map { $0["signature_id"] as? Int } == profile.rules.map { Int($0.sid) })
    let cheap = try #require(rules.first { $0["signature_id"] as? Int == 2 })
    #expect(cheap["checks"] as? Int == 40 && cheap["matches"] as? Int == 40)
    #expect(rules[0]["time_ns"] as? Int ?? 0 > 0 && object["rules_tried"] as? Int == 2)
  }

  @Test func `captures have no budget of time unless it is asked for, and then one job`() throws {
    let folder = try TemporaryFolder()
    let rules = try folder.file("t.rules", Array(Self.rules.utf8))
    let capture = try folder.file("a.pcap", capture(300))
    for isAsked in [false, true] {
      let wanted = ["action=quarantine", "percent=1", "window=1", "checks-min=64"].map { "detect.rule-budget.\($0)" }
      var settings = try Settings.load(file: nil, overrides: isAsked ? wanted : [], flowSeed: 1)
      settings.prepareForCaptures(isInline: false)
      #expect(settings.inspection.ruleBudget.action == (isAsked ? .quarantine : .off))
      let shared = SharedDetectionState()
      let loaded = try RuleLoader.load(settings, paths: [rules], shared: shared)
      var summary = EvaluationSummary()
      try Evaluation(settings: settings, ruleSet: loaded.ruleSet, names: shared.names)
        .run([capture], jobs: 2, to: folder.path + "/eve.json", into: &summary) { _, _ in }
      #expect(summary.warnings.count == (isAsked ? 1 : 0))
      #expect(summary.alerts == 300)
    }
  }
}
