import Detection
import EventOutput
import Foundation
import RuleLanguage
import TestSupport
import Testing
import Traffic

@testable import Engine

/// Rules and records on mail, through the whole of an evaluation.
@Suite struct MailTests {
  private func evaluate(_ rules: String, settings text: [String] = []) throws -> [[String: Any]] {
    let folder = try TemporaryFolder()
    _ = try folder.file("list", Array("5d41402abc4b2a76b9719d911017c592\n".utf8))
    var writer = PcapWriter()
    var mail = TCPConversation(serverPort: 25)
    mail.handshake()
    mail.send(.toClient, "220 mail.example ESMTP\r\n")
    for (command, reply) in [
      ("EHLO me.example", "250 ok"), ("MAIL FROM:<a@example.org>", "250 ok"), ("RCPT TO:<b@example.org>", "250 ok"),
      ("DATA", "354 go"),
      (
        "From: A <a@example.org>\r\nTo: b@example.org\r\nCc: c@example.org\r\nDate: Fri, 1 Jan\r\nMessage-ID: <1@x>\r\n"
          + "X-Mailer: M 1\r\nSubject: hi\r\nReceived: by r\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
          + "--b\r\n\r\nsee http://u.example/x\r\n--b\r\nContent-Disposition: attachment; filename=f.txt\r\n\r\nhello\r\n"
          + "--b--\r\n.", "250 taken"
      ), ("QUIT", "221 bye"),
    ] {
      mail.send(.toServer, command + "\r\n")
      mail.send(.toClient, reply + "\r\n")
    }
    mail.fin()
    mail.fin(from: .toClient)
    for packet in mail.packets { writer.add(packet) }
    var settings = try Settings.load(file: nil, overrides: text, flowSeed: 1)
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

  private func sids(_ records: [[String: Any]]) -> Set<Int> {
    Set(records.compactMap { ($0["alert"] as? [String: Any])?["signature_id"] as? Int })
  }

  @Test(arguments: [
    ("smtp.helo", "me.example", "you"), ("smtp.mail_from", "<a@example.org>", "b@"),
    ("smtp.rcpt_to", "<b@example.org>", "a@"), ("email.from", "A <a@", "B <"), ("email.to", "b@example.org", "c@"),
    ("email.cc", "c@example.org", "b@"), ("email.date", "1 Jan", "2 Jan"), ("email.message_id", "<1@x>", "<2@x>"),
    ("email.x_mailer", "M 1", "M 2"), ("email.subject", "hi", "ho"), ("email.received", "by r", "by s"),
    ("email.url", "u.example/x", "v.example"), ("file.name", "f.txt", "g.txt"), ("file.data", "hello", "world"),
  ])
  func `a buffer of mail matches what it holds`(name: String, content: String, other: String) throws {
    let records = try evaluate(
      """
      alert smtp any any -> any any (\(name); content:"\(content)"; sid:1;)
      alert smtp any any -> any any (\(name); content:"\(other)"; sid:2;)

      """)
    #expect(sids(records) == [1])
  }

  @Test func `files in mail match by digest and size, events and headers too`() throws {
    let records = try evaluate(
      """
      alert smtp any any -> any any (filemd5:list; filesize:5; sid:1;)
      alert smtp any any -> any any (filesize:6; sid:2;)
      alert smtp any any -> any any (app-layer-event:smtp.duplicate_fields; sid:3;)
      alert smtp any any -> any any (flow:to_server; file.data; content:"hello"; bsize:5; sid:4;)
      alert tcp any any -> any 25 (content:"MAIL FROM"; sid:5;)

      """)
    #expect(sids(records) == [1, 4, 5])
  }

  @Test func `a mail is told once, its file with it`() throws {
    let records = try evaluate(
      "alert smtp any any -> any any (smtp.helo; content:\"none\"; sid:1;)\n",
      settings: [
        "outputs.0.eve-log.types.0.smtp.custom.0=x-mailer", "outputs.0.eve-log.types.0.smtp.custom.1=received",
        "outputs.0.eve-log.types.0.smtp.md5.0=body", "outputs.0.eve-log.types.1=files",
        "app-layer.protocols.smtp.mime.body-md5=yes",
      ])
    let told = records.filter { $0["event_type"] as? String == "smtp" }
    #expect(told.count == 1)
    let smtp = try #require(told.first?["smtp"] as? [String: Any])
    #expect(smtp["helo"] as? String == "me.example")
    #expect(smtp["rcpt_to"] as? [String] == ["<b@example.org>"])
    let email = try #require(told.first?["email"] as? [String: Any])
    #expect(email["status"] as? String == "PARSE_DONE")
    #expect(email["to"] as? [String] == ["b@example.org"])
    #expect(email["attachment"] as? [String] == ["f.txt"])
    #expect(email["url"] as? [String] == ["u.example/x"])
    #expect(email["x_mailer"] as? String == "M 1")
    #expect(email["received"] as? [String] == ["by r"])
    #expect((email["body_md5"] as? String)?.count == 32)
    let file = try #require(records.first { $0["event_type"] as? String == "fileinfo" })
    #expect((file["fileinfo"] as? [String: Any])?["size"] as? Int == 5)
    #expect(file["app_proto"] as? String == "smtp")
    #expect((file["email"] as? [String: Any])?["x_mailer"] == nil)
  }
}
