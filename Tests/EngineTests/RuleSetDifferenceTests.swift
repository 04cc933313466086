import RuleLanguage
import Testing
import TestSupport
import Traffic

@testable import Engine

@Suite struct RuleSetDifferenceTests {
  private func difference(_ before: String, _ after: String) throws -> RuleSetDifference {
    let folder = try TemporaryFolder()
    var writer = PcapWriter()
    for (index, path) in ["/a", "/b", "/a"].enumerated() {
      var conversation = TCPConversation(clientPort: 40_000 + UInt16(index))
      conversation.handshake()
      conversation.send(.toServer, "GET \(path) HTTP/1.1\r\nHost: a.example\r\n\r\n")
      conversation.fin()
      for packet in conversation.packets { writer.add(packet) }
    }
    return try RuleSetDifference(
      settings: try Settings.load(file: nil, flowSeed: 1),
      before: folder.file("before.rules", Array(before.utf8)), after: folder.file("after.rules", Array(after.utf8)),
      captures: [folder.file("a.pcap", writer.bytes)])
  }

  private func rule(_ action: String, _ path: String, _ sid: Int, _ more: String = "") -> String {
    "\(action) http any any -> any any (msg:\"\(path)\"; http.uri; content:\"\(path)\"; \(more)sid:\(sid);)\n"
  }

  @Test func `the same rules give no difference`() throws {
    let found = try difference(rule("alert", "/a", 1), rule("alert", "/a", 1))
    #expect(found.isSame && found.before.alerts == 2 && found.after.alerts == 2)
    #expect(found.text.hasSuffix("no alert is new, lost or changed\n"))
  }

  @Test func `new and lost alerts are counted by rule`() throws {
    let found = try difference(rule("alert", "/a", 1), rule("alert", "/b", 2))
    #expect(found.lines.map(\.kind) == [.lost, .new])
    #expect(found.lines.map(\.sid) == [1, 2] && found.lines.map(\.count) == [2, 1])
  }

  @Test func `an action that changes is told, and the drops that it would mean`() throws {
    let found = try difference(rule("alert", "/a", 1), rule("drop", "/a", 1, "priority:1; "))
    #expect(found.lines.map(\.kind) == [.changed])
    #expect(found.lines.first?.what == "action alert → drop, priority 3 → 1")
    #expect(found.before.wouldBeDrops == 0 && found.after.wouldBeDrops == 2)
    #expect(found.json.contains(#""changed":[{"gid":1,"sid":1,"#))
  }

  @Test func `what a drop rule matches hides nothing that comes after it`() throws {
    let found = try difference(rule("alert", "/a", 1), rule("alert", "/a", 1) + rule("drop", "/a", 2))
    #expect(found.lines.map(\.kind) == [.new] && found.lines.first?.count == 2)
  }
}
