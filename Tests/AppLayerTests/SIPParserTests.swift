import TestSupport
import Testing
import Traffic

@testable import AppLayer

@Suite struct SIPParserTests {
  private static let invite = """
    INVITE sip:bob@b.example SIP/2.0
    Via: SIP/2.0/UDP one.example
    v : SIP/2.0/UDP two.example
    FROM: <sip:ann@a.example>
     ;tag=7
    t: <sip:bob@b.example>
    User-Agent: phone
    c: application/sdp
    l: 3

    v=0
    """
  private static let ringing = "SIP/2.0 180 Ringing\nVia: SIP/2.0/UDP one.example\nContent-Length: 0\n\n"

  private func messages(_ conversation: [Sent], isStream: Bool = false) -> [SIPTransaction] {
    feed(SIPParser(isStream: isStream), conversation).transactions.compactMap { $0 as? SIPTransaction }
  }

  @Test(arguments: [false, true])
  func `a request and a response are read`(isStream: Bool) throws {
    let seen = messages([.client(Self.invite), .server(Self.ringing)], isStream: isStream)
    try #require(seen.count == 2)
    func text(_ id: BufferID, _ index: Int = 0) -> String? { seen[0].spelled(id, .toServer, index) }
    #expect(text(.sipMethod) == "INVITE" && text(.sipURI) == "sip:bob@b.example" && text(.sipProtocol) == "SIP/2.0")
    #expect(text(.sipRequestLine) == "INVITE sip:bob@b.example SIP/2.0")
    #expect(text(.sipVia) == "SIP/2.0/UDP one.example" && text(.sipVia, 1) == "SIP/2.0/UDP two.example")
    #expect(text(.sipVia, 2) == nil)
    #expect(text(.sipFrom) == "<sip:ann@a.example> ;tag=7" && text(.sipTo) == "<sip:bob@b.example>")
    #expect(text(.sipUserAgent) == "phone" && text(.sipContentType) == "application/sdp" && text(.sipContentLength) == "3")
    #expect(text(.sipStatusCode) == nil && text(.sipResponseLine) == nil)
    #expect(seen[1].spelled(.sipStatusCode, .toClient) == "180" && seen[1].spelled(.sipStatusMessage, .toClient) == "Ringing")
    #expect(seen[1].spelled(.sipResponseLine, .toClient) == "SIP/2.0 180 Ringing")
    #expect(seen[1].spelled(.sipMethod, .toClient) == nil && seen[0].spelled(.sipVia, .toClient) == nil)
  }

  /// Lines in an order that the specification does not allow, without a name, with bare LFs and with CRs alone.
  @Test func `a session description is read in whatever order its lines come`() throws {
    let text = "v=0\nt=0 0\rs=first\ns=second\nx\n=\nq=1\no=\r\nm=audio 1 RTP/AVP 0\nk=clear:a\nm=video\nk=clear:b"
    let session = try #require(SDPDescription(Array(text.utf8)))
    func spelled(_ id: BufferID, _ index: Int = 0) -> String? {
      session.value(id, index).map { String(decoding: $0, as: UTF8.self) }
    }
    #expect(spelled(.sdpSessionName) == "first" && spelled(.sdpSessionName, 1) == nil)
    #expect(spelled(.sdpTime) == "0 0" && spelled(.sdpOrigin) == "" && spelled(.sdpEncryptionKey) == nil)
    #expect(spelled(.sdpMediaEncryptionKey, 1) == "clear:b" && spelled(.sdpMediaEncryptionKey, 2) == nil)
    #expect(spelled(.sdpMedia, 1) == "video" && spelled(.sdpMedia, -1) == nil)
    #expect(SDPDescription([]) == nil && SDPDescription(Array("v".utf8)) == nil && SDPDescription(Array("s=a\n".utf8)) == nil)
    let many = SDPDescription(Array(("v=0\n" + String(repeating: "m=a\n", count: 1000)).utf8))
    #expect(many?.media.count == SDPDescription.mediaMax)
  }

  @Test func `a message on a connection is complete with its body`() throws {
    let body = "v=0\r\ns=late\r\n"
    let head = "INVITE sip:a SIP/2.0\r\nContent-Type: application/sdp\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
    let parser = SIPParser(isStream: true)
    _ = feed(parser, [.client(Array((head + body.prefix(5)).utf8))])
    let message = try #require(parser.transactions.first)
    #expect(message.buffer(.sipMethod, .toServer, index: 0) != nil && !message.isComplete)
    _ = feed(parser, [.client(Array(body.dropFirst(5).utf8))])
    #expect(message.isComplete && message.spelled(.sdpSessionName, .toServer) == "late")
  }

  @Test func `messages follow each other on a connection, with line ends between`() {
    let seen = messages([.client(Self.invite + "\n\n" + Self.invite), .server(Self.ringing + Self.ringing)], isStream: true)
    #expect(seen.map(\.isResponse) == [false, false, true, true])
  }

  @Test func `how a connection is cut does not matter, damaged or not`() {
    let talk: [Sent] = [.client(Self.invite), .client(Self.invite), .server(Self.ringing), .server(Self.ringing)]
    expectCutsDoNotMatter(talk, seed: 41) { SIPParser(isStream: true) }
    expectCutsDoNotMatter(talk, seed: 42, rounds: 200) {
      let parser = SIPParser(isStream: true)
      parser.frames = FrameLog(.sip)
      return parser
    }
  }

  @Test(arguments: [false, true])
  func `parts are marked off`(isStream: Bool) throws {
    let parser = SIPParser(isStream: isStream)
    parser.frames = FrameLog(.sip)
    feed(parser, [.client(Self.invite), .server(Self.ringing)])
    let frames = Dictionary(grouping: parser.frames?.frames ?? []) { $0.kind.name }
      .mapValues { $0.map { String(decoding: $0.bytes, as: UTF8.self) } }
    let whole = String(decoding: crlf(Self.invite), as: UTF8.self)
    #expect(frames["pdu"]?.first == whole)
    #expect(frames["request.line"] == ["INVITE sip:bob@b.example SIP/2.0\r\n"])
    let headers = try #require(frames["request.headers"]?.first)
    #expect(headers.hasPrefix("Via: ") && headers.hasSuffix("l: 3\r\n"))
    #expect(frames["request.body"] == ["v=0"] && frames["response.body"] == nil)
    #expect(frames["response.headers"] == ["Via: SIP/2.0/UDP one.example\r\nContent-Length: 0\r\n"])
  }

  @Test(arguments: [
    "", "\n", "INVITE\n\n", "INVITE sip:a\n\n", "INVITE sip:a HTTP/1.1\n\n", "SIP/2.0\n\n", "SIP/2.0 20 x\n\n",
    "INV ITE sip:a SIP/2.0\n\n", "(INVITE) sip:a SIP/2.0\n\n", "SIP/x 200 OK\n\n",
  ])
  func `what is no message is none`(text: String) {
    #expect(messages([.client(text)]).isEmpty && messages([.server(text)]).isEmpty)
  }

  @Test func `what goes the wrong way or is damaged is told of`() {
    let seen = messages([.client(Self.invite), .client(Self.ringing)])
    #expect(seen.count == 1 && seen[0].events == [SIPEvent.invalidData.appEvent])
  }

  @Test func `a head without end is given up`() {
    let parser = SIPParser(isStream: true)
    feed(parser, [.client("INVITE sip:a SIP/2.0\n" + String(repeating: "a: b\n", count: 20_000))])
    #expect(parser.hasFailed == (true, false) && parser.transactions.isEmpty)
  }

  @Test func `fields beyond the limit are left out`() {
    let many = (0..<400).map { "Via: \($0)\n" }.joined()
    let seen = messages([.client("BYE sip:a SIP/2.0\n" + many + "\n")])
    #expect(seen.first?.spelled(.sipVia, .toServer, SIPHead.fieldCountMax - 1) == "255")
    #expect(seen.first?.spelled(.sipVia, .toServer, SIPHead.fieldCountMax) == nil)
  }
}
