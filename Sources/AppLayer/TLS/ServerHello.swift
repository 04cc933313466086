import Traffic

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
  /// The session of an offered key or ticket goes on (TLS 1.3).
  public var hasPreSharedKey = false
  /// Asks the client to say hello again (RFC 8446 section 4.1.4).
  public internal(set) var isRetryRequest = false
  /// What was odd, by the names of events.
  public internal(set) var oddities: [String] = []

  public init(legacyVersion: TLSVersion) { self.legacyVersion = legacyVersion }

  public var version: TLSVersion {
    supportedVersion.map { TLSVersion(rawValue: $0) } ?? legacyVersion
  }

  /// Reads a message without its header of four octets.
  public init?(parsing body: RawSpan) {
    var reader = ByteReader(body)
    guard let version = reader.u16(), let random = reader.take(32) else { return nil }
    legacyVersion = TLSVersion(rawValue: version)
    self.random = random.copied()
    // Early drafts of TLS 1.3 had neither session nor compression here.
    let isEarlyDraft = version >= 0x7f10 && version < 0x7f16
    if !isEarlyDraft {
      guard let length = reader.u8(), let id = reader.take(Int(length)) else { return nil }
      sessionID = id.copied()
    }
    guard let suite = reader.u16() else { return nil }
    cipherSuite = suite
    if !isEarlyDraft, !reader.skip(1) { return nil }
    isRetryRequest = self.random == Self.retryRandom
    if !reader.isAtEnd { extensions.reserveCapacity(8) }
    let isConsistent = TLSLists.eachExtension(&reader) { type, content in
      take(type, content)
    }
    if !isConsistent { oddities.append("handshake_invalid_length") }
  }

  private mutating func take(_ type: UInt16, _ content: RawSpan) {
    extensions.append(type)
    var reader = ByteReader(content)
    switch type {
    case TLSExtensionType.supportedVersions: supportedVersion = supportedVersion ?? reader.u16()
    case TLSExtensionType.alpn: alpn = TLSLists.protocols(&reader)
    case TLSExtensionType.preSharedKey: hasPreSharedKey = true
    default: break
    }
  }

  /// SHA-256 of "HelloRetryRequest", which stands in place of the random.
  private static let retryRandom: [UInt8] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
  ]
}
