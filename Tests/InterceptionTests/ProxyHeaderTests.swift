import Testing
import Traffic

@testable import Interception

@Suite struct ProxyHeaderTests {
  private static let four = ProxyHeader(
    source: .init(address: IPAddress("192.0.2.1") ?? IPAddress(ipv4: 0), port: 56_324),
    destination: .init(address: IPAddress("198.51.100.2") ?? IPAddress(ipv4: 0), port: 443))
  private static let six = ProxyHeader(
    source: .init(address: IPAddress("2001:db8::1") ?? IPAddress(ipv4: 0), port: 1),
    destination: .init(address: IPAddress("2001:db8::2") ?? IPAddress(ipv4: 0), port: 65_535))

  private func read(_ bytes: [UInt8], by size: Int) -> ProxyHeaderReader.Step {
    var reader = ProxyHeaderReader()
    var at = 0
    while at < bytes.count {
      let step = reader.feed(Array(bytes[at..<min(bytes.count, at + size)]))
      at += size
      if case .header(let header, let rest) = step { return .header(header, rest: rest + bytes.dropFirst(at)) }
      if step != .needMore { return step }
    }
    return .needMore
  }

  @Test(arguments: ProxyHeader.Version.allCases, [four, six])
  func `What is written is read again, however it is cut`(_ version: ProxyHeader.Version, _ header: ProxyHeader) {
    var facts = ProxyHeader.TLSFacts()
    facts.name = "www.example"
    facts.alpn = "http/1.1"
    facts.version = "TLSv1.3"
    for tls in [nil, facts] {
      let bytes = header.octets(version, tls: tls) + [1, 2, 3]
      for size in [1, 2, 7, 1000] {
        #expect(read(bytes, by: size) == .header(header, rest: [1, 2, 3]))
      }
      for count in 0..<(bytes.count - 3) { #expect(read(Array(bytes.prefix(count)), by: 1) == .needMore) }
    }
  }

  @Test func `Version 1 reads as its source spells it`() {
    #expect(Self.four.octets(.v1) == Array("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n".utf8))
    #expect(read(Array("PROXY UNKNOWN what ever\r\nGET".utf8), by: 100) == .header(nil, rest: Array("GET".utf8)))
  }

  @Test func `Version 2 tells of TLS as its source lays it out`() {
    var facts = ProxyHeader.TLSFacts()
    facts.name = "a"
    facts.hasVerifiedCertificate = true
    #expect(
      Self.four.octets(.v2, tls: facts) == ProxyHeader.signature + [
        0x21,  // version 2, PROXY
        0x11,  // IPv4, stream
        0, 24,  // octets that follow
        192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 0x04, 0x01, 0xbb,
        2, 0, 1, 0x61,  // authority: a
        0x20, 0, 5, 3, 0, 0, 0, 0,  // TLS, certificate shown in this connection, verified
      ])
  }

  @Test func `A check of this machine's own has no client`() {
    #expect(read(ProxyHeader.ownOctets(.v2) + [9], by: 3) == .header(nil, rest: [9]))
    #expect(read(ProxyHeader.ownOctets(.v1) + [9], by: 3) == .header(nil, rest: [9]))
  }

  @Test(arguments: [
    "GET / HTTP/1.1\r\n\r\n", "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\n", "PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n",
    "PROXY TCP4 192.0.2.1 2001:db8::1 1 2\r\n", "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.5 99999 1\r\n",
    "PROXY " + String(repeating: "x", count: 200) + "\r\n", "\r\n\r\n\0\r\nQUIX\n",
  ])
  func `What is no header is refused`(_ text: String) {
    for size in [1, 1000] {
      guard case .malformed = read(Array(text.utf8), by: size) else {
        Issue.record("\(text) was taken")
        continue
      }
    }
  }

  @Test(arguments: [
    [0x31, 0x11, 0, 12] + [UInt8](repeating: 0, count: 12),  // version 3
    [0x22, 0x11, 0, 12] + [UInt8](repeating: 0, count: 12),  // command 2
    [0x21, 0x11, 0, 11] + [UInt8](repeating: 0, count: 11),  // addresses one octet short
    [0x21, 0x21, 0, 35] + [UInt8](repeating: 0, count: 35),
    [0x21, 0x11, 0xff, 0xff],  // longer than any
  ] as [[UInt8]])
  func `A header of version 2 that cannot be is refused`(_ rest: [UInt8]) {
    guard case .malformed = read(ProxyHeader.signature + rest, by: 1) else {
      Issue.record("\(rest) was taken")
      return
    }
  }
}
