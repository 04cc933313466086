import Traffic

/// Takes DNS messages out of datagrams or of a stream.
public final class DNSParser: AppLayerParser {
  public enum Framing: Sendable {
    /// Each chunk is one message (UDP).
    case datagram
    /// Each message is preceded by its length (TCP, RFC 1035 section 4.2.2).
    case stream
  }
  public let framing: Framing

  /// - Parameter appProtocol: `.dns`, or `.mdns`, which has the same messages.
  public init(framing: Framing, appProtocol: AppProtocol = .dns) {
    self.framing = framing
    super.init(appProtocol: appProtocol)
  }
}
