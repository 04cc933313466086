import RuleLanguage
import Traffic

/// A match that passed thresholds and is to be logged.
public struct Alert: Sendable {
  public var rule: RuleIndex
  /// What was done: the rule's action, or what `rate_filter` made of it.
  public var action: RuleAction
  /// The packet or flow was stopped (EVE `alert.action` is then "blocked").
  public var isBlocked: Bool
  public var source: RuleMatch.Source
  public var direction: Direction
  public var transactionID: UInt64?
  public var captures: [PayloadCapture]
  /// The frame, when the rule matched one.
  public var frame: MatchedFrame?
}

/// What the rules that matched ask to be done with a packet or chunk, and with what follows.
public struct DetectionDecision: Sendable {
  public enum Scope: UInt8, Sendable {
    case none, packet, flow
  }

  /// What to do with the packet in hand: accept, drop or reject.
  public var verdict = Verdict.accept
  /// How far a drop or reject reaches.
  public var dropScope = Scope.none
  /// How far a pass reaches: nothing more of the packet, or of the flow, is inspected.
  public var passScope = Scope.none
  /// Whom a reject tells; `reject` and `rejectsrc` the sender of the packet.
  public var rejectAction: RuleAction?
  /// The rule that decided on drop or reject.
  public var decidingRule: RuleIndex?
  /// The transaction that it matched in.
  public var decidingTransaction: UInt64?
  /// The transactions in which rules asked for drop or reject.
  public var stoppedTransactions: [UInt64] = []
  /// Rules asked for it that matched elsewhere, or in no transaction alone.
  public var stopsMore = false
  /// `rate_filter` made the deciding rule's action what it is.
  public var isRateFiltered = false
  /// A matching rule asks that the rest of the flow goes by unseen (`bypass`).
  public var bypassesFlow = false
  /// What rules make of the packet's mark.
  public var mark: MarkChange?
  /// Octets to be put over the packet's payload (`replace`).
  public var replacements: [PayloadReplacement] = []

  public init() {}
}
