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

  var work: SourceList<PacketRing>.Work {
    .init(run: { source throws(CaptureError) in try self.run(source) }, stop: { self.stop() })
  }

  var latest: (traffic: TrafficStatistics, ring: PacketRing.Counters) { statistics.withLock { $0 } }

  private static let waitMilliseconds: Int32 = 100
  /// How long frames from before the end are waited for; the ring hands them over 20 ms after the first of a block.
  private static let closingSeconds = 1.0

  func run(_ opened: consuming PacketRing) throws(CaptureError) {
    var ring = opened
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
      _ = try ring.receive(timeoutMilliseconds: Self.waitMilliseconds) { Self.inspect($0, &path, &traffic) }
      writer.flush()
      note(&path, ring, &traffic)
    }
    try finish(&ring, &path, &traffic)
    note(&path, ring, &traffic)
    path.finish()
    writer.flush()
  }

  private static func inspect(_ frame: borrowing RingFrame, _ path: inout PacketPath, _ traffic: inout TrafficStatistics) {
    let result = path.process(
      frame.bytes, link: .ethernet, time: frame.time, length: frame.originalLength,
      isChecksumPartial: frame.checksumNotReady)
    traffic.note(result)
  }

  /// What the interface saw before the end was asked for is inspected, too.
  private func finish(
    _ ring: inout PacketRing, _ path: inout PacketPath, _ traffic: inout TrafficStatistics
  ) throws(CaptureError) {
    let last = Timestamp.now()
    let end = MonotonicClock.seconds() + Self.closingSeconds
    var isOver = false
    while !isOver, MonotonicClock.seconds() < end {
      let count = try ring.receive(timeoutMilliseconds: Self.waitMilliseconds) { frame in
        if frame.time > last { isOver = true } else { Self.inspect(frame, &path, &traffic) }
      }
      if count == 0 { return }
    }
  }

  private func note(_ path: inout PacketPath, _ ring: borrowing PacketRing, _ traffic: inout TrafficStatistics) {
    traffic.read(&path)
    let now = (traffic: traffic, ring: ring.counters)
    statistics.withLock { $0 = now }
  }
}
