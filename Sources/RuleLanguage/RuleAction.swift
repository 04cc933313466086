/// What a rule asks for when it matches. (What becomes of the packet is a verdict, decided elsewhere.)
///
/// - Source: Suricata "Rules Format", action.
public enum RuleAction: String, Sendable, Hashable, CaseIterable {
  case alert
  case pass
  case drop
  /// The same as ``rejectsrc``.
  case reject
  case rejectsrc
  case rejectdst
  case rejectboth
  /// Changes what is logged for the flow or transaction; raises no alert.
  case config
}

/// How far an action reaches, where the rule says so: `drop:packet`.
///
/// - Source: Suricata 8 "Rules Format", action scopes.
public enum RuleActionScope: String, Sendable, Hashable, CaseIterable {
  case packet
  case flow
}

/// The arrow between the two sides of a rule.
public enum RuleDirection: String, Sendable, Hashable {
  /// `->`: from the source to the destination.
  case toDestination = "->"
  /// `<>`: both ways.
  case bothWays = "<>"
  /// `=>`: one rule over request and response of a transaction (Suricata 8).
  case transactional = "=>"
}
