import CSluiceLinux
import CSluiceOpenSSL
import Glibc
import Testing
import Traffic

@testable import Interception

@Suite(.serialized) struct TerminationTests {
  static let request = Array("GET / HTTP/1.1\r\nHost: www.site.example\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n".utf8)
  static let answer = Array("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".utf8)

  @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
  func `A TLS client reaches a plain backend, which is told who it is`(version: Int32) throws {
    let seen = Seen()
    let server = try PeerServer(answering(seen))
    let lab = try TerminationLab { listener, _ in listener.sites[0].backends = [.local(server.port)] }
    let client = try lab.client(source: 9, version: version)
    client.write(Self.request)
    #expect(client.read(exactly: Self.answer.count) == Self.answer)
    client.write(Self.request)
    #expect(client.read(exactly: Self.answer.count) == Self.answer)
    client.endWriting()
    #expect(client.readToEnd() == [])
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(seen.noted.count == 2)
    for text in seen.noted {
      #expect(text.contains("X-Forwarded-For: 127.0.0.9\r\n"))
      #expect(text.contains("X-Forwarded-Proto: https\r\nX-Forwarded-Port: \(lab.port)\r\n"))
      #expect(text.contains("X-TLS-Version: \(version == TLS1_3_VERSION ? "TLSv1.3" : "TLSv1.2")\r\n"))
      #expect(text.contains("X-TLS-SNI: www.site.example\r\n"))
      #expect(!text.contains("6.6.6.6"))
    }
    // Inspection sees what the client sent.
    #expect(lab.recorder.bytes(.toServer) == Self.request + Self.request)
    let facts = try #require(lab.recorder.facts.first)
    #expect(facts.form == .decrypted)
    #expect(facts.flow.source == IPAddress("127.0.0.9"))
    #expect(facts.flow.destinationPort == lab.port)
    #expect(facts.backend == "127.0.0.1:\(server.port)")
    #expect(counters.terminated == 1)
    #expect(counters.relayedDecrypted == 1)
    #expect(counters.active == 0)
  }

  @Test func `A plain client reaches a TLS backend whose certificate is verified`() throws {
    let seen = Seen()
    let server = try tlsServer(answering(seen))
    let lab = try TerminationLab { listener, files in
      listener.usesTLS = false
      listener.sites[0].backends = [.local(server.port)]
      var tls = BackendTLS(name: "server.example")
      tls.trustFile = files[1].path
      // Each client has a connection of its own here.
      listener.sites[0].keptCount = 0
      listener.sites[0].backendTLS = tls
    }
    for _ in 0..<2 {
      let client = try Peer.connect(port: lab.port)
      client.write(Self.request)
      #expect(client.read(exactly: Self.answer.count) == Self.answer)
      client.close()
    }
    let counters = lab.stop()
    server.stop()
    #expect(seen.noted.first?.contains("X-Forwarded-Proto: http\r\n") == true)
    #expect(counters.upstreamHandshakes == 2)
    #expect(counters.upstreamResumptions == 1)
    #expect(lab.recorder.facts.first?.upstreamVerification == .trusted)
  }

  @Test(arguments: ["other.example", "server.example"])
  func `A backend with another name, or by a stranger, gets nothing`(name: String) throws {
    let seen = Seen()
    let stranger = try Lab.leaf(by: Lab.stranger)
    let server = try tlsServer(certificate: name == "server.example" ? stranger : nil, answering(seen))
    let lab = try TerminationLab { listener, files in
      listener.sites[0].backends = [.local(server.port)]
      var tls = BackendTLS(name: name)
      tls.trustFile = files[1].path
      listener.sites[0].backendTLS = tls
    }
    let client = try lab.client()
    client.write(Self.request)
    #expect(String(decoding: client.readToEnd() ?? [], as: UTF8.self).hasPrefix("HTTP/1.1 503 "))
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(seen.noted.isEmpty)
    #expect(counters.backendFailures == 1)
    #expect(counters.withoutBackend == 1)
  }

  @Test func `A backend at a unix socket`() throws {
    let seen = Seen()
    let path = "/tmp/sluice-test-\(hexadecimal(try #require(randomBytes(8))))"
    let listener = unsafe sluice_unix_listen(path)
    try #require(listener >= 0)
    defer { unsafe unlink(path) }
    let thread = try WorkerThread.start {
      let peer = Peer(descriptor: accept(listener, nil, nil))
      answering(seen)(peer)
      peer.close()
    }
    let lab = try TerminationLab { front, _ in front.sites[0].backends = [.unix(path)] }
    let client = try lab.client()
    client.write(Self.request)
    #expect(client.read(exactly: Self.answer.count) == Self.answer)
    client.close()
    lab.stop()
    thread.join()
    close(listener)
    #expect(seen.noted.count == 1)
  }

  @Test func `Names choose certificates: the name, a wildcard of one label, the default, none`() throws {
    let seen = Seen()
    let server = try PeerServer(answering(seen))
    let lab = try TerminationLab(
      names: ["DNS:www.site.example", "DNS:*.wild.example", "DNS:deep.wild.example", "DNS:default.example"]
    ) { listener, files in
      let first = listener.sites[0]
      listener.sites = [0, 2, 3, 4].map { place in
        var site = first
        site.name = "site \(place)"
        site.certificateFile = files[place].path
        site.keyFile = files[place].path
        site.backends = [.local(server.port)]
        site.isDefault = place == 4
        return site
      }
    }
    func shown(_ name: String?) throws -> [String] {
      let peer = try Peer.connect(port: lab.port)
      defer { peer.close() }
      let context = try PeerContext.client(trusting: nil)
      guard peer.startTLS(context, name: name) else { return ["refused"] }
      return peer.certificate()?.hostNames() ?? []
    }
    #expect(try shown("www.site.example") == ["www.site.example"])
    #expect(try shown("WWW.SITE.EXAMPLE") == ["www.site.example"])
    #expect(try shown("a.wild.example") == ["*.wild.example"])
    #expect(try shown("deep.wild.example") == ["deep.wild.example"])
    #expect(try shown("a.b.wild.example") == ["default.example"])
    #expect(try shown("unknown.example") == ["default.example"])
    #expect(try shown(nil) == ["default.example"])
    lab.stop()
    server.stop()
  }

  @Test func `Without a default another name is refused by the alert for it`() throws {
    let lab = try TerminationLab(names: ["DNS:www.site.example", "DNS:other.example"]) { listener, files in
      listener.sites[0].backends = [.local(1)]
      var other = listener.sites[0]
      other.certificateFile = files[2].path
      other.keyFile = files[2].path
      listener.sites.append(other)
    }
    let peer = try Peer.connect(port: lab.port)
    #expect(!peer.startTLS(try .client(trusting: nil), name: "unknown.example"))
    #expect(peer.handshakeError?.alert == 112)
    peer.close()
    #expect(lab.stop().unknownNames == 1)
    #expect(lab.recorder.events.contains(.unknownName))
  }

  @Test func `An attack does not reach the backend with its last byte`() throws {
    let seen = Seen()
    let server = try PeerServer { peer in while let bytes = peer.read(), !bytes.isEmpty { seen.add(bytes) } }
    let recorder = Recorder { direction, bytes in
      direction == .toServer && bytes.contains(0x21) ? .cut(reason: "attack") : .forward
    }
    let lab = try TerminationLab(recorder: recorder) { listener, _ in
      listener.sites[0].backends = [.local(server.port)]
      listener.sites[0].forwarded = .no
    }
    let client = try lab.client()
    client.write(Array("begins well".utf8))
    waitUntil { seen.all.count == 11 }
    client.write(Array("attack!".utf8))
    #expect(client.read() == nil)
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(seen.all == Array("begins well".utf8))
    #expect(counters.cuts == 1)
  }

  @Test func `A request that two readers take for two things is answered 400 and goes nowhere`() throws {
    let seen = Seen()
    let server = try PeerServer { peer in while let bytes = peer.read(), !bytes.isEmpty { seen.add(bytes) } }
    let lab = try TerminationLab { listener, _ in listener.sites[0].backends = [.local(server.port)] }
    let client = try lab.client()
    client.write(Array("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".utf8))
    #expect(String(decoding: client.readToEnd() ?? [], as: UTF8.self).hasPrefix("HTTP/1.1 400 "))
    client.close()
    #expect(lab.stop().requestsRefused == 1)
    server.stop()
    #expect(seen.all.isEmpty)
  }

  @Test func `Another protocol passes in both directions once the backend agrees`() throws {
    let server = try PeerServer { peer in
      var head: [UInt8] = []
      while head.suffix(4) != [13, 10, 13, 10], let byte = peer.read(max: 1), !byte.isEmpty { head += byte }
      peer.write(Array("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n".utf8))
      echo(peer)
    }
    let lab = try TerminationLab { listener, _ in listener.sites[0].backends = [.local(server.port)] }
    let client = try lab.client()
    let upgrade = Array("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n".utf8)
    let sent = pattern(300_000)
    // The first octets come with the request already, before the backend has agreed.
    client.write(upgrade + sent.prefix(1000))
    let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n"
    #expect(client.read(exactly: head.utf8.count) == Array(head.utf8))
    let got = client.exchange(Array(sent.dropFirst(1000)), reading: sent.count)
    #expect(got.map { sha256($0) } == sha256(sent))
    client.close()
    lab.stop()
    server.stop()
  }

  @Test(arguments: ProxyHeader.Version.allCases)
  func `The PROXY header names the client to rules, to fields and to the backend`(version: ProxyHeader.Version) throws {
    let seen = Seen()
    let server = try PeerServer { peer in
      var reader = ProxyHeaderReader()
      while let bytes = peer.read(), !bytes.isEmpty {
        guard case .header(let header, let rest) = reader.feed(bytes) else { continue }
        seen.note("\(header.map { "\($0.source.address) \($0.source.port) \($0.destination.port)" } ?? "none")")
        seen.add(rest)
        while let more = peer.read(), !more.isEmpty { seen.add(more) }
      }
    }
    let lab = try TerminationLab { listener, _ in
      listener.sites[0].backends = [.local(server.port)]
      listener.sites[0].sendsProxyHeader = version
      listener.takesProxyHeader = { $0 == IPAddress("127.0.0.7") }
    }
    let header = ProxyHeader(
      source: .init(address: try #require(IPAddress("203.0.113.9")), port: 1234),
      destination: .init(address: try #require(IPAddress("198.51.100.1")), port: 443))
    let peer = try Peer.connect(port: lab.port, source: 7)
    peer.write(header.octets(version))
    try #require(peer.startTLS(try .client(trusting: Lab.upstream), name: "www.site.example"))
    peer.write(Self.request)
    waitUntil { seen.all.suffix(4) == [13, 10, 13, 10] }
    peer.close()
    // One that is not sent by whom headers are taken from is the client itself.
    let other = try lab.client(source: 8)
    other.write(Self.request)
    waitUntil { seen.noted.count == 2 }
    other.close()
    // And one that owes a header and sends none is nobody.
    let third = try Peer.connect(port: lab.port, source: 7)
    #expect(!third.startTLS(try .client(trusting: Lab.upstream), name: "www.site.example"))
    third.close()
    let counters = lab.stop()
    server.stop()
    #expect(seen.noted.first == "203.0.113.9 1234 443")
    #expect(seen.noted.last?.hasPrefix("127.0.0.8 ") == true)
    #expect(String(decoding: seen.all, as: UTF8.self).contains("X-Forwarded-For: 203.0.113.9\r\n"))
    #expect(lab.recorder.facts.first?.flow.source == IPAddress("203.0.113.9"))
    #expect(lab.recorder.facts.first?.flow.destinationPort == 443)
    #expect(counters.proxyHeadersMalformed == 1)
  }

  @Test func `A reload shows new connections another certificate and sends them elsewhere`() throws {
    let (before, after) = (Seen(), Seen())
    let first = try PeerServer(answering(before))
    let second = try PeerServer(answering(after))
    let lab = try TerminationLab { listener, _ in listener.sites[0].backends = [.local(first.port)] }
    let old = try lab.client()
    old.write(Self.request)
    _ = old.read(exactly: Self.answer.count)
    let file = try TemporaryFile(TerminationLab.pem("DNS:new.site.example"))
    var site = TerminationSettings.Site()
    site.name = "site"
    site.certificateFile = file.path
    site.keyFile = file.path
    site.backends = [.local(second.port)]
    site.check = .none
    var listener = TerminationSettings.Listener()
    listener.sites = [site]
    var settings = TerminationSettings()
    settings.listeners = [listener]
    lab.publication.publish(
      try TerminationPlan(settings, tickets: lab.tickets, keyLog: nil, previous: lab.publication.current))
    let new = try lab.client("new.site.example")
    new.write(Self.request)
    #expect(new.read(exactly: Self.answer.count) == Self.answer)
    old.write(Self.request)
    #expect(old.read(exactly: Self.answer.count) == Self.answer)
    old.close()
    new.close()
    lab.stop()
    first.stop()
    second.stop()
    #expect(before.noted.count == 2)
    #expect(after.noted.count == 1)
  }
}
