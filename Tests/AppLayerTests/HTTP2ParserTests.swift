import TestSupport
import Testing
import Traffic

@testable import AppLayer

struct HTTP2ParserTests {
  private static let get = Frame.preface + Frame.settings([]) + Frame.request(1, "/a/../b%20c?q=1", [("user-agent", "agent/1"), ("cookie", "a=1"), ("cookie", "b=2")])

  @Test func aStreamFillsTheBuffersThatHTTP1RulesUse() throws {
    let answer =
      Frame.settings([]) + Frame.response(1, "404", [("server", "s"), ("content-type", "text/html"), ("set-cookie", "c=3")])
      + Frame.data(1, Array("body ".utf8)) + Frame.data(1, Array("text".utf8), ends: true)
    let stream = try #require(http2Streams([.client(Self.get), .server(answer)]).first)
    #expect(stream.text(.httpURI, .toServer) == "/b c?q=1")
    #expect(stream.text(.httpURIRaw, .toServer) == "/a/../b%20c?q=1")
    #expect(stream.text(.httpMethod, .toServer) == "GET")
    #expect(stream.text(.httpHost, .toServer) == "host.example")
    #expect(stream.text(.httpHostRaw, .toServer) == "Host.Example:8443")
    #expect(stream.text(.httpUserAgent, .toServer) == "agent/1")
    #expect(stream.text(.httpCookie, .toServer) == "a=1; b=2")
    #expect(stream.text(.httpRequestLine, .toServer) == "GET /a/../b%20c?q=1 HTTP/2\r\n")
    #expect(stream.text(.httpProtocol, .toServer) == "HTTP/2")
    #expect(stream.text(.httpHeader, .toServer)?.hasPrefix(":method: GET\r\n:scheme: https\r\n") == true)
    #expect(stream.text(.httpHeader, .toServer)?.contains("cookie") == false)
    #expect(stream.text(.httpRequestHeader, .toServer, 2) == ":authority: Host.Example:8443")
    #expect(stream.text(.http2HeaderName, .toServer, 4) == "user-agent")
    #expect(stream.text(.httpStatusCode, .toClient) == "404")
    #expect(stream.text(.httpStatusMessage, .toClient) == "")
    #expect(stream.text(.httpServer, .toClient) == "s")
    #expect(stream.text(.httpCookie, .toClient) == "c=3")
    #expect(stream.text(.httpResponseHeader, .toClient, 1) == "server: s")
    #expect(stream.text(.httpResponseBody, .toClient) == "body text")
    #expect(stream.text(.fileData, .toClient) == "body text")
    #expect(stream.isComplete)
    #expect(stream.files(.toClient).map(\.sizeBytes) == [9])
  }

  @Test func interleavedStreamsKeepTheirBodiesApart() {
    let client =
      Frame.preface + Frame.request(1, "/1", method: "POST", ends: false)
      + Frame.request(3, "/3", method: "POST", ends: false) + Frame.data(1, Array("one ".utf8))
      + Frame.data(3, Array("three ".utf8)) + Frame.data(1, Array("uno".utf8), ends: true)
      + Frame.data(3, Array("tre".utf8), ends: true)
    let streams = http2Streams([.client(client)])
    #expect(streams.map { $0.text(.httpRequestBody, .toServer) } == ["one uno", "three tre"])
  }

  @Test func aHeaderBlockMayBeSpreadOverContinuationsAndPadded() throws {
    let block = Frame.block([(":method", "GET"), (":path", "/long"), ("x", "y")])
    let first = Frame.raw(
      1, Frame.padded | Frame.hasPriority | Frame.endStream, stream: 1,
      [3] + Frame.number(0) + [200] + block[..<5] + [0, 0, 0])
    let client =
      Frame.preface + first + Frame.raw(9, 0, stream: 1, Array(block[5..<9]))
      + Frame.raw(9, Frame.endHeaders, stream: 1, Array(block[9...]))
    let stream = try #require(http2Streams([.client(client)]).first)
    #expect(stream.text(.httpURI, .toServer) == "/long")
    #expect(stream.numbers(.http2Priority, .toServer) == [200])
    #expect(stream.numbers(.http2FrameType, .toServer) == [1, 9])
    #expect(stream.isComplete(.toServer))
    #expect(stream.events.isEmpty)
  }

  @Test func paddingOfDataIsNoContent() throws {
    let client =
      Frame.preface + Frame.request(1, "/", method: "POST", ends: false)
      + Frame.raw(0, Frame.padded | Frame.endStream, stream: 1, [4] + Array("body".utf8) + [0, 0, 0, 0])
    let stream = try #require(http2Streams([.client(client)]).first)
    #expect(stream.text(.httpRequestBody, .toServer) == "body")
    #expect(stream.events.isEmpty)
  }

  @Test func laterBlocksReferToTheDynamicTable() throws {
    // 0xbe is index 62, the newest entry of the dynamic table.
    let client =
      Frame.preface
      + Frame.raw(1, 5, stream: 1, Frame.block([(":method", "GET"), (":path", "/")]) + Frame.indexedBlock([("x-secret", "needle")]))
      + Frame.raw(1, 5, stream: 3, Frame.block([(":method", "GET"), (":path", "/2")]) + [0xbe])
    let streams = http2Streams([.client(client)])
    #expect(try #require(streams.last).text(.httpHeader, .toServer)?.contains("x-secret: needle") == true)
  }

  @Test func huffmanCodesAreRead() throws {
    // RFC 7541 appendix C.4.1: GET http / www.example.com.
    let block = [UInt8](hex: "828684418cf1e3c2e5f23a6ba0ab90f4ff")
    let stream = try #require(http2Streams([.client(Frame.preface + Frame.raw(1, 5, stream: 1, block))]).first)
    #expect(stream.text(.httpHost, .toServer) == "www.example.com")
    #expect(stream.text(.httpURI, .toServer) == "/")
  }

  @Test(arguments: [("gzip", Coded.gzip), ("deflate", Coded.zlib), ("br", Coded.brotli), ("zstd", Coded.zstd)])
  func contentCodingsAreUndone(coding: String, body: [UInt8]) throws {
    let server =
      Frame.response(1, "200", [("content-encoding", coding)]) + Frame.data(1, Array(body[..<7]))
      + Frame.data(1, Array(body[7...]), ends: true)
    let stream = try #require(http2Streams([.client(Self.get), .server(server)]).first)
    #expect(stream.text(.httpResponseBody, .toClient) == Coded.plain)
    #expect(stream.events.isEmpty)
  }

  @Test func interimResponsesGiveWayAndTrailersAreAdded() throws {
    let server =
      Frame.response(1, "103", [("link", "x")]) + Frame.response(1, "200", [("server", "s")])
      + Frame.data(1, Array("x".utf8)) + Frame.headers(1, [("grpc-status", "0")], ends: true)
    let stream = try #require(http2Streams([.client(Self.get), .server(server)]).first)
    #expect(stream.text(.httpStatusCode, .toClient) == "200")
    #expect(stream.text(.httpHeader, .toClient) == ":status: 200\r\nserver: s\r\ngrpc-status: 0\r\n")
    #expect(stream.isComplete)
  }

  @Test func framesAboutTheConnectionAreTransactionsOfOneDirection() throws {
    let client =
      Frame.preface + Frame.settings([(1, 4096), (2, 0)]) + Frame.raw(8, 0, Frame.number(34_634))
      + Frame.raw(7, 0, Frame.number(1) + Frame.number(11) + Array("bye".utf8))
    let all = http2([.client(client)])
    #expect(all.map(\.streamID) == [0, 0, 0])
    #expect(all.allSatisfy { $0.soleDirection == .toServer && $0.isComplete })
    #expect(all[0].numbers(.http2Setting, .toServer) == [1 << 32 | 4096, 2 << 32])
    #expect(all[1].numbers(.http2Window, .toServer) == [34_634])
    #expect(all[2].numbers(.http2ErrorCode, .toServer) == [11])
    #expect(all[2].numbers(.http2FrameType, .toServer) == [7])
  }

  @Test func whatIsOnItsWayAfterAResetIsStillSeen() throws {
    let stream = try #require(
      http2Streams([
        .client(Self.get + Frame.reset(1, 8)),
        .server(Frame.response(1) + Frame.data(1, Array("late".utf8), ends: true)),
      ]).first)
    #expect(stream.text(.httpResponseBody, .toClient) == "late")
    #expect(stream.numbers(.http2ErrorCode, .toServer) == [8])
    #expect(stream.isComplete)
    #expect(stream.events.isEmpty)
  }

  @Test func streamsDoneWithGoWhateverTheirOrder() {
    let parser = HTTP2Parser(settings: HTTP2Settings(), http: HTTPSettings())
    feed(
      parser,
      [
        .client(Frame.preface + Frame.request(1, "/1") + Frame.request(3, "/3")),
        .server(Frame.response(3, "204", ends: true)),
      ])
    parser.removeTransactions { $0.isComplete }
    #expect(parser.transactions.compactMap { ($0 as? HTTP2Transaction)?.streamID } == [1])
  }

  @Test func requestsBehindTheServersEndAreDoneWithAsTheyAre() {
    let streams = http2Streams([
      .client(Frame.preface + Frame.request(1, "/1")), .server(Frame.response(1, ends: true)), .serverEnd,
      .client(Frame.request(3, "/3") + Frame.request(5, "/5", method: "POST", ends: false)),
    ])
    #expect(streams.map(\.isComplete) == [true, true, false])
    #expect(streams.map(\.isAnswerUnseen) == [false, true, false])
  }

  @Test func aPromiseIsARequestThatTheServerSends() throws {
    let promise = Frame.raw(5, Frame.endHeaders, stream: 1, Frame.number(2) + Frame.block([(":method", "GET"), (":path", "/pushed")]))
    let streams = http2Streams([
      .client(Self.get),
      .server(promise + Frame.response(2) + Frame.data(2, Array("p".utf8), ends: true)),
    ])
    let pushed = try #require(streams.first { $0.streamID == 2 })
    #expect(pushed.text(.httpURI, .toServer) == "/pushed")
    #expect(pushed.text(.httpResponseBody, .toClient) == "p")
    #expect(pushed.isComplete)
  }

  @Test func aGapWithinDataLosesNothingElse() throws {
    let whole = Frame.response(1) + Frame.data(1, Array("0123456789".utf8)) + Frame.data(1, Array("end".utf8), ends: true)
    let cutAt = whole.count - 12 - 10
    let stream = try #require(
      http2Streams([
        .client(Self.get), .server(Array(whole[..<cutAt])), Sent.server(Array(whole[(cutAt + 4)...])).after(gap: 4),
      ]).first)
    #expect(stream.isComplete)
    #expect(stream.files(.toClient).first?.hasGap == true)
    #expect(stream.responseContentBytes == 13)
  }

  // MARK: Oddities

  private func event(
    _ event: HTTP2Event, _ frames: [UInt8], _ settings: HTTP2Settings = HTTP2Settings(), from: Direction = .toServer
  ) -> Bool {
    http2([Sent(direction: from, bytes: (from == .toServer ? Frame.preface : []) + frames)], settings)
      .contains { $0.has(event) }
  }

  @Test func oddFramesAreEvents() {
    #expect(event(.invalidFrameLength, Frame.raw(6, 0, [1, 2])))
    #expect(event(.invalidFrameLength, Frame.raw(4, 0, [1, 2, 3])))
    #expect(event(.dataStreamZero, Frame.data(0, [1])))
    #expect(event(.continuationWithoutHeaders, Frame.raw(9, 4, stream: 1, [0x82])))
    #expect(event(.invalidHeader, Frame.raw(1, 5, stream: 1, [0xff, 0xff, 0xff])))
    #expect(event(.invalidFrameData, Frame.request(1, "/", ends: false) + Frame.raw(0, 8, stream: 1, [9, 1])))
    #expect(event(.headerTableOverflow, Frame.raw(1, 5, stream: 1, [0x3f, 0xe1, 0xff, 0x7f, 0x82])))
    #expect(event(.headerIntegerOverflow, Frame.raw(1, 5, stream: 1, [0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])))
    #expect(event(.streamIDReuse, Frame.request(1, "/") + Frame.request(1, "/2")))
    #expect(event(.userInfoInURI, Frame.headers(1, [(":authority", "u:p@h"), (":path", "/")])))
    #expect(event(.authorityHostMismatch, Frame.headers(1, [(":authority", "a"), ("host", "b")])))
    #expect(!event(.authorityHostMismatch, Frame.headers(1, [(":authority", "a"), ("host", "A")])))
    #expect(!event(.invalidFrameLength, Frame.raw(6, 0, [1, 2, 3, 4, 5, 6, 7, 8])))
  }

  @Test func limitsAreEventsAndTheReadingGoesOn() {
    var settings = HTTP2Settings()
    settings.streamCountMax = 2
    var requests: [UInt8] = []
    for number in 0..<3 { requests += Frame.request(UInt32(number) * 2 + 1, "/\(number)", ends: false) }
    let streams = http2Streams([.client(Frame.preface + requests)], settings)
    #expect(streams.map { $0.has(.tooManyStreams) } == [true, false, false])
    #expect(streams.map { $0.text(.httpURI, .toServer) } == ["/0", "/1", "/2"])

    settings = HTTP2Settings()
    settings.continuationCountMax = 3
    let block = Frame.block([(":path", "/c")])
    var flood = Frame.raw(1, 1, stream: 1, Array(block[..<1]))
    for _ in 0..<4 { flood += Frame.raw(9, 0, stream: 1) }
    flood += Frame.raw(9, 4, stream: 1, Array(block[1...]))
    #expect(event(.continuationFlood, flood, settings))

    settings = HTTP2Settings()
    settings.headerListBytesMax = 200
    let list = Frame.headers(1, [(":path", "/x"), ("a", String(repeating: "b", count: 300))], ends: true)
    #expect(event(.headerListTooLong, list, settings))

    settings = HTTP2Settings()
    settings.frameBytesMax = 10
    #expect(event(.reassemblyLimitReached, Frame.request(1, "/long"), settings))
    #expect(event(.longFrameData, Frame.raw(0, 0, stream: 1, [UInt8](repeating: 0, count: 70_000))))
  }

  @Test func floodsAreEvents() {
    var settings = HTTP2Settings()
    settings.resetsPerSecondMax = 3
    var resets: [UInt8] = []
    for stream in stride(from: UInt32(1), to: 11, by: 2) {
      resets += Frame.request(stream, "/")
      resets += Frame.reset(stream, 8)
    }
    #expect(event(.rapidReset, resets, settings))
    settings.resetsPerSecondMax = 5
    #expect(!event(.rapidReset, resets, settings))
    settings.controlFramesPerSecondMax = 3
    let pings = (0..<4).flatMap { _ in Frame.raw(6, 0, [UInt8](repeating: 0, count: 8)) }
    #expect(event(.controlFrameFlood, pings, settings))
    settings.controlFramesPerSecondMax = 4
    #expect(!event(.controlFrameFlood, pings, settings))
  }

  @Test func aRefusalIsAnAnswerThatAClientUnderstands() throws {
    let parser = HTTP2Parser(settings: HTTP2Settings(), http: HTTPSettings())
    feed(parser, [.client(Self.get), .server(Frame.settings([]))])
    let refusal = try #require(parser.refusal(page: Array("no".utf8)))
    let stream = try #require(http2Streams([.client(Self.get), .server(refusal)]).first)
    #expect(stream.text(.httpStatusCode, .toClient) == "403")
    #expect(stream.text(.httpContentType, .toClient) == "text/html")
    #expect(stream.text(.httpResponseBody, .toClient) == "no")
    #expect(stream.isComplete)
    // In the middle of a frame nothing can be said.
    feed(parser, [.server(Array(Frame.settings([(1, 2)]).dropLast()))])
    #expect(parser.refusal(page: []) == nil)
  }

  // MARK: DNS over HTTPS

  /// id 0, RD, one question: "a.b" A IN.
  private static let query: [UInt8] = [0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 97, 1, 98, 0, 0, 1, 0, 1]

  @Test func aQuestionInTheTargetFillsTheDNSBuffers() throws {
    let request = Frame.request(1, "/dns-query?ct&dns=AAABAAABAAAAAAAAAWEBYgAAAQAB", [("accept", "application/dns-message")])
    let stream = try #require(http2Streams([.client(Frame.preface + request)]).first)
    #expect(stream.appProtocol == .doh2)
    #expect(stream.text(.dnsQueryName, .toServer) == "a.b")
    #expect(stream.numbers(.dnsQueryType, .toServer) == [1])
  }

  @Test func aQuestionInTheBodyAndItsAnswerFillTheDNSBuffers() throws {
    let media = [("content-type", "application/dns-message")]
    let request =
      Frame.request(1, "/q", media, method: "POST", ends: false) + Frame.data(1, Array(Self.query[..<9]))
      + Frame.data(1, Array(Self.query[9...]), ends: true)
    let answer = Frame.response(1, "200", media) + Frame.data(1, [0, 0, 0x81] + Self.query[3...], ends: true)
    let stream = try #require(http2Streams([.client(Frame.preface + request), .server(answer)]).first)
    #expect(stream.text(.dnsQueryName, .toServer) == "a.b")
    #expect(stream.text(.dnsQueriesName, .toClient) == "a.b")
    #expect(stream.text(.dnsQueryName, .toClient) == nil)
  }

  @Test func aQuestionThatIsTooLongIsAnEvent() {
    let request =
      Frame.request(1, "/q", [("content-type", "application/dns-message")], method: "POST", ends: false)
      + (0..<5).flatMap { _ in Frame.data(1, [UInt8](repeating: 0, count: 16_000)) }
    #expect(event(.dnsRequestTooLong, request))
  }

  // MARK: Cuts and damage

  private static let corpus: [[Sent]] = [
    [
      .client(get + Frame.request(3, "/u", [("content-type", "x")], method: "POST", ends: false)),
      .server(Frame.settings([(3, 100)]) + Frame.response(1, "200", [("content-encoding", "gzip")])),
      .client(Frame.data(3, Array("upload".utf8)) + Frame.raw(0, 9, stream: 3, [2, 1, 2, 0, 0])),
      .server(Frame.data(1, Coded.gzip, ends: true) + Frame.response(3, "500", ends: true)),
      .client(Frame.raw(8, 0, stream: 1, Frame.number(5)) + Frame.reset(5, 1) + Frame.raw(99, 0, [1, 2, 3])),
    ],
    [
      .client(Frame.preface + Frame.raw(2, 0, stream: 7, Frame.number(0) + [9]) + Frame.raw(1, 1, stream: 7, Frame.block([(":path", "/p")])) + Frame.raw(9, 4, stream: 7, Frame.block([("a", "b")]))),
      .server(Frame.raw(5, 4, stream: 7, Frame.number(2) + Frame.block([(":path", "/2")])) + Frame.headers(7, [(":status", "100")]) + Frame.response(7, "200", ends: true)),
    ],
  ]

  @Test func theResultDoesNotDependOnCuts() {
    for conversation in Self.corpus {
      let whole = http2(conversation).map(\.snapshot)
      #expect(http2(conversation, cut: { $0.map { [$0] } }).map(\.snapshot) == whole)
      var mutator = Mutator(seed: 7)
      for most in [2, 9, 40] {
        var pieces: [[UInt8]: [[UInt8]]] = [:]
        for sent in conversation { pieces[sent.bytes] = mutator.pieces(of: sent.bytes, most: most) }
        #expect(http2(conversation, cut: { pieces[$0] ?? [$0] }).map(\.snapshot) == whole)
      }
    }
  }

  @Test func damagedInputNeverTrapsAndNeverDependsOnCuts() {
    var mutator = Mutator(seed: 11)
    for round in 0..<300 {
      let conversation = Self.corpus[round % Self.corpus.count].map { sent in
        Sent(direction: sent.direction, bytes: mutator.mutate(sent.bytes))
      }
      let whole = http2(conversation).map(\.snapshot)
      let cut = http2(conversation, cut: { $0.map { [$0] } }).map(\.snapshot)
      #expect(cut == whole)
    }
  }

  // MARK: How connections come about

  private func flow(_ conversation: [Sent]) -> AppLayerFlow {
    let flow = AppLayerFlow(
      settings: AppLayerSettings(), transport: .tcp, serverPort: 80, clientPort: 50_000, isMidstream: false)
    var offsets: [UInt64] = [0, 0]
    for sent in conversation {
      flow.consume(
        StreamChunk(
          bytes: sent.bytes.rawSpan, direction: sent.direction, offset: offsets[sent.direction.index],
          time: trafficTime))
      offsets[sent.direction.index] += UInt64(sent.bytes.count)
    }
    return flow
  }

  @Test func priorKnowledgeIsRecognisedEvenWhenTheServerSpeaksFirst() {
    let flow = flow([.server(Frame.settings([(3, 100)])), .client(Self.get), .server(Frame.response(1, ends: true))])
    #expect(flow.appProtocol == .http2)
    #expect(flow.events.isEmpty)
    #expect(flow.transactions.contains { $0.isComplete && ($0 as? HTTP2Transaction)?.streamID == 1 })
  }

  @Test func anUpgradedRequestIsStreamOne() throws {
    let flow = flow([
      .client("GET /up HTTP/1.1\nHost: h\nUser-Agent: u\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQAAP__\n\n"),
      .server(crlf("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: h2c\n\n") + Frame.settings([]) + Frame.response(1)),
      .client(Frame.preface + Frame.settings([])),
      .server(Frame.data(1, Array("up".utf8), ends: true)),
    ])
    #expect(flow.appProtocol == .http2)
    #expect(flow.originalProtocol == .http)
    let stream = try #require(flow.transactions.compactMap { $0 as? HTTP2Transaction }.first { $0.streamID == 1 })
    #expect(stream.text(.httpURI, .toServer) == "/up")
    // Fields were looked at when the request came in HTTP/1.
    #expect(stream.text(.httpUserAgent, .toServer) == nil)
    #expect(stream.text(.httpResponseBody, .toClient) == "up")
    let settings = try #require(flow.transactions.compactMap { $0 as? HTTP2Transaction }.first { $0.streamID == 0 })
    #expect(settings.numbers(.http2Setting, .toServer) == [3 << 32 | 100, 4 << 32 | 65_535])
  }

  @Test func whatIsNoPrefaceIsAnEvent() {
    let parser = HTTP2Parser(settings: HTTP2Settings(), http: HTTPSettings())
    feed(parser, [.client(Array("PRI * HTTP/2.0\r\n\r\nNO\r\n\r\n".utf8))])
    #expect(parser.transactions.contains { ($0 as? HTTP2Transaction)?.has(.invalidClientMagic) == true })
    #expect(parser.hasFailed.toServer)
  }
}
