import AppLayer
import Detection

public struct AlertEvent {
  public var alert: Alert
  public var rule: RuleInfo
  /// What the rule matched in, when it was a transaction.
  public var transaction: Transaction?
  /// What became of the packet: "alert", "drop", "reject", "pass" (EVE `verdict.action`).
  public var verdict: VerdictRecord
  /// The raw stream or payload that was inspected, for outputs that want it.
  public var payload: [UInt8]

  public init(
    alert: Alert, rule: RuleInfo, transaction: Transaction?, verdict: VerdictRecord,
    payload: [UInt8] = []
  ) {
    self.alert = alert
    self.rule = rule
    self.transaction = transaction
    self.verdict = verdict
    self.payload = payload
  }
}

/// EVE `verdict`.
public struct VerdictRecord: Sendable, Hashable {
  public var action: String
  /// "to_client", "to_server", "both"; nil when nobody is told.
  public var rejectTarget: String?
  /// "tcp-reset", "icmp-prohib".
  public var rejects: [String]

  public init(action: String, rejectTarget: String? = nil, rejects: [String] = []) {
    self.action = action
    self.rejectTarget = rejectTarget
    self.rejects = rejects
  }
}

/// A packet, or a stretch of decrypted stream, was not let through.
public struct DropEvent {
  /// Suricata's words where it has them: "rules", "flow drop", "stream error", "defrag memcap", …
  public var reason: String
  public var rule: RuleInfo?
  /// The transaction that the rule matched in.
  public var transactionID: UInt64?
  public var verdict: VerdictRecord

  public init(reason: String, rule: RuleInfo? = nil, transactionID: UInt64? = nil, verdict: VerdictRecord) {
    self.transactionID = transactionID
    self.reason = reason
    self.rule = rule
    self.verdict = verdict
  }
}

public struct AnomalyEvent: Sendable {
  public enum Kind: String, Sendable { case decode, stream, applayer }

  public var kind: Kind
  /// "decoder.ipv4.pkt_too_small", "stream.3whs_ack_in_wrong_dir", "missing_host_header".
  public var name: String
  /// "proto_detect" or "proto_parser", for `applayer`.
  public var layer: String?
  public var appProtocol: AppProtocol?
  public var transactionID: UInt64?

  public init(
    kind: Kind, name: String, layer: String? = nil, appProtocol: AppProtocol? = nil,
    transactionID: UInt64? = nil
  ) {
    self.kind = kind
    self.name = name
    self.layer = layer
    self.appProtocol = appProtocol
    self.transactionID = transactionID
  }
}
