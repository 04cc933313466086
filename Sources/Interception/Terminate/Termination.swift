import Traffic

/// What a connection to a site has beside a relayed one's state.
final class Termination {
  let listener: TerminatedListener
  /// Known once the client has named it.
  var site: TerminatedSite?
  /// While a PROXY header is waited for.
  var proxyHeader: ProxyHeaderReader?
  /// Where requests are given fields of ours.
  var exchange: HTTPExchange?
  private(set) var backend: Backend?
  private(set) var tried: [Backend] = []
  /// The subject of the client's certificate, which was verified.
  var clientSubject: String?
  var clientFingerprint: [UInt8] = []
  private var isReleased = false

  init(_ listener: TerminatedListener) { self.listener = listener }

  func take(_ backend: Backend) {
    backend.enter()
    self.backend = backend
  }

  /// The backend did not do.
  func drop() {
    guard let backend else { return }
    backend.leave()
    tried.append(backend)
    self.backend = nil
  }

  /// Gives back what the connection counted for; once.
  func release() {
    guard !isReleased else { return }
    isReleased = true
    backend?.leave()
    listener.load.leave()
  }
}
