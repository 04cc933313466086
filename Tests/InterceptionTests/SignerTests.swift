import CSluiceOpenSSL
import Glibc
import Testing
import Traffic

@testable import Interception

@Suite struct LeafSignerTests {
  private func minter(_ authority: CertificateAuthority) throws -> LeafMinter {
    let keyless = CertificateAuthority(
      key: nil, certificate: authority.certificate, keyIdentifier: authority.keyIdentifier, algorithm: authority.algorithm)
    return try LeafMinter(issuers: LeafIssuers(trusted: keyless, now: Lab.time), countMax: 8)
  }

  private func rsaAuthority() throws -> CertificateAuthority {
    let key = try #require(PrivateKey.generateRSA())
    guard var draft = CertificateDraft() else { throw InterceptionError.library("no draft") }
    draft.addToSubject("CN", "RSA Test CA")
    draft.selfIssued()
    draft.validity(from: Lab.time, to: Timestamp(seconds: Lab.time.seconds + 86_400))
    draft.publicKey(of: key)
    let identifier = draft.keyIdentifier()
    draft.add(try #require(CertificateExtension.make(NID_basic_constraints, "critical,CA:TRUE")))
    draft.add(try #require(CertificateExtension.subjectKeyIdentifier(identifier)))
    let digest = try #require(MessageDigest("SHA256"))
    let signed = draft.sign(with: key, digest: digest)
    return CertificateAuthority(
      key: key, certificate: try #require(signed), keyIdentifier: identifier, algorithm: .rsa)
  }

  private func unsigned(_ minter: inout LeafMinter, _ original: Certificate) throws -> UnsignedLeaf {
    let outcome = minter.prepare(original, fingerprint: original.fingerprint(), isTrusted: true, kind: .ec, name: nil)
    guard case .unsigned(let leaf)? = outcome else {
      Issue.record("signed here")
      throw InterceptionError.library("signed here")
    }
    return leaf
  }

  @Test(arguments: [false, true]) func `A leaf that another process signs is as one that was signed here`(isRSA: Bool) throws {
    let authority = isRSA ? try rsaAuthority() : try CertificateAuthority.generate(commonName: "Signer", now: Lab.time)
    let signer = try SigningScene.signer(authority)
    var minter = try minter(authority)
    let original = try Lab.leaf()
    let leaf = try unsigned(&minter, original)
    guard case .signed(7, let signature)? = signer.answer(SigningMessage.request(7, leaf.toBeSigned)[...]) else {
      Issue.record("not signed")
      return
    }
    let finished = minter.finish(leaf, signature: signature)
    let minted = try #require(finished)
    #expect(minted.certificate.isSigned(by: authority.certificate))
    #expect(minted.certificate.subject == original.subject)
    #expect(minted.certificate.extensionValue(NID_subject_alt_name) == original.extensionValue(NID_subject_alt_name))
    // What clients get is what was signed, octet by octet.
    #expect(Certificate.read(der: minted.der)?.isSigned(by: authority.certificate) == true)
    #expect(minter.mintedCount == 1)
    guard case .ready(let again)? = minter.prepare(original, fingerprint: original.fingerprint(), isTrusted: true, kind: .ec, name: nil)
    else {
      Issue.record("not remembered")
      return
    }
    #expect(again === minted)
    // A signature is taken once.
    let twice = minter.finish(leaf, signature: signature)
    #expect(twice == nil)
  }

  @Test func `Leaves of servers that nobody trusts need no other process`() throws {
    let authority = try CertificateAuthority.generate(commonName: "Signer", now: Lab.time)
    var minter = try minter(authority)
    let original = try Lab.leaf()
    let leaf = minter.leaf(for: original, fingerprint: original.fingerprint(), isTrusted: false)
    #expect(leaf?.certificate.isSigned(by: minter.issuers.untrusted.certificate) == true)
  }

  /// DER of an element; lengths up to 65,535.
  private func element(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] { [tag] + DERList.length(content.count) + content }

  /// What a certificate says, with parts of it as a test wants them.
  private func body(
    version: [UInt8] = [0xa0, 3, 2, 1, 2], serial: [UInt8] = [2, 1, 1], algorithm: [UInt8] = SignatureAlgorithm.ecdsa.der,
    issuer: [UInt8], extensions: [[UInt8]]
  ) -> [UInt8] {
    let parts = version + serial + algorithm + issuer + [0x30, 0, 0x30, 0, 0x30, 0]
    return element(0x30, parts + element(0xa3, element(0x30, extensions.flatMap { $0 })))
  }

  @Test func `Nothing but leaves of this authority is signed`() throws {
    let issuer = element(0x30, [1, 2, 3])
    let rules = LeafRules(issuer: issuer, algorithm: .ecdsa)
    // basicConstraints, critical, an empty sequence; with CA:TRUE; not critical.
    let leaf = element(0x30, [6, 3, 0x55, 0x1d, 0x13, 1, 1, 0xff, 4, 2, 0x30, 0])
    let authority = element(0x30, [6, 3, 0x55, 0x1d, 0x13, 1, 1, 0xff, 4, 5, 0x30, 3, 1, 1, 0xff])
    let plain = element(0x30, [6, 3, 0x55, 0x1d, 0x13, 4, 2, 0x30, 0])
    // keyUsage: digitalSignature; keyCertSign; cRLSign.
    let signs = element(0x30, [6, 3, 0x55, 0x1d, 0x0f, 1, 1, 0xff, 4, 4, 3, 2, 7, 0x80])
    let signsCertificates = element(0x30, [6, 3, 0x55, 0x1d, 0x0f, 1, 1, 0xff, 4, 4, 3, 2, 2, 0x04])
    let signsLists = element(0x30, [6, 3, 0x55, 0x1d, 0x0f, 1, 1, 0xff, 4, 4, 3, 2, 1, 0x02])
    let good = body(issuer: issuer, extensions: [leaf, signs])
    #expect(rules.objection(to: good[...]) == nil)
    #expect(rules.objection(to: body(issuer: issuer, extensions: [plain])[...]) == nil)
    for (bad, why) in [
      (body(issuer: issuer, extensions: [authority]), "an authority"),
      (body(issuer: issuer, extensions: [signs]), "no basic constraints"),
      (body(issuer: issuer, extensions: [leaf, authority]), "said twice"),
      (body(issuer: issuer, extensions: [leaf, signsCertificates]), "signs certificates"),
      (body(issuer: issuer, extensions: [leaf, signsLists]), "signs lists"),
      (body(issuer: element(0x30, [9]), extensions: [leaf]), "another issuer"),
      (body(algorithm: SignatureAlgorithm.rsa.der, issuer: issuer, extensions: [leaf]), "another algorithm"),
      (body(version: [0xa0, 3, 2, 1, 1], issuer: issuer, extensions: [leaf]), "version 2"),
      (body(version: [], issuer: issuer, extensions: [leaf]), "version 1"),
      (body(serial: [2, 1, 0x80], issuer: issuer, extensions: [leaf]), "a negative serial number"),
      (body(serial: [2, 1, 0], issuer: issuer, extensions: [leaf]), "no serial number"),
      (body(serial: element(2, [UInt8](repeating: 1, count: 21)), issuer: issuer, extensions: [leaf]), "a long serial number"),
      (good + [0], "something behind it"),
      (body(issuer: issuer, extensions: [leaf] + (0..<20).map { element(0x30, [6, 1, UInt8($0), 4, 0]) }), "many extensions"),
      ([], "nothing"),
    ] { #expect(rules.objection(to: bad[...]) != nil, "\(why)") }
    for count in 0..<good.count { #expect(rules.objection(to: good[..<count]) != nil, "cut at \(count)") }
  }

  @Test func `What minting makes is what the rules ask for`() throws {
    let authority = try CertificateAuthority.generate(commonName: "Signer", now: Lab.time)
    var minter = try minter(authority)
    let rules = LeafRules(issuer: authority.certificate.subjectDER, algorithm: .ecdsa)
    #expect(rules.objection(to: try unsigned(&minter, Lab.leaf()).toBeSigned[...]) == nil)
    // An authority's own certificate in a server's place: the leaf is none.
    #expect(rules.objection(to: try unsigned(&minter, Lab.upstream.certificate).toBeSigned[...]) == nil)
    let other = LeafRules(issuer: Lab.upstream.certificate.subjectDER, algorithm: .ecdsa)
    #expect(other.objection(to: try unsigned(&minter, Lab.leaf()).toBeSigned[...]) == "another issuer")
  }

  @Test func `Messages read as they were written, and others are none`() {
    for message: SigningMessage in [
      .ready, .unusable("no"), .signed(number: 0xdead_beef, signature: [1, 2]), .refused(number: 1, reason: "another issuer"),
    ] { #expect(SigningMessage(message.bytes[...]) == message) }
    for bytes: [UInt8] in [[], [0], [1, 0], [3], [3, 0, 0, 0, 1], [4, 0], [5, 1, 2, 3, 4, 5]] {
      #expect(SigningMessage(bytes[...]) == nil)
    }
    #expect(SigningMessage.unusable(String(repeating: "x", count: 9_999)).bytes.count <= SigningMessage.answerBytesMax)
  }
}

/// Connections whose leaf another process signs.
@Suite(.serialized) struct SigningRelayTests {
  private func page(_ lab: Lab) throws -> [UInt8]? {
    let client = try Peer.connect(port: lab.port)
    defer { client.close() }
    let context = try PeerContext.client(trusting: lab.authority)
    guard client.startTLS(context, name: "server.example") else { return nil }
    return client.exchange(Array("hello".utf8), reading: 5)
  }

  @Test func `A connection waits for the signature, the next one has it`() throws {
    let scene = try SigningScene()
    let server = try tlsServer()
    let lab = try Lab(server: server.port, signer: scene)
    #expect(try page(lab) == Array("hello".utf8))
    #expect(try page(lab) == Array("hello".utf8))
    let counters = lab.stop()
    server.stop()
    scene.stop()
    #expect(counters.leavesMinted == 1)
    #expect(counters.leafCacheHits == 1)
    #expect(counters.mintingFailures == 0)
  }

  @Test func `A process that was started again is asked again for what it had been asked`() throws {
    let scene = try SigningScene(answers: false)
    let server = try tlsServer()
    let lab = try Lab(server: server.port, signer: scene)
    let client = try Peer.connect(port: lab.port)
    let context = try PeerContext.client(trusting: lab.authority)
    let thread = try WorkerThread.start { [client] in
      #expect(client.startTLS(context, name: "server.example"))
    }
    // The first one dies with the request.
    let lost = try #require(scene.request())
    scene.serve()
    thread.join()
    #expect(client.exchange(Array("hello".utf8), reading: 5) == Array("hello".utf8))
    client.close()
    let counters = lab.stop()
    server.stop()
    scene.stop()
    #expect(lost.count > 100)
    #expect(counters.signerRestarts == 1)
    #expect(counters.signatureTimeouts == 0)
    #expect(counters.clientHandshakes == 1)
  }

  @Test func `Without a signature in time the client is told, and others go on`() throws {
    let scene = try SigningScene(answers: false)
    let server = try tlsServer()
    let lab = try Lab(server: server.port, signer: scene) { $0.signatureWaitMilliseconds = 200 }
    #expect(try page(lab) == nil)
    #expect(lab.recorder.events.contains(.mintingFailed("the process with the authority's key does not answer")))
    scene.serve()
    #expect(try page(lab) == Array("hello".utf8))
    let counters = lab.stop()
    server.stop()
    scene.stop()
    #expect(counters.signatureTimeouts == 1)
    #expect(counters.mintingFailures == 1)
    #expect(counters.active == 0)
  }

  @Test func `What is refused, or comes from nobody any more, fails at once`() throws {
    let scene = try SigningScene(answers: false)
    let server = try tlsServer()
    let lab = try Lab(server: server.port, signer: scene)
    let thread = try WorkerThread.start {
      guard let request = scene.request() else { return }
      scene.say(.refused(number: SigningMessage.number(request[...]), reason: "another issuer"))
      _ = scene.request()
      scene.leave()
    }
    #expect(try page(lab) == nil)
    #expect(try page(lab) == nil)
    thread.join()
    #expect(try page(lab) == nil)
    let counters = lab.stop()
    server.stop()
    scene.stop()
    #expect(
      lab.recorder.events.filter { if case .mintingFailed = $0 { true } else { false } } == [
        .mintingFailed("another issuer"), .mintingFailed("the process with the authority's key is gone"),
        .mintingFailed("the process with the authority's key can't be asked"),
      ])
    #expect(counters.mintingFailures == 3)
  }

  @Test func `A connection whose leaf can't be made stays encrypted where that is set`() throws {
    let scene = try SigningScene(answers: false)
    let server = try tlsServer()
    let lab = try Lab(server: server.port, signer: scene) {
      $0.signatureWaitMilliseconds = 100
      $0.mintingFailure = .tunnel
    }
    let client = try Peer.connect(port: lab.port)
    // What the server itself shows.
    let context = try PeerContext.client(trusting: Lab.upstream)
    #expect(client.startTLS(context, name: "server.example"))
    #expect(client.exchange(Array("hello".utf8), reading: 5) == Array("hello".utf8))
    client.close()
    let counters = lab.stop()
    server.stop()
    scene.stop()
    #expect(counters.relayedTunnelled == 1)
    #expect(counters.tunnelledAnew == 1)
    #expect(lab.recorder.facts.first?.form == .tunnelled)
  }

  @Test func `Connections to one server wait for one signature, and a client that leaves meanwhile is forgotten`() throws {
    let scene = try SigningScene(answers: false)
    let server = try tlsServer()
    let lab = try Lab(server: server.port, signer: scene)
    let context = try PeerContext.client(trusting: lab.authority)
    let clients = try (0..<4).map { _ in try Peer.connect(port: lab.port) }
    let threads = try clients.dropFirst().map { client in
      try WorkerThread.start { #expect(client.startTLS(context, name: "server.example")) }
    }
    let request = try #require(scene.request())
    let leaver = try WorkerThread.start { [client = clients[0]] in _ = client.startTLS(context, name: "server.example") }
    while lab.counters.upstreamHandshakes < 4 { usleep(5_000) }
    clients[0].sendFIN()
    while lab.counters.clientGone < 1 { usleep(5_000) }
    scene.say(try #require(scene.signer.answer(request[...])))
    for thread in threads { thread.join() }
    clients[0].close(reset: true)
    leaver.join()
    for client in clients.dropFirst() {
      #expect(client.exchange([1, 2, 3], reading: 3) == [1, 2, 3])
      client.close()
    }
    let counters = lab.stop()
    server.stop()
    scene.stop()
    #expect(counters.leavesMinted == 1)
    #expect(counters.clientHandshakes == 3)
    #expect(counters.active == 0)
  }
}
