/// What is known of the TLS connection that decrypted bytes come from; written under `sluice`.
public struct DecryptionFacts: Sendable, Hashable {
  public var sni: String?
  public var alpn: String?
  public var version: String
  public var decision: String
  public var decisionReason: String
  /// Both legs, for the record of the connection itself.
  public var legs: [Member] = []

  /// A member of a record.
  public struct Member: Sendable, Hashable {
    public enum Value: Sendable, Hashable {
      case text(String)
      case number(UInt64)
      case flag(Bool)
      case object([Member])
    }

    public var name: String
    public var value: Value

    public init(_ name: String, _ value: Value) {
      self.name = name
      self.value = value
    }
  }

  public init(sni: String?, alpn: String?, version: String, decision: String, decisionReason: String) {
    self.sni = sni
    self.alpn = alpn
    self.version = version
    self.decision = decision
    self.decisionReason = decisionReason
  }
}

/// A step of the interception stage: decided, refused, minted, cut; written as event type `sluice`.
public struct InterceptionRecord: Sendable {
  public var step: String
  public var reason: String
  public var facts: [(name: String, value: String)]

  public init(step: String, reason: String, facts: [(name: String, value: String)] = []) {
    self.step = step
    self.reason = reason
    self.facts = facts
  }
}
