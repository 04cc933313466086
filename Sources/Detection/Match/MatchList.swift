import AppLayer
import Traffic

/// Number of a rule in its ``RuleSet``: rules are numbered in the order in which they are tried.
public typealias RuleIndex = Int32

/// A rule whose conditions hold, before thresholds and actions are looked at.
public struct RuleMatch: Sendable {
  /// What the rule matched on.
  public enum Source: UInt8, Sendable {
    case packet, stream, transaction
  }

  public var rule: RuleIndex
  public var source: Source
  public var direction: Direction
  /// The transaction's number within the flow, when the rule matched one.
  public var transactionID: UInt64?
  /// What pcre captured under names, `flow:` and `pkt:` variables.
  public var captures: [PayloadCapture]
  /// What `replace` puts over the packet's payload.
  public var replacements: [PayloadReplacement]
  /// The frame, when the rule matched one.
  public var frame: MatchedFrame?
}

/// A frame as it was when a rule matched it.
public final class MatchedFrame: Sendable {
  public let frame: AppFrame

  init(_ frame: AppFrame) { self.frame = frame }
}

/// The matches of one packet or chunk; kept and emptied, so that it allocates once.
public struct MatchList: Sendable {
  /// Further matches of one packet are counted, not kept.
  public static let matchesMax = 1024
  public internal(set) var matches: [RuleMatch] = []
  /// Matches beyond ``matchesMax``, ever.
  public internal(set) var overflowCount: UInt64 = 0

  public init() {}

  public var isEmpty: Bool { matches.isEmpty }

  public mutating func removeAll() { matches.removeAll(keepingCapacity: true) }

  mutating func append(_ match: RuleMatch) {
    guard matches.count < Self.matchesMax else {
      overflowCount &+= 1
      return
    }
    let isKnown = matches.contains {
      $0.rule == match.rule && $0.transactionID == match.transactionID
        && $0.direction == match.direction && $0.frame?.frame.id == match.frame?.frame.id
    }
    if !isKnown { matches.append(match) }
  }
}
