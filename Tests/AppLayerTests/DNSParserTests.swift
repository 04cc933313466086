@testable import AppLayer
import TestSupport
import Testing
import Traffic

private typealias Message = TestSupport.DNSMessage

private func parsed(_ feed: Feed) -> [DNSTransaction] {
  feed.parser.transactions.compactMap { $0 as? DNSTransaction }
}

private func datagram(
  _ bytes: [UInt8], _ direction: Direction = .toServer, as appProtocol: AppProtocol = .dns
) throws -> DNSTransaction {
  var feed = Feed(DNSParser(framing: .datagram, appProtocol: appProtocol))
  feed.send(bytes, direction)
  return try #require(parsed(feed).first)
}

private func answers(_ records: [Message.Record]) throws -> [DNSRecordData] {
  let bytes = Message.response(to: .query("example.com"), records).bytes
  return try datagram(bytes, .toClient).message.answers.map(\.data)
}

private func name(_ text: String) -> DNSName { DNSName(Array(text.utf8)) }

@Test func `a query is a transaction of its own, complete at once`() throws {
  let tx = try datagram(Message.query("www.example.com", type: 28).bytes)
  #expect(tx.texts(.dnsQueryName, .toServer) == ["www.example.com"])
  #expect(tx.texts(.dnsQueriesName, .toServer) == ["www.example.com"])
  #expect(tx.texts(.dnsQueryName, .toClient) == [])
  #expect(tx.texts(.dnsResponseName, .toServer) == [])
  #expect(tx.numbers(.dnsQueryType, .toServer) == [28])
  #expect(tx.numbers(.dnsOpcode, .toServer) == [0])
  #expect(tx.numbers(.dnsRcode, .toClient) == [])
  #expect(tx.isComplete)
  #expect(tx.soleDirection == .toServer)
  #expect(tx.events.isEmpty)
}

@Test func `a response shows the names of all sections`() throws {
  var response = Message.response(
    to: .query("www.example.com"),
    [
      .init("www.example.com", .cname("host.example.net")),
      .init("host.example.net", .address(ip("192.0.2.1"))),
    ], code: 3)
  response.authorities = [.init("example.net", .ns("ns.example.net"))]
  response.additionals = [.init("ns.example.net", .address(ip("2001:db8::1")))]
  response.ednsPayloadSize = 1232
  let tx = try datagram(response.bytes, .toClient)
  #expect(tx.texts(.dnsAnswerName, .toClient) == ["www.example.com", "host.example.net"])
  #expect(tx.texts(.dnsAuthorityName, .toClient) == ["example.net"])
  #expect(tx.texts(.dnsAdditionalName, .toClient) == ["ns.example.net", ""])
  #expect(
    tx.texts(.dnsResponseName, .toClient) == [
      "www.example.com", "www.example.com", "host.example.net", "host.example.net", "example.net",
      "ns.example.net", "ns.example.net", "",
    ])
  #expect(tx.texts(.dnsQueryName, .toClient) == [])
  #expect(tx.numbers(.dnsRcode, .toClient) == [3])
  #expect(tx.numbers(.dnsQueryType, .toClient) == [5, 1])
  #expect(tx.message.additionals.last?.type == 41)
  #expect(tx.message.additionals.last?.recordClass == 1232)
  #expect(tx.events.isEmpty)
}

@Test func `each known record type is taken apart`() throws {
  #expect(
    try answers([
      .init("a", .address(ip("192.0.2.7"))), .init("a", .mx(preference: 10, "mx.example")),
      .init("a", .txt(["one", "", "three"])),
      .init("a", .srv(priority: 1, weight: 2, port: 3, "host")), .init("a", .ptr("p.example")),
      .init("a", .soa(primary: "ns.example", mailbox: "root.example", serial: 9)),
    ]) == [
      .address([192, 0, 2, 7]), .mx(preference: 10, exchange: name("mx.example")),
      .txt([Array("one".utf8), [], Array("three".utf8)]),
      .srv(priority: 1, weight: 2, port: 3, target: name("host")), .name(name("p.example")),
      .soa(
        DNSStartOfAuthority(
          mname: name("ns.example"), rname: name("root.example"), serial: 9, refresh: 7200,
          retry: 3600, expire: 1_209_600, minimum: 300)),
    ])
  #expect(
    try answers([
      // SSHFP: algorithm 1, SHA-1.
      .init("a", .other(type: 44, [1, 1, 0xaa, 0xbb])),
      // CAA: critical, tag of 5.
      .init("a", .other(type: 257, [128, 5] + Array("issueca.example".utf8))),
      // HTTPS: priority 1, target root, parameter 1 (alpn).
      .init("a", .other(type: 65, [0, 1, 0, 0, 1, 0, 3, 2, 104, 50])),
      // NAPTR: order 1, preference 2, "S", "SIP", "", replacement "x".
      .init("a", .other(type: 35, [0, 1, 0, 2, 1, 83, 3, 83, 73, 80, 0, 1, 120, 0])),
      // OPT: cookie of 2 octets.
      .init("a", .other(type: 41, [0, 10, 0, 2, 5, 6])),
      // NULL and a type nobody knows.
      .init("a", .other(type: 10, [0, 255])), .init("a", .other(type: 65_000, [7])),
      // A with three octets, TXT whose string is longer than the data.
      .init("a", .other(type: 1, [1, 2, 3])), .init("a", .other(type: 16, [9, 65])),
    ]) == [
      .sshfp(algorithm: 1, fingerprintType: 1, fingerprint: [0xaa, 0xbb]),
      .caa(flags: 128, tag: Array("issue".utf8), value: Array("ca.example".utf8)),
      .service(priority: 1, target: name(""), parameters: [0, 1, 0, 3, 2, 104, 50]),
      .naptr(
        order: 1, preference: 2, texts: [[83], [83, 73, 80], []], replacement: name("x")),
      .opt([DNSOption(code: 10, data: [5, 6])]), .raw([0, 255]), .raw([7]), .raw([1, 2, 3]),
      .raw([9, 65]),
    ])
}

@Test func `a stream may be cut anywhere`() {
  let query = Message.query("www.example.com")
  let response = Message.response(
    to: query, (0..<30).map { .init("www.example.com", .txt(["answer \($0)"])) })
  let toServer = query.bytesOverTCP + Message.query("second.example").bytesOverTCP + [0, 0]
  for size in [1, 2, 3, 7, 50, 5000] {
    var feed = Feed(DNSParser(framing: .stream))
    feed.send(toServer, .toServer, by: size)
    feed.send(response.bytesOverTCP + response.bytesOverTCP, .toClient, by: size)
    let all = parsed(feed)
    #expect(all.map(\.direction) == [.toServer, .toServer, .toClient, .toClient])
    #expect(all.map(\.id) == [0, 1, 2, 3])
    #expect(all.flatMap { $0.texts(.dnsQueryName, .toServer) } == ["www.example.com", "second.example"])
    #expect(all.last?.message.answers.count == 30)
  }
}

@Test func `after a gap the stream is taken up at the next message`() {
  let query = Message.query("www.example.com").bytesOverTCP
  let last = Message.query("last.example").bytesOverTCP
  // The gap lies within one message: what is left of it is skipped.
  var feed = Feed(DNSParser(framing: .stream))
  feed.send(query + Array(query.prefix(10)))
  feed.send(Array(query.dropFirst(15)) + last, gap: 5)
  #expect(parsed(feed).flatMap { $0.texts(.dnsQueryName, .toServer) } == ["www.example.com", "last.example"])
  // It hides where messages begin: they are found again where a chunk begins with one.
  var other = Feed(DNSParser(framing: .stream))
  other.send(query)
  other.send(Array("no message at all".utf8), gap: 700)
  other.send(last)
  #expect(
    parsed(other).flatMap { $0.texts(.dnsQueryName, .toServer) } == ["www.example.com", "last.example"])
}

@Test func `compression pointers lead forward and backward but not in circles`() throws {
  let header: [UInt8] = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
  // At 12: pointer to 18, type, class; at 18: "ab".
  let forward = try datagram(header + [0xc0, 18, 0, 1, 0, 1, 2, 97, 98, 0])
  #expect(forward.texts(.dnsQueryName, .toServer) == ["ab"])
  // A pointer to itself.
  let loop = try datagram(header + [0xc0, 12, 0, 1, 0, 1])
  #expect(loop.eventNames == ["infinite_loop"])
  #expect(loop.message.queries.first?.name.isTruncated == true)
  #expect(loop.message.queries.first?.type == 1)
  // A label and a pointer back to it.
  let growing = try datagram(header + [1, 97, 0xc0, 12, 0, 1, 0, 1])
  #expect(growing.eventNames == ["infinite_loop"])
}

@Test func `a name is cut at 1,025 octets`() throws {
  let label = String(repeating: "a", count: 60)
  var query = Message.query(Array(repeating: label, count: 20).joined(separator: "."))
  query.compresses = false
  let tx = try datagram(query.bytes)
  #expect(tx.message.queries.first?.name.text.count == 1025)
  #expect(tx.message.queries.first?.name.isTruncated == true)
  #expect(tx.message.queries.first?.type == 1)
  #expect(tx.eventNames == ["name_too_long"])
}

@Test func `the names of one message have a limit together`() throws {
  let long = Array(repeating: String(repeating: "a", count: 60), count: 16).joined(separator: ".")
  let records = (0..<3000).map { _ in Message.Record(long, .other(type: 10, [1])) }
  let tx = try datagram(Message.response(to: .query(long), records).bytes, .toClient)
  let octets = tx.message.answers.reduce(0) { $0 + $1.name.text.count }
  #expect(tx.message.answers.count == 3000)
  #expect(octets < 262_144 + 1025)
  #expect(tx.eventNames.contains("name_too_long"))
}

@Test func `flags and directions that do not fit raise events`() throws {
  var reserved = Message.query("a.example")
  reserved.flags |= 0x0040
  #expect(try datagram(reserved.bytes).eventNames == ["z_flag_set"])
  var opcode = Message.query("a.example")
  opcode.flags |= 7 << 11
  #expect(try datagram(opcode.bytes).eventNames == ["invalid_opcode"])
  let query = Message.query("a.example")
  #expect(try datagram(query.bytes, .toClient).eventNames == ["not_response"])
  let response = Message.response(to: query, []).bytes
  #expect(try datagram(response, .toServer).eventNames == ["not_request"])
  #expect(try datagram(response, .toServer, as: .mdns).eventNames == [])
}

@Test func `broken sections are told apart`() throws {
  let whole = Message.response(to: .query("a.example"), [.init("a.example", .address(ip("192.0.2.1")))])
  var bytes = whole.bytes
  #expect(try datagram(Array(bytes.dropLast()), .toClient).eventNames == ["malformed_data"])
  bytes.set16(1, at: 8)  // an authority record that is not there
  #expect(try datagram(bytes, .toClient).eventNames == ["invalid_authorities"])
  bytes.set16(0, at: 8)
  bytes.set16(1, at: 10)  // an additional record that is not there
  let additional = try datagram(bytes, .toClient)
  #expect(additional.eventNames == ["invalid_additionals"])
  #expect(additional.isLoggable && additional.message.answers.count == 1)
  let short = try datagram([1, 2, 3])
  #expect(short.eventNames == ["malformed_data"])
  #expect(!short.isLoggable)
}

@Test func `multicast names are found under their own keywords`() throws {
  let response = Message.response(to: .query("_ipp._tcp.local"), [.init("_ipp._tcp.local", .ptr("x.local"))])
  let tx = try datagram(response.bytes, .toServer, as: .mdns)
  #expect(tx.appProtocol == .mdns)
  #expect(tx.texts(.mdnsResponseName, .toServer) == ["_ipp._tcp.local", "_ipp._tcp.local", "x.local"])
}

@Test func `no damage to a message stops the parser`() {
  var response = Message.response(
    to: .query("www.example.com"),
    [
      .init("www.example.com", .cname("a.example.com")), .init("a.example.com", .mx(preference: 1, "b")),
      .init("b.example.com", .soa(primary: "x.example.com", mailbox: "y", serial: 1)),
      .init("c", .other(type: 65, [0, 1, 0, 0, 1, 0, 3, 2, 104, 50])),
      .init("c", .other(type: 35, [0, 1, 0, 2, 1, 83, 3, 83, 73, 80, 0, 1, 120, 0])),
    ])
  response.ednsPayloadSize = 512
  var mutator = Mutator(seed: 53)
  mutator.forEachMutation(of: response.bytes, count: 25_000) { bytes in
    var feed = Feed(DNSParser(framing: .datagram))
    feed.send(bytes, .toClient)
    for tx in parsed(feed) {
      for answer in tx.message.answers { #expect(answer.name.text.count <= 1025 + 1) }
    }
  }
  for _ in 0..<25_000 {
    var feed = Feed(DNSParser(framing: .stream))
    for piece in mutator.pieces(of: mutator.mutate(response.bytesOverTCP + response.bytesOverTCP), most: 60) {
      feed.send(piece, .toClient, gap: mutator.generator.next() % 20 == 0 ? 3 : 0)
    }
    #expect(feed.parser.transactions.count < 200)
  }
}
