import CSluiceOpenSSL
import Traffic

/// What came of looking at a server's certificate.
public enum UpstreamVerification: Sendable, Equatable {
  case trusted
  case untrusted(UpstreamDefect)
}

/// What is wrong with a server's certificate.
public struct UpstreamDefect: Sendable, Equatable {
  public enum Kind: UInt8, Sendable, Equatable {
    case expired, notYetValid, unknownIssuer, selfSigned, nameMismatch, weak, missing, other
  }

  public var kind: Kind
  /// OpenSSL's X509_V_ERR number; 0 where no certificate came.
  public var code: Int32
  public var text: String
}

/// Whose certificates are trusted.
public struct TrustSettings: Sendable {
  /// A file of PEM certificates or a directory of hashed ones; both may be given.
  public var systemFile: String? = "/etc/ssl/certs/ca-certificates.crt"
  public var systemDirectory: String?
  /// Further PEM files, for instance of a company's own authority.
  public var extraFiles: [String] = []
  /// OpenSSL's security level for chains: 2 refuses RSA below 2,048 bits and SHA-1.
  public var securityLevel: Int32 = 2

  public init() {}
}

public enum TrustError: Error, Sendable, Equatable, CustomStringConvertible {
  case unreadable(path: String, reason: String)
  case library(String)

  public var description: String {
    switch self {
    case .unreadable(let path, let reason): "cannot read trusted certificates from \(path): \(reason)"
    case .library(let text): "OpenSSL: \(text)"
    }
  }
}

/// Verifies chains of servers: issuer, dates, name. Shared by all workers.
///
/// Revocation is not checked (no OCSP, no CRL).
public final class UpstreamVerifier: Sendable {
  let store: TrustStore
  let securityLevel: Int32

  public init(_ settings: TrustSettings) throws(TrustError) {
    store = try TrustStore(settings)
    securityLevel = settings.securityLevel
  }

  /// - Parameters:
  ///   - name: the name the client asked for. Without one no name is checked here: the minted leaf
  ///     bears the server's names, and the client compares them with what it wants.
  ///   - now: the time at which the chain must be valid.
  func verify(leaf: Certificate, chain: borrowing CertificateStack, name: String?, now: Timestamp) -> UpstreamVerification {
    let code = store.verify(leaf: leaf, chain: chain, name: name, now: now, securityLevel: securityLevel)
    if code == X509_V_OK { return .trusted }
    return .untrusted(UpstreamDefect(kind: Self.kind(code), code: code, text: TrustStore.text(code)))
  }

  private static func kind(_ code: Int32) -> UpstreamDefect.Kind {
    switch code {
    case X509_V_ERR_CERT_HAS_EXPIRED: .expired
    case X509_V_ERR_CERT_NOT_YET_VALID: .notYetValid
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: .selfSigned
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
      X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_UNTRUSTED:
      .unknownIssuer
    case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH: .nameMismatch
    case X509_V_ERR_EE_KEY_TOO_SMALL, X509_V_ERR_CA_KEY_TOO_SMALL, X509_V_ERR_CA_MD_TOO_WEAK: .weak
    default: .other
    }
  }
}
