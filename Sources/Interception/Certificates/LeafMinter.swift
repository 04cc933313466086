import CSluiceOpenSSL
import Traffic

/// A certificate made to stand for an upstream one.
final class MintedLeaf: Sendable {
  let certificate: Certificate
  /// SHA-256 of the DER.
  let fingerprint: [UInt8]
  let isTrusted: Bool

  init(certificate: Certificate, isTrusted: Bool) {
    self.certificate = certificate
    self.isTrusted = isTrusted
    fingerprint = certificate.fingerprint()
  }
}

/// What minting needs and all workers share: one leaf key and the two issuers.
///
/// The untrusted issuer is made anew at each start and never written anywhere: nobody can come to
/// trust it, so a client warns about its leaves as it would have about the original.
public final class LeafIssuers: Sendable {
  let leafKey: PrivateKey
  let trusted: CertificateAuthority
  let untrusted: CertificateAuthority
  let digest: MessageDigest

  public init(trusted: CertificateAuthority, now: Timestamp) throws(AuthorityError) {
    guard let leafKey = PrivateKey.generate(), let digest = MessageDigest("SHA256") else {
      throw .library(OpenSSLErrors.drain().text)
    }
    self.leafKey = leafKey
    self.digest = digest
    self.trusted = trusted
    untrusted = try CertificateAuthority.generate(commonName: "Sluice: upstream not trusted", now: now)
  }
}

/// Mints leaves that mirror upstream certificates, and remembers them.
///
/// Mirrored: subject, subject alternative names, validity, key usage as far as an EC key can have
/// it, extended key usage. Not mirrored: everything that names the real issuer or its services
/// (OCSP, CRL, SCT, must-staple, policies) and CA:TRUE.
struct LeafMinter {
  private struct CacheKey: Hashable {
    var upstream: [UInt8]
    var isTrusted: Bool
  }

  let issuers: LeafIssuers
  private var cache: LRUTable<CacheKey, MintedLeaf>
  private let constraints: CertificateExtension
  private let subjectKey: CertificateExtension
  private let authorityKeys: [CertificateExtension]
  private(set) var mintedCount: UInt64 = 0
  private(set) var hitCount: UInt64 = 0
  var evictionCount: UInt64 { cache.evictions }

  init(issuers: LeafIssuers, countMax: Int) throws(AuthorityError) {
    self.issuers = issuers
    cache = LRUTable(countMax: countMax)
    guard var draft = CertificateDraft() else { throw .library(OpenSSLErrors.drain().text) }
    draft.publicKey(of: issuers.leafKey)
    guard let constraints = CertificateExtension.make(NID_basic_constraints, "critical,CA:FALSE"),
      let subjectKey = CertificateExtension.subjectKeyIdentifier(draft.keyIdentifier()),
      let trusted = CertificateExtension.authorityKeyIdentifier(issuers.trusted.keyIdentifier),
      let untrusted = CertificateExtension.authorityKeyIdentifier(issuers.untrusted.keyIdentifier)
    else { throw .library(OpenSSLErrors.drain().text) }
    self.constraints = constraints
    self.subjectKey = subjectKey
    authorityKeys = [untrusted, trusted]
  }

  /// The leaf for `upstream`, from the cache or new.
  ///
  /// - Parameter fingerprint: SHA-256 of `upstream`.
  /// - Returns: nil when OpenSSL refuses; the error queue says why.
  mutating func leaf(for upstream: Certificate, fingerprint: [UInt8], isTrusted: Bool) -> MintedLeaf? {
    let key = CacheKey(upstream: fingerprint, isTrusted: isTrusted)
    if let known = cache.value(for: key) {
      hitCount &+= 1
      return known
    }
    guard let certificate = mint(upstream, isTrusted: isTrusted) else { return nil }
    mintedCount &+= 1
    let leaf = MintedLeaf(certificate: certificate, isTrusted: isTrusted)
    cache.set(leaf, for: key)
    return leaf
  }

  private func mint(_ upstream: Certificate, isTrusted: Bool) -> Certificate? {
    let issuer = isTrusted ? issuers.trusted : issuers.untrusted
    guard var draft = CertificateDraft() else { return nil }
    draft.issuer(issuer.certificate)
    draft.copySubject(of: upstream)
    draft.copyValidity(of: upstream)
    draft.publicKey(of: issuers.leafKey)
    draft.add(constraints)
    draft.copyKeyUsage(of: upstream)
    draft.copyExtension(NID_ext_key_usage, of: upstream)
    draft.copyExtension(NID_subject_alt_name, of: upstream)
    draft.add(subjectKey)
    draft.add(authorityKeys[isTrusted ? 1 : 0])
    return draft.sign(with: issuer.key, digest: issuers.digest)
  }
}
