import Traffic

/// An HTTP/1 request with its response.
///
/// - Source: RFC 9112; Suricata 8's reading of it where servers and clients disagree.
public final class HTTPTransaction: Transaction {
  let settings: HTTPSettings
  var request = HTTPMessage()
  var response = HTTPMessage()

  init(id: UInt64, settings: HTTPSettings, start: Timestamp) {
    self.settings = settings
    super.init(
      id: id, appProtocol: .http, progressComplete: HTTPProgress.complete, start: start)
  }
}
