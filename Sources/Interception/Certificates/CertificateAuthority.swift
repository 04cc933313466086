import CSluiceLinux
import CSluiceOpenSSL
import Glibc
import Traffic

/// The key and certificate that minted leaves are signed with; one for each installation.
public final class CertificateAuthority: Sendable {
  /// nil where another process has it.
  let key: PrivateKey?
  let certificate: Certificate
  let algorithm: SignatureAlgorithm
  /// The subject key identifier, which leaves repeat as their authority's.
  let keyIdentifier: [UInt8]

  public struct Summary: Sendable, Equatable {
    /// RFC 2253 text.
    public var subject: String
    /// SHA-256 of the DER.
    public var fingerprint: [UInt8]
    public var notBefore: Timestamp
    public var notAfter: Timestamp
    public var fingerprintText: String { hexadecimal(fingerprint, separator: ":") }
  }

  init(key: PrivateKey?, certificate: Certificate, keyIdentifier: [UInt8], algorithm: SignatureAlgorithm) {
    self.key = key
    self.algorithm = algorithm
    self.certificate = certificate
    self.keyIdentifier = keyIdentifier
  }

  public var summary: Summary {
    Summary(
      subject: certificate.subject, fingerprint: certificate.fingerprint(),
      notBefore: certificate.notBefore, notAfter: certificate.notAfter)
  }

  /// What clients import; never the key.
  public func certificatePEM() -> [UInt8] { certificate.pem() ?? [] }
  public func certificateDER() -> [UInt8] { certificate.der() }

  /// A new P-256 authority in memory.
  ///
  /// - Source: RFC 5280 sections 4.2.1.3 and 4.2.1.9; path length 0, so that no leaf can sign.
  /// - Parameter commonName: at most 64 octets are used (RFC 5280 appendix A, ub-common-name).
  public static func generate(
    commonName: String, now: Timestamp, validityDays: Int64 = 3_650
  ) throws(AuthorityError) -> CertificateAuthority {
    guard let key = PrivateKey.generate(), let digest = MessageDigest("SHA256"), var draft = CertificateDraft()
    else { throw .library(OpenSSLErrors.drain().text) }
    draft.addToSubject("O", "Sluice")
    draft.addToSubject("CN", prefix(of: commonName, octets: 64))
    draft.selfIssued()
    // A day back, since clients' clocks are behind more often than one thinks.
    draft.validity(
      from: Timestamp(seconds: now.seconds - 86_400), to: Timestamp(seconds: now.seconds + validityDays * 86_400))
    draft.publicKey(of: key)
    let identifier = draft.keyIdentifier()
    guard let constraints = CertificateExtension.make(NID_basic_constraints, "critical,CA:TRUE,pathlen:0"),
      let usage = CertificateExtension.make(NID_key_usage, "critical,keyCertSign,cRLSign"),
      let subject = CertificateExtension.subjectKeyIdentifier(identifier)
    else { throw .library(OpenSSLErrors.drain().text) }
    draft.add(constraints)
    draft.add(usage)
    draft.add(subject)
    guard let certificate = draft.sign(with: key, digest: digest) else {
      throw .library(OpenSSLErrors.drain().text)
    }
    return CertificateAuthority(key: key, certificate: certificate, keyIdentifier: identifier, algorithm: .ecdsa)
  }

  /// "Sluice CA HOST 1a2b3c4d": two installations never share a name.
  public static func defaultCommonName() -> String {
    var name = [CChar](repeating: 0, count: 65)
    let known = unsafe gethostname(&name, 64) == 0
    let host = known ? String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) : "host"
    return "Sluice CA " + prefix(of: host, octets: 45) + " " + hexadecimal(randomBytes(4) ?? [0, 0, 0, 0])
  }

  private static func prefix(of text: String, octets: Int) -> String {
    var out = ""
    for character in text {
      if out.utf8.count + character.utf8.count > octets { break }
      out.append(character)
    }
    return out
  }
}

/// Why an authority could not be made or loaded; all but `library` are the operator's to mend.
public enum AuthorityError: Error, Sendable, Equatable, CustomStringConvertible {
  case exists(path: String)
  case missing(path: String)
  case unreadable(path: String, reason: String)
  case unwritable(path: String, reason: String)
  /// The key may be read by others.
  case wrongMode(path: String, mode: UInt32)
  case notAKey(path: String)
  case notACertificate(path: String)
  case notAnAuthority(path: String)
  case keyDoesNotMatch(key: String, certificate: String)
  /// The process that holds the key says so.
  case unusable(String)
  case library(String)

  public var description: String {
    switch self {
    case .exists(let path): "\(path) exists; an authority is never overwritten"
    case .missing(let path): "\(path) does not exist; `sluice ca init` makes it"
    case .unreadable(let path, let reason): "cannot read \(path): \(reason)"
    case .unwritable(let path, let reason): "cannot write \(path): \(reason)"
    case .wrongMode(let path, let mode):
      "\(path) has mode 0\(String(mode, radix: 8)), others may read the key; `chmod 600 \(path)`"
    case .notAKey(let path): "\(path) holds no unencrypted private key in PEM form"
    case .notACertificate(let path): "\(path) holds no certificate in PEM form"
    case .notAnAuthority(let path): "\(path) is not the certificate of an authority (CA:TRUE, keyCertSign)"
    case .keyDoesNotMatch(let key, let certificate): "the key in \(key) is not that of \(certificate)"
    case .unusable(let text): text
    case .library(let text): "OpenSSL: \(text)"
    }
  }
}
