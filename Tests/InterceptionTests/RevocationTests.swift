import CSluiceOpenSSL
import Testing
import Traffic

@testable import Interception

@Suite struct RevocationTests {
  private func verifier(_ adjust: (inout TrustSettings) -> Void = { _ in }) throws -> UpstreamVerifier {
    let pem = try TemporaryFile(Lab.upstream.certificatePEM())
    var trust = TrustSettings()
    trust.systemFile = nil
    trust.extraFiles = [pem.path]
    adjust(&trust)
    return try UpstreamVerifier(trust)
  }

  private func verify(
    _ leaf: Certificate, _ staple: [UInt8]?, _ adjust: (inout TrustSettings) -> Void = { _ in }
  ) throws -> (result: UpstreamVerification, staple: StapleStatus) {
    try verifier(adjust).verify([leaf], name: "server.example", staple: staple, now: Lab.time)
  }

  private func kind(_ result: UpstreamVerification) -> UpstreamDefect.Kind? {
    if case .untrusted(let defect) = result { return defect.kind }
    return nil
  }

  private func isUnusable(_ status: StapleStatus) -> Bool {
    if case .unusable = status { return true }
    return false
  }

  // MARK: Staples

  @Test(arguments: ["SHA1", "SHA256"])
  func `A staple that says good is taken, by whatever digest it names the certificate`(_ digest: String) throws {
    let leaf = try Lab.leaf()
    let found = try verify(leaf, RevocationScene.response(about: leaf, .good, digest: digest))
    #expect(found.result == .trusted)
    #expect(found.staple == .good)
  }

  @Test func `A staple that says revoked is a defect with its reason`() throws {
    let leaf = try Lab.leaf()
    let found = try verify(leaf, RevocationScene.response(about: leaf, .revoked))
    guard case .untrusted(let defect) = found.result else {
      Issue.record("taken")
      return
    }
    #expect(defect.kind == .revoked)
    #expect(defect.text.contains("keyCompromise"))
    #expect(defect.subject.contains("server.example"))
  }

  @Test func `A staple that is old, of the future, of another, of an unknown certificate or no response counts as none`() throws {
    let leaf = try Lab.leaf()
    let staples = try [
      RevocationScene.response(about: leaf, .revoked, hours: (-48, -24)),
      RevocationScene.response(about: leaf, .revoked, hours: (2, 24)),
      RevocationScene.response(about: Lab.leaf(), .revoked),
      RevocationScene.response(about: leaf, .unknown),
      [0x30, 0x03, 0x0a, 0x01, 0x06],
      [1, 2, 3],
    ]
    for staple in staples {
      let found = try verify(leaf, staple)
      #expect(found.result == .trusted)
      #expect(isUnusable(found.staple), "\(found.staple)")
      #expect(kind(try verify(leaf, staple) { $0.staples = .strict }.result) == .noStaple)
      #expect(try verify(leaf, staple) { $0.staples = .ignore }.staple == .none)
    }
  }

  @Test func `A staple signed by a stranger says nothing, neither good nor bad`() throws {
    let leaf = try Lab.leaf()
    for answer in [RevocationScene.Answer.good, .revoked] {
      let staple = try RevocationScene.response(about: leaf, answer, signer: Lab.stranger)
      #expect(isUnusable(try verify(leaf, staple).staple))
    }
  }

  @Test func `A leaf can't vouch for itself with its own key`() throws {
    let leaf = try Lab.leaf()
    let itself = CertificateAuthority(key: Lab.serverKey, certificate: leaf, keyIdentifier: [], algorithm: .ecdsa)
    let staple = try RevocationScene.response(about: leaf, .good, signer: itself)
    #expect(isUnusable(try verify(leaf, staple).staple))
  }

  @Test func `A certificate that demands a staple is a defect without one, but not when a session is resumed`() throws {
    let leaf = try Lab.leaf(more: [(NID_tlsfeature, "status_request")])
    #expect(kind(try verify(leaf, []).result) == .noStaple)
    #expect(try verify(leaf, nil).result == .trusted)
    #expect(try verify(leaf, RevocationScene.response(about: leaf, .good)).result == .trusted)
    #expect(try verify(leaf, []) { $0.staples = .ignore }.result == .trusted)
  }

  // MARK: Lists

  @Test func `What a list of the issuer names is revoked, and nothing else is`() throws {
    let (revoked, other) = try (Lab.leaf(), Lab.leaf())
    let file = try TemporaryFile(RevocationScene.list([revoked]))
    let verifier = try verifier { $0.revocationLists = [file.path] }
    #expect(kind(verifier.verify([revoked], name: nil, staple: nil, now: Lab.time).result) == .revoked)
    #expect(verifier.verify([other], name: nil, staple: nil, now: Lab.time).result == .trusted)
    #expect(verifier.warnings.isEmpty)
  }

  @Test func `A list counts past its time, with a warning`() throws {
    let leaf = try Lab.leaf()
    let file = try TemporaryFile(RevocationScene.list([leaf], hours: (-48, -24)))
    let verifier = try verifier { $0.revocationLists = [file.path] }
    #expect(kind(verifier.verify([leaf], name: nil, staple: nil, now: Lab.time).result) == .revoked)
    #expect(verifier.warnings.count == 1)
  }

  @Test func `A list that the issuer did not sign revokes nothing`() throws {
    let leaf = try Lab.leaf()
    let file = try TemporaryFile(RevocationScene.list([leaf], signer: Lab.stranger))
    let verifier = try verifier { $0.revocationLists = [file.path] }
    #expect(verifier.verify([leaf], name: nil, staple: nil, now: Lab.time).result == .trusted)
  }

  @Test func `Several lists in one file all count, and a file without any is an error`() throws {
    let (one, two) = try (Lab.leaf(), Lab.leaf())
    let file = try TemporaryFile(RevocationScene.list([one]) + RevocationScene.list([two]))
    let verifier = try verifier { $0.revocationLists = [file.path] }
    for leaf in [one, two] {
      #expect(kind(verifier.verify([leaf], name: nil, staple: nil, now: Lab.time).result) == .revoked)
    }
    let empty = try TemporaryFile(Array("nothing".utf8))
    #expect(throws: TrustError.self) { try self.verifier { $0.revocationLists = [empty.path] } }
  }

  @Test func `Other lists are taken while it runs; where they can't be read the old ones stay`() throws {
    let leaf = try Lab.leaf()
    let file = try TemporaryFile(RevocationScene.list([leaf]))
    let root = try TemporaryFile(Lab.upstream.certificatePEM())
    let verifier = try verifier()
    var trust = TrustSettings()
    trust.systemFile = nil
    trust.extraFiles = [root.path]
    trust.revocationLists = [file.path]
    let before = verifier.generation
    try verifier.replace(trust)
    #expect(verifier.generation != before)
    #expect(kind(verifier.verify([leaf], name: nil, staple: nil, now: Lab.time).result) == .revoked)
    trust.revocationLists = ["/nonexistent.crl"]
    #expect(throws: TrustError.self) { try verifier.replace(trust) }
    #expect(kind(verifier.verify([leaf], name: nil, staple: nil, now: Lab.time).result) == .revoked)
  }

  // MARK: Names, strength, chains

  @Test func `A common name alone is no name`() throws {
    #expect(kind(try verify(Lab.leaf(names: nil), nil).result) == .noName)
  }

  @Test func `Weak keys and signatures are told apart`() throws {
    let small = unsafe PrivateKey(adopting: try #require(sluice_rsa_generate(1_024)))
    #expect(kind(try verify(Lab.leaf(key: small), nil).result) == .weakKey)
    #expect(kind(try verify(Lab.leaf(digestName: "SHA1"), nil).result) == .weakSignature)
    #expect(try verify(Lab.leaf(key: try #require(PrivateKey.generateRSA())), nil).result == .trusted)
  }

  @Test func `An issuer that the server left out is named, with the place it could be fetched from`() throws {
    let leaf = try Lab.leaf(by: Lab.stranger, more: [(NID_info_access, "caIssuers;URI:http://ca.example/issuer.der")])
    guard case .untrusted(let defect) = try verify(leaf, nil).result else {
      Issue.record("taken")
      return
    }
    #expect(defect.kind == .incompleteChain)
    #expect(defect.text.contains("http://ca.example/issuer.der"))
    #expect(defect.text.contains("Unknown CA"))
  }
}
