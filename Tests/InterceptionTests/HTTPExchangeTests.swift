import Testing
import Traffic

@testable import Interception

@Suite struct HTTPExchangeTests {
  private static func fields(keeps: Bool = false) -> ForwardedFields {
    var fields = ForwardedFields(keepsAddresses: keeps, address: IPAddress("192.0.2.1") ?? IPAddress(ipv4: 0))
    fields.fields = [("X-Forwarded-Proto", "https"), ("X-TLS-Version", "TLSv1.3")]
    return fields
  }
  private static let ours = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-TLS-Version: TLSv1.3\r\n\r\n"

  /// What the backend gets; "refused STATUS" behind it where that came.
  private func pass(_ text: String, by size: Int = 100_000, keeps: Bool = false) -> String {
    var exchange = HTTPExchange(Self.fields(keeps: keeps))
    let bytes = Array(text.utf8)
    var out: [UInt8] = []
    var at = 0
    while at < bytes.count {
      let piece = Array(bytes[at..<min(bytes.count, at + size)])
      at += size
      switch exchange.request(piece.rawSpan) {
      case .forward(let more): out += more
      case .refused(let status, _): return String(decoding: out, as: UTF8.self) + "refused \(status.prefix(3))"
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  @Test(arguments: [1, 3, 100_000])
  func `Each request on a connection gets the fields, and bodies stay as they are`(_ size: Int) {
    let text =
      "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /" + "POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      + "5;a=b\r\nGET /\r\n0\r\nTrailer: 1\r\n\r\n" + "GET /c HTTP/1.1\r\nHost: x\r\n\r\n"
    #expect(
      pass(text, by: size)
        == "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n" + Self.ours + "GET /"
        + "POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + Self.ours
        + "5;a=b\r\nGET /\r\n0\r\nTrailer: 1\r\n\r\n" + "GET /c HTTP/1.1\r\nHost: x\r\n" + Self.ours)
  }

  @Test func `What a client says of itself is taken out, in any spelling`() {
    let text =
      "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1\r\nx_forwarded_for: 2.2.2.2\r\nFORWARDED: for=3\r\nX-Real-IP: 4\r\n"
      + "X-TLS-Client-Verified: yes\r\nX_Tls_Client_Subject: CN=root\r\nX-Forwarded-Proto: ftp\r\nAccept: */*\r\n\r\n"
    #expect(pass(text) == "GET / HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n" + Self.ours)
  }

  @Test func `Addresses in front are kept where that is wanted`() {
    let text = "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nX-Forwarded-For: 3.3.3.3\r\n\r\n"
    #expect(pass(text, keeps: true).contains("X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 192.0.2.1\r\n"))
  }

  @Test func `A client cannot have a field of ours taken out behind us`() {
    let text = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close, X-Forwarded-For, x_real_ip\r\n\r\n"
    #expect(pass(text) == "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + Self.ours)
  }

  @Test(arguments: [
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "GET / HTTP/1.1\nHost: x\n\r\n\r\n", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n folded: 1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nA\rB: 1\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n: 1\r\n\r\n",
    "\u{16}\u{3}\u{1}\r\n\r\n",
  ])
  func `A request that two readers could take for two different things is refused`(_ text: String) {
    for size in [1, 100_000] { #expect(pass(text, by: size) == "refused 400", "\(text)") }
  }

  @Test(arguments: [
    // A sign is no digit, though the library reads one.
    "-0\r\n\r\n", "+5\r\nhello\r\n", "0x5\r\nhello\r\n", "-5\r\n",
    "5\r\nhelloX", "5\nhello\r\n", "5 \r\nhello\r\n", "\r\n", "ffffffffffffffff\r\n", "5;\0\r\n",
  ])
  func `A chunk that cannot be read ends the connection`(_ chunk: String) {
    let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    #expect(pass(head + chunk, by: 1).hasSuffix("refused 400"), "\(chunk)")
  }

  @Test func `A head without end is refused at its limit`() {
    let text = "GET / HTTP/1.1\r\nHost: x\r\nA: " + String(repeating: "a", count: HTTPFramer.headBytesMax)
    #expect(pass(text, by: 1000) == "refused 431")
  }

  @Test func `What follows another protocol's agreement passes as it is, and nothing before it`() {
    var exchange = HTTPExchange(Self.fields())
    func request(_ text: String) -> String {
      guard case .forward(let bytes) = exchange.request(Array(text.utf8).rawSpan) else { return "refused" }
      return String(decoding: bytes, as: UTF8.self)
    }
    let upgrade = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"
    #expect(request(upgrade).contains("Upgrade: websocket\r\nConnection: keep-alive, upgrade\r\n"))
    #expect(exchange.isAwaitingSwitch)
    // Sent too early: what it is depends on the answer.
    #expect(request("GET /x HTTP/1.1\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n") == "")
    exchange.response(Array("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n\u{1}".utf8).rawSpan)
    #expect(!exchange.isAwaitingSwitch)
    guard case .forward(let bytes) = exchange.takeHeld() else {
      Issue.record("refused")
      return
    }
    #expect(String(decoding: bytes, as: UTF8.self) == "GET /x HTTP/1.1\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n")
    #expect(request("\u{1}\u{2}") == "\u{1}\u{2}")
  }

  @Test func `After a refused upgrade requests are read as such`() {
    var exchange = HTTPExchange(Self.fields())
    let upgrade = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    _ = exchange.request(Array((upgrade + "GET /x HTTP/1.1\r\nHost: x\r\nX-Real-IP: 6\r\n\r\n").utf8).rawSpan)
    // Its body only looks like an agreement.
    let body = "HTTP/1.1 101 Switching Protocols\r\n\r\n"
    exchange.response(Array("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8).rawSpan)
    #expect(exchange.hasHeld)
    guard case .forward(let bytes) = exchange.takeHeld() else {
      Issue.record("refused")
      return
    }
    #expect(String(decoding: bytes, as: UTF8.self) == "GET /x HTTP/1.1\r\nHost: x\r\n" + Self.ours)
  }

  @Test func `Behind a request without an answer no other protocol is asked for`() {
    let text =
      "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    #expect(!pass(text).contains("websocket"))
  }

  @Test func `An answer to HEAD, 204 and 304 has no body whatever it says`() {
    var exchange = HTTPExchange(Self.fields())
    let plain = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    _ = exchange.request(Array((plain.replacing("GET", with: "HEAD") + plain + plain).utf8).rawSpan)
    let answers =
      "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n"
      + "HTTP/1.1 204 No Content\r\n\r\n"
    exchange.response(Array(answers.utf8).rawSpan)
    // All are answered, so that an upgrade can be agreed on.
    _ = exchange.request(Array("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".utf8).rawSpan)
    #expect(exchange.isAwaitingSwitch)
  }

  @Test func `No octets trap`() {
    var random = SystemRandomNumberGenerator()
    let seeds = [
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: x\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ].map { Array($0.utf8) }
    for round in 0..<5_000 {
      var octets = seeds[round % seeds.count]
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        octets[Int.random(in: octets.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      var exchange = HTTPExchange(Self.fields())
      _ = exchange.request(octets.rawSpan)
      exchange.response(octets.rawSpan)
      if exchange.hasHeld { _ = exchange.takeHeld() }
    }
  }
}
