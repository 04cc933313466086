import AppLayer
import Detection
import FlowTracking
import PacketDecoding
import RuleLanguage
import StreamReassembly
import Traffic

/// How the path inspects; immutable, replaced whole on reload.
public struct InspectionSettings: Sendable {
  /// Verdicts take effect, on the traffic itself or, with captures, on the rest of a simulated flow.
  public var isInline = false
  /// The stream is inspected as it arrives, not when it is acknowledged (`stream.inline`); nil follows `isInline`.
  public var inspectsOnArrival: Bool?
  /// A match on packet or stream is told with the flow's transaction where there is but one
  /// (`detect.guess-applayer-tx`).
  public var guessesTransaction = false
  var isInspectedOnArrival: Bool { inspectsOnArrival ?? isInline }
  /// Alerts of one packet that are told (`packet-alert-max`); the rules beyond still act.
  public var alertsPerPacketMax = 15
  /// How much of a worker's time a rule may take (`detect.rule-budget`).
  public var ruleBudget = RuleBudget()
  /// Octets of raw stream that are waited for where nothing can be stopped
  /// (`stream.reassembly.toserver-chunk-size`, `toclient-chunk-size`).
  public var chunkBytes: (toServer: Int, toClient: Int) = (2560, 2560)
  /// Where nothing can be stopped, rules on the stream see each piece of it with what came before
  /// (`stream.reassembly.across-pieces`).
  public var joinsPieces = true
  public var decoder = DecoderSettings()
  public var flows: FlowTableSettings
  /// From which rate on a flow counts as an elephant; nil where that is not looked at.
  public var elephantLimit: FlowRateLimit?
  public var reassembly = ReassemblySettings()
  public var defragmentation = DefragmenterSettings()
  public var appLayer = AppLayerSettings()
  public var exceptionPolicies = ExceptionPolicies()
  /// Packets that break the TCP state machine are dropped when inline (`stream.drop-invalid`).
  public var dropsInvalidSegments = true
  /// No rule on payload is tried on TLS once it is encrypted (`tls.encryption-handling: track-only`).
  public var hidesEncrypted = true
  /// Encrypted TLS is let go once the handshake is seen (`tls.encryption-handling: bypass`).
  public var bypassesEncrypted = false
  /// The same of SSH (`ssh.encryption-handling: bypass`).
  public var bypassesEncryptedSSH = false
  /// Which flows, once they are decided, need not be seen any more.
  public var releases: Set<ReleaseReason> = []
  /// Which hosts reassemble how, first match wins; the last resort is `bsd`.
  public var hostPolicies: [HostPolicy] = []
  public var logs = LogSelection()
  /// Watches one rule, slowly; nil but for `sluice eval --explain`.
  public var tracer: RuleTracer?

  public init(flowSeed: UInt64) { flows = FlowTableSettings(seed: flowSeed) }
}

/// How hosts behind an address resolve overlaps (`host-os-policy`).
public struct HostPolicy: Sendable {
  public var addresses: AddressSet
  public var stream: OverlapPolicy
  public var fragments: FragmentPolicy

  public init(addresses: AddressSet, stream: OverlapPolicy, fragments: FragmentPolicy) {
    self.addresses = addresses
    self.stream = stream
    self.fragments = fragments
  }
}

/// Which records are wanted, so that none is made for nothing.
public struct LogSelection: Sendable {
  public var anomalies = true
  public var arp = false
  /// Records tell of link addresses (`ethernet`).
  public var linkAddresses = false
  public var drops = true
  /// Every dropped packet of a flow, not only the first in each direction (`drop.flows: all`).
  public var dropsWholeFlows = false
  public var flows = true
  /// Protocols whose transactions are written.
  public var transactions: Set<AppProtocol> = [
    .http, .tls, .dns, .mdns, .http2, .doh2, .smtp, .ssh, .quic, .websocket, .ftp, .ftpData, .sip, .pop3,
    .dhcp, .ntp, .tftp,
  ]
  /// Files that have been transferred.
  public var files = true
  /// Alerts carry the bytes that were inspected.
  public var payload = false

  public init() {}
}
