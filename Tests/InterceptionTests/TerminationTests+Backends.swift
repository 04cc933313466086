import CSluiceLinux
import CSluiceOpenSSL
import Glibc
import Testing
import Traffic

@testable import Interception

extension TerminationTests {
  @Test func `Connections go to the backend with the fewest of them`() throws {
    let (one, two) = (Seen(), Seen())
    let gate = Gate()
    func holding(_ seen: Seen) -> @Sendable (Peer) -> Void {
      { peer in
        seen.note("connection")
        gate.wait()
        peer.close()
      }
    }
    let first = try PeerServer(holding(one))
    let second = try PeerServer(holding(two))
    let lab = try TerminationLab { listener, _ in
      listener.sites[0].backends = [.local(first.port), .local(second.port)]
    }
    var clients: [Peer] = []
    for count in 1...6 {
      clients.append(try lab.client())
      waitUntil { one.noted.count + two.noted.count == count }
    }
    #expect(one.noted.count == 3)
    #expect(two.noted.count == 3)
    gate.open()
    for client in clients { client.close() }
    lab.stop()
    first.stop()
    second.stop()
  }

  @Test func `A backend that is gone is passed over, taken for unwell, and well again when it is back`() throws {
    let seen = Seen()
    let server = try PeerServer(answering(seen))
    let gone = try PeerServer(echo)
    let place = gone.port
    gone.stop()
    let lab = try TerminationLab(watches: true) { listener, _ in
      listener.sites[0].backends = [.local(place), .local(server.port)]
      listener.sites[0].check = .connect
      listener.sites[0].checkSeconds = 1
    }
    for _ in 0..<4 {
      let client = try lab.client()
      client.write(Self.request)
      #expect(client.read(exactly: Self.answer.count) == Self.answer)
      client.close()
    }
    let pool = lab.publication.current.listeners[0].sites[0].pool
    waitUntil { !pool.backends[0].isWell }
    #expect(pool.backends[1].isWell)
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    sluice_set_reuse_address(listener)
    try #require(unsafe sluice_bind(listener, AF_INET, Peer.loopback(AF_INET), place) == 0)
    try #require(listen(listener, 8) == 0)
    waitUntil { pool.backends[0].isWell }
    lab.stop()
    close(listener)
    server.stop()
    #expect(seen.noted.count == 4)
  }

  @Test func `A page that fails makes a backend unwell, and no client is sent there`() throws {
    let (good, bad) = (Seen(), Seen())
    let first = try PeerServer { peer in
      while let bytes = peer.read(), !bytes.isEmpty {
        let isCheck = bytes.starts(with: "GET /health ".utf8)
        if !isCheck { bad.note("client") }
        peer.write(Array("HTTP/1.1 \(isCheck ? "500 No" : "200 OK")\r\nContent-Length: 0\r\n\r\n".utf8))
      }
    }
    let second = try tlsServer(answering(good))
    let lab = try TerminationLab(watches: true) { listener, files in
      listener.sites[0].backends = [.local(first.port)]
      listener.sites[0].check = .http(path: "/health")
      listener.sites[0].checkSeconds = 1
      var other = listener.sites[0]
      other.backends = [.local(second.port)]
      var tls = BackendTLS(name: "server.example")
      tls.trustFile = files[1].path
      other.backendTLS = tls
      listener.sites.append(other)
      listener.sites[0].isDefault = true
    }
    let sites = lab.publication.current.listeners[0].sites
    waitUntil { !sites[0].pool.backends[0].isWell }
    waitUntil { good.noted.count >= 2 }
    #expect(sites[1].pool.backends[0].isWell)
    let client = try lab.client()
    client.write(Self.request)
    #expect(String(decoding: client.readToEnd() ?? [], as: UTF8.self).hasPrefix("HTTP/1.1 503 "))
    client.close()
    lab.stop()
    first.stop()
    second.stop()
    #expect(bad.noted.isEmpty)
  }

  @Test(arguments: [true, false])
  func `While no backend is well, one is called all the same where that is wanted`(tries: Bool) throws {
    let seen = Seen()
    let server = try PeerServer(answering(seen))
    let lab = try TerminationLab { listener, _ in
      listener.sites[0].backends = [.local(server.port)]
      listener.sites[0].triesUnwell = tries
    }
    let backend = lab.publication.current.listeners[0].sites[0].pool.backends[0]
    for _ in 0..<Backend.failureCountMax { _ = backend.failed() }
    let client = try lab.client()
    client.write(Self.request)
    let got = String(decoding: client.read() ?? [], as: UTF8.self)
    #expect(got.hasPrefix(tries ? "HTTP/1.1 200 " : "HTTP/1.1 503 "))
    client.close()
    lab.stop()
    server.stop()
  }

  @Test(arguments: TerminationSettings.Listener.AtLimit.allCases)
  func `At the limit of connections new ones wait, or are refused`(atLimit: TerminationSettings.Listener.AtLimit) throws {
    let seen = Seen()
    let server = try PeerServer(answering(seen))
    let lab = try TerminationLab { listener, _ in
      listener.sites[0].backends = [.local(server.port)]
      listener.connectionCountMax = 2
      listener.atLimit = atLimit
    }
    let first = try lab.client()
    let second = try lab.client()
    let third = try Peer.connect(port: lab.port)
    waitUntil { lab.counters.terminationLimits > 0 }
    if atLimit == .wait { first.close() }
    let ok = third.startTLS(try .client(trusting: Lab.upstream), name: "www.site.example")
    #expect(ok == (atLimit == .wait))
    first.close()
    second.close()
    third.close()
    let counters = lab.stop()
    server.stop()
    #expect(counters.terminationRefused == (atLimit == .wait ? 0 : 1))
    #expect(lab.publication.current.listeners[0].load.active == 0)
  }

  @Test(arguments: TerminationSettings.Site.ClientCertificate.allCases, [TLS1_2_VERSION, TLS1_3_VERSION])
  func `Client certificates are asked for, verified and told of, also in a resumed session`(
    mode: TerminationSettings.Site.ClientCertificate, version: Int32
  ) throws {
    let seen = Seen()
    let server = try PeerServer(answering(seen))
    let lab = try TerminationLab { listener, files in
      listener.sites[0].backends = [.local(server.port)]
      listener.sites[0].clientCertificate = mode
      listener.sites[0].clientAuthorities = files[1].path
    }
    func visit(_ certificate: Certificate?, _ session: PeerSession? = nil) throws -> (head: String?, session: PeerSession?) {
      let context = try PeerContext.client(trusting: Lab.upstream, version: version)
      if let certificate {
        try #require(unsafe SSL_CTX_use_certificate(context.pointer, certificate.pointer) == 1)
        try #require(unsafe SSL_CTX_use_PrivateKey(context.pointer, Lab.serverKey.pointer) == 1)
      }
      let peer = try Peer.connect(port: lab.port)
      defer { peer.close() }
      let count = seen.noted.count
      guard peer.startTLS(context, name: "www.site.example", session: session), peer.write(Self.request),
        peer.read(exactly: Self.answer.count) == Self.answer
      else { return (nil, nil) }
      if session != nil { #expect(peer.wasResumed) }
      peer.endWriting()
      return (seen.noted.dropFirst(count).first, peer.session())
    }
    let own = try Lab.leaf(names: "DNS:client.example", purpose: "clientAuth")
    let foreign = try Lab.leaf(names: "DNS:client.example", by: Lab.stranger, purpose: "clientAuth")
    let (without, _) = try visit(nil)
    #expect((without == nil) == (mode == .required))
    let (with, session) = try visit(own)
    let again = try visit(own, session).head
    for head in [with, again] {
      #expect(head?.contains("X-TLS-Client-Verified: yes\r\nX-TLS-Client-Subject: CN=server.example,O=Example\r\n") == (mode != .none))
      #expect(head?.contains("X-TLS-Client-SHA256: \(hexadecimal(own.fingerprint()))\r\n") == (mode != .none))
    }
    if mode == .optional || mode == .requested { #expect(without?.contains("X-TLS-Client-Verified: no\r\n") == true) }
    let (bad, badSession) = try visit(foreign)
    #expect((bad == nil) == (mode == .optional || mode == .required))
    if mode == .requested {
      for head in [bad, try visit(foreign, badSession).head] {
        #expect(head?.contains("X-TLS-Client-Verified: no\r\nX-TLS-Client-Defect: unable to verify the first certificate\r\n") == true)
        #expect(head?.contains("X-TLS-Client-SHA256: \(hexadecimal(foreign.fingerprint()))\r\n") == true)
      }
    }
    lab.stop()
    server.stop()
  }

  @Test func `What does not fit together is said with the file`() throws {
    func error(_ adjust: (inout TerminationSettings.Site) throws -> Void) throws -> String {
      let file = try TemporaryFile(TerminationLab.pem("DNS:a.example"))
      var site = TerminationSettings.Site()
      site.name = "site"
      site.certificateFile = file.path
      site.keyFile = file.path
      site.backends = [.local(1)]
      try adjust(&site)
      var listener = TerminationSettings.Listener()
      listener.sites = [site]
      var settings = TerminationSettings()
      settings.listeners = [listener]
      let tickets = try TicketKeys()
      do throws(TerminationError) {
        _ = try TerminationPlan(settings, tickets: tickets, keyLog: nil)
        return "none"
      } catch {
        return error.description
      }
    }
    let other = try #require(PrivateKey.generate())
    let key = try TemporaryFile(try #require(other.pem()))
    let empty = try TemporaryFile(Array("nothing\n".utf8))
    #expect(try error { _ in } == "none")
    #expect(try error { $0.certificateFile = "/nonexistent" } == "site: cannot read /nonexistent: No such file or directory")
    #expect(try error { $0.certificateFile = empty.path } == "site: \(empty.path) holds no certificate in PEM form")
    #expect(try error { $0.keyFile = empty.path } == "site: \(empty.path) holds no unencrypted private key in PEM form")
    #expect(try error { $0.keyFile = key.path }.hasPrefix("site: the key in \(key.path) is not that of "))
    #expect(
      try error {
        $0.clientCertificate = .required
        $0.clientAuthorities = empty.path
      } == "site: \(empty.path) holds no certificate in PEM form")
    #expect(
      try error {
        $0.backendTLS = BackendTLS(name: "a")
        $0.backendTLS?.trustFile = "/nonexistent"
      }.hasPrefix("site: /nonexistent: "))
    #expect(try error { $0.backends = [.tcp(host: "no.such.host.invalid", port: 1)] } == "site: the backend no.such.host.invalid:1 has no address")
  }
}
