/// What came of looking at a server's certificate.
public enum UpstreamVerification: Sendable, Equatable {
  case trusted
  case untrusted(UpstreamDefect)
}

/// What is wrong with a server's certificate.
public struct UpstreamDefect: Sendable, Equatable {
  /// The names that settings, events and counters use.
  public enum Kind: String, Sendable, Equatable, CaseIterable {
    case expired
    case notYetValid = "not-yet-valid"
    /// The leaf is its own issuer.
    case selfSigned = "self-signed"
    /// The chain ends at a root that nobody here trusts.
    case untrustedRoot = "untrusted-root"
    /// The last certificate's issuer is neither sent nor known, and the certificate doesn't say where it is.
    case unknownIssuer = "unknown-issuer"
    /// The same, but the certificate names a place to fetch its issuer from (RFC 5280 section 4.2.2.1).
    case incompleteChain = "incomplete-chain"
    case nameMismatch = "name-mismatch"
    /// No subject alternative name at all: a common name is none (RFC 9525 section 2).
    case noName = "no-name"
    case weakKey = "weak-key"
    case weakSignature = "weak-signature"
    case revoked
    /// The certificate demands an OCSP staple (RFC 7633), or the settings do, and there is none that counts.
    case noStaple = "no-staple"
    /// Not for servers, or an issuer that may not issue.
    case wrongUse = "wrong-use"
    /// A signature that doesn't fit, a constraint that is broken.
    case invalid
    /// The server showed none.
    case missing
    case other

    /// Where it stands in lists of counters.
    var index: Int { Self.allCases.firstIndex(of: self) ?? 0 }
  }

  public var kind: Kind
  /// OpenSSL's X509_V_ERR number; 0 where it has none.
  public var code: Int32
  public var text: String
  /// The certificate at fault, RFC 2253 text; empty where none is.
  public var subject: String

  public init(kind: Kind, code: Int32, text: String, subject: String = "") {
    self.kind = kind
    self.code = code
    self.text = text
    self.subject = subject
  }
}

/// What a stapled OCSP response (RFC 6066 section 8) said.
public enum StapleStatus: Sendable, Equatable {
  case none
  case good
  case revoked(String)
  /// Not to be relied on, and why: it counts as none.
  case unusable(String)

  public var text: String {
    switch self {
    case .none: "none"
    case .good: "good"
    case .revoked(let why): "revoked: \(why)"
    case .unusable(let why): "unusable: \(why)"
    }
  }
}
