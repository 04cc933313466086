/// Which fields a `tls` record has; the names are those of Suricata's `custom`.
public struct TLSFields: OptionSet, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  public static let subject = TLSFields(rawValue: 1 << 0)
  public static let issuer = TLSFields(rawValue: 1 << 1)
  public static let sessionResumed = TLSFields(rawValue: 1 << 2)
  public static let serial = TLSFields(rawValue: 1 << 3)
  public static let fingerprint = TLSFields(rawValue: 1 << 4)
  public static let sni = TLSFields(rawValue: 1 << 5)
  public static let version = TLSFields(rawValue: 1 << 6)
  public static let notBefore = TLSFields(rawValue: 1 << 7)
  public static let notAfter = TLSFields(rawValue: 1 << 8)
  public static let certificate = TLSFields(rawValue: 1 << 9)
  public static let chain = TLSFields(rawValue: 1 << 10)
  public static let ja3 = TLSFields(rawValue: 1 << 11)
  public static let ja3s = TLSFields(rawValue: 1 << 12)
  public static let ja4 = TLSFields(rawValue: 1 << 13)
  public static let subjectAltName = TLSFields(rawValue: 1 << 14)
  public static let client = TLSFields(rawValue: 1 << 15)
  public static let clientCertificate = TLSFields(rawValue: 1 << 16)
  public static let clientChain = TLSFields(rawValue: 1 << 17)
  public static let clientALPNs = TLSFields(rawValue: 1 << 18)
  public static let serverALPNs = TLSFields(rawValue: 1 << 19)
  public static let clientHandshake = TLSFields(rawValue: 1 << 20)
  public static let serverHandshake = TLSFields(rawValue: 1 << 21)

  /// What is written when records are not extended.
  public static let basic: TLSFields = [.subject, .issuer, .subjectAltName, .sessionResumed]
  public static let extended: TLSFields = basic.union([
    .serial, .fingerprint, .sni, .version, .notBefore, .notAfter, .ja3, .ja3s, .ja4,
    .clientALPNs, .serverALPNs, .client,
  ])

  /// The fields of these names; others are left out.
  public init(names: [String]) {
    self = names.reduce(into: []) { $0.formUnion(Self.byName[$1] ?? []) }
  }

  /// By their names in the configuration.
  public static let byName: [String: TLSFields] = [
    "subject": .subject,
    "issuer": .issuer,
    "session_resumed": .sessionResumed,
    "serial": .serial,
    "fingerprint": .fingerprint,
    "sni": .sni,
    "version": .version,
    "not_before": .notBefore,
    "not_after": .notAfter,
    "certificate": .certificate,
    "chain": .chain,
    "ja3": .ja3,
    "ja3s": .ja3s,
    "ja4": .ja4,
    "subjectaltname": .subjectAltName,
    "client": .client,
    "client_certificate": .clientCertificate,
    "client_chain": .clientChain,
    "client_alpns": .clientALPNs,
    "server_alpns": .serverALPNs,
    "client_handshake": .clientHandshake,
    "server_handshake": .serverHandshake,
  ]
}
