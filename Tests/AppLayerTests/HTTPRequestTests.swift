import Testing
import Traffic

@testable import AppLayer

struct HTTPRequestTests {
  @Test func aPlainRequestFillsEveryBuffer() throws {
    let exchange = try #require(
      request(
        """
        GET /a/b.html?x=%41&y=1+2 HTTP/1.1
        Host: WWW.Example.COM:8080
        User-Agent: curl/8
        Referer: http://r/
        Cookie: k=v
        Accept: */*
        Accept-Encoding: gzip
        Accept-Language: de
        Connection: close
        Content-Type: text/plain


        """))
    #expect(exchange.text(.httpMethod, .toServer) == "GET")
    #expect(exchange.text(.httpURI, .toServer) == "/a/b.html?x=A&y=1+2")
    #expect(exchange.text(.httpURIRaw, .toServer) == "/a/b.html?x=%41&y=1+2")
    #expect(exchange.text(.httpProtocol, .toServer) == "HTTP/1.1")
    #expect(exchange.text(.httpRequestLine, .toServer) == "GET /a/b.html?x=%41&y=1+2 HTTP/1.1")
    #expect(exchange.text(.httpHost, .toServer) == "www.example.com")
    #expect(exchange.text(.httpHostRaw, .toServer) == "WWW.Example.COM:8080")
    #expect(exchange.hostPort == 8080)
    #expect(exchange.text(.httpUserAgent, .toServer) == "curl/8")
    #expect(exchange.text(.httpReferer, .toServer) == "http://r/")
    #expect(exchange.text(.httpCookie, .toServer) == "k=v")
    #expect(exchange.text(.httpAccept, .toServer) == "*/*")
    #expect(exchange.text(.httpAcceptEncoding, .toServer) == "gzip")
    #expect(exchange.text(.httpAcceptLanguage, .toServer) == "de")
    #expect(exchange.text(.httpConnection, .toServer) == "close")
    #expect(exchange.text(.httpContentType, .toServer) == "text/plain")
    #expect(exchange.isComplete(.toServer))
    #expect(exchange.events.isEmpty)
  }

  @Test func headBuffersHideCookiesButNamesDoNot() throws {
    let exchange = try #require(
      request("GET / HTTP/1.1\nHost:a\nCookie: k=v\nX-Y:  z \n\n"))
    #expect(exchange.text(.httpHeader, .toServer) == "Host: a\r\nX-Y: z\r\n")
    #expect(exchange.text(.httpHeaderRaw, .toServer) == "Host:a\r\nCookie: k=v\r\nX-Y:  z \r\n\r\n")
    #expect(exchange.text(.httpHeaderNames, .toServer) == "\r\nHost\r\nCookie\r\nX-Y\r\n\r\n")
    #expect(
      exchange.text(.httpStart, .toServer)
        == "GET / HTTP/1.1\r\nHost: a\r\nCookie: k=v\r\nX-Y: z\r\n\r\n")
    #expect(exchange.text(.httpRequestHeader, .toServer, 1) == "Cookie: k=v")
    #expect(exchange.text(.httpRequestHeader, .toServer, 3) == nil)
  }

  @Test func aRequestThatIsNotCompleteShowsOnlyWhatIsThere() throws {
    let line = try #require(http([.client(Array("GET / HTTP/1.1".utf8))]).first)
    #expect(line.text(.httpURI, .toServer) == nil)
    #expect(line.progress.toServer == HTTPProgress.line)
    let head = try #require(http([.client("GET / HTTP/1.1\nHost: a\n")]).first)
    #expect(head.text(.httpURI, .toServer) == "/")
    #expect(head.text(.httpHost, .toServer) == nil)
    #expect(head.progress.toServer == HTTPProgress.headers)
  }

  @Test func repeatedFieldsAreJoinedInPlace() throws {
    let exchange = try #require(
      request("GET / HTTP/1.1\nHost: a\nX: 1\nY: 2\nx: 3\nX: 4\n\n"))
    #expect(exchange.text(.httpHeader, .toServer) == "Host: a\r\nX: 1, 3, 4\r\nY: 2\r\n")
    #expect(exchange.has(.requestHeaderRepetition))
  }

  @Test func foldedLinesBecomeOneValue() throws {
    let exchange = try #require(request("GET / HTTP/1.1\nHost: a\nX: 1\n 2\n\t3\n\n"))
    #expect(exchange.text(.httpHeader, .toServer) == "Host: a\r\nX: 1 2\t3\r\n")
  }

  @Test(arguments: [
    ("GET / HTTP/1.1\nHost: a\nno colon here\n\n", HTTPEvent.requestFieldMissingColon),
    ("GET / HTTP/1.1\nHost : a\n\n", .requestHeaderInvalid),
    ("GET / HTTP/1.1\nHost: a\nX(y): z\n\n", .requestHeaderInvalid),
    ("GET / HTTP/1.1\nHost: a\n: z\n\n", .requestHeaderInvalid),
    ("GET / HTTP/1.1\nUser-Agent: a\n\n", .missingHost),
    ("GET http://b/ HTTP/1.1\nHost: a\n\n", .ambiguousHost),
    ("GET / HTTP/1.1\nHost: a b\n\n", .headerHostInvalid),
    ("GET http://a..b/ HTTP/1.1\nHost: a..b\n\n", .uriHostInvalid),
    ("GET / HTTP/1.1\nHost: a\nAuthorization: Strange x\n\n", .authorizationUnrecognized),
    ("GET\t/ HTTP/1.1\nHost: a\n\n", .methodDelimiter),
    (" GET / HTTP/1.1\nHost: a\n\n", .leadingWhitespace),
    ("GET /\tx HTTP/1.1\nHost: a\n\n", .uriDelimiter),
    ("GET /\nHost: a\n\n", .requestLineMissingProtocol),
    ("POST / HTTP/1.1\nHost: a\nContent-Length: 1\nContent-Length: 2\n\nx", .duplicateRequestContentLength),
    ("POST / HTTP/1.1\nHost: a\nContent-Length: x\n\n", .invalidRequestContentLength),
    ("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: x\n\n", .invalidRequestTransferEncoding),
    ("POST / HTTP/1.0\nHost: a\nTransfer-Encoding: chunked\n\n0\n\n", .invalidRequestTransferEncoding),
    ("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\nzz\n", .invalidRequestChunkLength),
    ("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n0;x=y\n\n", .requestChunkExtension),
  ])
  func oddRequestsRaiseTheirEvent(text: String, event: HTTPEvent) throws {
    let exchange = try #require(request(text))
    #expect(exchange.has(event), "\(exchange.eventNames)")
  }

  @Test func aPlainRequestRaisesNone() throws {
    let exchange = try #require(
      request("POST / HTTP/1.1\nHost: a\nContent-Length: 3\nAuthorization: Basic QQ==\n\nabc"))
    #expect(exchange.events.isEmpty)
    #expect(exchange.text(.httpRequestBody, .toServer) == "abc")
  }

  @Test func aLineBeyondTheLimitEndsTheDirectionWithAnEvent() throws {
    var settings = HTTPSettings()
    settings.metaFieldLimitBytes = 64
    let fits = "GET /" + String(repeating: "a", count: 40) + " HTTP/1.1\n\n"
    #expect(request(fits, settings)?.isComplete(.toServer) == true)
    let parser = HTTPParser(settings: settings)
    feed(parser, [.client("GET /" + String(repeating: "a", count: 80) + " HTTP/1.1\n\n")])
    #expect(parser.hasFailed.toServer)
    let exchange = try #require(parser.transactions.first as? HTTPTransaction)
    #expect(exchange.has(.requestFieldTooLong))
  }

  @Test func fieldsBeyondTheirNumberArePassedOver() throws {
    var settings = HTTPSettings()
    settings.headerCountMax = 3
    let fields = (0..<8).map { "X\($0): v\n" }.joined()
    let exchange = try #require(request("GET / HTTP/1.1\nHost: a\n" + fields + "\n", settings))
    #expect(exchange.has(.requestTooManyHeaders))
    #expect(exchange.headers(.toServer).count == 4)
    #expect(exchange.isComplete(.toServer))
  }

  @Test func theShortestProtocolIsALineWithAnAnswer() throws {
    let exchange = try #require(http([.client("GET /old\n"), .server("<html>"), .serverEnd]).first)
    #expect(exchange.text(.httpURI, .toServer) == "/old")
    #expect(exchange.isComplete(.toServer))
    #expect(exchange.text(.httpResponseBody, .toClient) == "<html>")
  }

  @Test func lineFeedsAloneEndLines() throws {
    let exchange = try #require(
      http([.client(Array("POST /x HTTP/1.1\nHost: a\nContent-Length: 2\n\nhi".utf8))]).first)
    #expect(exchange.text(.httpHost, .toServer) == "a")
    #expect(exchange.text(.httpRequestBody, .toServer) == "hi")
  }

  @Test func pipelinedRequestsMeetTheirAnswers() throws {
    let exchanges = http([
      .client(
        "\nGET /1 HTTP/1.1\nHost: a\n\n\nPOST /2 HTTP/1.1\nHost: a\nContent-Length: 2\n\nhiGET /3 HTTP/1.1\nHost: a\n\n"
      ),
      .server("HTTP/1.1 200 A\nContent-Length: 1\n\n1HTTP/1.1 201 B\nContent-Length: 1\n\n2"),
      .server("HTTP/1.1 204 C\n\n"),
    ])
    #expect(exchanges.map { $0.text(.httpURI, .toServer) } == ["/1", "/2", "/3"])
    #expect(exchanges.map { $0.status } == [200, 201, 204])
    #expect(exchanges.map { $0.text(.httpResponseBody, .toClient) } == ["1", "2", nil])
    #expect(exchanges.allSatisfy { $0.isComplete })
    #expect(exchanges.map(\.id) == [0, 1, 2])
  }

  @Test func manyUnansweredRequestsAreBoundedAndStayInStep() throws {
    var settings = HTTPSettings()
    settings.transactionCountMax = 4
    let parser = HTTPParser(settings: settings)
    let requests = (0..<6).map { "GET /\($0) HTTP/1.1\nHost: a\n\n" }.joined()
    let answers = (0..<6).map { "HTTP/1.1 20\($0) X\nContent-Length: 0\n\n" }.joined()
    feed(parser, [.client(requests), .server(answers)])
    let exchanges = parser.transactions.compactMap { $0 as? HTTPTransaction }
    #expect(parser.overflowCount == 2)
    #expect(exchanges.first { $0.text(.httpURI, .toServer) == "/5" }?.status == 205)
  }
}
