import EventOutput
import Inspection
import Synchronization

/// What others want of a worker's flows; done on its thread, between batches.
final class WorkerMailbox: Sendable {
  typealias Request = @Sendable (inout PacketPath) -> Void

  private let requests = Mutex<[Request]>([])
  private let hasSome = Atomic(false)

  func post(_ request: @escaping Request) {
    requests.withLock { $0.append(request) }
    hasSome.store(true, ordering: .releasing)
  }

  /// The worker's side; costs next to nothing where there is nothing.
  func take() -> [Request] {
    guard hasSome.exchange(false, ordering: .acquiringAndReleasing) else { return [] }
    return requests.withLock { requests in
      defer { requests = [] }
      return requests
    }
  }
}

/// The answers of several workers to one question.
final class Answers<Value: Sendable>: Sendable {
  private let values = Mutex<[Value]>([])

  func add(_ value: Value) { values.withLock { $0.append(value) } }

  /// Waits until `count` have answered, or the time is over.
  func wait(count: Int, milliseconds: Int) -> [Value] {
    let end = MonotonicClock.seconds() + Double(milliseconds) / 1000
    while true {
      let now = values.withLock { $0 }
      if now.count >= count || MonotonicClock.seconds() > end { return now }
      Pause.milliseconds(2)
    }
  }
}
