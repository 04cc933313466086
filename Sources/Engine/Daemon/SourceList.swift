import Capture
import Interception

/// Packet sources that are open and wait for their workers.
struct SourceList<Source: ~Copyable>: ~Copyable {
  /// Carries a source, which cannot be copied, to its thread.
  private final class Carrier: @unchecked Sendable {
    // SAFETY: written by `init`, taken once by the one thread that is started with it.
    private var source: Source?
    init(_ source: consuming Source) { self.source = consume source }
    func take() -> Source? { source.take() }
    func change(_ body: (inout Source) throws(CaptureError) -> Void) throws(CaptureError) {
      guard var taken = source.take() else { return }
      try body(&taken)
      source = consume taken
    }
  }

  /// Works on a source until it is told to stop.
  struct Work: Sendable {
    var run: @Sendable (consuming Source) throws(CaptureError) -> Void
    var stop: @Sendable () -> Void
  }

  private var carriers: [Carrier] = []

  mutating func open(_ make: () throws(CaptureError) -> Source) throws(DaemonError) {
    do throws(CaptureError) {
      carriers.append(Carrier(try make()))
    } catch {
      throw .environment(error.description)
    }
  }

  /// Does something to all of them, before they have workers.
  func change(_ body: (inout Source) throws(CaptureError) -> Void) throws(DaemonError) {
    for carrier in carriers {
      do throws(CaptureError) {
        try carrier.change(body)
      } catch {
        throw .environment(error.description)
      }
    }
  }

  /// Starts a thread for each piece of work, with the source that was opened in the same place.
  /// - Parameter failed: is told when a source is of no more use.
  consuming func start(
    _ works: [Work], pins: Bool, failed: @escaping @Sendable (String) -> Void
  ) throws(DaemonError) -> [WorkerThread] {
    var threads: [WorkerThread] = []
    for (index, work) in works.enumerated() {
      let carrier = carriers[index]
      let processor = pins ? Int32(index % Processors.count) : nil
      do throws(InterceptionError) {
        threads.append(
          try WorkerThread.start(processor: processor) {
            guard let source = carrier.take() else { return }
            do throws(CaptureError) {
              try work.run(source)
            } catch {
              failed(error.description)
            }
          })
      } catch {
        for work in works { work.stop() }
        for thread in threads { thread.join() }
        throw .environment(error.description)
      }
    }
    return threads
  }
}
