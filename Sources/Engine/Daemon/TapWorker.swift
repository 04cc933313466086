import Capture
import Detection
import EventOutput
import Inspection
import Interception
import Synchronization
import Traffic

/// One thread that listens to an interface: the same path as in line, without verdicts.
final class TapWorker: Sendable {
  let name: String
  private let inspection: InspectionSettings
  private let eve: EVESettings
  private let publication: RulePublication
  private let shared: SharedDetectionState
  private let records: RecordQueue
  let mailbox = WorkerMailbox()
  private let isStopping = Atomic(false)
  private let beatCount = Atomic<UInt64>(0)
  /// Grows several times a second while the worker is at work.
  var beats: UInt64 { beatCount.load(ordering: .relaxed) }
  private let statistics = Mutex((traffic: TrafficStatistics(), ring: PacketRing.Counters()))

  init(
    name: String, inspection: InspectionSettings, eve: EVESettings, publication: RulePublication,
    shared: SharedDetectionState, records: RecordQueue
  ) {
    self.name = name
    self.inspection = inspection
    self.eve = eve
    self.publication = publication
    self.shared = shared
    self.records = records
  }

  func stop() { isStopping.store(true, ordering: .releasing) }

  var latest: (traffic: TrafficStatistics, ring: PacketRing.Counters) { statistics.withLock { $0 } }

  private static let waitMilliseconds: Int32 = 100

  func run(_ ring: consuming PacketRing) throws(CaptureError) {
    let writer = EVEWriter(settings: eve, output: QueuedLineOutput(records))
    var path = PacketPath(settings: inspection, ruleSet: publication.ruleSet, shared: shared, sink: writer)
    var seen: UInt64 = 0
    var traffic = TrafficStatistics()
    while !isStopping.load(ordering: .acquiring) {
      beatCount.add(1, ordering: .relaxed)
      let requests = mailbox.take()
      if let ruleSet = publication.next(after: &seen) {
        path.replace(ruleSet: ruleSet)
        writer.forgetRules()
      }
      for request in requests { request(&path) }
      _ = try ring.receive(timeoutMilliseconds: Self.waitMilliseconds) { frame in
        let result = path.process(
          frame.bytes, link: .ethernet, time: frame.time, length: frame.originalLength,
          isChecksumPartial: frame.checksumNotReady)
        traffic.note(result)
      }
      writer.flush()
      traffic.read(path)
      let now = (traffic: traffic, ring: ring.counters)
      statistics.withLock { $0 = now }
    }
    path.finish()
    writer.flush()
  }
}

/// Rings that are open and wait for their workers.
struct RingList {
  private final class Carrier: @unchecked Sendable {
    // SAFETY: written by `init`, taken once by the one thread that is started with it.
    private var ring: PacketRing?
    init(_ ring: consuming PacketRing) { self.ring = consume ring }
    func take() -> PacketRing? { ring.take() }
  }

  private var carriers: [Carrier] = []

  mutating func open(interface: String, group: Int) throws(DaemonError) {
    do throws(CaptureError) {
      carriers.append(Carrier(try PacketRing(interface: interface, group: group)))
    } catch {
      throw .environment(error.description)
    }
  }

  consuming func start(
    _ workers: [TapWorker], pins: Bool, failed: @escaping @Sendable (String) -> Void
  ) throws(DaemonError) -> [WorkerThread] {
    var threads: [WorkerThread] = []
    for (index, worker) in workers.enumerated() {
      let carrier = carriers[index]
      let processor = pins ? Int32(index % Processors.count) : nil
      do throws(InterceptionError) {
        threads.append(
          try WorkerThread.start(processor: processor) {
            guard let ring = carrier.take() else { return }
            do throws(CaptureError) {
              try worker.run(ring)
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
