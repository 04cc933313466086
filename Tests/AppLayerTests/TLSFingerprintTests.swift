import AppLayer
import TestSupport
import Testing
import Traffic

private func hello(_ sent: TLSClientHello) throws -> TLSTransaction {
  var feed = Feed(TLSParser())
  feed.send(sent.records())
  return try #require((feed.parser as? TLSParser)?.transaction)
}

/// The first example of JA3's own description.
@Test func `JA3 of the published example`() throws {
  var sent = TLSClientHello()
  sent.version = 0x0301
  sent.ciphers = [47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4]
  sent.extensions = [
    .serverName("example.com"), .supportedGroups([23, 24, 25]), .pointFormats([0]),
  ]
  let tls = try hello(sent)
  #expect(
    text(tls.ja3) == "769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0")
  #expect(text(tls.ja3Hash) == "ada70206e40642a3e4461f35503241d5")
  #expect(tls.texts(.ja3Hash, .toServer) == ["ada70206e40642a3e4461f35503241d5"])
}

/// The second one: no extensions at all.
@Test func `JA3 of the published example without extensions`() throws {
  var sent = TLSClientHello()
  sent.version = 0x0301
  sent.ciphers = [4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99]
  sent.extensions = nil
  #expect(text(try hello(sent).ja3Hash) == "de350869b8c85de67a350c8d186f11e6")
}

/// The example of JA4's description, a Chrome on Windows, with GREASE as Chrome sends it.
@Test func `JA4 of the published example, GREASE left out`() throws {
  var sent = TLSClientHello()
  sent.ciphers = [
    0x0a0a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013,
    0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
  ]
  let others: [UInt16] = [0x1a1a, 0x001b, 0x0033, 0x4469, 0x0017, 0x002d, 0x0005, 0x0023, 0x0012]
  sent.extensions =
    others.map { TLSExtension(type: $0, body: []) } + [
      .serverName("example.com"), .supportedVersions([0x2a2a, 0x0304, 0x0303]),
      .signatureAlgorithms([0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]),
      .alpn(["h2", "http/1.1"]), .supportedGroups([0x3a3a, 29, 23, 24]), .pointFormats(),
      TLSExtension(type: 0xff01, body: [0]), TLSExtension(type: 0x0015, body: [0, 0]),
    ]
  let tls = try hello(sent)
  #expect(text(tls.ja4) == "t13d1516h2_8daaf6152771_e5627efa2ab1")
  #expect(tls.texts(.ja4Hash, .toServer) == ["t13d1516h2_8daaf6152771_e5627efa2ab1"])
  #expect(text(tls.ja3)?.contains("2570") == false)
  #expect(text(tls.ja3)?.hasSuffix(",29-23-24,0") == true)
}

@Test func `JA4 shows ALPN by its ends, in hex when they are no letters or digits`() throws {
  for (alpn, shown) in [
    ([], "00"), (["h2"], "h2"), (["http/1.1"], "h1"), (["x"], "xx"), (["/a"], "21"),
  ] as [([String], String)] {
    let tls = try hello(TLSClientHello(serverName: nil, alpn: alpn))
    // 5 ciphers; groups, point formats, algorithms, versions, key share, and ALPN if there.
    #expect(text(tls.ja4)?.hasPrefix("t13i050\(alpn.isEmpty ? 5 : 6)\(shown)_") == true)
  }
}

@Test func `JA3S names version, cipher and extensions of the server`() throws {
  var feed = Feed(TLSParser())
  feed.send(
    TLSServerHello(cipher: 0x1301, selectedVersion: 0x0304, alpn: "h2").records(), .toClient)
  let tls = try #require((feed.parser as? TLSParser)?.transaction)
  #expect(tls.texts(.ja3sString, .toClient) == ["771,4865,43-16"])
  #expect(tls.texts(.ja3sHash, .toClient).first?.count == 32)
  #expect(tls.texts(.ja3String, .toServer) == [])
}

@Test func `who asks for a fingerprint before the hello has come gets it later`() throws {
  var feed = Feed(TLSParser())
  feed.send(TLSClientHello(serverName: nil, alpn: []).records(), .toServer)
  let tls = try #require((feed.parser as? TLSParser)?.transaction)
  #expect(tls.ja3s == nil && tls.ja3sHash == nil)
  feed.send(TLSServerHello(cipher: 0x1301, selectedVersion: 0x0304, alpn: "h2").records(), .toClient)
  #expect(tls.texts(.ja3sString, .toClient) == ["771,4865,43-16"])
  #expect(tls.ja3sHash?.count == 32)
}

@Test func `every value of the form that GREASE has is left out, and no other`() {
  let all = (0...0xffff).map { UInt16($0) }.filter { TLSVersion.isGREASE($0) }
  #expect(all.count == 16)
  #expect(all.first == 0x0a0a && all.last == 0xfafa)
  #expect(!TLSVersion.isGREASE(0x0a1a))
}
