/// What is logged and matched of an X.509 certificate.
public struct Certificate: Sendable {
  /// "C=US, ST=…, O=…, CN=…" in the order of the certificate, as Suricata writes it.
  public var subject: [UInt8] = []
  public var issuer: [UInt8] = []
  /// "0A:3F:…".
  public var serial: [UInt8] = []
  /// Seconds since 1970.
  public var notBefore: Int64 = 0
  public var notAfter: Int64 = 0
  public var subjectAltNames: [[UInt8]] = []

  public init() {}
}

/// The certificates of one side, leaf first.
public struct CertificateChain: Sendable {
  /// DER, each.
  public var certificates: [[UInt8]]
  /// The first one, as far as it could be read.
  public var leaf: Certificate?
  /// SHA-1 of the leaf, "aa:bb:…".
  public var fingerprint: [UInt8]
}
