import AppLayer
import Detection
import PacketDecoding
import Traffic

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
  /// It has reached `flow.rate-tracking` in these directions.
  public var isElephant: (toServer: Bool, toClient: Bool) = (false, false)
  /// Addresses of the frame that began it, for records that no packet brought about.
  public var frameEnds: FrameEnds?
  /// Transactions of its application layer so far.
  public var transactionCount: UInt64 = 0
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
  /// Why the kernel passes the rest of the flow; nil for a flow that comes by here.
  public var released: ReleaseReason?
  /// Packets and octets of `toServer` and `toClient` that only the kernel saw.
  public var bypassed: (toServer: Side, toClient: Side)?
  /// Urgent octets that were left out of each direction.
  public var outOfBand: (toServer: UInt32, toClient: UInt32) = (0, 0)
  /// Addresses of the frames, as the client's and the server's side, each once in order of appearance.
  public var linkAddresses = LinkAddresses()
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

/// What records of a packet inside another one tell of the outermost (EVE `tunnel`).
public struct TunnelRecord: Sendable {
  public var ends: FlowTuple
  public var hasPorts: Bool
  /// How the packet was wrapped, as EVE `pkt_src` has it: "ipv4 tunnel", "gre tunnel", …
  public var means: String
  /// Number of the outermost packet in its capture, from 1; 0 outside captures.
  public var packetNumber: UInt64 = 0

  public init(ends: FlowTuple, hasPorts: Bool, means: String) {
    self.ends = ends
    self.hasPorts = hasPorts
    self.means = means
  }
}

/// Ethernet addresses, 48 bits each.
public struct FrameEnds: Sendable, Hashable {
  public var client: UInt64
  public var server: UInt64

  /// Of a packet of the flow; nil where it came in no Ethernet frame.
  init?(_ packet: borrowing DecodedPacket, _ bytes: RawSpan, _ direction: Direction) {
    guard packet.linkType == .ethernet, packet.tunnelDepth == 0, bytes.byteCount >= 14 else { return nil }
    let destination = UInt64(bytes.u32(at: 0)) << 16 | UInt64(bytes.u16(at: 4))
    let source = UInt64(bytes.u32(at: 6)) << 16 | UInt64(bytes.u16(at: 10))
    client = direction == .toServer ? source : destination
    server = direction == .toServer ? destination : source
  }
}

/// The link addresses that a flow's packets carried (EVE `ether.src_macs`, `ether.dest_macs`).
public struct LinkAddresses: Sendable {
  /// Addresses remembered for each side, so that a flood of them costs no memory.
  static let countMax = 10

  /// 48 bits each, the first octet highest.
  public private(set) var client: [UInt64] = []
  public private(set) var server: [UInt64] = []

  public init() {}

  /// Whoever was taken for the client is the server.
  public mutating func swapSides() { swap(&client, &server) }

  mutating func note(client: UInt64, server: UInt64) {
    if !self.client.contains(client), self.client.count < Self.countMax { self.client.append(client) }
    if !self.server.contains(server), self.server.count < Self.countMax { self.server.append(server) }
  }
}
