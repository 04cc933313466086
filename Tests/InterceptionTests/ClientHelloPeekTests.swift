import Testing
import Traffic

@testable import Interception

@Suite struct ClientHelloPeekTests {
  /// A small hello: TLS 1.2 and 1.3, server_name Server.example, ALPN h2 and http/1.1.
  static let message: [UInt8] = {
    let name = Array("Server.example".utf8)
    let serverName: [UInt8] =
      [0, 0]  // server_name
      + u16(name.count + 5) + u16(name.count + 3) + [0] + u16(name.count) + name
    let alpn: [UInt8] =
      [0, 16]  // application_layer_protocol_negotiation
      + [0, 14, 0, 12] + [2] + Array("h2".utf8) + [8] + Array("http/1.1".utf8)
    let versions: [UInt8] = [0, 43, 0, 7, 6, 0x3a, 0x3a, 3, 4, 3, 3]  // GREASE, 1.3, 1.2
    let extensions = serverName + alpn + versions
    let body: [UInt8] =
      [3, 3] + [UInt8](repeating: 7, count: 32)  // legacy version, random
      + [0]  // session id
      + [0, 2, 0x13, 0x01]  // one suite
      + [1, 0]  // no compression
      + u16(extensions.count) + extensions
    return [1, 0] + u16(body.count) + body
  }()

  static func u16(_ value: Int) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 255)] }
  static func record(_ body: [UInt8]) -> [UInt8] { [22, 3, 1] + u16(body.count) + body }

  private func feed(_ bytes: [UInt8], by step: Int = .max, max: Int = 65_536) -> ClientHelloPeek.Outcome {
    var peek = ClientHelloPeek(bytesMax: max)
    var offset = 0
    while offset < bytes.count {
      let part = Array(bytes[offset..<min(bytes.count, offset + min(step, bytes.count))])
      let outcome = unsafe peek.feed(part.span.bytes)
      if outcome != .needMore { return outcome }
      offset += part.count
    }
    return .needMore
  }

  private var expected: ClientHelloSketch {
    ClientHelloSketch(
      sni: "server.example", alpn: ["h2", "http/1.1"], versions: [0x3a3a, 0x0304, 0x0303],
      shape: shape, recordBytes: Self.message.count + 5)
  }

  /// One suite, 0x1301, an empty separator, then ALPN (16) and supported_versions (43).
  private var shape: [UInt8] { Array(sha256([0x13, 0x01, 0, 0, 0, 16, 0, 43]).prefix(8)) }

  @Test func `A hello is read whole, byte by byte, and with bytes behind it`() {
    let bytes = Self.record(Self.message)
    #expect(feed(bytes) == .hello(expected))
    #expect(feed(bytes, by: 1) == .hello(expected))
    #expect(feed(bytes + [1, 2, 3]) == .hello(expected))
    #expect(expected.highestVersion == 0x0304)
  }

  @Test func `A hello cut into records of one octet is the same hello`() {
    var wanted = expected
    wanted.recordBytes = Self.message.count * 6
    let bytes = Self.message.flatMap { Self.record([$0]) }
    #expect(feed(bytes) == .hello(wanted))
    #expect(feed(bytes, by: 7) == .hello(wanted))
  }

  @Test func `Every proper prefix of a hello needs more`() {
    let bytes = Self.record(Self.message)
    for count in 0..<bytes.count { #expect(feed(Array(bytes[0..<count])) == .needMore) }
  }

  @Test func `Other protocols are not TLS`() {
    #expect(feed(Array("GET / HTTP/1.1\r\n".utf8)) == .notTLS)
    #expect(feed(Array("SSH-2.0-x".utf8)) == .notTLS)
    #expect(feed([22, 9]) == .notTLS)
    #expect(feed([0x80, 0x10, 0x01, 0x02]) == .notTLS)
  }

  @Test func `What begins as TLS and is no hello is malformed`() {
    func isMalformed(_ bytes: [UInt8]) -> Bool {
      if case .malformed = feed(bytes) { return true }
      return false
    }
    #expect(isMalformed([22, 3, 1, 0, 0]))  // empty record
    #expect(isMalformed([22, 3, 1, 0xff, 0xff]))  // longer than a record may be
    #expect(isMalformed([22, 3, 1, 0, 4, 2]))  // a ServerHello
    #expect(isMalformed([0x80, 0x2e, 0x01, 0x03, 0x01]))  // SSL 2.0 framing
    #expect(isMalformed(Self.record(Array(Self.message.prefix(20))) + [23, 3, 3, 0, 1, 0]))  // data within
    var short = Self.message
    short[38] = 33  // session identifier longer than 32 octets
    #expect(isMalformed(Self.record(short)))
    var long = Self.message
    long[46] = 0xff  // extensions longer than the message
    #expect(isMalformed(Self.record(long)))
  }

  @Test func `Every single flipped octet has an outcome`() {
    let bytes = Self.record(Self.message)
    for place in bytes.indices {
      for value: UInt8 in [0, 1, 0x7f, 0x80, 0xff] {
        var changed = bytes
        changed[place] = value
        #expect(feed(changed) == feed(changed, by: 1))
      }
    }
  }

  @Test func `A hello above the limit is too large`() {
    #expect(feed([22, 3, 1, 0x40, 0, 1, 0x01, 0x00, 0x01] + [UInt8](repeating: 0, count: 17_000)) == .tooLarge)
    #expect(feed(Self.record(Self.message), by: 1, max: 60) == .tooLarge)
  }

  @Test func `A server name that is no host name is none`() {
    var odd = Self.message
    // The name begins behind header (4), fixed part (34 + 1 + 4 + 2), extensions length (2) and nine octets.
    odd[4 + 41 + 2 + 9] = 0x00
    guard case .hello(let sketch) = feed(Self.record(odd)) else {
      Issue.record("not a hello")
      return
    }
    #expect(sketch.sni == nil)
    #expect(sketch.alpn == ["h2", "http/1.1"])
  }
}

@Test(arguments: [
  (["h2", "http/1.1"], true, ["h2", "http/1.1"]), (["h2", "http/1.1"], false, ["http/1.1"]),
  (["http/1.1", "h2", "spdy/3"], true, ["http/1.1", "h2"]), (["h2"], false, []), (["h2"], true, ["h2"]),
  (["dot"], true, ["dot"]), (["acme-tls/1", "h2"], false, ["acme-tls/1"]), ([], true, []),
])
func `the server is offered what the inspection reads of what the client offers`(
  offered: [String], withHTTP2: Bool, expected: [String]
) {
  var sketch = ClientHelloSketch()
  sketch.alpn = offered
  #expect(sketch.protocolsToOffer(withHTTP2: withHTTP2) == expected)
}
