import Traffic

/// Follows the handshake of one TLS connection.
public final class TLSParser: AppLayerParser {
  /// What follows is ciphertext in both directions.
  public private(set) var isEncrypted = false

  public init() { super.init(appProtocol: .tls) }
}
