import CSluiceOpenSSL
import Glibc
import Testing
import Traffic

@testable import Interception

@Suite final class AuthorityTests {
  let directory = "/tmp/sluice-ca-\(hexadecimal(randomBytes(8) ?? []))"
  var keyPath: String { directory + "/ca.key" }
  var certificatePath: String { directory + "/ca.crt" }

  init() throws { try #require(unsafe mkdir(directory, 0o700) == 0) }
  deinit { unsafe system("rm -r '\(directory)'") }

  private func mode(_ path: String) -> UInt32 {
    var status = stat()
    return unsafe stat(path, &status) == 0 ? UInt32(status.st_mode) & 0o777 : 0
  }

  @Test func `A made authority loads again and its files have the right modes`() throws {
    let made = try CertificateAuthority.make(keyPath: keyPath, certificatePath: certificatePath, now: Lab.time)
    #expect(mode(keyPath) == 0o600)
    #expect(mode(certificatePath) == 0o644)
    let loaded = try CertificateAuthority.load(keyPath: keyPath, certificatePath: certificatePath)
    #expect(loaded.summary == made.summary)
    #expect(loaded.summary.subject.contains("Sluice CA"))
    #expect(loaded.summary.fingerprint.count == 32)
    #expect(loaded.summary.notAfter.seconds - loaded.summary.notBefore.seconds == 3_651 * 86_400)
    #expect(Certificate.read(der: loaded.certificateDER())?.fingerprint() == loaded.summary.fingerprint)
    #expect(loaded.certificate.isSigned(by: loaded.certificate))
  }

  @Test func `An authority is never overwritten, and a half made one leaves no key`() throws {
    _ = try CertificateAuthority.make(keyPath: keyPath, certificatePath: certificatePath, now: Lab.time)
    #expect(throws: AuthorityError.exists(path: keyPath)) {
      try CertificateAuthority.make(keyPath: keyPath, certificatePath: certificatePath, now: Lab.time)
    }
    unsafe unlink(keyPath)
    #expect(throws: AuthorityError.exists(path: certificatePath)) {
      try CertificateAuthority.make(keyPath: keyPath, certificatePath: certificatePath, now: Lab.time)
    }
    #expect(mode(keyPath) == 0)
  }

  @Test(.enabled(if: geteuid() == 0, "a file is given away by root alone"))
  func `A key is made for the user who is to hold it, and none for one who is not there`() throws {
    _ = try CertificateAuthority.make(
      keyPath: keyPath, certificatePath: certificatePath, owner: "daemon", now: Lab.time)
    var status = stat()
    #expect(unsafe stat(keyPath, &status) == 0)
    let owner = unsafe getpwnam("daemon").map { unsafe $0.pointee.pw_uid }
    #expect(status.st_uid == owner)
    #expect(mode(keyPath) == 0o600)
    #expect(unsafe stat(certificatePath, &status) == 0)
    #expect(status.st_uid == 0)
    #expect(throws: AuthorityError.unwritable(path: keyPath + "2", reason: "there is no user no-such-user")) {
      try CertificateAuthority.make(
        keyPath: keyPath + "2", certificatePath: certificatePath + "2", owner: "no-such-user", now: Lab.time)
    }
    #expect(mode(keyPath + "2") == 0)
  }

  @Test func `Each fault of the files is told apart`() throws {
    #expect(throws: AuthorityError.missing(path: keyPath)) {
      try CertificateAuthority.load(keyPath: keyPath, certificatePath: certificatePath)
    }
    _ = try CertificateAuthority.make(keyPath: keyPath, certificatePath: certificatePath, now: Lab.time)
    _ = try CertificateAuthority.make(keyPath: keyPath + "2", certificatePath: certificatePath + "2", now: Lab.time)
    #expect(throws: AuthorityError.keyDoesNotMatch(key: keyPath, certificate: certificatePath + "2")) {
      try CertificateAuthority.load(keyPath: keyPath, certificatePath: certificatePath + "2")
    }
    #expect(throws: AuthorityError.notACertificate(path: keyPath)) {
      try CertificateAuthority.load(keyPath: keyPath, certificatePath: keyPath)
    }
    #expect(throws: AuthorityError.wrongMode(path: certificatePath, mode: 0o644)) {
      try CertificateAuthority.load(keyPath: certificatePath, certificatePath: certificatePath)
    }
    unsafe chmod(certificatePath, 0o600)
    #expect(throws: AuthorityError.notAKey(path: certificatePath)) {
      try CertificateAuthority.load(keyPath: certificatePath, certificatePath: certificatePath)
    }
    unsafe chmod(keyPath, 0o640)
    #expect(throws: AuthorityError.wrongMode(path: keyPath, mode: 0o640)) {
      try CertificateAuthority.load(keyPath: keyPath, certificatePath: certificatePath)
    }
  }

  @Test func `A leaf's certificate is no authority`() throws {
    let leaf = try Lab.leaf()
    let key = try TemporaryFile(try #require(Lab.serverKey.pem()))
    let certificate = try TemporaryFile(try #require(leaf.pem()))
    #expect(throws: AuthorityError.notAnAuthority(path: certificate.path)) {
      try CertificateAuthority.load(keyPath: key.path, certificatePath: certificate.path)
    }
  }
}

@Suite struct LeafMinterTests {
  @Test func `A minted leaf mirrors names, dates and usages, and is signed by the authority`() throws {
    let authority = try CertificateAuthority.generate(commonName: "Mint", now: Lab.time)
    let issuers = try LeafIssuers(trusted: authority, now: Lab.time)
    var minter = try LeafMinter(issuers: issuers, countMax: 8)
    let upstream = try Lab.leaf(usage: "critical,digitalSignature,keyEncipherment")
    let minted = minter.leaf(for: upstream, fingerprint: upstream.fingerprint(), isTrusted: true)
    let leaf = try #require(minted).certificate
    #expect(leaf.subject == upstream.subject)
    #expect(leaf.notBefore == upstream.notBefore)
    #expect(leaf.notAfter == upstream.notAfter)
    #expect(leaf.extensionValue(NID_subject_alt_name) == upstream.extensionValue(NID_subject_alt_name))
    #expect(leaf.extensionValue(NID_ext_key_usage) == upstream.extensionValue(NID_ext_key_usage))
    // BIT STRING, 7 unused bits, digitalSignature alone: an EC key enciphers no keys.
    #expect(leaf.extensionValue(NID_key_usage) == [0x03, 0x02, 0x07, 0x80])
    #expect(leaf.isSigned(by: authority.certificate))
    #expect(!leaf.isSigned(by: issuers.untrusted.certificate))
    #expect(issuers.key(.ec).matches(leaf))
    // SEQUENCE { [0] keyIdentifier of 20 octets }
    #expect(leaf.extensionValue(NID_authority_key_identifier) == [0x30, 22, 0x80, 20] + authority.keyIdentifier)
  }

  @Test func `The same upstream certificate is minted once for each issuer`() throws {
    let authority = try CertificateAuthority.generate(commonName: "Mint", now: Lab.time)
    let issuers = try LeafIssuers(trusted: authority, now: Lab.time)
    var minter = try LeafMinter(issuers: issuers, countMax: 8)
    let upstream = try Lab.leaf()
    let print = upstream.fingerprint()
    let first = minter.leaf(for: upstream, fingerprint: print, isTrusted: true)
    let again = minter.leaf(for: upstream, fingerprint: print, isTrusted: true)
    let bad = minter.leaf(for: upstream, fingerprint: print, isTrusted: false)
    #expect(first?.fingerprint == again?.fingerprint)
    #expect(first?.fingerprint != bad?.fingerprint)
    #expect(bad?.certificate.isSigned(by: issuers.untrusted.certificate) == true)
    #expect(minter.mintedCount == 2)
    #expect(minter.hitCount == 1)
  }

  @Test func `The cache forgets the least recently used leaf first`() throws {
    let issuers = try LeafIssuers(trusted: Lab.upstream, now: Lab.time)
    var minter = try LeafMinter(issuers: issuers, countMax: 2)
    let leaves = try (0..<3).map { _ in try Lab.leaf() }
    func mint(_ index: Int) { _ = minter.leaf(for: leaves[index], fingerprint: leaves[index].fingerprint(), isTrusted: true) }
    for index in [0, 1, 0, 2, 0, 1] { mint(index) }
    #expect(minter.mintedCount == 4)
    #expect(minter.hitCount == 2)
    #expect(minter.evictionCount == 2)
  }
}

@Suite struct UpstreamVerifierTests {
  private func verify(_ leaf: Certificate, name: String? = "server.example", at time: Timestamp = Lab.time) throws -> UpstreamVerification {
    let pem = try TemporaryFile(Lab.upstream.certificatePEM())
    var trust = TrustSettings()
    trust.systemFile = nil
    trust.extraFiles = [pem.path]
    let verifier = try UpstreamVerifier(trust)
    return verifier.verify([leaf], name: name, staple: nil, now: time).result
  }

  private func kind(_ result: UpstreamVerification) -> UpstreamDefect.Kind? {
    if case .untrusted(let defect) = result { return defect.kind }
    return nil
  }

  @Test func `A leaf of a trusted issuer with the right name and dates is trusted`() throws {
    #expect(try verify(Lab.leaf()) == .trusted)
    #expect(try verify(Lab.leaf(), name: "a.wild.example") == .trusted)
    #expect(try verify(Lab.leaf(), name: "192.0.2.7") == .trusted)
    #expect(try verify(Lab.leaf(), name: nil) == .trusted)
  }

  @Test func `Names, addresses, dates and issuers that do not fit are told apart`() throws {
    #expect(try kind(verify(Lab.leaf(), name: "other.example")) == .nameMismatch)
    #expect(try kind(verify(Lab.leaf(), name: "a.b.wild.example")) == .nameMismatch)
    #expect(try kind(verify(Lab.leaf(), name: "192.0.2.8")) == .nameMismatch)
    #expect(try kind(verify(Lab.leaf(toDays: 0), at: Timestamp(seconds: Lab.time.seconds + 1))) == .expired)
    #expect(try kind(verify(Lab.leaf(fromDays: 1))) == .notYetValid)
    #expect(try kind(verify(Lab.leaf(by: Lab.stranger))) == .unknownIssuer)
    #expect(try kind(verify(Lab.stranger.certificate, name: nil)) == .selfSigned)
  }

  @Test func `The system's store loads, and a missing file is an error with its name`() throws {
    _ = try UpstreamVerifier(TrustSettings())
    var trust = TrustSettings()
    trust.extraFiles = ["/nonexistent/extra.pem"]
    let error = #expect(throws: TrustError.self) { try UpstreamVerifier(trust) }
    #expect(error?.description.contains("/nonexistent/extra.pem") == true)
  }
}
