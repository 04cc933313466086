import CSluiceOpenSSL
import Glibc
import Testing
import Traffic

@testable import Interception

/// Whoever stands on the way to a server and has no certificate for its name may not have its connections left alone.
extension RelayTests {
  private func server(_ context: PeerContext, _ handler: @escaping @Sendable (Peer) -> Void = echo) throws -> PeerServer {
    try PeerServer { peer in if peer.startTLS(context) { handler(peer) } }
  }

  private func impostor(_ version: Int32, isRequired: Bool, names: String? = nil) throws -> PeerServer {
    let leaf = if let names { try Lab.leaf(names: names) } else { try Lab.leaf(by: Lab.stranger) }
    return try server(try .server(leaf, Lab.serverKey, version: version).askForCertificate(required: isRequired))
  }

  /// The name goes along, and the certificate is not looked at.
  private func named(_ lab: Lab) throws -> Bool {
    let client = try Peer.connect(port: lab.port)
    defer { client.close() }
    let context = try PeerContext.client(trusting: nil).use(try Lab.leaf(), Lab.serverKey)
    guard client.startTLS(context, name: "server.example"), client.write([7]) else { return false }
    return client.read(exactly: 1) == [7]
  }

  private func learning(_ adjust: (inout LearnedBypassSettings) -> Void = { _ in }) -> LearnedBypass {
    var settings = LearnedBypassSettings()
    adjust(&settings)
    return LearnedBypass(base: UniformPolicy(.inspect), settings: settings)
  }

  private func defects(_ lab: Lab) -> [UpstreamDefect.Kind] {
    lab.recorder.events.compactMap { if case .upstreamUntrusted(let defect, _) = $0 { defect.kind } else { nil } }
  }

  @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION], [true, false])
  func `A request for the client's certificate by a server that nobody vouches for teaches nothing`(
    version: Int32, isRequired: Bool
  ) throws {
    for (names, kind) in [(nil, UpstreamDefect.Kind.unknownIssuer), ("DNS:other.example", .nameMismatch)] {
      let server = try impostor(version, isRequired: isRequired, names: names)
      let bypass = learning { $0.learnsRequestedCertificates = true }
      let lab = try Lab(server: server.port, policy: bypass)
      for _ in 0..<2 { #expect(try !named(lab)) }
      let counters = lab.stop()
      server.stop()
      #expect(bypass.entries.isEmpty)
      #expect(lab.recorder.facts.isEmpty)
      #expect(counters.tunnelledAnew == 0)
      #expect(counters[kind] == 2)
      #expect(defects(lab) == [kind, kind])
    }
  }

  @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
  func `Where the policy passes its defect it is learned like any other`(version: Int32) throws {
    let server = try impostor(version, isRequired: true)
    let bypass = learning()
    let lab = try Lab(server: server.port, policy: bypass) { $0.untrustedUpstream = .passDefect }
    #expect(try named(lab))
    let counters = lab.stop()
    server.stop()
    #expect(lab.recorder.facts.map(\.form) == [.tunnelled])
    #expect(counters.defectsPassedOn == 1)
    #expect(bypass.entries.map(\.reason) == ["server wants a client certificate"])
  }

  @Test func `A certificate whose key nobody has shown yet teaches nothing`() throws {
    // Where the RSA key enciphers, its owner is known only when the server is done; what came before could be a copy's.
    let key = try #require(PrivateKey.generateRSA())
    let leaf = try Lab.leaf(usage: "critical,digitalSignature,keyEncipherment", key: key)
    let context = try PeerContext.server(leaf, key, version: TLS1_2_VERSION)
      .limit(ciphers: "AES128-GCM-SHA256").askForCertificate(required: true)
    let server = try server(context)
    let bypass = learning()
    let lab = try Lab(server: server.port, policy: bypass)
    #expect(try !named(lab))
    let counters = lab.stop()
    server.stop()
    #expect(bypass.entries.isEmpty)
    #expect(counters.clientCertificatesUnproven == 1)
    #expect(counters.upstreamHandshakeFailures == 1)
  }

  @Test func `An end that TLS 1.3 does not protect teaches nothing, where it follows the request of a good server`() throws {
    let context = try PeerContext.server(try Lab.leaf(), Lab.serverKey, version: TLS1_3_VERSION).askForCertificate(required: false)
    // Without the sessions by which a server says that it is content.
    unsafe SSL_CTX_set_num_tickets(context.pointer, 0)
    for resets in [true, false] {
      let server = try server(context) { $0.close(reset: resets) }
      let bypass = learning()
      let lab = try Lab(server: server.port, policy: bypass)
      #expect(try !named(lab))
      let counters = lab.stop()
      server.stop()
      #expect(bypass.entries.isEmpty)
      #expect(counters.clientCertificateRequests == 1)
      #expect(counters.clientCertificatesUnproven == 1)
    }
  }
}
