import Capture
import Detection
import Diversion
import EventOutput
import Inspection
import PacketDecoding
import Synchronization
import Traffic

/// What the worker of one queue needs; immutable.
struct QueueWorkerPlan: Sendable {
  var queue: UInt16
  var options: NFQueueOptions
  var inspection: InspectionSettings
  var eve: EVESettings
  var inspects: Bool
  var marks: MarkLayout
  /// Connections to these ports go to the TLS stage at their SYN.
  var divertedPorts: [UInt16]
}

/// One thread that owns a queue and the path of its packets: receive a batch, inspect, send verdicts.
final class QueueWorker: Sendable {
  let plan: QueueWorkerPlan
  let publication: RulePublication
  let shared: SharedDetectionState
  let records: RecordQueue
  private let isStopping = Atomic(false)
  private let statistics = Mutex(QueueWorkerStatistics())

  init(
    plan: QueueWorkerPlan, publication: RulePublication, shared: SharedDetectionState,
    records: RecordQueue
  ) {
    self.plan = plan
    self.publication = publication
    self.shared = shared
    self.records = records
  }

  func stop() { isStopping.store(true, ordering: .releasing) }

  /// As of the last batch but one at most.
  var latestStatistics: QueueWorkerStatistics { statistics.withLock { $0 } }

  /// Time that a batch is waited for; also how long a stop may take to be noticed, and records to be
  /// handed on.
  private static let waitMilliseconds: Int32 = 100

  /// Works until told to stop.
  /// - Parameter queue: bound already, so that a failure shows before anything is diverted.
  /// - Throws: where the queue fails; its packets then follow the rule's `--queue-bypass`.
  func run(_ queue: consuming NFQueue) throws(CaptureError) {
    let writer = EVEWriter(settings: plan.eve, output: QueuedLineOutput(records), files: records.fileOutput)
    var path = PacketPath(
      settings: plan.inspection, ruleSet: publication.ruleSet, shared: shared, sink: writer)
    var seen: UInt64 = 0
    var lines: UInt64 = 0
    var counts = QueueWorkerStatistics()
    let rejecter = RejectSender()
    while !isStopping.load(ordering: .acquiring) {
      if let ruleSet = publication.next(after: &seen) {
        path.replace(ruleSet: ruleSet)
        writer.forgetRules()
      }
      let count = try queue.receive(timeoutMilliseconds: Self.waitMilliseconds) { packet, verdicts in
        handle(packet, &path, &verdicts, rejecter, &counts)
      }
      if count == 0 || writer.lineCount != lines {
        writer.flush()
        lines = writer.lineCount
      }
      counts.traffic.read(path)
      counts.queue = queue.counters
      counts.refusalFailures = rejecter.failureCount
      statistics.withLock { $0 = counts }
    }
    path.finish()
    writer.flush()
  }

  private func handle(
    _ packet: borrowing QueuedPacket, _ path: inout PacketPath, _ verdicts: inout VerdictBatch,
    _ rejecter: RejectSender, _ counts: inout QueueWorkerStatistics
  ) {
    guard plan.inspects else {
      counts.uninspected &+= 1
      verdicts.add(packet.id, .accept)
      return
    }
    let result = path.process(
      packet.bytes, link: .raw, time: packet.time, length: packet.originalLength,
      isChecksumPartial: packet.checksumNotReady)
    counts.traffic.note(result)
    switch result.verdict {
    case .accept, .divert:
      if isDiverted(result) {
        counts.diverted &+= 1
        if let flow = result.flow { path.forget(flow) }
        verdicts.add(packet.id, .repeat, mark: packet.mark & ~plan.marks.mask | plan.marks.deliver)
      } else if let changed = replaced(packet.bytes, result),
        verdicts.add(packet.id, .accept, replacement: changed.rawSpan)
      {
        counts.replaced &+= 1
      } else {
        verdicts.add(packet.id, .accept)
      }
    case .release:
      counts.released &+= 1
      verdicts.add(packet.id, .repeat, mark: packet.mark & ~plan.marks.mask | plan.marks.release)
    case .drop:
      verdicts.add(packet.id, .drop)
    case .reject:
      rejecter.reject(packet.bytes, action: result.rejectAction)
      verdicts.add(packet.id, .drop)
    }
  }

  private func replaced(_ bytes: RawSpan, _ result: Inspection.PacketVerdict) -> [UInt8]? {
    guard !result.replacements.isEmpty else { return nil }
    return PacketRewrite.apply(result.replacements, to: bytes)
  }

  /// A bare SYN to a port whose connections the TLS stage takes. That the 5-tuple is known already says
  /// nothing: the last packets of a connection, late on their way, make a flow of their own, and the
  /// client may use its port again.
  private func isDiverted(_ result: Inspection.PacketVerdict) -> Bool {
    guard let port = result.synDestinationPort else { return false }
    return plan.divertedPorts.contains(port)
  }
}

/// What a queue's worker has done.
struct QueueWorkerStatistics: Sendable {
  var traffic = TrafficStatistics()
  var queue = NFQueue.Counters()
  /// Packets given back unseen (`capture.inspect: none`).
  var uninspected: UInt64 = 0
  /// Packets passed with other octets (`replace`).
  var replaced: UInt64 = 0
  /// Connections handed to the TLS stage.
  var diverted: UInt64 = 0
  /// Packets whose connections the kernel was told to pass from then on.
  var released: UInt64 = 0
  /// Resets and ICMP errors that could not be sent.
  var refusalFailures: UInt64 = 0

  static func += (left: inout Self, right: Self) {
    left.traffic += right.traffic
    left.queue.packetCount &+= right.queue.packetCount
    left.queue.cutPacketCount &+= right.queue.cutPacketCount
    left.queue.overrunCount &+= right.queue.overrunCount
    left.queue.malformedCount &+= right.queue.malformedCount
    left.queue.refusedVerdictCount &+= right.queue.refusedVerdictCount
    left.queue.sendErrorCount &+= right.queue.sendErrorCount
    left.uninspected &+= right.uninspected
    left.replaced &+= right.replaced
    left.diverted &+= right.diverted
    left.released &+= right.released
    left.refusalFailures &+= right.refusalFailures
  }

  /// By dotted names.
  var counters: [(name: String, value: UInt64)] {
    traffic.counters + [
      ("ips.replaced", replaced),
      ("sluice.capture.packets", queue.packetCount), ("sluice.capture.cut", queue.cutPacketCount),
      ("sluice.capture.overruns", queue.overrunCount), ("sluice.capture.malformed", queue.malformedCount),
      ("sluice.capture.refused_verdicts", queue.refusedVerdictCount),
      ("sluice.capture.send_errors", queue.sendErrorCount),
      ("sluice.capture.uninspected", uninspected), ("sluice.capture.diverted", diverted),
      ("sluice.capture.released", released), ("sluice.capture.refusal_failures", refusalFailures),
    ]
  }
}
