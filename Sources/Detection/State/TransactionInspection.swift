import AppLayer
import Traffic

/// Stands in `Transaction.inspectionState` for a transaction done with.
final class InspectedTransaction: Sendable {
  static let done = InspectedTransaction()
}

/// What detection remembers of a transaction until it is done; reused from one to the next.
final class TransactionInspection {
  /// A rule that may match, and how far it has come.
  struct Candidate {
    var rule: RuleIndex
    /// Its head holds: not looked at again.
    var isHeadChecked = false
    /// Buffer steps that hold already, a bit each.
    var matched: UInt64 = 0
    var growing = GrowingBuffer()
    /// It has matched, or never will.
    var isDone = false
  }

  /// How far one scan of the group has come.
  struct ScanState {
    /// Progress values at which it was done.
    var progressCount = 0
    /// Streaming buffers: the instance in hand, and up to where it was scanned.
    var instance = 0
    var scannedTo: UInt64 = 0
    /// It was scanned to its very end.
    var isClosed = false
  }

  struct DirectionState {
    var hasStarted = false
    /// How far the transaction was when its buffers were last scanned.
    var scannedProgress = -1
    var eventCount = 0
    /// How far the transaction was when it was last inspected.
    var progress = 0
    var isDone = false
    var scans: [ScanState] = []
    /// Ascending by rule.
    var candidates: [Candidate] = []

    mutating func reset() {
      hasStarted = false
      scannedProgress = -1
      eventCount = 0
      progress = 0
      isDone = false
      scans.removeAll(keepingCapacity: true)
      candidates.removeAll(keepingCapacity: true)
    }
  }

  var generation: UInt64 = 0
  var toServer = DirectionState()
  var toClient = DirectionState()
  /// Rules over both directions that have matched.
  var fired: [RuleIndex] = []
  /// `xbits` with `track tx`.
  var bits: Set<UInt16> = []
  /// A rule wants no record of it.
  var isSilenced = false

  func reset(generation: UInt64) {
    self.generation = generation
    toServer.reset()
    toClient.reset()
    fired.removeAll(keepingCapacity: true)
    bits.removeAll()
    isSilenced = false
  }
}

extension TransactionInspection.DirectionState {
  /// Adds rules that are not candidates yet; `rules` is ascending, each once.
  mutating func insert(_ rules: [RuleIndex]) {
    guard !rules.isEmpty else { return }
    let before = candidates.count
    var known = 0
    for rule in rules {
      while known < before, candidates[known].rule < rule { known &+= 1 }
      if known < before, candidates[known].rule == rule { continue }
      candidates.append(TransactionInspection.Candidate(rule: rule))
    }
    if before > 0, candidates.count > before { candidates.sort { $0.rule < $1.rule } }
  }
}
