import Traffic

/// Reads both directions of an HTTP/0.9 to 1.1 connection into exchanges.
public final class HTTPParser: AppLayerParser {
  let settings: HTTPSettings

  public init(settings: HTTPSettings) {
    self.settings = settings
    super.init(appProtocol: .http)
  }
}
