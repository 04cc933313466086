import TestSupport
import Testing
import Traffic

@testable import AppLayer

private func mails(_ conversation: [Sent], _ settings: SMTPSettings = SMTPSettings()) -> [SMTPTransaction] {
  let parser = SMTPParser(settings: settings)
  feed(parser, conversation)
  return parser.transactions.compactMap { $0 as? SMTPTransaction }
}

private func words(_ bytes: [UInt8]?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

extension SMTPTransaction {
  fileprivate func has(_ event: SMTPEvent) -> Bool { events.contains(event.appEvent) }
  fileprivate func has(_ event: MIMEEvent) -> Bool { events.contains(AppEvent(.smtp, event.rawValue)) }

  /// All that there is to be seen of it.
  fileprivate var snapshot: String {
    let files = filesToServer.map { file in
      "\(file.name) \(file.sizeBytes) \(file.state) \(file.hasGap) \(file.content?.bytes ?? [])"
    }
    return """
      \(id) \(isComplete) \(words(helo) ?? "-") \(words(mailFrom) ?? "-") \(recipients.map { words($0) ?? "" }) \
      \(events.map(\.name)) \(email.map { "\($0)" } ?? "-") \(files)
      """
  }
}

enum MailCorpus {
  static let open: [Sent] = [
    .server("220 mail.example ESMTP\n"), .client("EHLO me.example\n"), .server("250-mail.example\n250 SIZE 1000\n"),
    .client("MAIL FROM:<a@example.org> SIZE=10\n"), .server("250 ok\n"), .client("RCPT TO:<b@example.org>\n"),
    .server("250 ok\n"), .client("rcpt to: <c@example.org>\n"), .server("250 ok\n"),
  ]
  static let close: [Sent] = [.server("250 taken\n"), .client("QUIT\n"), .server("221 bye\n")]

  static func sending(_ content: String) -> [Sent] {
    open + [.client("DATA\n"), .server("354 go\n"), .client(content), .client("\n.\n")] + close
  }

  static let mixed = """
    From: "A, B" <a@example.org>
    To: b@example.org, "D, E" <d@example.org>
    Subject: two
     lines
    Received: first
    Received: second
    Content-Type: multipart/mixed; boundary="=x"

    preamble http://preamble.example/
    --=x
    Content-Type: text/html

    <a href="http://one.example/a">x</a> <a href='HTTP://two.example'>y</a> ftp://no.example
    --=x
    Content-Type: application/octet-stream; name=other.bin
    Content-Disposition: attachment; filename="a b.txt"
    Content-Transfer-Encoding: base64

    aGVs
    bG8=
    --=x
    Content-Type: text/plain; name*0*=utf-8''q%70; name*1=.txt
    Content-Transfer-Encoding: quoted-printable

    a=3Db=
    c  \t
    ..d
    --=x--
    epilogue http://epilogue.example/
    """

  static let nested = """
    Content-Type: message/rfc822
    Content-Disposition: attachment; filename="outer.eml"
    Content-Transfer-Encoding: base64

    Subject: inner
    Content-Type: application/octet-stream
    Content-Disposition: attachment; filename="inner.exe"

    MZ
    """

  static let chunked: [Sent] = open + [
    .client("BDAT 10\nSubject: aBDAT 23 LAST\nn=x\n\nhttp://u.example"), .server("250 ok\n250 ok\n"),
    .client("MAIL FROM:<z@example.org>\n"), .server("250 ok\n"),
  ]

  static let pipelined: [Sent] = [
    .server("220 a\n"), .client("EHLO b\n"), .server("250-a\n250 PIPELINING\n"),
    .client("MAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\nSubject: s\n\n.\nRSET\nMAIL FROM:<e@f>\n"),
    .server("250 1\n250 2\n354 3\n250 4\n250 5\n250 6\n"),
  ]

  static let all: [[Sent]] = [
    sending(mixed), sending(nested), chunked, pipelined,
    open + [.client("STARTTLS\n"), .server("220 go\n"), .client([22, 3, 1, 0, 1, 0])],
    open + [.client("DATA\n"), .server("503 no\n"), .client("EHLO again\n"), .server("250 ok\n"), .client("NOOP\n")],
  ]
}

@Suite struct SMTPParserTests {
  @Test func `a mail is told with its envelope and its head`() throws {
    let mail = try #require(mails(MailCorpus.sending(MailCorpus.mixed)).first)
    #expect(mail.isComplete && mail.events == [])
    #expect(words(mail.helo) == "me.example")
    #expect(words(mail.mailFrom) == "<a@example.org>")
    #expect(mail.recipients.map { words($0) } == ["<b@example.org>", "<c@example.org>"])
    let email = try #require(mail.email)
    #expect(email.status == .done)
    #expect(words(email.value("from")) == "\"A, B\" <a@example.org>")
    #expect(words(email.value("subject")) == "twolines")
    #expect(email.values("received").map { words($0) } == ["first", "second"])
    #expect(
      MIMEMessage.addresses(try #require(email.value("to"))).map { words($0) } == [
        "b@example.org", "\"D, E\" <d@example.org>",
      ])
    #expect(email.urls.map { words($0) } == ["one.example/a", "two.example"])
    #expect(mail.buffer(.emailSubject, .toServer, index: 0)?.count == 8)
    #expect(mail.buffer(.emailReceived, .toServer, index: 1)?.count == 6)
    #expect(mail.buffer(.smtpRecipient, .toServer, index: 2) == nil)
  }

  @Test func `parts with a name are files without their coding`() throws {
    let mail = try #require(mails(MailCorpus.sending(MailCorpus.mixed)).first)
    #expect(mail.email?.attachments.map { words($0) } == ["a b.txt", "qp.txt"])
    #expect(mail.filesToServer.map { words($0.name) } == ["a b.txt", "qp.txt"])
    #expect(mail.filesToServer.map(\.state) == [.closed, .closed])
    #expect(mail.filesToServer.map { words($0.content?.bytes) } == ["hello", "a=bc\r\n.d"])
  }

  @Test func `a message within a message is read whatever coding its head claims`() throws {
    let mail = try #require(mails(MailCorpus.sending(MailCorpus.nested)).first)
    #expect(mail.email?.attachments.map { words($0) } == ["outer.eml", "inner.exe"])
    #expect(mail.filesToServer.map { words($0.name) } == ["inner.exe"])
    #expect(words(mail.filesToServer.first?.content?.bytes) == "MZ")
    #expect(mail.email?.value("subject") == nil)
  }

  @Test func `chunks of known length are one mail, and the next command begins another`() {
    let all = mails(MailCorpus.chunked)
    #expect(all.map { words($0.mailFrom) } == ["<a@example.org>", "<z@example.org>"])
    #expect(all.map(\.isComplete) == [true, false])
    #expect(words(all.first?.email?.value("subject")) == "an=x")
    #expect(all.first?.email?.urls.map { words($0) } == ["u.example"])
  }

  @Test func `mails in a row without waiting are told apart`() {
    let all = mails(MailCorpus.pipelined)
    #expect(all.map { words($0.mailFrom) } == ["<a@b>", "<e@f>"])
    #expect(all.map(\.isComplete) == [true, false])
    #expect(all.first?.has(.invalidPipelining) == true)
    #expect(words(all.first?.email?.value("subject")) == "s")
  }

  @Test func `a refused DATA is no mail, and a new greeting begins anew`() throws {
    let all = mails(try #require(MailCorpus.all.last))
    #expect(all.count == 2)
    #expect(all[0].isComplete && all[0].has(.dataRejected) && all[0].has(.duplicateFields))
    #expect(words(all[1].helo) == "again")
  }

  @Test func `STARTTLS hands the connection on`() {
    let parser = SMTPParser(settings: SMTPSettings())
    feed(parser, MailCorpus.open + [.client("STARTTLS\n"), .server("220 go\n")])
    #expect(parser.successor == .to(.tls))
    let refused = SMTPParser(settings: SMTPSettings())
    feed(refused, MailCorpus.open + [.client("STARTTLS\n"), .server("454 no\n")])
    #expect(refused.successor == nil)
    #expect(refused.transactions.first?.events == [SMTPEvent.tlsRejected.appEvent])
  }

  @Test(arguments: [
    ([.client("EHLO a\n")], SMTPEvent.noWelcome),
    ([.server("hello\n")], .invalidReply),
    ([.server("220 a\n"), .client("EHLO a\n"), .server("472 a\n")], .invalidReply),
    ([.server("220 a\n"), .client("EHLO a\n"), .server("250 a\n250 b\n")], .unmatchedReply),
    ([.server("220 a\n"), .client("BDAT x LAST\n")], .invalidBDAT),
    ([.server("220 a\n"), .client("DATA\n"), .server("250 ok\n"), .client("MAIL FROM:<a>\nMAIL FROM:<b>\n")], .duplicateFields),
    ([.server("220 a\n"), .client("DATA\nDATA\n")], .unparsableContent),
    ([.server("220 a\n"), .client("HELO " + String(repeating: "a", count: 5000) + "\n")], .longCommand),
    ([.server("220 " + String(repeating: "a", count: 5000) + "\n")], .longReply),
  ] as [([Sent], SMTPEvent)])
  func `what is odd is an event`(conversation: [Sent], event: SMTPEvent) throws {
    #expect(try #require(mails(conversation).first).has(event))
  }

  @Test(arguments: [
    ("Subject: " + String(repeating: "a", count: 3000) + "\n\nx", MIMEEvent.longHeaderValue),
    (String(repeating: "a", count: 300) + ": b\n\nx", .longHeaderName),
    ("Content-Type: multipart/mixed; boundary=" + String(repeating: "b", count: 300) + "\n\nx", .longBoundary),
    ("Content-Disposition: attachment; filename=" + String(repeating: "b", count: 300) + "\n\nx", .longFileName),
    ("Subject: a\n\n" + String(repeating: "a", count: 1200), .longLine),
    ("Content-Transfer-Encoding: base64\n\n" + String(repeating: "YWFh", count: 30), .longEncodedLine),
    ("Content-Transfer-Encoding: base64\n\na!!!", .invalidBase64),
    ("Content-Transfer-Encoding: quoted-printable\n\na=zz", .invalidQuotedPrintable),
  ])
  func `what is odd in content is an event, and an ordinary mail has none`(content: String, event: MIMEEvent) throws {
    #expect(try #require(mails(MailCorpus.sending(content)).first).has(event))
    #expect(try #require(mails(MailCorpus.sending("Subject: a\n\nb")).first).events == [])
  }

  @Test func `a mail that breaks off leaves a truncated file`() throws {
    let parser = SMTPParser(settings: SMTPSettings())
    feed(parser, MailCorpus.open + [.client("DATA\n"), .server("354 go\n"), .client("Content-Type: a/b; name=f\n\nabc\nde")])
    parser.finish(at: trafficTime)
    let mail = try #require(parser.transactions.first as? SMTPTransaction)
    #expect(mail.isComplete)
    #expect(mail.filesToServer.map(\.state) == [.truncated])
    #expect(mail.filesToServer.first?.sizeBytes == 3)
  }

  @Test func `settings turn decoding off and choose schemes`() throws {
    var settings = SMTPSettings()
    settings.mime.decodesBase64 = false
    settings.mime.urlSchemes = ["ftp"]
    settings.mime.keepsURLScheme = true
    let mail = try #require(mails(MailCorpus.sending(MailCorpus.mixed), settings).first)
    #expect(words(mail.filesToServer.first?.content?.bytes) == "aGVs\r\nbG8=")
    #expect(mail.email?.urls.map { words($0) } == ["ftp://no.example"])
    settings.mime.isEnabled = false
    #expect(mails(MailCorpus.sending(MailCorpus.mixed), settings).first?.email == nil)
  }

  private func snapshots(_ conversation: [Sent], cut: (([UInt8]) -> [[UInt8]])? = nil) -> [String] {
    let parser = SMTPParser(settings: SMTPSettings())
    feed(parser, conversation, cut: cut)
    parser.finish(at: trafficTime)
    return parser.transactions.compactMap { ($0 as? SMTPTransaction)?.snapshot } + ["\(parser.hasFailed)"]
  }

  @Test(arguments: MailCorpus.all.indices)
  func `how a direction is cut does not matter`(index: Int) {
    let conversation = MailCorpus.all[index]
    let whole = snapshots(conversation)
    #expect(whole.count > 1)
    #expect(snapshots(conversation) { $0.map { [$0] } } == whole)
    var mutator = Mutator(seed: UInt64(index) &+ 1)
    for _ in 0..<50 { #expect(snapshots(conversation) { mutator.pieces(of: $0, most: 30) } == whole) }
  }

  @Test func `damaged mail is read alike however it is cut, and never stops the parser`() {
    var mutator = Mutator(seed: 25)
    for round in 0..<1500 {
      for conversation in MailCorpus.all {
        let damaged = conversation.map { sent in
          var copy = sent
          copy.bytes = mutator.mutate(sent.bytes)
          if round % 17 == 0 { copy.gap = UInt64(round % 300) }
          return copy
        }
        let whole = snapshots(damaged)
        #expect(snapshots(damaged) { mutator.pieces(of: $0, most: 40) } == whole)
      }
    }
  }
}

@Test func `the line of a command is a frame with its end, and one of its transaction without`() {
  let parser = SMTPParser(settings: SMTPSettings())
  parser.frames = FrameLog(.smtp)
  feed(parser, [.server("220 mail.example\n"), .client("EHLO me.example\n"), .client("NOOP\n")])
  let frames = parser.frames?.frames.filter { $0.direction == .toServer } ?? []
  #expect(
    frames.map { String(decoding: $0.bytes, as: UTF8.self) }
      == ["EHLO me.example\r\n", "EHLO me.example", "NOOP\r\n", "NOOP"])
  #expect(frames.map(\.transactionID) == [nil, 0, nil, 0])
  #expect(frames.allSatisfy { $0.isComplete && $0.kind.name == "command_line" })
}
