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
  /// The subject of the client's certificate, which was verified where there is no defect.
  var clientSubject: String?
  /// What is wrong with it, where any is let through.
  var clientDefect: String?
  var clientFingerprint: [UInt8] = []
  /// The backend's connection served before, and has not answered what was asked of it last.
  private(set) var isOnSpare = false
  /// What was sent on it and may be sent again; nil where it may not.
  private(set) var sentOnSpare: [UInt8]?
  /// What is sent first on the connection that takes a spare one's place.
  private(set) var toSendAgain: [UInt8]?
  /// Once a spare connection did not do, a new one is made.
  private(set) var takesSpares = true
  /// A relay has begun, maybe on a connection before this one.
  var hasRelayed = false
  private var isReleased = false

  /// More than this is not kept to be sent again.
  static let repeatBytesMax = 65_536

  init(_ listener: TerminatedListener) { self.listener = listener }

  func take(_ backend: Backend) {
    backend.enter()
    self.backend = backend
  }

  // MARK: Connections that served others before

  func beginOnSpare() {
    isOnSpare = true
    sentOnSpare = []
  }

  func sends(_ bytes: [UInt8]) {
    guard isOnSpare, let sent = sentOnSpare else { return }
    let fits = exchange?.isRepeatable == true && sent.count + bytes.count <= Self.repeatBytesMax
    sentOnSpare = fits ? sent + bytes : nil
  }

  /// The backend has answered: it is a connection as any other.
  func spareServes() {
    isOnSpare = false
    sentOnSpare = nil
  }

  /// - Returns: how many octets are to be sent on the connection that takes its place; nil where none may.
  func giveUpSpare() -> Int? {
    guard isOnSpare, let sent = sentOnSpare else { return nil }
    spareServes()
    toSendAgain = sent
    takesSpares = false
    backend?.leave()
    backend = nil
    return sent.count
  }

  func takeToSendAgain() -> [UInt8]? {
    defer { toSendAgain = nil }
    return toSendAgain
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
