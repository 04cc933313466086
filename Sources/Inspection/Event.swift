import AppLayer
import Detection
import PacketDecoding
import Traffic

/// Something to be told: what the path hands to an ``EventSink``.
///
/// Events borrow the worker's own objects; a sink writes down what it needs before it returns.
public enum Event {
  case alert(AlertEvent)
  case drop(DropEvent)
  /// A transaction is complete, or in the direction named, as far as its protocol logs it then.
  case transaction(Transaction, Direction?)
  case anomaly(AnomalyEvent)
  /// A flow is over.
  case flow
  case interception(InterceptionRecord)
}

/// Where and when an event happened: what most records share.
public struct EventContext {
  public var time: Timestamp
  /// Number of the packet in its capture, from 1 (EVE `pcap_cnt`); 0 outside captures.
  public var packetNumber: UInt64 = 0
  /// Headers of the packet in hand; for relayed streams only its addresses are filled.
  public var packet: DecodedPacket
  /// Which way the packet travels in its flow.
  public var direction: Direction = .toServer
  public var flow: FlowRecord?
  public var appLayer: AppLayerFlow?
  /// The bytes come from inside TLS.
  public var decryption: DecryptionFacts?
  /// Octets of the packet as captured.
  public var packetLength: Int = 0
  public var interfaceName: String?
  /// The packet came inside another one.
  public var tunnel: TunnelRecord?

  public init(time: Timestamp, packet: DecodedPacket) {
    self.time = time
    self.packet = packet
  }
}

/// What records of a packet inside another one tell of the outermost (EVE `tunnel`).
public struct TunnelRecord: Sendable {
  public var ends: FlowTuple
  public var hasPorts: Bool
  /// How the packet was wrapped, as EVE `pkt_src` has it: "ipv4 tunnel", "gre tunnel", …
  public var means: String

  public init(ends: FlowTuple, hasPorts: Bool, means: String) {
    self.ends = ends
    self.hasPorts = hasPorts
    self.means = means
  }
}

/// A flow as records tell of it.
public struct FlowRecord: Sendable {
  public struct Side: Sendable {
    public var packets: UInt64 = 0
    public var bytes: UInt64 = 0
    public var tcpFlags: UInt8 = 0
    /// Least and greatest time to live; 0 before the first packet.
    public var timeToLiveMin: UInt8 = 0
    public var timeToLiveMax: UInt8 = 0
    public init() {}
  }

  public var id: UInt64
  /// From client to server.
  public var tuple: FlowTuple
  public var ipVersion: UInt8 = 4
  public var start: Timestamp
  public var last: Timestamp
  public var toServer = Side()
  public var toClient = Side()
  public var appProtocol = AppProtocol.unknown
  public var appProtocolToServer = AppProtocol.unknown
  public var appProtocolToClient = AppProtocol.unknown
  /// "new", "established", "closed", "bypassed".
  public var state = "new"
  /// "timeout", "shutdown", "forced", "unknown"; empty while the flow lasts.
  public var reason = ""
  /// "pass", "drop", "accept"; empty when nothing was decided (EVE `flow.action`).
  public var action = ""
  public var hasAlerted = false
  /// TCP only: "syn_sent" … "closed"; empty otherwise.
  public var tcpState = ""
  public var isMidstream = false
  /// Why exception policies were applied, for `exception_policy`.
  public var exceptionPolicies: [ExceptionPolicyUse] = []
  public var icmpType: UInt8 = 0
  public var icmpCode: UInt8 = 0
  public var icmpResponse: (type: UInt8, code: UInt8)?
  public var vlan: [UInt16] = []
  public var hasGap: (toServer: Bool, toClient: Bool) = (false, false)
  /// What rules have noted of the flow, for `metadata`.
  public var flowBits: [String] = []
  public var flowIntegers: [(name: String, value: UInt32)] = []
  public var variables: [PayloadCapture] = []

  public init(id: UInt64, tuple: FlowTuple, start: Timestamp, last: Timestamp) {
    self.id = id
    self.tuple = tuple
    self.start = start
    self.last = last
  }
}

/// A policy that was applied to a flow because something could not be done (EVE `flow.exception_policy`).
public struct ExceptionPolicyUse: Sendable, Hashable {
  /// "stream_midstream", "stream_memcap", "app_layer_error", …
  public var target: String
  /// "drop_flow", "pass_packet", …
  public var policy: String

  public init(target: String, policy: String) {
    self.target = target
    self.policy = policy
  }
}

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
  public var verdict: VerdictRecord

  public init(reason: String, rule: RuleInfo? = nil, verdict: VerdictRecord) {
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

/// What is known of the TLS connection that decrypted bytes come from; written under `sluice`.
public struct DecryptionFacts: Sendable, Hashable {
  public var sni: String?
  public var alpn: String?
  public var version: String
  public var decision: String
  public var decisionReason: String

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

/// Takes events; one for each worker, never called from two threads.
public protocol EventSink: AnyObject {
  /// - Parameter bytes: of the packet in hand; empty for relayed streams.
  func emit(_ event: Event, _ context: borrowing EventContext, bytes: RawSpan)
}
