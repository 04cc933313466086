/// What to do where something cannot be done: a table is full, a session was not seen from its start,
/// a parser gave up.
///
/// - Source: Suricata "Exception Policies".
public enum ExceptionPolicy: String, Sendable, Hashable, CaseIterable {
  case ignore
  case dropPacket = "drop-packet"
  case dropFlow = "drop-flow"
  case reject
  case bypass
  case passPacket = "pass-packet"
  case passFlow = "pass-flow"

  /// As EVE writes it.
  public var eveName: String { String(rawValue.map { $0 == "-" ? "_" : $0 }) }

  /// Whether it stops traffic; such policies have no effect where nothing can be stopped.
  public var isBlocking: Bool { self == .dropPacket || self == .dropFlow || self == .reject }
}

/// The policy for each thing that can go wrong, with Suricata's names for them.
public struct ExceptionPolicies: Sendable, Hashable {
  public var flowMemcap = ExceptionPolicy.ignore
  public var defragMemcap = ExceptionPolicy.ignore
  public var streamMemcap = ExceptionPolicy.ignore
  public var reassemblyMemcap = ExceptionPolicy.ignore
  public var midstream = ExceptionPolicy.ignore
  public var appLayerError = ExceptionPolicy.ignore

  public init() {}
}
