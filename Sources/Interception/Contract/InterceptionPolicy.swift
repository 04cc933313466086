import Traffic

/// Decides what becomes of a TLS connection once its ClientHello is known.
public protocol InterceptionPolicy: Sendable {
  /// Called on a worker's thread, once for each ClientHello; must not block.
  func decide(_ facts: PolicyFacts) -> PolicyDecision

  /// Called on a worker's thread with every event, so that a policy may learn; must not block.
  ///
  /// - Returns: what is to be told in addition.
  func noticed(
    _ event: InterceptionEvent, on connection: borrowing RelayConnectionFacts, at time: Timestamp
  ) -> InterceptionEvent?

  /// Called on a worker's thread when a client has accepted a minted leaf.
  func accepted(_ connection: borrowing RelayConnectionFacts)
}

extension InterceptionPolicy {
  public func accepted(_ connection: borrowing RelayConnectionFacts) {}

  public func noticed(
    _ event: InterceptionEvent, on connection: borrowing RelayConnectionFacts, at time: Timestamp
  ) -> InterceptionEvent? { nil }
}

/// What a decision may rest upon.
public struct PolicyFacts: Sendable {
  public var flow: FlowTuple
  public var sni: String?
  public var alpn: [String]
  /// The TLS records up to the end of the ClientHello, for JA3 and JA4.
  public var clientHello: [UInt8]
  /// What software the client is, as ``ClientHelloSketch/shape``.
  public var clientShape: [UInt8]
  public var time: Timestamp

  public init(
    flow: FlowTuple, sni: String?, alpn: [String], clientHello: [UInt8], clientShape: [UInt8], time: Timestamp
  ) {
    self.clientShape = clientShape
    self.time = time
    self.flow = flow
    self.sni = sni
    self.alpn = alpn
    self.clientHello = clientHello
  }
}

public struct PolicyDecision: Sendable, Hashable {
  public enum Action: UInt8, Sendable, Hashable {
    /// Take TLS apart and inspect what is inside.
    case inspect
    /// Relay the encrypted records as they are.
    case tunnel
    /// Cut the client off; the server is never called.
    case block
  }

  public var action: Action
  /// For events and `explain`: which entry of which list decided.
  public var reason: String
  /// What the client is shown of a bad certificate, where the entry says so; nil: as the settings do.
  public var untrustedUpstream: InterceptionSettings.UntrustedUpstream?

  public init(_ action: Action, reason: String, untrustedUpstream: InterceptionSettings.UntrustedUpstream? = nil) {
    self.action = action
    self.reason = reason
    self.untrustedUpstream = untrustedUpstream
  }
}

/// The same decision for every connection.
public struct UniformPolicy: InterceptionPolicy {
  let decision: PolicyDecision

  public init(_ action: PolicyDecision.Action, reason: String = "default") {
    decision = PolicyDecision(action, reason: reason)
  }

  public func decide(_ facts: PolicyFacts) -> PolicyDecision { decision }
}
