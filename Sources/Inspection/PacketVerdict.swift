import Detection
import FlowTracking
import RuleLanguage
import Traffic

/// What the path says of a packet.
public struct PacketVerdict: Sendable {
  public var verdict = Verdict.accept
  /// Why, in Suricata's words where it has them; set for every verdict but accept.
  public var reason: DropReason?
  /// Whom a reject tells.
  public var rejectAction: RuleAction?
  /// The rule that decided.
  public var rule: RuleIndex?
  /// The transaction that it matched in.
  public var transactionID: UInt64?
  /// What rules make of its mark, where it goes on.
  public var mark: MarkChange?
  /// Octets to be put over the payload (`replace`).
  public var replacements: [PayloadReplacement] = []
  /// The flow, where there is one.
  public var flow: FlowIndex?
  /// The packet is a bare SYN to this port.
  public var synDestinationPort: UInt16?
  /// Which way it travels, and what it is, where it is a TCP segment of a flow.
  public var direction = Direction.toServer
  public var segment: SegmentFacts?

  public init() {}

  public var isStopped: Bool { verdict == .drop || verdict == .reject }
}

/// Why a packet was not let through.
/// - Source: the reasons of Suricata's `drop` records and `ips.drop_reason` counters.
public enum DropReason: String, Sendable, Hashable, CaseIterable {
  case rules
  case flowDrop = "flow drop"
  /// The flow is dropped because an exception policy said so.
  case exceptionFlowDrop = "exception policy flow drop"
  case decodeError = "decode error"
  case defragMemcap = "defrag memcap"
  case flowMemcap = "flow memcap"
  case streamError = "stream error"
  case streamMemcap = "stream memcap"
  case streamMidstream = "stream midstream"
  case streamUrgent = "stream urgent"
  case streamReassembly = "stream reassembly"
  case applicationError = "applayer error"
  case thresholdDetectionFilter = "threshold detection_filter"
  case innerPacket = "tunnel packet drop"
  /// The TLS policy refuses it, or wants it by a way that can be inspected (QUIC).
  case interceptionPolicy = "interception policy"
}

/// What taking over a connection must know of one segment.
public struct SegmentFacts: Sendable, Hashable {
  public var sequence: UInt32
  public var acknowledgement: UInt32
  public var flags: UInt8
  /// Where the payload lies in the packet.
  public var payload: Range<Int>
}
