import Detection
import EventOutput
import Foundation
import RuleLanguage
import TestSupport
import Testing
import Traffic

@testable import Engine

@Suite struct SSHTests {
  private func evaluate(_ rules: String) throws -> [[String: Any]] {
    let folder = try TemporaryFolder()
    var writer = PcapWriter()
    var shell = TCPConversation(serverPort: 22)
    shell.handshake()
    shell.send(.toServer, "SSH-2.0-libssh_0.9 x\r\n")
    shell.send(.toClient, "SSH-2.0-OpenSSH_9.2\r\n")
    // SSH_MSG_KEXINIT with ten empty lists.
    let offer: [UInt8] = [0, 0, 0, 66, 4, 20] + [UInt8](repeating: 0, count: 64)
    shell.send(.toServer, offer)
    shell.send(.toClient, offer)
    shell.fin()
    shell.fin(from: .toClient)
    for packet in shell.packets { writer.add(packet) }
    var settings = try Settings.load(file: nil, flowSeed: 1)
    settings.prepareForCaptures(isInline: false)
    let shared = SharedDetectionState()
    let loaded = try RuleLoader.load(settings, paths: [folder.file("t.rules", Array(rules.utf8))], shared: shared)
    #expect(loaded.diagnostics.isEmpty)
    var summary = EvaluationSummary()
    let path = folder.path + "/eve.json"
    try Evaluation(settings: settings, ruleSet: loaded.ruleSet, names: shared.names)
      .run([folder.file("a.pcap", writer.bytes)], jobs: 1, to: path, into: &summary) { _, _ in }
    return String(decoding: TextFile.read(path) ?? [], as: UTF8.self).split(separator: "\n").compactMap {
      try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
    }
  }

  @Test(arguments: [
    ("ssh.proto", "2.0", "1."), ("ssh_proto", "2", "3"), ("ssh.software", "libssh", "PuTTY"), ("ssh_software", "OpenSSH", "x"),
    ("ssh.hassh.string", ";;;", "a"), ("ssh.hassh.server.string", ";;;", "a"),
    // MD5 of ";;;".
    ("ssh.hassh", "95420f9d932ddd22833f17b96a80bedb", "z"), ("ssh.hassh.server", "95420f9d932ddd22833f17b96a80bedb", "z"),
  ])
  func `a buffer of SSH matches what it holds`(name: String, content: String, other: String) throws {
    let records = try evaluate(
      """
      alert ssh any any -> any any (\(name); content:"\(content)"; sid:1;)
      alert ssh any any -> any any (\(name); content:"\(other)"; sid:2;)

      """)
    #expect(Set(records.compactMap { ($0["alert"] as? [String: Any])?["signature_id"] as? Int }) == [1])
  }

  @Test func `a connection is told once by both version lines`() throws {
    let records = try evaluate("alert ssh any any -> any any (ssh.proto; content:\"none\"; sid:1;)\n")
    let told = records.filter { $0["event_type"] as? String == "ssh" }
    #expect(told.count == 1)
    let sides = try #require(told.first?["ssh"] as? [String: [String: Any]])
    #expect(sides["client"]?["software_version"] as? String == "libssh_0.9")
    #expect(sides["server"]?["proto_version"] as? String == "2.0")
  }
}
