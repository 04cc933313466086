import TestSupport
import Testing
import Traffic

@testable import AppLayer

/// "hello hello hello, compressed world" in the codings of RFC 1950 to 1952.
enum Coded {
  static let plain = "hello hello hello, compressed world"
  static let raw = [UInt8](hex: "cb48cdc9c957c840903a0ac9f9b90545a9c5c5a9290ae5f945392900")
  static let zlib = [UInt8](hex: "78dacb48cdc9c957c840903a0ac9f9b90545a9c5c5a9290ae5f945392900ec040d46")
  static let gzip = [UInt8](
    hex: "1f8b08000000000000ffcb48cdc9c957c840903a0ac9f9b90545a9c5c5a9290ae5f945392900bcf86b3d23000000")
  /// With extra field, name, comment and header checksum (a wrong one).
  static let gzipWithAll = [UInt8](
    hex:
      "1f8b081e0000000000ff020061626e616d6500636f6d6d656e74001122cb48cdc9c957c840903a0ac9f9b90545a9c5c5a9290ae5f945392900bcf86b3d23000000"
  )
  /// zlib around gzip.
  static let twice = [UInt8](
    hex:
      "789c93efe6600083ffa73dce9e3c197ec2618215d7c99f3b595d571e3dba5293ebe94f574b4d863d3fb26d95818a00a451122f"
  )

  /// RFC 7932: window bits 0; a meta-block that is not the last, of 35 octets, uncompressed; then an
  /// empty last one.
  static let brotli: [UInt8] = [0x20, 0x02, 0x10] + plain.utf8 + [0x03]

  /// RFC 8878, by the `zstd` tool.
  static let zstd = [UInt8](
    hex: "28b52ffd0458f50000c068656c6c6f202c20636f6d7072657373656420776f726c640100314a113aae1332")

  static func answer(_ coding: String, _ body: [UInt8]) -> [Sent] {
    [
      .client("GET / HTTP/1.1\nHost: a\n\n"),
      .server(httpMessage("HTTP/1.1 200 OK", [("Content-Encoding", coding)], body: body)), .serverEnd,
    ]
  }
}

struct HTTPContentTests {
  /// `Coded.gzip` (46 octets) in Brotli's uncompressed form.
  private static let nested: [UInt8] = [0xd0, 0x02, 0x10] + Coded.gzip + [0x03]

  @Test(arguments: [
    ("gzip", Coded.gzip), ("x-gzip", Coded.gzip), ("GZip", Coded.gzip), ("gzip", Coded.gzipWithAll),
    ("deflate", Coded.raw), ("deflate", Coded.zlib), ("deflate", Coded.gzip), ("gzip", Coded.zlib),
    ("gzip", Coded.raw), ("gzip, deflate", Coded.twice), ("deflate, deflate", Coded.twice),
    ("gzip", Coded.gzip + [1, 2, 3]), ("gzip", Array(Coded.gzip.dropLast(8))),
    ("inflate", Array(Coded.plain.utf8)), ("br", Coded.brotli), ("gzip, br", nested), ("zstd", Coded.zstd),
  ])
  func contentIsDecodedWhateverItsLabel(coding: String, body: [UInt8]) throws {
    let exchange = try #require(http(Coded.answer(coding, body)).first)
    #expect(exchange.text(.httpResponseBody, .toClient) == Coded.plain)
    #expect(exchange.text(.fileData, .toClient) == Coded.plain)
    #expect(exchange.responseLengthBytes == UInt64(body.count))
    #expect(!exchange.has(.gzipDecompressionFailed))
  }

  @Test func whereNobodyAsksForContentItIsCountedAndNotDecoded() throws {
    let files = FileExaminer()
    files.looksAtContent = false
    let upload = httpMessage("POST /up HTTP/1.1", [("Host", "a"), ("Content-Encoding", "gzip"), ("Content-Length", "3")], body: [1, 2, 3])
    let length = ("Content-Length", "\(Coded.gzip.count)")
    let answer = httpMessage("HTTP/1.1 200 OK", [("Content-Encoding", "gzip"), length], body: Coded.gzip)
    let more: [Sent] = [.client("GET /next HTTP/1.1\nHost: a\n\n"), .server("HTTP/1.1 404 No\nContent-Length: 0\n\n"), .serverEnd]
    let parser = HTTPParser(settings: HTTPSettings(), files: files)
    let exchanges = feed(parser, [.client(upload), .server(answer)] + more).transactions.compactMap { $0 as? HTTPTransaction }
    #expect(exchanges.map(\.isComplete) == [true, true])
    let first = try #require(exchanges.first)
    #expect(first.requestLengthBytes == 3 && first.responseLengthBytes == UInt64(Coded.gzip.count))
    #expect(first.text(.httpResponseBody, .toClient) == nil && first.text(.httpRequestBody, .toServer) == nil)
    #expect(first.events.isEmpty && !first.hasFiles)
    #expect(exchanges.last?.text(.httpURI, .toServer) == "/next")
    // What is asked for from now on is decoded again.
    files.looksAtContent = true
    let later = feed(HTTPParser(settings: HTTPSettings(), files: files), Coded.answer("gzip", Coded.gzip))
    #expect((later.transactions.first as? HTTPTransaction)?.text(.httpResponseBody, .toClient) == Coded.plain)
  }

  /// `{"` is a valid start of DEFLATE data, which then breaks off.
  @Test(arguments: ["gzip", "x-gzip"]) func textThatIsLabelledAsGzipIsTakenAsItIs(coding: String) throws {
    let text = #"{"sdk_version":11026,"app_package":"com.example.app","device_id":"350672920106648"}"#
    let exchange = try #require(http(Coded.answer(coding, Array(text.utf8))).first)
    #expect(exchange.text(.fileData, .toClient) == text)
  }

  @Test func aChecksumThatIsWrongDoesNotHideTheContent() throws {
    var body = Coded.gzip
    body[body.count - 5] ^= 0xff
    #expect(http(Coded.answer("gzip", body)).first?.text(.fileData, .toClient) == Coded.plain)
  }

  @Test func twoGzipMembersAreBothRead() throws {
    let exchange = try #require(http(Coded.answer("gzip", Coded.gzip + Coded.gzip)).first)
    #expect(exchange.text(.fileData, .toClient) == Coded.plain + Coded.plain)
  }

  @Test func whatCannotBeDecodedIsShownAsItIs() throws {
    for coding in ["gzip", "deflate", "br"] {
      let exchange = try #require(http(Coded.answer(coding, Array("not compressed".utf8))).first)
      #expect(exchange.text(.fileData, .toClient) == "not compressed")
      #expect(exchange.has(.gzipDecompressionFailed))
    }
  }

  @Test func aDecodedRequestBodyIsInspected() throws {
    let exchange = try #require(
      http([
        .client(
          httpMessage(
            "POST / HTTP/1.1",
            [("Host", "a"), ("Content-Encoding", "gzip"), ("Content-Length", "\(Coded.gzip.count)")],
            body: Coded.gzip))
      ]).first)
    #expect(exchange.text(.httpRequestBody, .toServer) == Coded.plain)
  }

  @Test func codingsBeyondTheLimitStayAndNoneAreUndoneAtZero() throws {
    var settings = HTTPSettings()
    settings.responseBodyDecompressLayerLimit = 1
    let one = try #require(http(Coded.answer("gzip, deflate", Coded.twice), settings).first)
    #expect(one.has(.tooManyEncodingLayers))
    #expect(one.bytes(.fileData, .toClient) == Coded.gzip)
    settings.responseBodyDecompressLayerLimit = 0
    let none = try #require(http(Coded.answer("gzip", Coded.gzip), settings).first)
    #expect(none.bytes(.fileData, .toClient) == Coded.gzip)
  }

  /// 4 MiB of zeros, DEFLATE applied twice.
  private static let bomb = [UInt8](
    hex: "edc6310d00211000b043070b5218518302260ca10141afe1093248daa9df4e292266f9576ff51600000078dbc807")

  @Test func aBombIsCutWithAnEventAndEndsDecodingWhenRepeated() throws {
    let exchanges = http(
      (0..<4).flatMap { _ in
        [
          Sent.client("GET / HTTP/1.1\nHost: a\n\n"),
          .server(
            httpMessage(
              "HTTP/1.1 200 OK",
              [("Content-Encoding", "deflate, deflate"), ("Content-Length", "\(Self.bomb.count)")],
              body: Self.bomb)),
        ]
      })
    let first = try #require(exchanges.first)
    #expect(first.has(.compressionBomb))
    #expect(first.responseContentBytes < 2 << 20)
    #expect(exchanges.count == 4 && exchanges[2].has(.compressionBombLimit))
    #expect(exchanges.last?.bytes(.fileData, .toClient) == Self.bomb)
  }

  // MARK: Window

  @Test func theWindowShowsWhatIsNewAndLetsGoOfTheOld() throws {
    var settings = HTTPSettings()
    settings.bodyWindowBytes = 10
    let parser = HTTPParser(settings: settings)
    feed(parser, [.client("POST / HTTP/1.1\nHost: a\nContent-Length: 60\n\n0123456789")])
    let exchange = try #require(parser.transactions.first as? HTTPTransaction)
    var view = try #require(exchange.buffer(.httpRequestBody, .toServer, index: 0))
    #expect(view.offset == 0 && view.count == 10 && view.newCount == 10 && !view.isComplete)
    exchange.markInspected(.toServer)
    feed(parser, [.client(Array(repeating: 97, count: 15))])
    view = try #require(exchange.buffer(.httpRequestBody, .toServer, index: 0))
    #expect(view.offset == 0 && view.count == 25 && view.newCount == 15)
    exchange.markInspected(.toServer)
    feed(parser, [.client(Array(repeating: 98, count: 35))])
    view = try #require(exchange.buffer(.httpRequestBody, .toServer, index: 0))
    #expect(view.offset == 15 && view.count == 45 && view.newCount == 35 && view.isComplete)
  }

  // MARK: Uploads

  static let form = crlf(
    """
    preamble
    --B
    Content-Disposition: form-data; name="t"

    field
    --B
    Content-Disposition: form-data; name="f"; filename="a\\"b.txt"
    Content-Type: text/plain

    first
    --Bogus
    --B
    Content-Disposition: form-data; name="g"; filename=second.bin

    2
    --B--

    """)

  static func upload(_ form: [UInt8]) -> [Sent] {
    [
      .client(
        httpMessage(
          "POST /up HTTP/1.1",
          [
            ("Host", "a"), ("Content-Type", "multipart/form-data; boundary=\"B\""),
            ("Content-Length", "\(form.count)"),
          ], body: form))
    ]
  }

  @Test func filesOfAFormAreTakenOut() throws {
    let exchange = try #require(http(Self.upload(Self.form)).first)
    #expect(exchange.bytes(.httpRequestBody, .toServer) == Self.form)
    #expect(exchange.text(.fileName, .toServer, 0) == "a\"b.txt")
    #expect(exchange.text(.fileName, .toServer, 1) == "second.bin")
    #expect(exchange.text(.fileData, .toServer, 1) == "2")
    #expect(exchange.text(.fileData, .toServer, 2) == nil)
    #expect(exchange.files(.toServer).map(\.state) == [.closed, .closed])
    #expect(exchange.files(.toServer).last?.sizeBytes == 1)
  }

  @Test func aLineThatOnlyBeginsLikeTheBoundaryIsOne() throws {
    // RFC 2046 section 5.1.1: a delimiter is matched by its beginning.
    let exchange = try #require(http(Self.upload(Self.form)).first)
    #expect(exchange.text(.fileData, .toServer, 0) == "first")
  }

  @Test func oddPartsRaiseEvents() throws {
    let noValue = crlf("--B\nContent-Disposition:\nbad line\n\nx\n--B--\n")
    #expect(http(Self.upload(noValue)).first?.has(.multipartInvalidHeader) == true)
    let empty = crlf("--B\nContent-Disposition: form-data; filename=\"e\"\n\n--B--\n")
    #expect(http(Self.upload(empty)).first?.has(.multipartNoFileData) == true)
    #expect(http(Self.upload(Self.form)).first?.has(.multipartNoFileData) == false)
  }

  @Test func aPutOrPlainPostIsAFileNamedByItsPath() throws {
    for method in ["PUT", "POST"] {
      let exchange = try #require(
        request("\(method) /dir/f%2etxt?q HTTP/1.1\nHost: a\nContent-Length: 2\n\nhi"))
      #expect(exchange.text(.fileName, .toServer) == "/dir/f.txt")
      #expect(exchange.text(.fileData, .toServer) == "hi")
    }
    let other = try #require(request("PATCH /f HTTP/1.1\nHost: a\nContent-Length: 2\n\nhi"))
    #expect(other.text(.fileData, .toServer) == nil)
    #expect(other.text(.httpRequestBody, .toServer) == "hi")
  }

  @Test(arguments: [
    ("attachment; filename=\"x.exe\"", "x.exe"), ("attachment; filename=x.exe", "x.exe"),
    ("attachment; a=\"b;filename=c\"; FileName=d", "d"), ("filename=e", "e"), ("attachment", "/p"),
  ])
  func aDownloadIsNamedByItsDispositionOrPath(field: String, name: String) throws {
    let exchange = try #require(
      http([
        .client("GET /p HTTP/1.1\nHost: a\n\n"),
        .server("HTTP/1.1 200 OK\nContent-Disposition: \(field)\nContent-Length: 1\n\nx"),
      ]).first)
    #expect(exchange.text(.fileName, .toClient) == name)
  }

  // MARK: Gaps

  @Test func aGapWithinABodyIsCountedAndTheBodyGoesOn() throws {
    let exchanges = http([
      .client("GET /1 HTTP/1.1\nHost: a\n\nGET /2 HTTP/1.1\nHost: a\n\n"),
      .server("HTTP/1.1 200 OK\nContent-Length: 10\n\nabc"),
      Sent.server("ij").after(gap: 5),
      .server("HTTP/1.1 201 OK\nContent-Length: 0\n\n"),
    ])
    let first = try #require(exchanges.first)
    #expect(first.text(.fileData, .toClient) == "abc")
    #expect(first.buffer(.fileData, .toClient, index: 0)?.isComplete == false)
    #expect(first.showsPiece(.toClient))
    first.markInspected(.toClient)
    #expect(!first.showsPiece(.toClient))
    #expect(first.text(.fileData, .toClient) == "ij")
    #expect(first.buffer(.fileData, .toClient, index: 0)?.offset == 8)
    #expect(first.files(.toClient).first?.state == .truncated)
    #expect(exchanges.last?.status == 201)
  }

  @Test func whereNothingWaitsABodyIsNewsWhenEnoughHasCome() throws {
    var settings = HTTPSettings()
    settings.responsePace = HTTPSettings.BodyPace(leastBytes: 10, stepBytes: 4)
    for isWaitedFor in [true, false] {
      settings.showsBodiesAtOnce = isWaitedFor
      let parser = HTTPParser(settings: settings)
      var news: [Bool] = []
      for piece in ["HTTP/1.1 200 OK\nContent-Length: 20\n\nabc", "defg", "hij", "klm", "n", "opqrst"] {
        feed(parser, [.client("GET / HTTP/1.1\nHost: a\n\n")].filter { _ in news.isEmpty } + [.server(piece)])
        let exchange = try #require(parser.transactions.first as? HTTPTransaction)
        news.append(exchange.hasNews(.toClient))
        if news.last == true { exchange.markInspected(.toClient) }
      }
      #expect(news == [true, isWaitedFor, true, isWaitedFor, true, true])
    }
  }

  /// It is recorded and forgotten once it is over, so that rules have to see it before.
  @Test func theEndOfAFileWithinABodyIsNews() throws {
    var settings = HTTPSettings()
    settings.showsBodiesAtOnce = false
    let parser = HTTPParser(settings: settings)
    let head = "POST / HTTP/1.1\nHost: a\nContent-Type: multipart/form-data; boundary=x\nContent-Length: 9000\n\n"
    let part = "--x\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\n\n"
    var news: [Bool] = []
    for piece in [head + part + "begin", "more", "\n--x\nContent-Disposition: form-data; name=\"n\"\n\n", "a value", "and more"] {
      feed(parser, [.client(piece)])
      let exchange = try #require(parser.transactions.first as? HTTPTransaction)
      news.append(exchange.hasNews(.toServer))
      if news.last == true { exchange.markInspected(.toServer) }
    }
    #expect(news == [true, false, true, false, false])
  }

  @Test func ofABodyWithHolesOnlySoManyPiecesWait() throws {
    for holes in [64, 65] {
      let pieces = (0..<holes).map { _ in Sent.server("a").after(gap: 1) }
      let exchanges = http(
        [.client("GET /1 HTTP/1.1\nHost: a\n\n"), .server("HTTP/1.1 200 OK\nContent-Length: 1000\n\nb")] + pieces)
      let exchange = try #require(exchanges.first)
      #expect(exchange.has(.bodyHolesLimit) == (holes > 64))
      var shown = ""
      while exchange.showsPiece(.toClient) {
        shown += exchange.text(.fileData, .toClient) ?? ""
        exchange.markInspected(.toClient)
      }
      #expect(shown == "b" + String(repeating: "a", count: 63))
      #expect(exchange.text(.fileData, .toClient) == "a")
    }
  }

  @Test func whateverTheStepsNoMoreWaitsThanMay() {
    var body = HTTPBody()
    let pace = HTTPSettings.BodyPace(leastBytes: .max, stepBytes: .max)
    body.append([UInt8](repeating: 0x61, count: HTTPBody.uninspectedBytesMax - 1).rawSpan, limitBytes: nil)
    #expect(!body.isDue(pace))
    body.append([0x61].rawSpan, limitBytes: nil)
    #expect(body.isDue(pace))
  }

  @Test func afterAGapTheNextMessageIsFound() throws {
    let exchanges = http([
      .client("GET /1 HTTP/1.1\nHost: a\n\n"),
      Sent.client("tail of a field: x\n\nGET /3 HTTP/1.1\nHost: a\n\n").after(gap: 100),
      .server("HTTP/1.1 200 OK\nContent-Len"),
      Sent.server("more\nHTTP/1.1 203 OK\nContent-Length: 0\n\n").after(gap: 40),
    ])
    #expect(exchanges.map { $0.text(.httpURI, .toServer) } == ["/1", "/3"])
    #expect(exchanges.first?.text(.fileData, .toClient) == "more\r\n")
    #expect(exchanges.last?.status == 203)
  }

  @Test func whatIsMissingInARequestLineIsLeftOutOfIt() throws {
    let exchanges = http([
      .client("GET /malic"),
      Sent.client("ious HTTP/1.1\nHost: a\n\n").after(gap: 1),
    ])
    #expect(exchanges.map { $0.text(.httpURI, .toServer) } == ["/malicious"])
    #expect(exchanges.first?.events.map(\.name) == ["invalid_gap"])
  }

  @Test func aRequestBehindAGapInALineIsOneOfItsOwn() throws {
    let exchanges = http([
      .client("GET /1"),
      Sent.client("GET /2 HTTP/1.1\nHost: a\n\n").after(gap: 100),
    ])
    #expect(exchanges.map { $0.text(.httpURI, .toServer) } == [nil, "/2"])
    #expect(exchanges.first?.events.map(\.name) == ["invalid_gap", "request_line_incomplete"])
    #expect(exchanges.last?.text(.httpHost, .toServer) == "a")
  }
}
