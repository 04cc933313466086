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
  /// Octets to be put over the payload (`replace`).
  public var replacements: [PayloadReplacement] = []
  /// The flow, where there is one.
  public var flow: FlowIndex?
  /// The packet is a bare SYN to this port.
  public var synDestinationPort: UInt16?

  public init() {}

  public var isStopped: Bool { verdict == .drop || verdict == .reject }
}

/// Why a packet was not let through.
/// - Source: the reasons of Suricata's `drop` records and `ips.drop_reason` counters.
public enum DropReason: String, Sendable, Hashable, CaseIterable {
  case rules
  case flowDrop = "flow drop"
  case decodeError = "decode error"
  case defragMemcap = "defrag memcap"
  case flowMemcap = "flow memcap"
  case streamError = "stream error"
  case streamMemcap = "stream memcap"
  case streamMidstream = "stream midstream"
  case streamReassembly = "stream reassembly"
  case applicationError = "applayer error"
  case thresholdDetectionFilter = "threshold detection_filter"
  case innerPacket = "tunnel packet drop"
}
