import CSluiceLinux
import CSluiceOpenSSL
import Glibc
import Synchronization
import Testing
import Traffic

@testable import Interception

extension RelayTests {
  @Test func `The client sees a leaf with the server's names, signed by the authority`() throws {
    let original = try Lab.leaf()
    let server = try tlsServer(certificate: original)
    let lab = try Lab(server: server.port)
    let client = try Peer.connect(port: lab.port)
    #expect(client.startTLS(try .client(trusting: lab.authority), name: "a.wild.example"))
    let shown = try #require(client.certificate())
    #expect(shown.extensionValue(NID_subject_alt_name) == original.extensionValue(NID_subject_alt_name))
    #expect(shown.isSigned(by: lab.authority.certificate))
    #expect(shown.fingerprint() != original.fingerprint())
    client.close()
    lab.stop()
    server.stop()
    #expect(lab.recorder.facts.first?.mintedFingerprint == shown.fingerprint())
    #expect(lab.recorder.facts.first?.upstreamCertificates == [original.der()])
    #expect(lab.recorder.events.contains(.minted(fingerprint: shown.fingerprint(), trusted: true)))
  }

  @Test func `A server that nobody vouches for is blocked, and the client is told by an alert`() throws {
    let server = try tlsServer(certificate: Lab.leaf(by: Lab.stranger))
    let lab = try Lab(server: server.port)
    let client = try Peer.connect(port: lab.port)
    #expect(!client.startTLS(try .client(trusting: lab.authority), name: "server.example"))
    #expect(client.handshakeError?.alert == 49)
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(counters.upstreamUntrusted == 1)
    #expect(counters.leavesMinted == 0)
    #expect(lab.recorder.facts.isEmpty)
    let isTold = lab.recorder.events.contains {
      if case .upstreamUntrusted(let defect, .blocked) = $0 { return defect.kind == .unknownIssuer }
      return false
    }
    #expect(isTold)
  }

  @Test func `A defect that is passed on makes the client refuse, and one who trusts anyone goes through`() throws {
    let server = try tlsServer(certificate: Lab.leaf(toDays: 0))
    let lab = try Lab(server: server.port) { $0.untrustedUpstream = .passDefect }
    let careful = try Peer.connect(port: lab.port)
    #expect(!careful.startTLS(try .client(trusting: lab.authority), name: "server.example"))
    careful.close()
    let careless = try Peer.connect(port: lab.port)
    #expect(careless.startTLS(try .client(trusting: nil)))
    let shown = try #require(careless.certificate())
    #expect(!shown.isSigned(by: lab.authority.certificate))
    careless.write([1, 2, 3])
    #expect(careless.read(exactly: 3) == [1, 2, 3])
    careless.close()
    let counters = lab.stop()
    server.stop()
    #expect(counters.clientHandshakeFailures == 1)
    #expect(lab.recorder.facts.count == 1)
    let alert = lab.recorder.events.compactMap {
      if case .clientHandshakeFailed(let failure) = $0 { return failure.cause }
      return nil
    }
    #expect(alert == [.alert(48)], "unknown_ca")
  }

  @Test func `A name the server has no certificate for is blocked`() throws {
    let server = try tlsServer()
    let lab = try Lab(server: server.port)
    let client = try Peer.connect(port: lab.port)
    #expect(!client.startTLS(try .client(trusting: lab.authority), name: "elsewhere.example"))
    client.close()
    lab.stop()
    server.stop()
    #expect(lab.recorder.events.contains {
      if case .upstreamUntrusted(let defect, _) = $0 { return defect.kind == .nameMismatch }
      return false
    })
  }

  @Test func `An address in place of a server name is no name to check`() throws {
    let server = try tlsServer()
    let lab = try Lab(server: server.port)
    let client = try Peer.connect(port: lab.port)
    // Trusts anyone: as a client would that compares with an address the certificate lacks.
    #expect(client.startTLS(try .client(trusting: nil), name: "127.0.0.1"))
    client.write([1])
    #expect(client.read(exactly: 1) == [1])
    client.close()
    lab.stop()
    server.stop()
    #expect(lab.recorder.facts.first?.sni == "127.0.0.1")
    #expect(lab.recorder.facts.first?.upstreamVerification == .trusted)
  }

  @Test func `Both legs resume at the second visit`() throws {
    let server = try tlsServer()
    let lab = try Lab(server: server.port)
    let context = try PeerContext.client(trusting: lab.authority)
    var session: PeerSession?
    for visit in 0..<3 {
      let client = try Peer.connect(port: lab.port)
      #expect(client.startTLS(context, name: "server.example", session: session))
      client.write([9])
      #expect(client.read(exactly: 1) == [9])
      #expect(client.wasResumed == (visit > 0))
      session = client.session()
      client.endWriting()
      #expect(client.readToEnd() == [])
      client.close()
    }
    let counters = lab.stop()
    server.stop()
    #expect(counters.clientResumptions == 2)
    #expect(counters.upstreamResumptions == 2)
    #expect(counters.verificationCacheHits == 2)
    #expect(counters.leavesMinted == 1)
    #expect(counters.leafCacheHits == 2)
  }

  @Test func `Tunnelled TLS ends at the server's own certificate, and the inspector sees the records`() throws {
    let original = try Lab.leaf()
    let server = try tlsServer(certificate: original)
    let lab = try Lab(server: server.port, policy: UniformPolicy(.tunnel, reason: "bank"))
    let client = try Peer.connect(port: lab.port)
    #expect(client.startTLS(try .client(trusting: Lab.upstream), name: "server.example"))
    #expect(client.certificate()?.fingerprint() == original.fingerprint())
    client.write([1, 2])
    #expect(client.read(exactly: 2) == [1, 2])
    client.close()
    lab.stop()
    server.stop()
    let facts = try #require(lab.recorder.facts.first)
    #expect(facts.form == .tunnelled)
    #expect(facts.decision == PolicyDecision(.tunnel, reason: "bank"))
    #expect(lab.recorder.bytes(.toServer).starts(with: facts.clientHello))
    // handshake record, ServerHello
    #expect(lab.recorder.bytes(.toClient).first == 22)
  }

  @Test func `Blocked by policy, the server is never called`() throws {
    let seen = Seen()
    let server = try PeerServer { _ in seen.note("called") }
    let lab = try Lab(server: server.port, policy: UniformPolicy(.block, reason: "list 3")) { $0.cutStyle = .alert }
    let client = try Peer.connect(port: lab.port)
    #expect(!client.startTLS(try .client(trusting: lab.authority), name: "server.example"))
    #expect(client.handshakeError?.alert == 49)
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(seen.noted.isEmpty)
    #expect(counters.policyBlocked == 1)
  }

  @Test func `A client that refuses our leaf three times is tunnelled the fourth time`() throws {
    let original = try Lab.leaf()
    let server = try tlsServer(certificate: original)
    // Attempts may follow one another at once here; how far apart they must be has tests of its own.
    var settings = LearnedBypassSettings()
    settings.attemptSpacingSeconds = 0
    let lab = try Lab(server: server.port, policy: LearnedBypass(base: UniformPolicy(.inspect), settings: settings))
    // Trusts the server's own authority alone, as a pinned app does.
    let pinned = try PeerContext.client(trusting: Lab.upstream)
    for attempt: UInt64 in 1...3 {
      let client = try Peer.connect(port: lab.port)
      #expect(!client.startTLS(pinned, name: "server.example"))
      client.close()
      waitUntil { lab.counters.clientHandshakeFailures == attempt }
    }
    let client = try Peer.connect(port: lab.port)
    #expect(client.startTLS(pinned, name: "server.example"))
    #expect(client.certificate()?.fingerprint() == original.fingerprint())
    client.close()
    lab.stop()
    server.stop()
    #expect(lab.recorder.facts.map(\.form) == [.tunnelled])
    #expect(lab.recorder.facts.first?.decision?.reason == "learned: client refuses the certificate (unknown CA)")
  }
}
