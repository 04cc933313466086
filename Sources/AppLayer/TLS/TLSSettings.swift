/// What may be set about TLS; the names are Suricata's below `app-layer.protocols.tls`.
public struct TLSSettings: Sendable {
  /// `encryption-handling`: what the stations above do once a connection is encrypted.
  public enum EncryptionHandling: String, Sendable {
    /// Follow the connection, inspect no payload.
    case trackOnly = "track-only"
    /// Let the rest pass uninspected.
    case bypass
    /// Go on as if nothing had happened.
    case full
  }
  public var encryptionHandling = EncryptionHandling.trackOnly
  /// Octets of the largest handshake message that is read. A hello has at most some 130,000; chains
  /// seldom exceed 10,000. Larger ones raise `handshake_invalid_length` and are skipped.
  public var handshakeOctetsMax = 262_144
  /// Records without content in a row; more raise `too_many_records_in_packet` and end the parsing.
  public var emptyRecordCountMax = 32

  public init() {}
}
