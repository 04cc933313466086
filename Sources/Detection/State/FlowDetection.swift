import AppLayer
import Traffic

/// What detection remembers of one flow; made by the path with the flow, dropped with it.
///
/// - Limits: at most ``PendingRules/countMax`` undecided stream rules a direction and ``variablesMax`` flow variables.
public final class FlowDetection {
  struct DirectionState {
    var pending = PendingRules()
    var hasBeenInspectedForAddresses = false
    /// Of the first rules on headers those whose addresses and ports are the flow's, by bit; nil before its first packet.
    var headerRules: UInt64?
    /// The application protocol that rules on it alone were last tried for.
    var foundProtocol = AppProtocol.unknown
    /// The application protocol whose rules the stream was last scanned for.
    var streamProtocol = AppProtocol.unknown
  }

  static let variablesMax = 256

  /// Bits by number of the name (see ``VariableNames``), 64 to a word; empty for most flows.
  var bits: [UInt64] = []
  /// The bits that are set, in the order in which they were.
  var bitOrder: [UInt16] = []
  var integers: [(name: UInt16, value: UInt32)] = []
  public internal(set) var variables: [PayloadCapture] = []
  var toServer = DirectionState()
  var toClient = DirectionState()
  /// Packets and chunks of this flow for `tag:session`.
  var tags: [PacketTag] = []
  /// Which rule set `pending` refers to.
  var generation: UInt64 = 0
  /// A pass rule matched: nothing more of the flow is inspected. The path looks before it calls.
  public internal(set) var isPassed = false
  /// A drop or reject rule matched: nothing more of the flow gets through.
  public internal(set) var isDropped = false
  /// Rules want no records of its transactions, or none of itself.
  public internal(set) var silencesTransactions = false
  public internal(set) var silencesFlow = false
  /// Counters of `by_flow` thresholds.
  var thresholds: [FlowThreshold] = []
  /// Those of `rate_filter` by flow.
  var rates: [FlowThreshold] = []

  public init() {}

  subscript(direction: Direction) -> DirectionState {
    @inline(__always) _read {
      if direction == .toServer { yield toServer } else { yield toClient }
    }
    @inline(__always) _modify {
      if direction == .toServer { yield &toServer } else { yield &toClient }
    }
  }
}

struct FlowThreshold {
  var gid: UInt32
  var sid: UInt32
  var entry: ThresholdEntry
}

/// The counters of one threshold on one tracked thing.
struct ThresholdEntry {
  var windowStart = Timestamp(nanoseconds: 0)
  var count: UInt32 = 0
  /// `backoff`: the count at which the next alert is due. `rate_filter`: see ``actionUntil``.
  var nextCount: UInt32 = 0
  var actionUntil = Timestamp(nanoseconds: .min)
}
