import Traffic

/// Gives each connection its inspector and hears what happens in the stage. One for each worker.
public protocol InterceptionObserver: AnyObject {
  /// Called when a connection is about to be relayed.
  func makeInspector() -> any RelayInspector
  /// Called on the worker's thread; must not block.
  func occurred(_ event: InterceptionEvent, on connection: borrowing RelayConnectionFacts, at time: Timestamp)
  /// What a client that speaks HTTP/1.1 is answered instead of a server whose certificate is bad; nil for an alert.
  func refusalPage(for defect: UpstreamDefect, on connection: borrowing RelayConnectionFacts) -> [UInt8]?
  /// Called on the worker's thread after somebody woke it, between two connections' turns.
  func awoken()
}

extension InterceptionObserver {
  public func refusalPage(for defect: UpstreamDefect, on connection: borrowing RelayConnectionFacts) -> [UInt8]? { nil }
  public func awoken() {}
}

/// What was done about a bad certificate; the names are those of the settings.
public enum DefectReaction: String, Sendable, Equatable {
  case blocked = "block"
  /// Blocked, and the client reads why.
  case page = "block-page"
  case passedOn = "pass-defect"
}

/// What the stage tells besides the chunks.
public enum InterceptionEvent: Sendable, Equatable {
  case decided(PolicyDecision)
  /// The first bytes look like TLS and are not a ClientHello that can be read.
  case helloMalformed(String)
  case helloTooLarge
  case helloTimedOut
  /// The server could not be reached; what the kernel said.
  case upstreamUnreachable(String)
  case upstreamHandshakeFailed(TLSFailure)
  case upstreamUntrusted(UpstreamDefect, DefectReaction)
  /// The server asked for a certificate that only the client has.
  case upstreamWantsClientCertificate
  /// It seems to have refused a client without one, and why that may have been another's doing: nothing is learned of it.
  case clientCertificateUnproven(String)
  case minted(fingerprint: [UInt8], trusted: Bool)
  case mintingFailed(String)
  /// The client broke off, for instance by the alert `unknown_ca`: it may be pinned.
  case clientHandshakeFailed(TLSFailure)
  case handshakeTimedOut(Direction)
  /// The side that sends in this direction asked for a renegotiation and was told that there is none.
  case renegotiationRefused(Direction)
  /// A ClientHello inside as many layers of TLS as are opened.
  case layerLimit
  /// A stream of the connection is cut; the others go on.
  case streamCut(reason: String)
  /// A sender whose connections begin with a PROXY header sent something else.
  case proxyHeaderMalformed(String)
  /// No site of ours has the name that the client asked for.
  case unknownName
  /// No backend of the site could be reached.
  case withoutBackend
  case backendUnwell(String)
  case ended(RelayEnd)
  /// A policy that learns has made a bypass, or has a candidate for one.
  case bypassLearned(BypassEntry)
}

/// How a TLS leg failed.
public struct TLSFailure: Sendable, Equatable {
  public enum Cause: Sendable, Equatable {
    /// The peer sent this alert (RFC 8446 section 6).
    case alert(UInt8)
    /// The peer closed without an alert.
    case closed
    case reset
    /// The peer broke the protocol, or nothing both sides speak was found.
    case `protocol`
  }

  public var cause: Cause
  /// OpenSSL's words, or the name of the alert.
  public var text: String
  /// It came by the connection's own keys: nobody on the way can have said it.
  public var isProtected: Bool

  public init(cause: Cause, text: String, isProtected: Bool = false) {
    self.cause = cause
    self.text = text
    self.isProtected = isProtected
  }

  /// One word for what it was, for events to be counted by.
  public var fault: String {
    switch cause {
    case .alert: "alert"
    case .closed: "closed"
    case .reset: "reset"
    case .protocol:
      Self.faults.first { text.contains($0.words) }?.name ?? "protocol"
    }
  }

  /// By OpenSSL's reason strings.
  private static let faults: [(words: String, name: String)] = [
    ("unsupported protocol", "version"), ("version too low", "version"), ("no protocols available", "version"),
    ("wrong version number", "version"), ("at most", "version"), ("dh key too small", "weak-parameters"),
    ("key too small", "weak-parameters"), ("bad dh value", "weak-parameters"), ("bad ecpoint", "weak-parameters"),
    ("wrong signature type", "weak-signature"), ("no shared cipher", "cipher"), ("wrong cipher returned", "cipher"),
    ("unknown cipher returned", "cipher"), ("no ciphers available", "cipher"), ("excessive message size", "too-large"),
    ("bad signature", "signature"), ("unsafe legacy renegotiation disabled", "no-secure-renegotiation"),
    ("record layer failure", "record"), ("bad record mac", "record"), ("decryption failed", "record"),
  ]
}
