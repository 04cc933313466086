import AppLayer
import EventOutput
import Inspection
import TestSupport
import Testing
import Traffic

private func consume(_ bytes: [UInt8], _ direction: Direction, _ parser: AppLayerParser) {
  parser.consume(
    StreamChunk(
      bytes: bytes.rawSpan, direction: direction, offset: 0, time: Timestamp(seconds: 1_500_000_000)))
}

private func dns(_ bytes: [UInt8], _ direction: Direction, as appProtocol: AppProtocol = .dns) throws
  -> Transaction
{
  let parser = DNSParser(framing: .datagram, appProtocol: appProtocol)
  consume(bytes, direction, parser)
  return try #require(parser.transactions.first)
}

private func record(
  _ transaction: Transaction, _ context: EventContext, _ settings: EVESettings = EVESettings()
) throws -> JSON {
  try #require(try records(.transaction(transaction, nil), context, settings: settings).first)
}

@Test func `a DNS request is told with its questions`() throws {
  let tx = try dns(TestSupport.DNSMessage.query("www.example.com", type: 65).bytes, .toServer)
  let context = context(ipProtocol: IPProtocol.udp, serverPort: 53)
  let out = try record(tx, context)
  #expect(text(out, "event_type") == "dns")
  #expect(text(out, "src_ip") == "192.0.2.10")
  #expect(number(out, "dns.version") == 3)
  #expect(text(out, "dns.type") == "request")
  #expect(number(out, "dns.tx_id") == 0)
  #expect(number(out, "dns.id") == 0x1234)
  #expect(text(out, "dns.flags") == "100")
  #expect(flag(out, "dns.rd") == true)
  #expect(value(out, "dns.qr") == nil)
  #expect(number(out, "dns.opcode") == 0)
  #expect(text(out, "dns.queries.0.rrname") == "www.example.com")
  #expect(text(out, "dns.queries.0.rrtype") == "HTTPS")
}

@Test func `a DNS response is told with all sections, detailed and grouped`() throws {
  var message = TestSupport.DNSMessage.response(
    to: .query("a.example"),
    [
      .init("a.example", .cname("b.example")), .init("b.example", .address(ip("192.0.2.1"))),
      .init("b.example", .address(ip("2001:db8::5"))), .init("b.example", .txt(["one", ""])),
      .init("b.example", .srv(priority: 1, weight: 2, port: 3, "c.example")),
      .init("b.example", .mx(preference: 5, "mx.example")),
      .init("b.example", .other(type: 44, [1, 1, 0x19, 0x8c])),
      .init("b.example", .other(type: 10, [0xc5, 3])),
    ], code: 3)
  message.authorities = [
    .init("example", .soa(primary: "ns.example", mailbox: "root.example", serial: 8))
  ]
  let tx = try dns(message.bytes, .toClient)
  let context = context(ipProtocol: IPProtocol.udp, serverPort: 53, direction: .toClient)
  let out = try record(tx, context)
  // The response comes from the server.
  #expect(text(out, "src_ip") == "198.51.100.20")
  #expect(number(out, "src_port") == 53)
  #expect(text(out, "dns.type") == "response")
  #expect(text(out, "dns.flags") == "8183")
  #expect(flag(out, "dns.qr") == true && flag(out, "dns.ra") == true)
  #expect(text(out, "dns.rcode") == "NXDOMAIN")
  #expect(text(out, "dns.queries.0.rrname") == "a.example")
  #expect(text(out, "dns.answers.0.rdata") == "b.example")
  #expect(number(out, "dns.answers.0.ttl") == 300)
  #expect(text(out, "dns.answers.1.rdata") == "192.0.2.1")
  #expect(text(out, "dns.answers.2.rdata") == "2001:0db8:0000:0000:0000:0000:0000:0005")
  #expect(text(out, "dns.answers.3.rdata") == "one")
  #expect(text(out, "dns.answers.4.rdata") == "")
  #expect(text(out, "dns.answers.5.srv.name") == "c.example")
  #expect(number(out, "dns.answers.5.srv.port") == 3)
  #expect(text(out, "dns.answers.6.rdata") == "mx.example")
  #expect(text(out, "dns.answers.7.sshfp.fingerprint") == "19:8c")
  #expect(number(out, "dns.answers.7.sshfp.algo") == 1)
  #expect(text(out, "dns.answers.8.rdata") == "\\xc5\u{3}")
  #expect(text(out, "dns.grouped.A.0") == "192.0.2.1")
  #expect(text(out, "dns.grouped.TXT.1") == "")
  #expect(number(out, "dns.grouped.SRV.0.priority") == 1)
  #expect(text(out, "dns.authorities.0.soa.mname") == "ns.example")
  #expect(number(out, "dns.authorities.0.soa.minimum") == 300)
  #expect(value(out, "dns.additionals") == nil)
}

@Test func `DNS records of version 2 tell of one question each`() throws {
  var settings = EVESettings()
  settings.dns?.version = 2
  let query = TestSupport.DNSMessage(
    flags: 0x0100, questions: [.init("a.example"), .init("b.example", type: 28)])
  let context = context(ipProtocol: IPProtocol.udp, serverPort: 53)
  let asked = try records(
    .transaction(try dns(query.bytes, .toServer), nil), context, settings: settings)
  #expect(asked.map { text($0, "dns.rrname") } == ["a.example", "b.example"])
  #expect(asked.map { text($0, "dns.type") } == ["query", "query"])
  let answer = TestSupport.DNSMessage.response(to: query, [.init("a.example", .address(ip("192.0.2.9")))])
  let out = try record(try dns(answer.bytes, .toClient), context, settings)
  #expect(text(out, "dns.type") == "answer")
  #expect(number(out, "dns.version") == 2)
  #expect(text(out, "dns.rcode") == "NOERROR")
  #expect(text(out, "dns.answers.0.rdata") == "192.0.2.9")
  #expect(text(out, "src_ip") == "192.0.2.10")
}

@Test func `DNS settings choose requests, responses and types`() throws {
  let context = context(ipProtocol: IPProtocol.udp, serverPort: 53)
  let query = TestSupport.DNSMessage.query("a.example", type: 28)
  let asked = try dns(query.bytes, .toServer)
  let answered = try dns(TestSupport.DNSMessage.response(to: query, []).bytes, .toClient)
  let broken = try dns([1, 2, 3], .toServer)
  func count(_ change: (inout EVESettings.DNS) -> Void) throws -> [Int] {
    var settings = EVESettings()
    var dns = EVESettings.DNS()
    change(&dns)
    settings.dns = dns
    return try [asked, answered, broken].map {
      try records(.transaction($0, nil), context, settings: settings).count
    }
  }
  #expect(try count { _ in } == [1, 1, 0])
  #expect(try count { $0.logsRequests = false } == [0, 1, 0])
  #expect(try count { $0.logsResponses = false } == [1, 0, 0])
  #expect(try count { $0.types = ["aaaa"] } == [1, 1, 0])
  #expect(try count { $0.types = ["a"] } == [0, 0, 0])
}

@Test func `multicast DNS has a record type of its own`() throws {
  let message = TestSupport.DNSMessage.response(
    to: .query("_x._tcp.local", type: 12),
    [.init("h._x._tcp.local", .txt(["model=1", "v=2"])), .init("_x._tcp.local", .ptr("h.local"))])
  let tx = try dns(message.bytes, .toServer, as: .mdns)
  let out = try record(tx, context(ipProtocol: IPProtocol.udp, serverPort: 5353))
  #expect(text(out, "event_type") == "mdns")
  #expect(text(out, "mdns.type") == "response")
  #expect(text(out, "mdns.queries.0.rrtype") == "ptr")
  #expect(text(out, "mdns.answers.0.txt.1") == "v=2")
  #expect(text(out, "mdns.answers.1.ptr") == "h.local")
}

private func tls(_ toServer: [UInt8], _ toClient: [UInt8]) throws -> TLSTransaction {
  let parser = TLSParser()
  consume(toServer, .toServer, parser)
  consume(toClient, .toClient, parser)
  return try #require(parser.transaction)
}

@Test func `a TLS 1.3 connection is told with name, version and fingerprints`() throws {
  let tx = try tls(
    TLSClientHello().records(),
    TLSServerHello(cipher: 0x1301, selectedVersion: 0x0304, alpn: "h2").records())
  let out = try record(tx, context(direction: .toClient))
  #expect(text(out, "src_ip") == "192.0.2.10")
  #expect(text(out, "tls.sni") == "example.com")
  #expect(text(out, "tls.version") == "TLS 1.3")
  #expect(text(out, "tls.ja3.hash")?.count == 32)
  #expect(text(out, "tls.ja3s.string") == "771,4865,43-16")
  #expect(text(out, "tls.ja4")?.hasPrefix("t13d0507h2_") == true)
  #expect(text(out, "tls.client_alpns.1") == "http/1.1")
  #expect(text(out, "tls.server_alpns.0") == "h2")
  #expect(value(out, "tls.subject") == nil)
}

@Test func `TLS fields may be chosen one by one`() throws {
  var settings = EVESettings()
  settings.tls?.custom = [.clientHandshake, .serverHandshake, .version]
  let out = try record(
    try tls(
      TLSClientHello(extra: [TLSExtension(type: 0x0a0a)]).records(), TLSServerHello().records()),
    context(), settings)
  #expect(value(out, "tls.sni") == nil)
  #expect(text(out, "tls.client_handshake.version") == "TLS 1.3")
  #expect(number(out, "tls.client_handshake.ciphers.0") == 0x1301)
  #expect(number(out, "tls.client_handshake.sig_algs.0") == 0x0403)
  // GREASE is left out: name, groups, formats, algorithms, ALPN, versions, key share.
  #expect((value(out, "tls.client_handshake.exts") as? [Int]) == [0, 10, 11, 13, 16, 43, 51])
  #expect(number(out, "tls.server_handshake.cipher") == 0xc02f)
  settings.tls?.custom = nil
  settings.tls?.isExtended = false
  let basic = try record(try tls(TLSClientHello().records(), []), context(), settings)
  #expect((value(basic, "tls") as? JSON)?.isEmpty == true)
}

@Test func `certificates of both sides are told, encoded ones when asked`() throws {
  // A certificate of the least: serial 7, names CN=a, valid on 2026-01-01.
  func der(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] { [tag, UInt8(content.count)] + content }
  let name = der(0x30, der(0x31, der(0x30, der(0x06, [0x55, 4, 3]) + der(0x0c, [0x61]))))
  let time = der(0x17, Array("260101000000Z".utf8))
  let certificate = der(
    0x30,
    der(
      0x30,
      der(0x02, [7]) + der(0x30, der(0x06, [0x2a])) + name + der(0x30, time + time) + name
        + der(0x30, [])))
  var settings = EVESettings()
  settings.tls?.custom = [
    .subject, .serial, .notBefore, .fingerprint, .certificate, .chain, .client,
    .clientCertificate, .clientChain,
  ]
  let message = tlsRecords(tlsCertificateMessage([certificate]))
  let tx = try tls(
    TLSClientHello(versions: []).records() + message, TLSServerHello().records() + message)
  let out = try record(tx, context(), settings)
  #expect(text(out, "tls.subject") == "CN=a")
  #expect(text(out, "tls.serial") == "07")
  #expect(text(out, "tls.notbefore") == "2026-01-01T00:00:00")
  #expect(text(out, "tls.fingerprint")?.count == 59)
  #expect(text(out, "tls.certificate")?.hasPrefix("M") == true)
  #expect(text(out, "tls.chain.0") == text(out, "tls.certificate"))
  #expect(text(out, "tls.client.subject") == "CN=a")
  #expect(text(out, "tls.client.notafter") == "2026-01-01T00:00:00")
  #expect(text(out, "tls.client.chain.0") == text(out, "tls.certificate"))
}

@Test func `an HTTP exchange is told with its files`() throws {
  let parser = HTTPParser(settings: HTTPSettings())
  consume(
    httpMessage(
      "GET /x?a=\"b\" HTTP/1.1",
      [("Host", "www.example.com:8080"), ("User-Agent", "curl/8"), ("Referer", "http://r/")]),
    .toServer, parser)
  consume(
    httpMessage(
      "HTTP/1.1 206 Partial",
      [
        ("Content-Type", "text/html; charset=x"), ("Content-Length", "5"),
        ("Content-Range", "bytes 500-504/1000"), ("Location", "/next"),
      ], body: Array("hello".utf8)), .toClient, parser)
  let tx = try #require(parser.transactions.first)
  var settings = EVESettings()
  settings.http?.dumpsRequestHeaders = true
  settings.http?.custom = ["accept", "user-agent"]
  let all = try records(.transaction(tx, nil), context(serverPort: 80), settings: settings)
  let out = try #require(all.first)
  #expect(text(out, "event_type") == "http")
  #expect(number(out, "tx_id") == 0)
  #expect(text(out, "http.hostname") == "www.example.com")
  #expect(number(out, "http.http_port") == 8080)
  #expect(text(out, "http.url") == "/x?a=\"b\"")
  #expect(text(out, "http.http_user_agent") == "curl/8")
  #expect(text(out, "http.http_content_type") == "text/html")
  #expect(text(out, "http.http_refer") == "http://r/")
  #expect(text(out, "http.http_method") == "GET")
  #expect(text(out, "http.protocol") == "HTTP/1.1")
  #expect(number(out, "http.status") == 206)
  #expect(text(out, "http.redirect") == "/next")
  #expect(number(out, "http.length") == 5)
  #expect(number(out, "http.content_range.start") == 500)
  #expect(number(out, "http.content_range.size") == 1000)
  #expect(text(out, "http.request_headers.0.name") == "Host")
  #expect(text(out, "http.user_agent") == "curl/8")
  let carried = try #require(tx.files(.toClient).first)
  let file = try #require(
    records(.file(carried, tx), context(serverPort: 80), settings: settings).first)
  #expect(text(file, "event_type") == "fileinfo")
  #expect(text(file, "src_ip") == "198.51.100.20")
  #expect(number(file, "fileinfo.size") == 5)
  #expect(number(file, "fileinfo.start") == 500)
  #expect(number(file, "fileinfo.end") == 504)
  #expect(text(file, "fileinfo.state") == "CLOSED")
  #expect(text(file, "http.hostname") == "www.example.com")
}
