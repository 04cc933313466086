import CSluiceOpenSSL
import Traffic

/// Of what kind a leaf's key is.
enum LeafKeyKind: UInt8 {
  case ec
  /// For clients that offer no ECDSA.
  case rsa
}

/// A certificate made to stand for an upstream one.
final class MintedLeaf: Sendable {
  let certificate: Certificate
  let der: [UInt8]
  /// SHA-256 of the DER.
  let fingerprint: [UInt8]
  let isTrusted: Bool
  let kind: LeafKeyKind

  init(certificate: Certificate, isTrusted: Bool, kind: LeafKeyKind) {
    self.certificate = certificate
    self.isTrusted = isTrusted
    self.kind = kind
    der = certificate.der()
    fingerprint = certificate.fingerprint()
  }
}

/// A leaf that another process is to sign, or one that is there.
enum LeafOutcome {
  case ready(MintedLeaf)
  case unsigned(UnsignedLeaf)
}

/// A leaf but for its signature, with what is to be remembered of it.
final class UnsignedLeaf {
  let toBeSigned: [UInt8]
  let kind: LeafKeyKind
  fileprivate let cacheKey: LeafMinter.CacheKey?
  fileprivate let isCut: Bool
  fileprivate var draft: CertificateDraft?

  fileprivate init?(
    _ draft: consuming CertificateDraft, _ algorithm: SignatureAlgorithm, kind: LeafKeyKind, cacheKey: LeafMinter.CacheKey?,
    isCut: Bool
  ) {
    guard let bytes = draft.toBeSigned(algorithm) else { return nil }
    toBeSigned = bytes
    self.kind = kind
    self.cacheKey = cacheKey
    self.isCut = isCut
    self.draft = consume draft
  }

  /// Whether both become the same leaf in the cache.
  func isSame(as other: UnsignedLeaf) -> Bool { cacheKey != nil && cacheKey == other.cacheKey }
}

/// What minting needs and all workers share: a leaf key of each kind and the two issuers.
///
/// The untrusted issuer is made anew at each start and never written anywhere: nobody can come to
/// trust it, so a client warns about its leaves as it would have about the original.
public final class LeafIssuers: Sendable {
  private let keys: [PrivateKey]
  let trusted: CertificateAuthority
  let untrusted: CertificateAuthority
  let digest: MessageDigest

  public init(trusted: CertificateAuthority, now: Timestamp) throws(AuthorityError) {
    guard let ec = PrivateKey.generate(), let rsa = PrivateKey.generateRSA(), let digest = MessageDigest("SHA256") else {
      throw .library(OpenSSLErrors.drain().text)
    }
    keys = [ec, rsa]
    self.digest = digest
    self.trusted = trusted
    untrusted = try CertificateAuthority.generate(commonName: "Sluice: upstream not trusted", now: now)
  }

  func key(_ kind: LeafKeyKind) -> PrivateKey { keys[kind == .rsa ? 1 : 0] }
}

/// Mints leaves that mirror upstream certificates, and remembers them.
///
/// Mirrored: subject, subject alternative names, validity, key usage as far as the leaf's key can have
/// it, extended key usage. Not mirrored: everything that names the real issuer or its services
/// (OCSP, CRL, SCT, must-staple, policies) and CA:TRUE. Each leaf has a serial number of its own.
/// - Limits: names beyond `namesBytesMax` are left out, never the one that the client asked for: libraries
///   refuse certificates from about 100 kB on.
struct LeafMinter {
  fileprivate struct CacheKey: Hashable {
    var upstream: [UInt8]
    var isTrusted: Bool
    var kind: LeafKeyKind
    /// Set where names are left out.
    var name: String?
  }

  let issuers: LeafIssuers
  let namesBytesMax: Int
  private var cache: LRUTable<CacheKey, MintedLeaf>
  private let constraints: CertificateExtension
  private let subjectKeys: [CertificateExtension]
  private let authorityKeys: [CertificateExtension]
  private(set) var mintedCount: UInt64 = 0
  private(set) var hitCount: UInt64 = 0
  /// Leaves that do not bear all names of their original.
  private(set) var cutCount: UInt64 = 0
  var evictionCount: UInt64 { cache.evictions }

  init(issuers: LeafIssuers, countMax: Int, namesBytesMax: Int = 16_384) throws(AuthorityError) {
    self.issuers = issuers
    self.namesBytesMax = namesBytesMax
    cache = LRUTable(countMax: countMax)
    guard let constraints = CertificateExtension.make(NID_basic_constraints, "critical,CA:FALSE"),
      let ec = Self.subjectKey(issuers.key(.ec)), let rsa = Self.subjectKey(issuers.key(.rsa)),
      let trusted = CertificateExtension.authorityKeyIdentifier(issuers.trusted.keyIdentifier),
      let untrusted = CertificateExtension.authorityKeyIdentifier(issuers.untrusted.keyIdentifier)
    else { throw .library(OpenSSLErrors.drain().text) }
    self.constraints = constraints
    subjectKeys = [ec, rsa]
    authorityKeys = [untrusted, trusted]
  }

  private static func subjectKey(_ key: PrivateKey) -> CertificateExtension? {
    guard var draft = CertificateDraft() else { return nil }
    draft.publicKey(of: key)
    return CertificateExtension.subjectKeyIdentifier(draft.keyIdentifier())
  }

  /// The leaf for `upstream` where the authority's key is in this process.
  mutating func leaf(
    for upstream: Certificate, fingerprint: [UInt8], isTrusted: Bool, kind: LeafKeyKind = .ec, name: String? = nil
  ) -> MintedLeaf? {
    guard case .ready(let leaf) = prepare(upstream, fingerprint: fingerprint, isTrusted: isTrusted, kind: kind, name: name)
    else { return nil }
    return leaf
  }

  /// The leaf for `upstream`, from the cache or new.
  ///
  /// - Parameters:
  ///   - fingerprint: SHA-256 of `upstream`.
  ///   - name: what the client asked for.
  /// - Returns: nil when OpenSSL refuses; the error queue says why.
  mutating func prepare(
    _ upstream: Certificate, fingerprint: [UInt8], isTrusted: Bool, kind: LeafKeyKind, name: String?
  ) -> LeafOutcome? {
    let isCut = upstream.extensionSize(NID_subject_alt_name) > namesBytesMax
    let key = CacheKey(upstream: fingerprint, isTrusted: isTrusted, kind: kind, name: isCut ? name ?? "" : nil)
    if let known = cache.value(for: key) {
      hitCount &+= 1
      return .ready(known)
    }
    guard let draft = draft(upstream, isTrusted: isTrusted, kind, isCut ? .some(name) : nil) else { return nil }
    return sign(draft, by: isTrusted ? issuers.trusted : issuers.untrusted, isTrusted: isTrusted, kind, key, isCut: isCut)
  }

  private mutating func sign(
    _ draft: consuming CertificateDraft, by issuer: CertificateAuthority, isTrusted: Bool, _ kind: LeafKeyKind,
    _ cacheKey: CacheKey?, isCut: Bool = false
  ) -> LeafOutcome? {
    guard let key = issuer.key else {
      return UnsignedLeaf(draft, issuer.algorithm, kind: kind, cacheKey: cacheKey, isCut: isCut).map { .unsigned($0) }
    }
    guard let certificate = draft.sign(with: key, digest: issuers.digest) else { return nil }
    return .ready(remember(certificate, isTrusted: isTrusted, kind, cacheKey, isCut: isCut))
  }

  /// - Returns: nil where the signature can't be taken.
  mutating func finish(_ leaf: UnsignedLeaf, signature: [UInt8]) -> MintedLeaf? {
    guard let draft = leaf.draft.take(), let certificate = draft.finish(signature: signature) else { return nil }
    return remember(certificate, isTrusted: true, leaf.kind, leaf.cacheKey, isCut: leaf.isCut)
  }

  private mutating func remember(
    _ certificate: Certificate, isTrusted: Bool, _ kind: LeafKeyKind, _ cacheKey: CacheKey?, isCut: Bool
  ) -> MintedLeaf {
    let leaf = MintedLeaf(certificate: certificate, isTrusted: isTrusted, kind: kind)
    // Pages that say why a server is blocked have leaves that nobody asks for again.
    guard let cacheKey else { return leaf }
    mintedCount &+= 1
    if isCut { cutCount &+= 1 }
    cache.set(leaf, for: cacheKey)
    return leaf
  }

  /// - Parameter cutFor: the client's name where not all names go in; nil for all.
  private func draft(_ upstream: Certificate, isTrusted: Bool, _ kind: LeafKeyKind, _ cutFor: String??) -> CertificateDraft? {
    let issuer = isTrusted ? issuers.trusted : issuers.untrusted
    guard var draft = CertificateDraft() else { return nil }
    draft.issuer(issuer.certificate)
    draft.copySubject(of: upstream)
    draft.copyValidity(of: upstream)
    draft.publicKey(of: issuers.key(kind))
    draft.add(constraints)
    draft.copyKeyUsage(of: upstream, for: kind)
    draft.copyExtension(NID_ext_key_usage, of: upstream)
    if let name = cutFor {
      guard let some = someNames(of: upstream, with: name) else { return nil }
      draft.add(some)
    } else {
      draft.copyExtension(NID_subject_alt_name, of: upstream)
    }
    draft.add(subjectKeys[kind == .rsa ? 1 : 0])
    draft.add(authorityKeys[isTrusted ? 1 : 0])
    return draft
  }

  /// The client's name, where the certificate covers it, and as many of the others as there is room for.
  private func someNames(of upstream: Certificate, with name: String?) -> CertificateExtension? {
    var names: [UInt8] = []
    if let name, upstream.covers(name), let count = UInt8(exactly: name.utf8.count), count < 128 {
      names = [0x82, count] + Array(name.utf8)
    }
    for other in DERList.elements(of: upstream.extensionValue(NID_subject_alt_name) ?? []) {
      guard names.count + other.count <= namesBytesMax else { break }
      names += other
    }
    return CertificateExtension.make(NID_subject_alt_name, der: DERList.sequence(of: names), isCritical: false)
  }

  /// A leaf for a page that says why a server is blocked; bears `name` alone and holds for a day.
  mutating func refusalLeaf(name: String, kind: LeafKeyKind, now: Timestamp) -> LeafOutcome? {
    guard var draft = CertificateDraft(),
      let names = CertificateExtension.make(
        NID_subject_alt_name, der: DERList.sequence(of: [0x82] + DERList.length(name.utf8.count) + Array(name.utf8)),
        isCritical: true),
      let usage = CertificateExtension.make(NID_ext_key_usage, "serverAuth")
    else { return nil }
    draft.issuer(issuers.trusted.certificate)
    draft.validity(from: Timestamp(seconds: now.seconds - 86_400), to: Timestamp(seconds: now.seconds + 86_400))
    draft.publicKey(of: issuers.key(kind))
    draft.add(constraints)
    draft.add(usage)
    draft.add(names)
    draft.add(subjectKeys[kind == .rsa ? 1 : 0])
    draft.add(authorityKeys[1])
    return sign(draft, by: issuers.trusted, isTrusted: true, kind, nil)
  }
}

/// Just enough of DER for a list of names.
enum DERList {
  /// The elements of a SEQUENCE, each with its header; what is cut short ends the list.
  static func elements(of bytes: [UInt8]) -> [ArraySlice<UInt8>] {
    guard let body = content(bytes[...]), bytes.first == 0x30 else { return [] }
    var rest = body
    var found: [ArraySlice<UInt8>] = []
    while let next = content(rest) {
      found.append(rest[rest.startIndex..<next.endIndex])
      rest = rest[next.endIndex...]
    }
    return found
  }

  static func sequence(of content: [UInt8]) -> [UInt8] { [0x30] + length(content.count) + content }

  /// X.690 section 8.1.3, definite form.
  static func length(_ count: Int) -> [UInt8] {
    if count < 0x80 { return [UInt8(count)] }
    if count < 0x100 { return [0x81, UInt8(count)] }
    if count < 0x1_0000 { return [0x82, UInt8(count >> 8), UInt8(count & 0xff)] }
    return [0x83, UInt8(count >> 16 & 0xff), UInt8(count >> 8 & 0xff), UInt8(count & 0xff)]
  }

  private static func content(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    guard bytes.count >= 2 else { return nil }
    let start = bytes.startIndex
    let first = Int(bytes[start + 1])
    var (head, size) = (2, first)
    if first >= 0x80 {
      let octets = first & 0x7f
      guard (1...3).contains(octets), bytes.count >= 2 + octets else { return nil }
      size = bytes[start + 2..<start + 2 + octets].reduce(0) { $0 << 8 | Int($1) }
      head += octets
    }
    guard bytes.count - head >= size else { return nil }
    return bytes[start + head..<start + head + size]
  }
}
