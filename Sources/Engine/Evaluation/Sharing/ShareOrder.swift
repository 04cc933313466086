import Detection
import Synchronization
import Traffic

/// How far each worker of a shared capture is.
final class ShareOrder: Sendable {
  /// A flow that is over, among those that end with the same packet.
  struct Ending: Sendable {
    var step: UInt64 = 0
    var start = Timestamp(nanoseconds: .min)
    var flowID: UInt64 = 0
  }

  final class Position: Sendable {
    /// Twice the number of the packet in hand while flows end that are over by then, one more while it is worked on.
    fileprivate let step = Atomic<UInt64>(0)
    fileprivate let ending = Mutex(Ending())

    func beginEndings(_ packet: UInt64) { step.store(packet &* 2, ordering: .releasing) }
    func begin(_ packet: UInt64) { step.store(packet &* 2 &+ 1, ordering: .releasing) }
    func finish() { step.store(.max, ordering: .releasing) }

    func note(_ start: Timestamp, _ flowID: UInt64) {
      let step = step.load(ordering: .relaxed)
      ending.withLock { $0 = Ending(step: step, start: start, flowID: flowID) }
    }
  }

  let positions: [Position]
  private let refusal = Mutex<String?>(nil)
  private let isRefused = Atomic<Bool>(false)

  init(workers: Int) { positions = (0..<workers).map { _ in Position() } }

  /// Something was met that workers cannot share; what they have written counts for nothing.
  func refuse(_ reason: String) {
    refusal.withLock { if $0 == nil { $0 = reason } }
    isRefused.store(true, ordering: .releasing)
  }

  var reasonOfRefusal: String? { refusal.withLock { $0 } }
  var isOver: Bool { isRefused.load(ordering: .relaxed) }

  /// Returns when all workers are past what `worker` is at.
  ///
  /// Of all that wait none is further back than the one that is furthest back, and that one goes on.
  fileprivate func wait(_ worker: Int) {
    let mine = positions[worker].step.load(ordering: .relaxed)
    let ending = mine & 1 == 0 ? positions[worker].ending.withLock { $0 } : nil
    for (index, other) in positions.enumerated() where index != worker {
      var patience = Patience()
      while !Self.isPast(other, mine, ending), !isOver { patience.wait() }
    }
  }

  private static func isPast(_ other: Position, _ mine: UInt64, _ ending: Ending?) -> Bool {
    let step = other.step.load(ordering: .acquiring)
    guard step <= mine, let ending else { return step >= mine }
    guard step == mine else { return false }
    // Both end flows that are over by the same packet; they come in the order of their starts.
    let theirs = other.ending.withLock { $0 }
    if theirs.step != mine { return theirs.step > mine }
    return (theirs.start, theirs.flowID) > (ending.start, ending.flowID)
  }
}

/// A worker's turn to what rules remember across flows.
final class ShareTurn: DetectionTurn {
  private let order: ShareOrder
  private let worker: Int

  init(_ order: ShareOrder, worker: Int) {
    self.order = order
    self.worker = worker
  }

  func take() { order.wait(worker) }
  func refuse(_ reason: String) { order.refuse(reason) }
}
