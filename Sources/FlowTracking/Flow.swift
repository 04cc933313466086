import Traffic

/// How far a flow is, as timeouts and events see it.
public enum FlowState: UInt8, Sendable, Hashable, BitwiseCopyable {
  case new, established, closed
  /// The rest of the flow need not be seen (released to the kernel, or by rule).
  case bypassed

  /// The state as EVE flow records write it.
  public var eveName: String {
    switch self {
    case .new: "new"
    case .established: "established"
    case .closed: "closed"
    case .bypassed: "bypassed"
    }
  }
}

/// Why a flow ended.
public enum FlowEndReason: UInt8, Sendable, Hashable, BitwiseCopyable {
  case timeout
  /// Pruned because of a memory cap, or for the caller's reasons.
  case forced
  /// The engine stops.
  case shutdown
  /// A new TCP session took its addresses and ports.
  case reuse

  /// The reason as EVE flow records write it.
  public var eveName: String {
    switch self {
    case .timeout: "timeout"
    case .forced: "forced"
    case .shutdown: "shutdown"
    case .reuse: "tcp_reuse"
    }
  }
}

/// What to do with the rest of a flow without looking at it again.
public enum FlowDisposition: UInt8, Sendable, Hashable, BitwiseCopyable {
  case inspect
  case pass
  case drop
  /// As `drop`; the ends have been told.
  case reject
}

/// What one direction of a flow has shown.
public struct FlowSide: Sendable, Hashable, BitwiseCopyable {
  public var packetCount: UInt64 = 0
  /// Octets of the packets as captured, headers included.
  public var byteCount: UInt64 = 0
  /// All TCP flags seen in packets of a TCP session.
  public var tcpFlags: UInt8 = 0
  /// Least and greatest TTL or hop limit; 0 before the first packet.
  public var timeToLiveMin: UInt8 = 0
  public var timeToLiveMax: UInt8 = 0

  @inlinable
  public init() {}
}

/// One flow: plain data, from the client's point of view.
public struct Flow: Sendable, BitwiseCopyable {
  /// The client is the source. For ICMP the ports hold the type and the type that answers it, for
  /// ESP the upper and the lower half of the security parameters index. `vlan` is as the key has it:
  /// for events use `vlan0`, `vlan1`, `vlanCount`.
  public internal(set) var tuple: FlowTuple
  /// Unique in its table and the same in each run with the same seed; fits 53 bits, so that
  /// JSON readers keep it (EVE `flow_id`).
  public internal(set) var flowID: UInt64
  public internal(set) var startTime: Timestamp
  public internal(set) var lastTime: Timestamp
  public internal(set) var toServer = FlowSide()
  public internal(set) var toClient = FlowSide()
  public var state = FlowState.new
  public var disposition = FlowDisposition.inspect
  /// The rest of the flow is dropped (EVE `flow.action` drop).
  @inlinable
  public var isDropped: Bool { disposition == .drop || disposition == .reject }
  /// 4 or 6.
  public internal(set) var ipVersion: UInt8
  /// The first packet was not a SYN, or its SYN-ACK was seen first.
  public internal(set) var isMidstream = false
  /// Type and code of the first ICMP packet to the server, and of the first answer.
  public internal(set) var icmpType: UInt8 = 0
  public internal(set) var icmpCode: UInt8 = 0
  public internal(set) var icmpResponseType: UInt8 = 0
  public internal(set) var icmpResponseCode: UInt8 = 0
  /// VLAN identifiers of the first packet, also where they are not part of the key.
  public internal(set) var vlan0: UInt16 = 0
  public internal(set) var vlan1: UInt16 = 0
  public internal(set) var vlanCount: UInt8 = 0
  /// Opaque to this station: bits of the stations above.
  public var upperFlags: UInt32 = 0
  /// Opaque to this station: a handle of the stations above (`UInt32.max`: none).
  public var upperHandle: UInt32 = .max

  @inlinable
  public subscript(direction: Direction) -> FlowSide {
    direction == .toServer ? toServer : toClient
  }

  @inlinable
  public var packetCount: UInt64 { toServer.packetCount &+ toClient.packetCount }
  @inlinable
  public var byteCount: UInt64 { toServer.byteCount &+ toClient.byteCount }
}
