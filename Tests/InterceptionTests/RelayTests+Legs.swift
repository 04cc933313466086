import CSluiceLinux
import CSluiceOpenSSL
import Glibc
import Testing
import Traffic

@testable import Interception

extension RelayTests {
  private func server(
    _ context: PeerContext, _ handler: @escaping @Sendable (Peer) -> Void = echo
  ) throws -> PeerServer {
    try PeerServer { peer in if peer.startTLS(context) { handler(peer) } }
  }

  private func serverContext(version: Int32 = 0) throws -> PeerContext {
    try .server(try Lab.leaf(), Lab.serverKey, version: version)
  }

  /// One visit that sends an octet and reads it back. - Returns: the alert where the handshake failed.
  private func visit(_ lab: Lab, _ context: PeerContext) throws -> UInt8? {
    let client = try Peer.connect(port: lab.port)
    defer { client.close() }
    guard client.startTLS(context, name: "server.example") else { return client.handshakeError?.alert ?? 0 }
    client.write([7])
    #expect(client.read(exactly: 1) == [7])
    return nil
  }

  // MARK: Minting

  @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
  func `A client that takes no ECDSA gets a leaf with an RSA key`(version: Int32) throws {
    let server = try server(try serverContext())
    let lab = try Lab(server: server.port)
    let client = try Peer.connect(port: lab.port)
    let context = try PeerContext.client(trusting: lab.authority, version: version)
      .limit(ciphers: "aRSA", signatures: "RSA-PSS+SHA256:RSA+SHA256")
    #expect(client.startTLS(context, name: "server.example"), "\(client.handshakeError?.text ?? "")")
    let leaf = try #require(client.certificate())
    #expect(unsafe EVP_PKEY_get_base_id(X509_get0_pubkey(leaf.pointer)) == EVP_PKEY_RSA)
    client.write([7])
    #expect(client.read(exactly: 1) == [7])
    client.close()
    #expect(try visit(lab, .client(trusting: lab.authority)) == nil)
    let counters = lab.stop()
    server.stop()
    #expect(counters.leavesMinted == 2)
  }

  @Test func `A client that would encipher with the RSA key finds no suite`() throws {
    let server = try server(try serverContext())
    let lab = try Lab(server: server.port)
    let context = try PeerContext.client(trusting: lab.authority, version: TLS1_2_VERSION).limit(ciphers: "AES128-GCM-SHA256")
    #expect(try visit(lab, context) == 40)
    lab.stop()
    server.stop()
    let faults = lab.recorder.events.compactMap { event -> String? in
      if case .clientHandshakeFailed(let failure) = event { return failure.fault }
      if case .upstreamHandshakeFailed(let failure) = event { return "upstream " + failure.fault }
      return nil
    }
    #expect(faults == ["cipher"])
  }

  @Test func `Of ten thousand names the leaf bears as many as there is room for, and the one asked for`() throws {
    let names = (0..<10_000).map { "DNS:host\($0).many.example" }.joined(separator: ",") + ",DNS:*.server.example"
    let server = try tlsServer(certificate: Lab.leaf(names: names))
    let lab = try Lab(server: server.port)
    for name in ["host9999.many.example", "a.server.example"] {
      let client = try Peer.connect(port: lab.port)
      #expect(client.startTLS(try .client(trusting: lab.authority), name: name), "\(client.handshakeError?.text ?? "")")
      let leaf = try #require(client.certificate())
      #expect(leaf.covers(name))
      #expect(leaf.covers("host0.many.example"))
      #expect(leaf.extensionSize(NID_subject_alt_name) <= 16_384 + 8)
      client.close()
    }
    let counters = lab.stop()
    server.stop()
    #expect(counters.leavesCut == 2)
  }

  @Test func `Must-staple and what names the issuer's services are not mirrored, and serial numbers differ`() throws {
    let original = try Lab.leaf(more: [
      (NID_tlsfeature, "status_request"), (NID_info_access, "OCSP;URI:http://ocsp.example/"),
    ])
    let issuers = try LeafIssuers(trusted: Lab.upstream, now: Lab.time)
    var minter = try LeafMinter(issuers: issuers, countMax: 8)
    let print = original.fingerprint()
    let leaf = try #require(minter.leaf(for: original, fingerprint: print, isTrusted: true)?.certificate)
    for kind in [NID_tlsfeature, NID_info_access] { #expect(leaf.extensionValue(kind) == nil) }
    for kind in [NID_subject_key_identifier, NID_authority_key_identifier, NID_key_usage] {
      #expect(leaf.extensionValue(kind) != nil)
    }
    #expect((leaf.notBefore, leaf.notAfter) == (original.notBefore, original.notAfter))
    let other = try #require(minter.leaf(for: original, fingerprint: print, isTrusted: false)?.certificate)
    #expect(unsafe ASN1_INTEGER_cmp(X509_get_serialNumber(leaf.pointer), X509_get_serialNumber(other.pointer)) != 0)
  }

  // MARK: Versions and groups

  @Test func `A client that takes TLS 1.3 alone is not joined to an older server`() throws {
    let server = try server(try serverContext(version: TLS1_2_VERSION))
    let lab = try Lab(server: server.port)
    #expect(try visit(lab, .client(trusting: lab.authority, version: TLS1_3_VERSION)) == 70)
    lab.stop()
    server.stop()
    let faults = lab.recorder.events.compactMap { event -> TLSFailure? in
      if case .upstreamHandshakeFailed(let failure) = event { return failure }
      return nil
    }
    #expect(faults.map(\.cause) == [.alert(70)])
  }

  @Test func `A client below the oldest version is told so, and its server is never called`() throws {
    let seen = Seen()
    let server = try PeerServer { _ in seen.note("called") }
    let lab = try Lab(server: server.port)
    #expect(try visit(lab, .client(trusting: lab.authority, version: TLS1_1_VERSION).old()) == 70)
    let counters = lab.stop()
    server.stop()
    #expect(seen.noted.isEmpty)
    #expect(counters.clientVersionTooLow == 1)
  }

  @Test(arguments: [TLS1_VERSION, TLS1_1_VERSION])
  func `Where settings allow them, versions before 1.2 work on both legs`(version: Int32) throws {
    let server = try server(try serverContext(version: version).old())
    let lab = try Lab(server: server.port) { $0.versionMin = 0x0301 }
    #expect(try visit(lab, .client(trusting: lab.authority, version: version).old()) == nil)
    lab.stop()
    server.stop()
    #expect(lab.recorder.facts.first?.tlsVersion == UInt16(version))
    #expect(lab.recorder.facts.first?.upstreamTLSVersion == UInt16(version))
  }

  @Test func `A server below the oldest version is refused with its fault`() throws {
    let server = try server(try serverContext(version: TLS1_1_VERSION).old())
    let lab = try Lab(server: server.port)
    #expect(try visit(lab, .client(trusting: lab.authority)) == 70)
    let counters = lab.stop()
    server.stop()
    #expect(counters.upstreamHandshakeFailures == 1)
  }

  @Test func `The server is offered the client's groups`() throws {
    let seen = Seen()
    let server = try server(try serverContext()) { peer in
      seen.note("\(peer.group ?? 0)")
      echo(peer)
    }
    let lab = try Lab(server: server.port)
    #expect(try visit(lab, .client(trusting: lab.authority).limit(groups: "P-521:P-256")) == nil)
    lab.stop()
    server.stop()
    #expect(seen.noted == ["\(NID_secp521r1)"])
  }

  // MARK: Renegotiation, new keys

  @Test func `A client's wish to renegotiate is refused and told of`() throws {
    let server = try server(try serverContext())
    let lab = try Lab(server: server.port)
    let client = try Peer.connect(port: lab.port)
    #expect(client.startTLS(try .client(trusting: lab.authority, version: TLS1_2_VERSION), name: "server.example"))
    // OpenSSL's client takes the refusal for an error, and ends.
    #expect(!client.renegotiate())
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(counters.renegotiationsRefused == 1)
    #expect(lab.recorder.events.contains(.renegotiationRefused(.toServer)))
  }

  @Test func `A server's wish to renegotiate is refused and learned, since it may be for a client certificate`() throws {
    let server = try server(try serverContext(version: TLS1_2_VERSION)) { peer in
      _ = peer.read(exactly: 1)
      _ = peer.renegotiate()
      peer.write([8])
      echo(peer)
    }
    let bypass = LearnedBypass(base: UniformPolicy(.inspect))
    let lab = try Lab(server: server.port, policy: bypass)
    let client = try Peer.connect(port: lab.port)
    #expect(client.startTLS(try .client(trusting: lab.authority), name: "server.example"))
    client.write([7])
    #expect(client.read(exactly: 1) == [8])
    client.close()
    lab.stop()
    server.stop()
    #expect(lab.recorder.events.contains(.renegotiationRefused(.toClient)))
    #expect(bypass.entries.map(\.reason) == ["server wants to renegotiate"])
  }

  @Test func `Keys are updated on either leg without the other taking notice`() throws {
    let server = try server(try serverContext(version: TLS1_3_VERSION)) { peer in
      while let bytes = peer.read(), !bytes.isEmpty, peer.updateKeys(), peer.write(bytes) {}
    }
    let lab = try Lab(server: server.port)
    let client = try Peer.connect(port: lab.port)
    #expect(client.startTLS(try .client(trusting: lab.authority, version: TLS1_3_VERSION), name: "server.example"))
    for round: UInt8 in 0..<20 {
      #expect(client.updateKeys())
      client.write([round])
      #expect(client.read(exactly: 1) == [round])
    }
    client.close()
    lab.stop()
    server.stop()
    #expect(lab.recorder.bytes(.toServer) == Array(0..<20))
  }

  // MARK: Client certificates

  @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
  func `A server that can do without a client certificate is inspected`(version: Int32) throws {
    let server = try server(try serverContext(version: version).askForCertificate(required: false))
    let bypass = LearnedBypass(base: UniformPolicy(.inspect))
    let lab = try Lab(server: server.port, policy: bypass)
    #expect(try visit(lab, .client(trusting: lab.authority)) == nil)
    let counters = lab.stop()
    server.stop()
    #expect(lab.recorder.facts.map(\.form) == [.decrypted])
    #expect(counters.clientCertificateRequests == 1)
    #expect(bypass.entries.isEmpty)
  }

  @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
  func `One that insists on it gets the very connection as a tunnel, and is learned`(version: Int32) throws {
    let server = try server(try serverContext(version: version).askForCertificate(required: true))
    let bypass = LearnedBypass(base: UniformPolicy(.inspect))
    let lab = try Lab(server: server.port, policy: bypass)
    let context = try PeerContext.client(trusting: Lab.upstream).use(try Lab.leaf(), Lab.serverKey)
    for _ in 0..<2 { #expect(try visit(lab, context) == nil) }
    let counters = lab.stop()
    server.stop()
    #expect(counters.tunnelledAnew == 1)
    #expect(lab.recorder.facts.map(\.form) == [.tunnelled, .tunnelled])
    #expect(bypass.entries.map(\.reason) == ["server wants a client certificate"])
  }

  @Test func `Learned at the first request, where settings say so`() throws {
    let server = try server(try serverContext().askForCertificate(required: false))
    var learning = LearnedBypassSettings()
    learning.learnsRequestedCertificates = true
    let lab = try Lab(server: server.port, policy: LearnedBypass(base: UniformPolicy(.inspect), settings: learning))
    #expect(try visit(lab, .client(trusting: Lab.upstream)) == nil)
    lab.stop()
    server.stop()
    #expect(lab.recorder.facts.map(\.form) == [.tunnelled])
  }

  @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
  func `Where nothing is learned the client gets the server's refusal`(version: Int32) throws {
    let server = try server(try serverContext(version: version).askForCertificate(required: true))
    let lab = try Lab(server: server.port)
    // RFC 8446 section 6.2: certificate_required; before TLS 1.3 it is handshake_failure.
    #expect(try visit(lab, .client(trusting: lab.authority)) == (version == TLS1_3_VERSION ? 116 : 40))
    lab.stop()
    server.stop()
    #expect(lab.recorder.facts.isEmpty)
  }

  // MARK: Bad certificates

  @Test func `A client that speaks HTTP reads why its server is blocked, once it has asked`() throws {
    let seen = Seen()
    let server = try tlsServer(certificate: Lab.leaf(by: Lab.stranger)) { seen.add($0.readToEnd() ?? []) }
    let lab = try Lab(server: server.port, recorder: Recorder(page: Array("HTTP/1.1 403 Forbidden\r\n\r\nbad".utf8)))
    let client = try Peer.connect(port: lab.port)
    #expect(client.startTLS(try .client(trusting: lab.authority), name: "server.example", protocols: ["h2", "http/1.1"]))
    #expect(client.selectedProtocol == "http/1.1")
    client.write(Array("GET / HTTP/1.1\r\nHost: server.example\r\n\r\n".utf8))
    #expect(client.readToEnd().map { String(decoding: $0, as: UTF8.self) }?.hasSuffix("bad") == true)
    client.close()
    let counters = lab.stop()
    server.stop()
    #expect(seen.all.isEmpty)
    #expect(counters.defectPages == 1)
    #expect(counters[.unknownIssuer] == 1)
    #expect(lab.recorder.facts.isEmpty)
  }

  @Test func `A client of another protocol gets the alert`() throws {
    let server = try tlsServer(certificate: Lab.leaf(by: Lab.stranger))
    let lab = try Lab(server: server.port, recorder: Recorder(page: [1]))
    let client = try Peer.connect(port: lab.port)
    #expect(!client.startTLS(try .client(trusting: lab.authority), name: "server.example", protocols: ["imap"]))
    #expect(client.handshakeError?.alert == 49)
    client.close()
    lab.stop()
    server.stop()
  }

  @Test func `Single defects and entries of the policy have reactions of their own`() throws {
    let server = try tlsServer(certificate: Lab.leaf(toDays: 0))
    let shown = PolicyDecision(.inspect, reason: "entry", untrustedUpstream: .passDefect)
    for (decision, single, isShown): (PolicyDecision, InterceptionSettings.UntrustedUpstream?, Bool) in [
      (PolicyDecision(.inspect, reason: "entry"), nil, false), (PolicyDecision(.inspect, reason: "entry"), .passDefect, true),
      (shown, .block, true),
    ] {
      let lab = try Lab(server: server.port, policy: GivenPolicy(decision: decision)) { settings in
        if let single { settings.defectReactions[.expired] = single }
      }
      #expect(try (visit(lab, .client(trusting: nil)) == nil) == isShown)
      #expect(lab.stop()[.expired] == 1)
    }
    server.stop()
  }
}

private struct GivenPolicy: InterceptionPolicy {
  var decision: PolicyDecision
  func decide(_ facts: PolicyFacts) -> PolicyDecision { decision }
}
