import Capture
import Interception
import Synchronization

/// Queues that are bound and wait for their workers.
struct QueueList {
  /// Carries a queue, which cannot be copied, to its thread.
  private final class Carrier: @unchecked Sendable {
    // SAFETY: written by `init`, taken once by the one thread that is started with it.
    private var queue: NFQueue?
    init(_ queue: consuming NFQueue) { self.queue = consume queue }
    func take() -> NFQueue? { queue.take() }
  }

  private var carriers: [Carrier] = []

  mutating func open(_ plan: QueueWorkerPlan) throws(DaemonError) {
    do throws(CaptureError) {
      let queue = try NFQueue(number: plan.queue, options: plan.options)
      for refusal in queue.refusals { DaemonLog.write("queue \(plan.queue): \(refusal)") }
      carriers.append(Carrier(queue))
    } catch {
      throw .environment(error.description)
    }
  }

  /// Starts a thread for each worker.
  /// - Parameter failed: is told when a queue is of no more use.
  consuming func start(
    _ workers: [QueueWorker], pins: Bool, failed: @escaping @Sendable (String) -> Void
  ) throws(DaemonError) -> [WorkerThread] {
    var threads: [WorkerThread] = []
    for (index, worker) in workers.enumerated() {
      let carrier = carriers[index]
      let processor = pins ? Int32(index % Processors.count) : nil
      do throws(InterceptionError) {
        threads.append(
          try WorkerThread.start(processor: processor) {
            guard let queue = carrier.take() else { return }
            do throws(CaptureError) {
              try worker.run(queue)
            } catch {
              failed(error.description)
            }
          })
      } catch {
        for worker in workers { worker.stop() }
        for thread in threads { thread.join() }
        throw .environment(error.description)
      }
    }
    return threads
  }
}
