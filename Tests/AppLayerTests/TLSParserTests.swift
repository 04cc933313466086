import AppLayer
import TestSupport
import Testing
import Traffic

private let changeCipherSpec = tlsRecords(contentType: 20, [1])
/// A record of ciphertext, whatever it holds.
private let ciphertext = tlsRecords(contentType: 22, Array(repeating: 0x5a, count: 40))
private let applicationData = tlsRecords(contentType: 23, Array(repeating: 0xa5, count: 100))
private let clientKeyExchange = tlsRecords(tlsHandshake(type: 16, [1, 2, 3]))
private let serverHelloDone = tlsRecords(tlsHandshake(type: 14, []))
private let retryRandom: [UInt8] = Array(
  hex: "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")

private func connection(_ feed: Feed) throws -> TLSTransaction {
  try #require((feed.parser as? TLSParser)?.transaction)
}

/// A whole handshake of TLS 1.2 with certificates on both sides, as the two streams.
private func handshake12() -> (toServer: [UInt8], toClient: [UInt8]) {
  (
    TLSClientHello(versions: []).records()
      + tlsRecords(tlsCertificateMessage([exampleCertificate])) + clientKeyExchange
      + changeCipherSpec + ciphertext + applicationData,
    TLSServerHello(alpn: "h2").records()
      + tlsRecords(tlsCertificateMessage([exampleCertificate, exampleCertificate]))
      + serverHelloDone + changeCipherSpec + ciphertext + applicationData
  )
}

/// All that can be asked of a connection, to compare.
private func summary(_ tls: TLSTransaction) -> [String] {
  var out = ["\(tls.progress) \(tls.isResumed) \(tls.version.name) \(tls.eventNames)"]
  for declaration in BufferTable.all {
    for direction in Direction.allCases {
      out.append("\(declaration.id) \(tls.texts(declaration.id, direction))")
    }
  }
  return out
}

@Test func `a TLS 1.2 handshake yields hellos, certificates of both sides and progress`() throws {
  var feed = Feed(TLSParser())
  let (toServer, toClient) = handshake12()
  feed.send(toServer, .toServer)
  feed.send(toClient, .toClient)
  let tls = try connection(feed)
  #expect(tls.texts(.tlsSNI, .toServer) == ["example.com"])
  #expect(tls.texts(.tlsSNI, .toClient) == [])
  #expect(tls.texts(.tlsALPN, .toServer) == ["h2", "http/1.1"])
  #expect(tls.texts(.tlsALPN, .toClient) == ["h2"])
  let subject = "C=US, ST=Ohio, O=Example, Inc., CN=example.com, Email=a@example.com"
  #expect(tls.texts(.tlsCertificateSubject, .toClient) == [subject])
  #expect(tls.texts(.tlsCertificateIssuer, .toServer) == [subject])
  #expect(tls.texts(.tlsCertificateSerial, .toClient) == ["00:97:E6:47:09:8E:EA:C9:B4"])
  #expect(
    tls.texts(.tlsCertificateFingerprint, .toClient)
      == ["b7:a4:03:b6:59:70:b7:b8:1a:8a:57:75:c1:8e:d9:0e:77:76:5d:b8"])
  #expect(
    tls.texts(.tlsSubjectAltName, .toClient)
      == ["example.com", "*.example.com", "192.0.2.1", "a@example.com"])
  #expect(tls.numbers(.tlsCertificateChainLength, .toClient) == [2])
  #expect(tls.numbers(.tlsCertificateChainLength, .toServer) == [1])
  #expect(tls.numbers(.tlsVersion, .toClient) == [0x0303])
  #expect(tls.version.name == "TLS 1.2")
  // 2026-11-21 03:26:36 and 2036-11-18 03:26:36, UTC.
  #expect(tls.numbers(.tlsNotBefore, .toClient) == [1_795_231_596])
  #expect(tls.numbers(.tlsNotAfter, .toClient) == [2_110_591_596])
  #expect(tls.progress == (TLSProgress.clientHandshakeDone, TLSProgress.serverHandshakeDone))
  #expect(tls.events.isEmpty)
  #expect(!tls.isResumed)
  #expect((feed.parser as? TLSParser)?.isEncrypted == true)
  #expect(feed.parser.transactions.count == 1)
}

@Test func `how a connection is cut into chunks and records does not matter`() throws {
  let (toServer, toClient) = handshake12()
  var whole = Feed(TLSParser())
  whole.send(toServer, .toServer)
  whole.send(toClient, .toClient)
  let expected = summary(try connection(whole))
  for size in [1, 2, 3, 5, 7, 64, 1000] {
    var feed = Feed(TLSParser())
    feed.send(toServer, .toServer, by: size)
    feed.send(toClient, .toClient, by: size)
    #expect(summary(try connection(feed)) == expected, "chunks of \(size)")
  }
  for size in [1, 4, 50] {
    var feed = Feed(TLSParser())
    feed.send(TLSClientHello(versions: []).records(recordSize: size))
    #expect(try connection(feed).texts(.tlsSNI, .toServer) == ["example.com"], "records of \(size)")
  }
}

@Test func `in TLS 1.3 the first record of application data ends what is readable`() throws {
  var feed = Feed(TLSParser())
  feed.send(TLSClientHello().records(), .toServer)
  feed.send(TLSServerHello(cipher: 0x1301, selectedVersion: 0x0304).records(), .toClient)
  #expect(try connection(feed).progress == (1, 1))
  feed.send(changeCipherSpec + applicationData, .toClient)
  feed.send(changeCipherSpec + applicationData, .toServer)
  let tls = try connection(feed)
  #expect(tls.version.name == "TLS 1.3")
  #expect(tls.progress == (3, 4))
  #expect(!tls.isResumed)
  #expect(tls.isHandshakeDone)
}

@Test func `after a request to say hello again the second hellos are still read`() throws {
  var retry = TLSServerHello(cipher: 0x1301, selectedVersion: 0x0304)
  retry.random = retryRandom
  var feed = Feed(TLSParser())
  feed.send(TLSClientHello().records(), .toServer)
  feed.send(retry.records() + changeCipherSpec, .toClient)
  #expect(try connection(feed).progress == (1, 0))
  feed.send(changeCipherSpec + TLSClientHello(serverName: "other.example").records(), .toServer)
  feed.send(
    TLSServerHello(cipher: 0x1302, selectedVersion: 0x0304).records() + applicationData, .toClient)
  let tls = try connection(feed)
  // The first hello of the client counts, the last of the server.
  #expect(tls.texts(.tlsSNI, .toServer) == ["example.com"])
  #expect(tls.serverHello?.cipherSuite == 0x1302)
  #expect(tls.progress.toClient == TLSProgress.serverHandshakeDone)
  #expect(tls.events.isEmpty)
}

@Test func `early data does not hide what follows`() throws {
  let early = TLSExtensionBytes.earlyData
  var feed = Feed(TLSParser())
  feed.send(TLSClientHello(extra: [early]).records() + applicationData, .toServer)
  #expect(try connection(feed).progress.toServer == TLSProgress.clientHelloDone)
  feed.send(TLSServerHello(selectedVersion: 0x0304).records(), .toClient)
  feed.send(applicationData, .toServer)
  #expect(try connection(feed).progress.toServer == TLSProgress.clientHandshakeDone)
}

private enum TLSExtensionBytes {
  static let earlyData = TLSExtension(type: 42)
}

@Test func `a server that goes on at once without a certificate resumes a session`() throws {
  var feed = Feed(TLSParser())
  feed.send(TLSClientHello(versions: []).records())
  feed.send(TLSServerHello().records() + changeCipherSpec + ciphertext, .toClient)
  #expect(try connection(feed).isResumed)
}

@Test func `an SSLv2 hello that offers TLS is read and TLS follows`() throws {
  let hello: [UInt8] = [
    0x80, 0x2e,  // two-octet header, 46 octets follow
    0x01,  // client hello
    0x03, 0x01,  // TLS 1.0
    0x00, 0x15, 0x00, 0x00, 0x00, 0x10,  // 21 octets of ciphers, no session, 16 of challenge
    0x00, 0x00, 0x39, 0x00, 0x00, 0x38, 0x00, 0x00, 0x35, 0x00, 0x00, 0x16,
    0x00, 0x00, 0x13, 0x00, 0x00, 0x0a, 0x07, 0x00, 0xc0,  // the last one is SSLv2's own
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,  // challenge
  ]
  for size in [1, 2, 3, 100] {
    var feed = Feed(TLSParser())
    feed.send(hello, .toServer, by: size)
    feed.send(clientKeyExchange + changeCipherSpec, .toServer)
    let tls = try connection(feed)
    #expect(tls.clientHello?.isSSL2 == true)
    #expect(tls.clientHello?.cipherSuites == [0x39, 0x38, 0x35, 0x16, 0x13, 0x0a])
    #expect(tls.progress.toServer == TLSProgress.clientHandshakeDone)
    #expect(tls.texts(.tlsRandom, .toServer) == [])
    #expect(tls.events.isEmpty)
  }
}

@Test func `what is not TLS raises an event and ends the parsing of that direction only`() throws {
  for (bytes, event) in [
    (Array("GET / HTTP/1.1\r\n".utf8), "invalid_tls_header"),
    ([0x16, 0x05, 0x01, 0x00, 0x05, 1], "invalid_record_version"),
    ([0x16, 0x03, 0x01, 0xff, 0xff, 1], "invalid_record_length"),
    ([0x80, 0x2e, 0x09, 0x03, 0x01], "invalid_sslv2_header"),
    (TLSClientHello().records() + [0x55, 3, 3, 0, 0], "invalid_record_type"),
  ] {
    var feed = Feed(TLSParser())
    feed.send(bytes)
    #expect(try connection(feed).eventNames == [event])
    #expect(feed.parser.hasFailed == (true, false))
    feed.send(TLSServerHello().records(), .toClient)
    #expect(try connection(feed).serverHello != nil)
  }
}

@Test func `odd hellos raise their events and are still read`() throws {
  let twice = TLSClientHello(extra: [.serverName("second.example")])
  let wrongType = TLSClientHello(
    serverName: nil, extra: [TLSExtension(type: 0, body: [0, 5, 9, 0, 2, 97, 98])])
  let wrongLength = TLSClientHello(
    serverName: nil, extra: [TLSExtension(type: 0, body: [0, 99, 0, 0, 2, 97, 98])])
  for (hello, event) in [
    (twice, "multiple_sni_extensions"), (wrongType, "invalid_sni_type"),
    (wrongLength, "invalid_sni_length"),
  ] {
    var feed = Feed(TLSParser())
    feed.send(hello.records())
    #expect(try connection(feed).eventNames == [event])
    #expect(try connection(feed).progress.toServer == TLSProgress.clientHelloDone)
  }
}

@Test func `a handshake message above the limit is skipped and what follows is read`() throws {
  var settings = TLSSettings()
  settings.handshakeOctetsMax = 1000
  var feed = Feed(TLSParser(settings: settings))
  feed.send(TLSServerHello().records(), .toClient)
  let large = tlsCertificateMessage([exampleCertificate, exampleCertificate])
  feed.send(tlsRecords(large) + serverHelloDone, .toClient, by: 100)
  let tls = try connection(feed)
  #expect(tls.eventNames == ["handshake_invalid_length"])
  #expect(tls.serverCertificates == nil)
  #expect(tls.progress.toClient == TLSProgress.serverHelloDone)
}

@Test func `empty records in a row are limited`() throws {
  var feed = Feed(TLSParser())
  let empty: [UInt8] = [0x16, 3, 3, 0, 0]
  feed.send((0..<32).flatMap { _ in empty } + TLSClientHello().records())
  #expect(try connection(feed).events.isEmpty)
  feed.send((0..<33).flatMap { _ in empty })
  #expect(try connection(feed).eventNames == ["too_many_records_in_packet"])
}

@Test func `a heartbeat that claims more than it has raises the overflow event`() throws {
  // Request, 16,384 octets claimed, none there.
  let heartbeat = tlsRecords(contentType: 24, [1, 0x40, 0x00])
  for size in [1, 8] {
    var feed = Feed(TLSParser())
    feed.send(TLSClientHello().records())
    feed.send(heartbeat, .toServer, by: size)
    #expect(try connection(feed).eventNames == ["heartbeat_message", "overflow_heartbeat_message"])
  }
}

@Test func `an encrypted heartbeat answered with more than was sent raises the leak event`() throws {
  var feed = Feed(TLSParser())
  let (toServer, toClient) = handshake12()
  feed.send(toServer, .toServer)
  feed.send(toClient, .toClient)
  feed.send(tlsRecords(contentType: 24, Array(repeating: 0, count: 64)), .toServer)
  feed.send(tlsRecords(contentType: 24, Array(repeating: 0, count: 64)), .toClient)
  #expect(try connection(feed).events.isEmpty)
  feed.send(tlsRecords(contentType: 24, Array(repeating: 0, count: 64)), .toServer)
  feed.send(tlsRecords(contentType: 24, Array(repeating: 0, count: 9000)), .toClient)
  #expect(try connection(feed).eventNames == ["dataleak_heartbeat_mismatch"])
}

@Test func `a readable alert is kept`() throws {
  var feed = Feed(TLSParser())
  feed.send(TLSClientHello().records())
  feed.send(tlsRecords(contentType: 21, [2, 40]), .toClient, by: 1)
  let alert = try #require(try connection(feed).alert)
  #expect(alert == (.toClient, 2, 40))
}

@Test func `a gap within ciphertext is passed over, any other ends the direction`() throws {
  var feed = Feed(TLSParser())
  let (toServer, _) = handshake12()
  feed.send(toServer)
  // A record of 100 octets: 10 seen, 50 lost, 40 seen; then another.
  feed.send(Array(applicationData.prefix(15)))
  feed.send(Array(applicationData.suffix(40)), gap: 50)
  feed.send(applicationData)
  #expect(feed.parser.hasFailed == (false, false))
  var other = Feed(TLSParser())
  other.send(Array(toServer.prefix(20)))
  other.send(Array(toServer.dropFirst(30)), gap: 10)
  #expect(other.parser.hasFailed == (true, false))
}

@Test func `the end of both directions finishes the connection`() throws {
  var feed = Feed(TLSParser())
  feed.send(TLSClientHello().records(), .toServer, isEnd: true)
  #expect(try connection(feed).isComplete(.toServer))
  #expect(try !connection(feed).isComplete)
  feed.parser.finish(at: Timestamp(nanoseconds: 0))
  #expect(try connection(feed).isComplete)
}

@Test func `no damage to a handshake stops the parser`() {
  let (toServer, toClient) = handshake12()
  var mutator = Mutator(seed: 0x715)
  for _ in 0..<25_000 {
    var feed = Feed(TLSParser())
    for (stream, direction) in [(toServer, Direction.toServer), (toClient, .toClient)] {
      for piece in mutator.pieces(of: mutator.mutate(stream), most: 700) {
        feed.send(piece, direction)
      }
    }
    feed.parser.finish(at: Timestamp(nanoseconds: 0))
    guard let tls = (feed.parser as? TLSParser)?.transaction else { continue }
    #expect(tls.isComplete)
    #expect((tls.ja4?.count ?? 36) == 36)
  }
}
