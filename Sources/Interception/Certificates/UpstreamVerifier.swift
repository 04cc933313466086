import CSluiceOpenSSL
import Synchronization
import Traffic

/// Whose certificates are trusted, and whose no more.
public struct TrustSettings: Sendable {
  /// What is made of OCSP responses that servers staple to their handshake.
  public enum Staples: String, Sendable, CaseIterable {
    /// A response that says "revoked" is a defect; one that doesn't count is as none, which is a
    /// defect where the certificate itself demands one.
    case check
    /// As `check`; and one that came and doesn't count is a defect.
    case strict
    case ignore
  }

  /// A file of PEM certificates or a directory of hashed ones; both may be given.
  public var systemFile: String? = "/etc/ssl/certs/ca-certificates.crt"
  public var systemDirectory: String?
  /// Further PEM files, for instance of a company's own authority.
  public var extraFiles: [String] = []
  /// PEM files of issuers that servers forget to send; they help to build a chain and are not trusted.
  public var intermediateFiles: [String] = []
  /// Files of revocation lists, PEM or DER.
  public var revocationLists: [String] = []
  public var staples = Staples.check
  /// OpenSSL's security level for chains: 2 refuses RSA below 2,048 bits, curves below 224 and SHA-1.
  public var securityLevel: Int32 = 2

  public init() {}
}

public enum TrustError: Error, Sendable, Equatable, CustomStringConvertible {
  case unreadable(path: String, reason: String)
  case library(String)

  public var description: String {
    switch self {
    case .unreadable(let path, let reason): "cannot read certificates or revocation lists from \(path): \(reason)"
    case .library(let text): "OpenSSL: \(text)"
    }
  }
}

/// Verifies chains of servers: issuer, dates, name, strength, revocation. Shared by all workers.
///
/// Revocation is known from lists in files and from what the server staples; nothing is fetched, neither
/// lists nor responses nor missing issuers: a gateway that fetched what a certificate names could be led anywhere.
public final class UpstreamVerifier: Sendable {
  private struct State {
    var store: TrustStore
    var lists: RevocationLists
    var intermediates: [Certificate]
    var staples: TrustSettings.Staples
    var securityLevel: Int32
    var warnings: [String]
  }

  private let state: Mutex<State>
  private let count = Atomic<UInt64>(0)

  public init(_ settings: TrustSettings) throws(TrustError) {
    state = Mutex(try Self.state(settings))
  }

  /// Takes other roots and lists; what was verified before counts no more.
  /// - Throws: where a file can't be used; what is in force stays.
  public func replace(_ settings: TrustSettings) throws(TrustError) {
    let fresh = try Self.state(settings)
    state.withLock { $0 = fresh }
    count.wrappingAdd(1, ordering: .releasing)
  }

  /// Of settings that the verifier has taken; another number means: verify again.
  var generation: UInt64 { count.load(ordering: .acquiring) }

  /// What an operator should know of the files, for instance that a list is past its time.
  public var warnings: [String] { state.withLock { $0.warnings } }

  private static func state(_ settings: TrustSettings) throws(TrustError) -> State {
    let lists = try RevocationLists(settings.revocationLists)
    var intermediates: [Certificate] = []
    for path in settings.intermediateFiles { intermediates += try TrustStore.certificates(in: path) }
    return State(
      store: try TrustStore(settings), lists: lists, intermediates: intermediates, staples: settings.staples,
      securityLevel: settings.securityLevel, warnings: lists.warnings)
  }

  /// - Parameters:
  ///   - name: the name the client asked for. Without one no name is checked here: the minted leaf
  ///     bears the server's names, and the client compares them with what it wants.
  ///   - staple: DER of the OCSP response, empty without one; nil where none can be had (a resumed session).
  ///   - now: the time at which the chain must be valid.
  func verify(
    _ certificates: [Certificate], name: String?, staple: [UInt8]?, now: Timestamp
  ) -> (result: UpstreamVerification, staple: StapleStatus) {
    guard let leaf = certificates.first else {
      return (.untrusted(UpstreamDefect(kind: .missing, code: 0, text: "the server showed no certificate")), .none)
    }
    let state = state.withLock { $0 }
    let stack = CertificateStack(certificates + state.intermediates)
    let found = state.store.verify(leaf: leaf, chain: stack, name: name, now: now, securityLevel: state.securityLevel)
    guard found.code == X509_V_OK else { return (.untrusted(Self.defect(found, leaf, name)), .none) }
    if let defect = state.lists.defect(in: found.chain) { return (.untrusted(defect), .none) }
    guard state.staples != .ignore, let staple else { return (.trusted, .none) }
    let status = staple.isEmpty ? .none : state.store.status(of: found.chain, in: staple, now: now)
    return (Self.judge(status, leaf, state.staples), status)
  }

  private static func judge(
    _ status: StapleStatus, _ leaf: Certificate, _ staples: TrustSettings.Staples
  ) -> UpstreamVerification {
    switch status {
    case .good: .trusted
    case .revoked(let why):
      .untrusted(
        UpstreamDefect(
          kind: .revoked, code: X509_V_ERR_CERT_REVOKED, text: "revoked, says the stapled OCSP response: \(why)",
          subject: leaf.subject))
    case .unusable(let why) where staples == .strict || leaf.demandsStaple:
      .untrusted(
        UpstreamDefect(kind: .noStaple, code: 0, text: "the stapled OCSP response does not count: \(why)", subject: leaf.subject))
    case .none where leaf.demandsStaple:
      .untrusted(
        UpstreamDefect(
          kind: .noStaple, code: 0, text: "the certificate demands an OCSP staple (must-staple), and none came",
          subject: leaf.subject))
    case .none, .unusable: .trusted
    }
  }

  private static func defect(_ found: ChainOutcome, _ leaf: Certificate, _ name: String?) -> UpstreamDefect {
    let (kind, text) = words(found, leaf, name)
    return UpstreamDefect(kind: kind, code: found.code, text: text, subject: (found.current ?? leaf).subject)
  }

  private static func words(
    _ found: ChainOutcome, _ leaf: Certificate, _ name: String?
  ) -> (UpstreamDefect.Kind, String) {
    let text = TrustStore.text(found.code)
    switch found.code {
    case X509_V_ERR_CERT_HAS_EXPIRED: return (.expired, text)
    case X509_V_ERR_CERT_NOT_YET_VALID: return (.notYetValid, text)
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: return (.selfSigned, text)
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return (.untrustedRoot, "the chain ends at a root that is not trusted")
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
      X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_UNTRUSTED:
      let last = found.current ?? leaf
      guard let place = last.issuerPlace else {
        return (.unknownIssuer, "the issuer \(last.issuer) is neither trusted nor sent by the server")
      }
      return (
        .incompleteChain,
        "the server does not send the issuer \(last.issuer); it would be at \(place), which is not fetched"
      )
    case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
      if leaf.hasAlternativeNames { return (.nameMismatch, "the certificate is not for \(name ?? "this name")") }
      return (.noName, "the certificate has no subject alternative name; a common name does not count")
    case X509_V_ERR_EE_KEY_TOO_SMALL, X509_V_ERR_CA_KEY_TOO_SMALL: return (.weakKey, text)
    case X509_V_ERR_CA_MD_TOO_WEAK: return (.weakSignature, text)
    case X509_V_ERR_INVALID_PURPOSE, X509_V_ERR_INVALID_CA, X509_V_ERR_CERT_REJECTED,
      X509_V_ERR_PATH_LENGTH_EXCEEDED, X509_V_ERR_KEYUSAGE_NO_CERTSIGN:
      return (.wrongUse, text)
    case X509_V_ERR_CERT_SIGNATURE_FAILURE, X509_V_ERR_PERMITTED_VIOLATION, X509_V_ERR_EXCLUDED_VIOLATION,
      X509_V_ERR_CERT_CHAIN_TOO_LONG, X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION, X509_V_ERR_INVALID_EXTENSION,
      X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY:
      return (.invalid, text)
    default: return (.other, text)
    }
  }
}
