import TestSupport
import Testing
import Traffic

@testable import AppLayer

struct HTTPResponseTests {
  @Test func aPlainResponseFillsEveryBuffer() throws {
    let exchange = try #require(
      response(
        """
        HTTP/1.1 302 Moved away
        Server: s
        Location: /l
        Set-Cookie: c=1
        Content-Type: text/html; charset=x
        Content-Length: 5

        hello
        """))
    #expect(exchange.text(.httpResponseLine, .toClient) == "HTTP/1.1 302 Moved away")
    #expect(exchange.text(.httpProtocol, .toClient) == "HTTP/1.1")
    #expect(exchange.text(.httpStatusCode, .toClient) == "302")
    #expect(exchange.text(.httpStatusMessage, .toClient) == "Moved away")
    #expect(exchange.text(.httpServer, .toClient) == "s")
    #expect(exchange.text(.httpLocation, .toClient) == "/l")
    #expect(exchange.text(.httpCookie, .toClient) == "c=1")
    #expect(exchange.text(.httpContentType, .toClient) == "text/html; charset=x")
    #expect(exchange.text(.httpContentLength, .toClient) == "5")
    #expect(exchange.text(.httpResponseHeader, .toClient, 1) == "Location: /l")
    #expect(exchange.text(.httpHeader, .toClient)?.contains("Set-Cookie") == false)
    #expect(exchange.text(.httpResponseBody, .toClient) == "hello")
    #expect(exchange.text(.fileData, .toClient) == "hello")
    #expect(exchange.responseLengthBytes == 5)
    #expect(
      exchange.responseContentType.map { String(decoding: $0.storage[$0.range], as: UTF8.self) }
        == "text/html")
    #expect(exchange.isComplete)
  }

  @Test(arguments: [
    ("HTTP/9.9 200 OK\n\n", HTTPEvent.responseInvalidProtocol),
    ("HTTP/1.1 2x0 OK\n\n", .responseInvalidStatus),
    ("HTTP/1.1 99 OK\n\n", .responseInvalidStatus),
    ("HTTP/1.1 200 OK\nno colon\n\n", .responseFieldMissingColon),
    ("HTTP/1.1 200 OK\nA: 1\nA: 2\n\n", .responseHeaderRepetition),
    ("HTTP/1.1 200 OK\nA b : 1\n\n", .responseHeaderInvalid),
    ("HTTP/1.1 200 OK\nContent-Length: x\n\n", .invalidResponseContentLength),
    ("HTTP/1.1 200 OK\nContent-Length: 1\nContent-Length: 2\n\n", .duplicateResponseContentLength),
    ("HTTP/1.1 200 OK\nTransfer-Encoding: xchunked\n\n0\n\n", .responseAbnormalTransferEncoding),
    ("HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n0\n\n", .responseChunkedOldProtocol),
    ("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nq\n", .invalidResponseChunkLength),
    ("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n0;a\n\n", .responseChunkExtension),
    ("HTTP/1.1 200 OK\nContent-Type: multipart/byteranges; boundary=x\n\n", .responseByteRanges),
    ("HTTP/1.1 100 C\n\nHTTP/1.1 100 C\n\nHTTP/1.1 200 OK\n\n", .continueAlreadySeen),
    ("HTTP/1.1 204 OK\nContent-Length: 1\n\nx", .responseBodyUnexpected),
    ("HTTP/1.1 200 OK\nContent-Encoding: strange\n\n", .abnormalContentEncoding),
    ("HTTP/1.1 200 OK\nContent-Encoding: gzip, gzip, gzip\n\n", .tooManyEncodingLayers),
  ])
  func oddResponsesRaiseTheirEvent(text: String, event: HTTPEvent) throws {
    let exchange = try #require(response(text))
    #expect(exchange.has(event), "\(exchange.eventNames)")
  }

  @Test(arguments: [
    ("5\r\nhello\r\n0\r\n\r\n", "hello"),
    ("5;ext=\"1\"\r\nhello\r\n0\r\n\r\n", "hello"),
    ("0005\r\nhello\r\n000\r\n\r\n", "hello"),
    ("  5 \nhello\n0\n\n", "hello"),
    ("\r\n5\r\nhello\r\n\r\n0\r\n\r\n", "hello"),
    ("5junk\r\nhello\r\n0\r\n\r\n", "hello"),
    ("2\r\nhe\r\n3\r\nllo\r\n0\r\nTrailer: t\r\n\r\n", "hello"),
    ("5\r\nhelloXX\r\n0\r\n\r\n", "hello"),
    ("F\r\n0123456789abcde\r\n0\r\n\r\n", "0123456789abcde"),
    ("f\r\n0123456789abcde\r\n0\r\n\r\n", "0123456789abcde"),
  ])
  func chunksAreReadHoweverTheyAreWritten(coded: String, content: String) throws {
    let head = Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".utf8)
    let exchange = try #require(
      http([.client("GET / HTTP/1.1\nHost: a\n\n"), .server(head + Array(coded.utf8))]).first)
    #expect(exchange.text(.httpResponseBody, .toClient) == content)
    #expect(exchange.isComplete(.toClient))
  }

  @Test func aTrailerJoinsTheFields() throws {
    let exchange = try #require(
      response("HTTP/1.1 200 OK\nA: 1\nTransfer-Encoding: chunked\n\n0\nB: 2\n\n"))
    #expect(exchange.text(.httpHeader, .toClient)?.hasSuffix("B: 2\r\n") == true)
    #expect(exchange.text(.httpHeaderRaw, .toClient)?.hasSuffix("\r\n\r\nB: 2\r\n\r\n") == true)
  }

  @Test func whatIsNotChunkedThoughItSaysSoIsTheBody() throws {
    let exchange = try #require(
      http([
        .client("GET / HTTP/1.1\nHost: a\n\n"),
        .server("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nplain text\nmore"), .serverEnd,
      ]).first)
    #expect(exchange.text(.httpResponseBody, .toClient) == "plain text\r\nmore")
  }

  @Test func chunkedWinsOverContentLength() throws {
    let exchange = try #require(
      response("HTTP/1.1 200 OK\nContent-Length: 3\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n"))
    #expect(exchange.text(.httpResponseBody, .toClient) == "hello")
  }

  @Test func aBodyWithoutLengthEndsWithTheConnection() throws {
    let start: [Sent] = [
      .client("GET / HTTP/1.1\nHost: a\n\n"), .server("HTTP/1.1 200 OK\n\nab"), .server("cd"),
    ]
    let open = try #require(http(start).first)
    #expect(open.text(.httpResponseBody, .toClient) == "abcd")
    #expect(!open.isComplete(.toClient))
    #expect(open.buffer(.httpResponseBody, .toClient, index: 0)?.isComplete == false)
    let closed = try #require(http(start + [.serverEnd]).first)
    #expect(closed.isComplete(.toClient))
    #expect(closed.files(.toClient).first?.state == .closed)
  }

  @Test func aBodyThatBreaksOffIsTruncated() throws {
    let exchange = try #require(
      http([
        .client("GET /f HTTP/1.1\nHost: a\n\n"),
        .server("HTTP/1.1 200 OK\nContent-Length: 9\n\nabc"), .serverEnd,
      ]).first)
    #expect(exchange.files(.toClient).first?.state == .truncated)
    #expect(exchange.files(.toClient).first?.sizeBytes == 3)
  }

  @Test func headAndNotModifiedHaveNoBody() {
    let exchanges = http([
      .client("HEAD /1 HTTP/1.1\nHost: a\n\nGET /2 HTTP/1.1\nHost: a\n\n"),
      .server("HTTP/1.1 200 OK\nContent-Length: 9\n\nHTTP/1.1 304 N\n\n"),
    ])
    #expect(exchanges.map { $0.status } == [200, 304])
    #expect(exchanges.allSatisfy { $0.isComplete && $0.text(.httpResponseBody, .toClient) == nil })
  }

  @Test func interimResponsesGiveWayToTheRealOne() throws {
    let exchange = try #require(
      response(
        "HTTP/1.1 100 Continue\nA: 1\n\nHTTP/1.1 103 Hints\nB: 2\n\nHTTP/1.1 200 OK\nC: 3\nContent-Length: 0\n\n"
      ))
    #expect(exchange.status == 200)
    #expect(exchange.text(.httpHeader, .toClient) == "C: 3\r\nContent-Length: 0\r\n")
  }

  @Test func linesBeforeTheStatusLineAreTheBodyUnlessAStatusLineFollows() throws {
    let skipped = try #require(response("junk line\nHTTP/1.1 200 OK\nContent-Length: 1\n\nx"))
    #expect(skipped.text(.httpResponseBody, .toClient) == "x")
    let shown = try #require(
      http([
        .client("GET / HTTP/1.1\nHost: a\n\n"), .server("<html>\nsome page\n"), .serverEnd,
      ]).first)
    #expect(shown.text(.httpResponseBody, .toClient) == "<html>\r\nsome page\r\n")
  }

  @Test func aResponseWithoutRequestIsKeptAndReported() throws {
    let exchange = try #require(http([.server("HTTP/1.1 200 OK\nContent-Length: 2\n\nhi")]).first)
    #expect(exchange.has(.unmatchedResponse))
    #expect(exchange.isComplete)
    #expect(exchange.text(.fileData, .toClient) == "hi")
  }

  @Test func anAmbiguousLengthLeavesNothingOut() throws {
    let exchange = try #require(
      http([
        .client("GET / HTTP/1.1\nHost: a\n\n"),
        .server("HTTP/1.1 200 OK\nContent-Length: 3\n 9\n\nabcdefghi"), .serverEnd,
      ]).first)
    #expect(exchange.text(.fileData, .toClient) == "abcdefghi")
  }

  @Test func carriageReturnsAloneEndLinesOfResponses() throws {
    let head = "HTTP/1.1 200 OK\rA: 1\rContent-Length: 2\r\r\nhi"
    let exchange = try #require(
      http([.client("GET / HTTP/1.1\nHost: a\n\n"), .server(Array(head.utf8))]).first)
    #expect(exchange.text(.httpHeader, .toClient) == "A: 1\r\nContent-Length: 2\r\n")
    #expect(exchange.text(.httpResponseBody, .toClient) == "hi")
  }

  @Test func aTunnelHandsOverWhatFollows() throws {
    let parser = HTTPParser(settings: HTTPSettings())
    feed(
      parser,
      [
        .client("CONNECT h:443 HTTP/1.1\nHost: h:443\n\n"), .server("HTTP/1.1 200 Established\n\n"),
        .client([22, 3, 1]),
      ])
    #expect(parser.successor == .recognise)
    #expect(parser.heldForSuccessor.toServer == [22, 3, 1])
    let exchange = try #require(parser.transactions.first as? HTTPTransaction)
    #expect(exchange.isComplete)
    #expect(exchange.text(.httpHost, .toServer) == "h")
    #expect(exchange.hostPort == 443)
  }

  @Test func aRefusedTunnelGoesOnAsHTTP() {
    let exchanges = http([
      .client("CONNECT h:443 HTTP/1.1\nHost: h:443\n\n"),
      .server("HTTP/1.1 407 No\nContent-Length: 0\n\n"),
      .client("GET /n HTTP/1.1\nHost: h\n\n"), .server("HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    ])
    #expect(exchanges.map { $0.status } == [407, 200])
  }

  @Test(arguments: [("h2c", ProtocolChange.to(.http2)), ("websocket", .to(.websocket)), ("x", .recognise)])
  func anUpgradeNamesWhatFollows(name: String, change: ProtocolChange) {
    let parser = HTTPParser(settings: HTTPSettings())
    feed(
      parser,
      [
        .client("GET / HTTP/1.1\nHost: a\nUpgrade: \(name)\n\n"),
        .server("HTTP/1.1 101 S\nUpgrade: \(name)\n\n"),
      ])
    #expect(parser.successor == change)
  }

  @Test func requestsBehindTheServersEndAreDoneWithAsTheyAre() {
    let ask = Sent.client("GET / HTTP/1.1\nHost: a\n\n")
    let answer = Sent.server("HTTP/1.1 200 OK\nContent-Length: 0\n\n")
    let exchanges = http([ask, ask, answer, .serverEnd, ask, ask, .client("POST / HTTP/1.1\nContent-Length: 9\n\nhalf")])
    #expect(exchanges.map(\.isComplete) == [true, true, true, true, false])
    #expect(exchanges.map(\.isUnanswered) == [false, true, true, true, false])
    // Those that the server's end has met wait for a sign that the connection goes on.
    #expect(http([ask, ask, answer, .serverEnd]).map(\.isComplete) == [true, false])
  }

  @Test func aBodyThatWasRefusedIsNotWaitedFor() {
    let exchanges = http([
      .client("POST /1 HTTP/1.1\nHost: a\nExpect: 100-continue\nContent-Length: 9\n\n"),
      .server("HTTP/1.1 417 No\nContent-Length: 0\n\n"),
      .client("GET /2 HTTP/1.1\nHost: a\n\n"),
    ])
    #expect(exchanges.map { $0.text(.httpURI, .toServer) } == ["/1", "/2"])
  }

  @Test func bodiesWithinTheLimitAreKeptAndTheRestIsNot() throws {
    var settings = HTTPSettings()
    settings.responseBodyLimitBytes = 4
    let exchange = try #require(
      http(
        [.client("GET / HTTP/1.1\nHost: a\n\n"), .server("HTTP/1.1 200 OK\nContent-Length: 6\n\nabcdef")],
        settings
      ).first)
    #expect(exchange.text(.httpResponseBody, .toClient) == "abcd")
    #expect(exchange.files(.toClient).first?.state == .truncated)
  }
}
