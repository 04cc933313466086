import TestSupport
import Testing
import Traffic

@testable import AppLayer

struct RecognitionTests {
  private func flow(
    _ conversation: [Sent], server: UInt16 = 4711, client: UInt16 = 50_000, isMidstream: Bool = false,
    settings: AppLayerSettings = AppLayerSettings(), cut: (([UInt8]) -> [[UInt8]])? = nil,
    finish: Bool = false
  ) -> AppLayerFlow {
    let flow = AppLayerFlow(
      settings: settings, transport: .tcp, serverPort: server, clientPort: client,
      isMidstream: isMidstream)
    var offsets: [UInt64] = [0, 0]
    for sent in conversation {
      for piece in cut?(sent.bytes) ?? [sent.bytes] where !piece.isEmpty || sent.isEnd {
        flow.consume(
          StreamChunk(
            bytes: piece.rawSpan, direction: sent.direction, offset: offsets[sent.direction.index],
            isEnd: sent.isEnd, time: trafficTime))
        offsets[sent.direction.index] += UInt64(piece.count)
      }
    }
    if finish { flow.finish(at: trafficTime) }
    return flow
  }

  @Test func `HTTP where TLS was agreed on is told with its first exchange`() throws {
    let flow = flow([
      .server("220 mx ESMTP\n"), .client("EHLO a\n"), .server("250-mx\n250 STARTTLS\n"),
      .client("STARTTLS\n"), .server("220 go\n"),
      .client("GET /1 HTTP/1.1\nHost: a\n\nGET /2 HTTP/1.1\nHost: a\n\n"),
    ])
    #expect(flow.appProtocol == .http)
    #expect(flow.events == [RecognitionEvent.unexpected.appEvent, RecognitionEvent.noTLSAfterStartTLS.appEvent])
    let exchanges = flow.transactions.compactMap { $0 as? HTTPTransaction }
    #expect(exchanges.map { $0.events.map(\.name) } == [["failed_protocol_change"], []])
  }

  private func datagram(
    _ bytes: [UInt8], _ direction: Direction = .toServer, server: UInt16 = 4711, client: UInt16 = 50_000
  ) -> AppLayerFlow {
    let flow = AppLayerFlow(
      settings: AppLayerSettings(), transport: .udp, serverPort: server, clientPort: client)
    flow.consumeDatagram(
      StreamChunk(bytes: bytes.rawSpan, direction: direction, offset: 0, time: trafficTime))
    return flow
  }

  /// A TLS 1.2 record with the start of a ClientHello: type, version, length, handshake type, length.
  private static let hello: [UInt8] = [22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]
  /// What no protocol begins with.
  private static let noise = [UInt8](repeating: 7, count: 64)
  /// A DNS query: id, flags RD, one question, "a.b" A IN.
  private static let query: [UInt8] = [
    0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 97, 1, 98, 0, 0, 1, 0, 1,
  ]
  /// Its answer without records: QR and RD set.
  private static let answer: [UInt8] = [0x12, 0x34, 0x81] + query[3...]

  /// An SSLv2 hello: length 28, type 1, version 3.1, three octets of ciphers, no session, 16 of challenge.
  private static let ssl2: [UInt8] =
    [0x80, 28, 1, 3, 1, 0, 3, 0, 0, 0, 16, 0, 0, 4] + [UInt8](repeating: 9, count: 16)

  private static func text(_ text: String, _ found: AppProtocol) -> ([UInt8], AppProtocol) {
    (Array(text.utf8), found)
  }

  static let streams: [([UInt8], AppProtocol)] = [
    text("GET / HTTP/1.1\r\n", .http), text("\r\npost / HTTP/1.0\r\n", .http),
    text("FOO /bar HTTP/1.1\r\n", .http), text("SSH-2.0-x\r\n", .ssh), text("EHLO me\r\n", .smtp),
    text("USER me\r\n", .ftp), text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .http2),
    text("a1 LOGIN x y\r\n", .imap), text("OPTIONS sip:x SIP/2.0\r\n", .sip),
    text("OPTIONS / HTTP/1.1\r\n", .http), (hello, .tls), (ssl2, .tls), ([0, 21] + query, .dns),
    ([0, 0, 0, 64, 0xfe, 0x53, 0x4d, 0x42], .smb), ([5, 0, 11, 3, 0x10, 0, 0, 0, 72, 0], .dcerpc),
  ]

  @Test func nothingOfALargeFirstChunkIsLost() throws {
    let body = [UInt8](repeating: 97, count: 50_000)
    let whole = crlf("POST / HTTP/1.1\nHost: a\nContent-Length: 50000\n\n") + body
    let http = try #require(flow([.client(whole)]).transactions.first as? HTTPTransaction)
    #expect(http.requestLengthBytes == 50_000)
    #expect(http.bytes(.httpRequestBody, .toServer) == body)
    #expect(http.isComplete(.toServer))
    #expect(http.files(.toServer).first?.hasGap == false)
  }

  @Test(arguments: streams)
  func streamsAreRecognisedByTheirFirstBytesOnAnyPort(bytes: [UInt8], expected: AppProtocol) {
    #expect(flow([.client(bytes)]).appProtocol == expected)
    #expect(flow([.client(bytes)]) { $0.map { [$0] } }.appProtocol == expected)
    // A byte short of what decides may be undecided, but is never something else.
    let short = flow([.client([bytes[0]])])
    #expect(short.appProtocol == .unknown && !short.isDecided)
  }

  private func flow(_ conversation: [Sent], cut: @escaping ([UInt8]) -> [[UInt8]]) -> AppLayerFlow {
    flow(conversation, server: 4711, cut: cut)
  }

  @Test(arguments: [
    ("220 mail ESMTP\r\n", AppProtocol.smtp), ("220 FTP ready\r\n", .ftp), ("+OK ready\r\n", .pop3),
    ("* OK IMAP4\r\n", .imap), ("SSH-2.0-s\r\n", .ssh),
  ])
  func serversThatSpeakFirstAreRecognised(text: String, expected: AppProtocol) {
    let found = flow([.server(Array(text.utf8))])
    #expect(found.appProtocol == expected)
    #expect(found.protocolToClient == expected && found.protocolToServer == .unknown)
    #expect((found.parser != nil) == (expected != .imap))
  }

  @Test func `commands that POP3 and FTP share do not contradict the greeting`() {
    let mail = flow([.server("+OK ready\n"), .client("USER me\n")])
    #expect(mail.appProtocol == .pop3 && mail.protocolToServer == .pop3 && mail.events.isEmpty)
    let files = flow([.server("220 FTP ready\n"), .client("USER me\n")])
    #expect(files.appProtocol == .ftp && files.protocolToServer == .ftp && files.events.isEmpty)
  }

  @Test func `telnet is known by its commands`() {
    #expect(flow([.client([255, 253, 3])], server: 23).appProtocol == .telnet)
    #expect(flow([.client([255, 3, 3])], server: 23).appProtocol != .telnet)
    #expect(flow([.client([255, 253, 3, 255, 251, 24])], server: 4711).appProtocol == .telnet)
    #expect(flow([.client([255, 253, 3, 254, 251, 24])], server: 4711).appProtocol != .telnet)
    #expect(!flow([.client([255, 253, 3])], server: 4711).isDecided)
  }

  @Test func `UPDATE of a call is SIP, of anything else HTTP`() {
    #expect(flow([.client("UPDATE sip:a@b SIP/2.0\n")]).appProtocol == .sip)
    #expect(flow([.client("UPDATE /a HTTP/1.1\n")]).appProtocol == .http)
  }

  @Test func portsThatAreSaidToSpeakDNSAreBelieved() {
    // Length 13, identifier, a request without any question, an octet more: nothing but the port tells.
    let message: [UInt8] = [0, 13, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    var settings = AppLayerSettings()
    settings.dnsPorts = [1053]
    #expect(flow([.client(message)], server: 1053, settings: settings).appProtocol == .dns)
    #expect(flow([.client(message)], server: 1053).appProtocol != .dns)
  }

  @Test func anEmptyRecordOfAHandshakeIsTLS() {
    #expect(flow([.client([0x16, 3, 0, 0, 0, 0, 0])]).appProtocol == .tls)
    #expect(flow([.client([0x16, 5, 0, 0, 0, 0, 0])]).appProtocol != .tls)
  }

  @Test func lineEndsBehindACONNECTAreNotPartOfTheTunnel() {
    let hello: [UInt8] = [0x16, 3, 0, 0, 0]
    let found = flow([
      .client(Array("CONNECT a:443 HTTP/1.1\r\n\r\n\n".utf8)), .server(Array("HTTP/1.1 200 OK\r\n\r\n\n".utf8)),
      .client(hello),
    ])
    #expect(found.appProtocol == .tls && found.originalProtocol == .http)
  }

  @Test func whatNobodyKnowsIsGivenUp() {
    let found = flow([.client(Self.noise), .server(Self.noise)])
    #expect(found.appProtocol == .failed && found.isFailed && found.isDecided)
    let text = String(repeating: "a", count: 9000)
    #expect(flow([.client(text), .server(text)]).isFailed)
    let waiting = flow([.client("hel")])
    #expect(!waiting.isDecided)
    let over = flow([.client("hel")], finish: true)
    // Three octets say nothing, also where nothing follows them.
    #expect(over.appProtocol == .unknown && over.isFailed)
  }

  @Test func theParserGetsWhatWasHeld() throws {
    let found = flow([
      .client("GET /x HT"), .client("TP/1.1\nHost: a\n\n"), .server("HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    ])
    let exchange = try #require(found.transactions.first as? HTTPTransaction)
    #expect(exchange.text(.httpURI, .toServer) == "/x")
    #expect(exchange.status == 200)
    #expect(found.protocolToServer == .http && found.protocolToClient == .http)
    #expect(found.events.isEmpty)
  }

  @Test func aProtocolThatIsSwitchedOffIsOnlyNamed() {
    var settings = AppLayerSettings()
    settings.enabled.remove(.http)
    let found = flow([.client("GET / HTTP/1.1\n\n")], settings: settings)
    #expect(found.appProtocol == .http && found.parser == nil && found.transactions.isEmpty)
  }

  @Test func sidesThatSpeakDifferentlyRaiseAMismatch() {
    let found = flow([.client("GET / HTTP/1.1\nHost: a\n\n"), .server("SSH-2.0-x\n")])
    #expect(found.events == [RecognitionEvent.mismatch.appEvent])
    #expect(found.appProtocol == .http)
  }

  @Test func aSideThatIsNotUnderstoodRaisesAnEvent() {
    let found = flow([.client("GET / HTTP/1.1\nHost: a\n\n"), .server(Self.noise)])
    #expect(found.events == [RecognitionEvent.oneDirectionOnly.appEvent])
    let late = flow([.client(Self.noise), .server("HTTP/1.1 200 OK\n\n")])
    #expect(late.appProtocol == .http)
    #expect(late.events.contains(RecognitionEvent.oneDirectionOnly.appEvent))
  }

  @Test func aServerThatSaysHelloFirstRaisesAnEvent() {
    // A ServerHello record without a client before it.
    let found = flow([.server([22, 3, 3, 0, 90, 2, 0, 0, 86, 3, 3])])
    #expect(found.appProtocol == .tls)
    #expect(found.events == [RecognitionEvent.wrongDirectionFirst.appEvent])
  }

  @Test func muchFromOneSideAloneIsReported() {
    let found = flow([.client([1, 2, 3, 4] + [UInt8](repeating: 7, count: 100_001))])
    #expect(found.events == [RecognitionEvent.skipped.appEvent])
    #expect(found.isFailed)
    #expect(!flow([.client([1, 2, 3, 4])]).isFailed)
  }

  @Test func endsThatWereSwappedAreSeenMidstream() throws {
    let swapped: [Sent] = [
      .client("HTTP/1.1 200 OK\nContent-Length: 2\n\nhi"), .server("GET /n HTTP/1.1\nHost: a\n\n"),
    ]
    let found = flow(swapped, isMidstream: true)
    #expect(found.isReversed && found.appProtocol == .http)
    let exchanges = found.transactions.compactMap { $0 as? HTTPTransaction }
    #expect(exchanges.first?.text(.fileData, .toClient) == "hi")
    #expect(exchanges.last?.text(.httpURI, .toServer) == "/n")
    #expect(!flow(swapped).isReversed)
  }

  @Test func aTunnelIsFollowedToWhatItCarries() throws {
    let found = flow([
      .client("CONNECT h:443 HTTP/1.1\nHost: h\n\n"), .server("HTTP/1.1 200 Y\n\n"), .client(Self.hello),
    ])
    #expect(found.appProtocol == .tls && found.originalProtocol == .http)
    #expect(found.transactions.first is HTTPTransaction)
    found.removeTransactions { $0 is HTTPTransaction }
    #expect(!(found.transactions.first is HTTPTransaction))
    let inner = flow([
      .client("CONNECT h:80 HTTP/1.1\nHost: h\n\n"), .server("HTTP/1.1 200 Y\n\n"),
      .client("GET /in HTTP/1.1\nHost: h\n\n"),
    ])
    #expect(inner.appProtocol == .http)
    #expect((inner.transactions.last as? HTTPTransaction)?.text(.httpURI, .toServer) == "/in")
  }

  @Test func tunnelsWithinTunnelsHaveAnEnd() {
    let pair: [Sent] = [.client("CONNECT h:80 HTTP/1.1\nHost: h\n\n"), .server("HTTP/1.1 200 Y\n\n")]
    #expect(!flow((0..<8).flatMap { _ in pair }).isFailed)
    #expect(flow((0..<9).flatMap { _ in pair }).isFailed)
  }

  @Test func anUpgradeIsNamed() {
    let found = flow([
      .client("GET / HTTP/1.1\nHost: a\nUpgrade: websocket\n\n"),
      .server("HTTP/1.1 101 S\nUpgrade: websocket\n\n"), .client([0x81, 0]),
    ])
    #expect(found.appProtocol == .websocket && found.parser is WebSocketParser)
  }

  // MARK: Datagrams

  @Test func datagramsAreRecognisedByTheirShape() {
    #expect(datagram(Self.query).appProtocol == .dns)
    #expect(datagram(Self.query).transactions.count == 1)
    #expect(datagram(Self.query, server: 5353, client: 5353).appProtocol == .mdns)
    #expect(datagram(Array("INVITE sip:a SIP/2.0\r\n".utf8)).appProtocol == .sip)
    #expect(datagram([0, 1] + Array("f\0octet\0".utf8)).appProtocol == .tftp)
    // QUIC version 1, eight octets of destination identifier.
    #expect(datagram([0xc3, 0, 0, 0, 1, 8] + [UInt8](repeating: 1, count: 20)).appProtocol == .quic)
    let bootp = [1] + [UInt8](repeating: 0, count: 235) + [99, 130, 83, 99]
    #expect(datagram(bootp).appProtocol == .dhcp)
    let time = [0x23] + [UInt8](repeating: 0, count: 47)
    #expect(datagram(time, server: 123).appProtocol == .ntp)
    #expect(datagram(time).appProtocol == .failed)
  }

  @Test func `a side that sends datagrams nobody knows is given up after some, not looked at for ever`() {
    for (count, found) in [(15, AppProtocol.dns), (16, .failed)] {
      let flow = datagram(Self.noise)
      for bytes in Array(repeating: Self.noise, count: count - 1) + [Self.query] {
        flow.consumeDatagram(StreamChunk(bytes: bytes.rawSpan, direction: .toServer, offset: 0, time: trafficTime))
      }
      #expect(flow.appProtocol == found)
    }
  }

  @Test func aDatagramShortOrImpossibleIsNone() {
    #expect(datagram(Array(Self.query.dropLast())).appProtocol == .failed)
    var counted = Self.query
    counted[5] = 9
    #expect(datagram(counted).appProtocol == .failed)
    #expect(datagram([0xc3, 0, 0, 0, 9, 8, 1]).appProtocol == .failed)
  }

  @Test func anAnswerSeenFirstTurnsTheFlowRound() {
    let found = datagram(Self.answer, .toServer, server: 50_000, client: 53)
    #expect(found.appProtocol == .dns && found.isReversed)
    #expect(!datagram(Self.query).isReversed)
  }

  // MARK: Robustness

  @Test func noBytesStopRecognition() {
    var mutator = Mutator(seed: 5)
    let seeds =
      HTTPCorpus.all + [[.client(Self.hello)], [.client([0, 21] + Self.query)], [.server("220 x ESMTP\n")]]
    for round in 0..<20_000 {
      let conversation = seeds[round % seeds.count].map { sent in
        var copy = sent
        copy.bytes = mutator.mutate(sent.bytes)
        return copy
      }
      let found = flow(conversation, isMidstream: round % 2 == 0, finish: true)
      #expect(found.isDecided)
      _ = datagram(conversation[0].bytes)
    }
  }
}
