import Traffic

/// Gives each connection its inspector and hears what happens in the stage. One for each worker.
public protocol InterceptionObserver: AnyObject {
  /// Called when a connection is about to be relayed.
  func makeInspector() -> any RelayInspector
  /// Called on the worker's thread; must not block.
  func occurred(_ event: InterceptionEvent, on connection: borrowing RelayConnectionFacts, at time: Timestamp)
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
  case upstreamUntrusted(UpstreamDefect, passedOn: Bool)
  /// The server asked for a certificate that only the client has.
  case upstreamWantsClientCertificate
  case minted(fingerprint: [UInt8], trusted: Bool)
  case mintingFailed(String)
  /// The client broke off, for instance by the alert `unknown_ca`: it may be pinned.
  case clientHandshakeFailed(TLSFailure)
  case handshakeTimedOut(Direction)
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
}
