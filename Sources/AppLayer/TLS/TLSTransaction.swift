import Traffic

/// A TLS connection, as far as it can be read from outside.
public final class TLSTransaction: Transaction {
  /// The negotiated version; until the server has spoken, the client's; 0 when nothing is known.
  public internal(set) var version = TLSVersion(rawValue: 0)
  public internal(set) var clientHello: ClientHello?
  public internal(set) var serverHello: ServerHello?
  public internal(set) var serverCertificates: CertificateChain?
  public internal(set) var clientCertificates: CertificateChain?
  /// An earlier session was taken up again: there was no certificate.
  public internal(set) var isResumed = false
}
