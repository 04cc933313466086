import Testing
import Traffic

@testable import Interception

@Suite struct ProxyNegotiationTests {
  /// Everything that comes of these octets, fed in pieces of `size`, with the replies in between.
  private func outcome(_ octets: [UInt8], by size: Int) -> (last: ProxyNegotiation.Step, replies: [[UInt8]]) {
    var negotiation = ProxyNegotiation()
    var replies: [[UInt8]] = []
    var rest = octets[...]
    var step = ProxyNegotiation.Step.needMore
    while true {
      switch step {
      case .needMore:
        if rest.isEmpty { return (step, replies) }
        step = negotiation.feed(Array(rest.prefix(size)))
        rest = rest.dropFirst(size)
      case .reply(let answer):
        replies.append(answer)
        step = negotiation.feed([])
      case .request(var request):
        request.first += rest
        return (.request(request), replies)
      case .refused: return (step, replies)
      }
    }
  }

  private func request(_ octets: [UInt8]) -> ProxyRequest? {
    let whole = outcome(octets, by: octets.count)
    for size in [1, 2, 3, 7] {
      #expect(outcome(octets, by: size).last == whole.last, "in pieces of \(size)")
      #expect(outcome(octets, by: size).replies == whole.replies, "in pieces of \(size)")
    }
    guard case .request(let request) = whole.last else { return nil }
    return request
  }

  private func http(_ text: String) -> ProxyRequest? { request(Array(text.utf8)) }

  @Test(arguments: [
    ("www.example.com:443", "www.example.com", 443), ("192.0.2.1:8443", "192.0.2.1", 8443),
    ("[2001:db8::1]:443", "2001:db8::1", 443),
  ] as [(String, String, UInt16)])
  func connectNamesItsServer(_ target: String, _ host: String, _ port: UInt16) {
    let found = http("CONNECT \(target) HTTP/1.1\r\nHost: \(target)\r\n\r\n\u{16}\u{3}")
    #expect(found == ProxyRequest(form: .connect, host: host, port: port, first: [0x16, 3]))
  }

  @Test func anAbsoluteURIIsPassedOnInOriginForm() {
    let found = http(
      "POST HTTP://user:secret@example.com:8080/a?b=c HTTP/1.1\r\nHost: example.com\r\n"
        + "Proxy-Connection: keep-alive\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok")
    #expect(found?.host == "example.com")
    #expect(found?.port == 8080)
    #expect(
      found.map { String(decoding: $0.first, as: UTF8.self) }
        == "POST /a?b=c HTTP/1.1\r\nHost: example.com\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
  }

  @Test func aURIWithoutPathGetsOne() {
    #expect(http("GET http://example.com HTTP/1.0\r\n\r\n")?.first.starts(with: "GET / HTTP/1.0\r\n".utf8) == true)
    #expect(http("GET http://example.com?q HTTP/1.1\r\n\r\n")?.first.starts(with: "GET /?q HTTP/1.1\r\n".utf8) == true)
  }

  @Test(arguments: [
    "CONNECT example.com HTTP/1.1", "CONNECT example.com:0 HTTP/1.1", "CONNECT example.com:99999 HTTP/1.1",
    "CONNECT :443 HTTP/1.1", "CONNECT [2001:db8::1:443 HTTP/1.1", "CONNECT 2001:db8::1:443 HTTP/1.1",
    "CONNECT exa mple.com:443 HTTP/1.1", "CONNECT ex%61mple.com:443 HTTP/1.1", "GET / HTTP/1.1", "GET http:// HTTP/1.1",
    "GET https://example.com/ HTTP/1.1", "CONNECT example.com:443 FTP/1", "get",
    "GET http://example.com/ HTTP/1.1\r\nX: 1\rY: 2", "GET http://example.com/ HTTP/1.1\r\nX: 1\r",
  ])
  func whatIsNoRequestForAProxyIsAnswered400(_ line: String) {
    let (last, _) = outcome(Array("\(line)\r\n\r\n".utf8), by: 5)
    guard case .refused(let answer, _) = last else {
      Issue.record("\(line): \(last)")
      return
    }
    #expect(answer.starts(with: "HTTP/1.1 400".utf8))
  }

  @Test func tlsToTheProxyItselfIsRefusedAtOnce() {
    var negotiation = ProxyNegotiation()
    guard case .refused = negotiation.feed([0x16]) else {
      Issue.record("not refused")
      return
    }
  }

  @Test func socks5() {
    let name: [UInt8] = [5, 2, 0, 2, 5, 1, 0, 3, 4] + Array("host".utf8) + [1, 0xbb, 7, 8]
    #expect(request(name) == ProxyRequest(form: .socks5, host: "host", port: 443, first: [7, 8]))
    #expect(outcome(name, by: 100).replies == [[5, 0]])
    #expect(request([5, 1, 0, 5, 1, 0, 1, 192, 0, 2, 1, 0, 80])?.host == "192.0.2.1")
    let address: [UInt8] = [0x20, 1, 0xd, 0xb8] + [UInt8](repeating: 0, count: 11) + [1]
    #expect(request([5, 1, 0, 5, 1, 0, 4] + address + [0, 80])?.host == "2001:db8:0:0:0:0:0:1")
  }

  @Test(arguments: [
    ([5, 1, 2], [5, 0xff]), ([5, 1, 0, 5, 2, 0, 1, 1, 2, 3, 4, 0, 1], [5, 7, 0, 1, 0, 0, 0, 0, 0, 0]),
    ([5, 1, 0, 5, 1, 0, 9, 1, 2, 3, 4, 0, 1], [5, 8, 0, 1, 0, 0, 0, 0, 0, 0]),
    ([5, 1, 0, 5, 1, 0, 3, 1, 0x20, 0, 80], [5, 8, 0, 1, 0, 0, 0, 0, 0, 0]),
    ([4, 2, 0, 80, 1, 2, 3, 4, 0], [0, 91, 0, 0, 0, 0, 0, 0]),
  ] as [([UInt8], [UInt8])])
  func whatSOCKSCannotHaveHere(_ octets: [UInt8], _ answer: [UInt8]) {
    guard case .refused(let given, _) = outcome(octets, by: 3).last else {
      Issue.record("\(octets) was not refused")
      return
    }
    #expect(given == answer)
  }

  @Test func socks4() {
    #expect(
      request([4, 1, 0, 80, 192, 0, 2, 1] + Array("me".utf8) + [0, 9])
        == ProxyRequest(form: .socks4, host: "192.0.2.1", port: 80, first: [9]))
    #expect(
      request([4, 1, 1, 0xbb, 0, 0, 0, 1, 0] + Array("host".utf8) + [0])
        == ProxyRequest(form: .socks4, host: "host", port: 443, first: []))
  }

  @Test(arguments: [Array("CONNECT ".utf8), [4, 1, 0, 80, 1, 2, 3, 4]])
  func aRequestWithoutEndIsRefused(_ start: [UInt8]) {
    let octets = start + [UInt8](repeating: 0x61, count: ProxyNegotiation.bytesMax)
    guard case .refused = outcome(octets, by: 1000).last else {
      Issue.record("not refused")
      return
    }
  }

  @Test func noOctetsTrap() {
    var random = SystemRandomNumberGenerator()
    let seeds: [[UInt8]] = [
      Array("CONNECT [2001:db8::1]:443 HTTP/1.1\r\n\r\n".utf8), Array("GET http://a/ HTTP/1.1\r\n\r\n".utf8),
      [5, 1, 0, 5, 1, 0, 3, 1, 0x61, 0, 80], [4, 1, 0, 80, 0, 0, 0, 1, 0, 0x61, 0],
    ]
    for round in 0..<20_000 {
      var octets = seeds[round % seeds.count]
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        octets[Int.random(in: octets.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      let size = Int.random(in: 1...octets.count, using: &random)
      let (last, _) = outcome(octets, by: size)
      if case .request(let request) = last { #expect(!request.host.isEmpty) }
    }
  }

  @Test(arguments: [
    ("127.0.0.1", true), ("0.0.0.0", true), ("169.254.1.1", true), ("224.0.0.1", true), ("255.255.255.255", true),
    ("::1", true), ("::", true), ("fe80::1", true), ("ff02::1", true), ("10.0.0.1", false), ("192.0.2.1", false),
    ("2001:db8::1", false), ("fd00::1", false), ("::2", false),
  ])
  func whatIsLocal(_ text: String, _ isLocal: Bool) throws {
    #expect(try #require(IPAddress(text)).isLocal == isLocal)
  }
}
