import Traffic

/// How long flows of one protocol may be silent, seconds by state.
public struct FlowTimeouts: Sendable, Hashable {
  /// Packets were seen from one side only (TCP: before the handshake is complete).
  public var newSeconds: Int32
  public var establishedSeconds: Int32
  public var closedSeconds: Int32
  /// Released or bypassed.
  public var bypassedSeconds: Int32

  public init(newSeconds: Int32, establishedSeconds: Int32, closedSeconds: Int32, bypassedSeconds: Int32 = 100) {
    self.newSeconds = newSeconds
    self.establishedSeconds = establishedSeconds
    self.closedSeconds = closedSeconds
    self.bypassedSeconds = bypassedSeconds
  }

  func seconds(_ state: FlowState) -> Int64 {
    switch state {
    case .new: Int64(max(0, newSeconds))
    case .established: Int64(max(0, establishedSeconds))
    case .closed: Int64(max(0, closedSeconds))
    case .bypassed: Int64(max(0, bypassedSeconds))
    }
  }
}

/// - Source: Suricata `flow`, `flow-timeouts`, `vlan.use-for-tracking`, with its defaults.
public struct FlowTableSettings: Sendable {
  /// Makes hashes and flow identifiers; the same seed gives the same identifiers.
  public var seed: UInt64
  /// Flows held at once by this worker; at the limit `track` answers `.full` and the caller
  /// prunes or applies its policy (`flow.memcap`).
  public var flowCountMax: Int = 262_144
  /// TCP sessions held at once by this worker; one more is not followed, and the caller applies its policy
  /// (`stream.memcap`).
  public var sessionCountMax = Int.max
  public var usesVLAN = true
  /// Packets inside a tunnel are other flows than like packets outside of it
  /// (`decoder.recursion-level.use-for-tracking`).
  public var usesTunnelDepth = true
  public var tcpTimeouts = FlowTimeouts(newSeconds: 60, establishedSeconds: 600, closedSeconds: 60)
  public var udpTimeouts = FlowTimeouts(newSeconds: 30, establishedSeconds: 300, closedSeconds: 0)
  public var icmpTimeouts = FlowTimeouts(newSeconds: 30, establishedSeconds: 300, closedSeconds: 0)
  public var otherTimeouts = FlowTimeouts(newSeconds: 30, establishedSeconds: 300, closedSeconds: 0)
  public var tcp = TCPSessionSettings()

  public init(seed: UInt64) { self.seed = seed }

  /// The shortest timeout of flows that are not closed.
  var openTimeoutMinSeconds: Int64 {
    [tcpTimeouts, udpTimeouts, icmpTimeouts, otherTimeouts].reduce(.max) { least, timeouts in
      [FlowState.new, .established, .bypassed].reduce(least) { min($0, timeouts.seconds($1)) }
    }
  }
}

/// What the flow table did, since it was made.
public struct FlowTableCounters: Sendable, Hashable {
  public var flowsCreated: UInt64 = 0
  public var flowsEnded: UInt64 = 0
  public var flowsTimedOut: UInt64 = 0
  public var flowsPruned: UInt64 = 0
  /// Packets answered `.full` because `flowCountMax` was reached.
  public var memcapHits: UInt64 = 0
  public var flowsActive: UInt64 = 0
  public var flowsActiveMax: UInt64 = 0
  /// A SYN began a new session on the addresses and ports of a closed one.
  public var tcpReused: UInt64 = 0
  public var tcpSessions: UInt64 = 0
  /// Packets that would have begun a session beyond `sessionCountMax`.
  public var sessionMemcapHits: UInt64 = 0
  public var tcpMidstreamPickups: UInt64 = 0
  public var tcpNoSession: UInt64 = 0
  public var tcpInvalidChecksum: UInt64 = 0
  public var tcpSyn: UInt64 = 0
  public var tcpSynAck: UInt64 = 0
  public var tcpRst: UInt64 = 0

  public init() {}
}
