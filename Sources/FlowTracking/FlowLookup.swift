import Traffic

/// What the flow table says of one packet.
public struct FlowLookup: Sendable, BitwiseCopyable {
  public enum Outcome: UInt8, Sendable, BitwiseCopyable {
    /// The packet was counted on a flow that existed.
    case existing
    /// The packet was counted on a flow that it began.
    case new
    /// The packet would begin a flow on the key of one that is over (timed out, or a closed TCP
    /// session); nothing was counted. Call `remove(index, reason: endReason)`, then track again.
    case supersedes
    /// No place for a new flow; nothing was counted. Prune and track again, or apply the policy.
    case full
    /// The packet belongs to no flow and begins none (no IP header, an ICMP error about an
    /// unknown flow, a fragment that is not yet reassembled).
    case none
  }

  public var outcome: Outcome
  /// Valid for `.existing`, `.new` and `.supersedes`.
  public var index: FlowIndex
  public var direction: Direction
  /// For `.supersedes`: why the flow at `index` is over.
  public var endReason = FlowEndReason.timeout
  /// The packet is an ICMP error about the flow, not of it.
  public var isQuoted = false
  /// Meaningful for TCP packets of a flow.
  public var tcp = TCPTrackResult()

  @inlinable
  public var isNew: Bool { outcome == .new }
  @inlinable
  public var hasFlow: Bool { outcome == .new || outcome == .existing }

  init(_ outcome: Outcome, _ index: FlowIndex = .none, _ direction: Direction = .toServer) {
    self.outcome = outcome
    self.index = index
    self.direction = direction
  }
}
