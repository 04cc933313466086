/// What a client offers at the start of a TLS connection.
/// - Source: RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2.
public struct ClientHello: Sendable {
  /// The version field of the message itself (TLS 1.3 always writes 1.2 there).
  public var legacyVersion: TLSVersion
  /// 32 octets; for an SSLv2 hello its challenge, as long as it is.
  public var random: [UInt8] = []
  public var sessionID: [UInt8] = []
  public var cipherSuites: [UInt16] = []
  public var compressionMethods: [UInt8] = []
  /// Types in the order sent, GREASE included.
  public var extensions: [UInt16] = []
  /// The first host name of the server name extension; bytes as sent.
  public var serverName: [UInt8]?
  public var alpn: [[UInt8]] = []
  public var groups: [UInt16] = []
  public var pointFormats: [UInt8] = []
  public var signatureAlgorithms: [UInt16] = []
  /// Empty when the extension is absent.
  public var supportedVersions: [UInt16] = []
  public var keyShareGroups: [UInt16] = []
  /// Encrypted ClientHello: the server name may be only the outer one.
  public var hasECH = false
  /// Came in SSLv2 framing.
  public var isSSL2 = false
  public var hasEarlyData = false
  public var hasPreSharedKey = false
  public var sessionTicketLength: Int?
  /// Extension contents were cut short or inconsistent.
  public var isMalformed = false
  /// More than one server name was listed.
  public var hasSeveralServerNames = false

  public init(legacyVersion: TLSVersion) { self.legacyVersion = legacyVersion }

  /// The highest version that the client offers, GREASE left aside.
  public var version: TLSVersion {
    let offered = supportedVersions.filter { !TLSVersion.isGREASE($0) }
    // A draft counts as below the final version, though its number is higher.
    if offered.contains(TLSVersion.tls13.rawValue) { return .tls13 }
    return offered.max().map { TLSVersion(rawValue: $0) } ?? legacyVersion
  }
}

/// What a server chose.
/// - Source: RFC 8446 section 4.1.3.
public struct ServerHello: Sendable {
  public var legacyVersion: TLSVersion
  public var random: [UInt8] = []
  public var sessionID: [UInt8] = []
  public var cipherSuite: UInt16 = 0
  public var extensions: [UInt16] = []
  public var alpn: [[UInt8]] = []
  public var supportedVersion: UInt16?
  public var hasPreSharedKey = false
  public var isMalformed = false

  public init(legacyVersion: TLSVersion) { self.legacyVersion = legacyVersion }

  public var version: TLSVersion {
    supportedVersion.map { TLSVersion(rawValue: $0) } ?? legacyVersion
  }
}
