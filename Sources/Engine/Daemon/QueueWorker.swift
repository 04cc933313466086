import Capture
import Detection
import Diversion
import EventOutput
import FlowTracking
import Inspection
import Interception
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
  /// What this machine sends is queued too (host), or needs a route of its own (bridge).
  var marksRefusals = false
}

/// One thread that owns a queue and the path of its packets: receive a batch, inspect, send verdicts.
final class QueueWorker: Sendable {
  let plan: QueueWorkerPlan
  let publication: RulePublication
  let shared: SharedDetectionState
  let records: RecordQueue
  /// nil where there is no TLS stage, or nothing is taken over for it.
  let takeoverTarget: TakeoverTarget?
  /// nil where QUIC is let alone.
  let quic: QUICRefusal?
  let mailbox = WorkerMailbox()
  private let isStopping = Atomic(false)
  private let isDraining = Atomic(false)
  private let beatCount = Atomic<UInt64>(0)
  private let statistics = Mutex(QueueWorkerStatistics())

  init(
    plan: QueueWorkerPlan, publication: RulePublication, shared: SharedDetectionState,
    records: RecordQueue, takeoverTarget: TakeoverTarget?, quic: QUICRefusal? = nil
  ) {
    self.quic = quic
    self.plan = plan
    self.publication = publication
    self.shared = shared
    self.records = records
    self.takeoverTarget = takeoverTarget
  }

  /// Grows several times a second while the worker is at work.
  var beats: UInt64 { beatCount.load(ordering: .relaxed) }

  func stop() { isStopping.store(true, ordering: .releasing) }

  var work: SourceList<NFQueue>.Work {
    .init(run: { source throws(CaptureError) in try self.run(source) }, stop: { self.stop() })
  }

  /// Gives the TLS stage no more connections; they stay flows of packets.
  func drain() { isDraining.store(true, ordering: .releasing) }

  /// Some 20 ms old while packets come.
  var latestStatistics: QueueWorkerStatistics { statistics.withLock { $0 } }

  /// Time that a batch is waited for; also how long a stop may take to be noticed, and records to be
  /// handed on.
  private static let waitMilliseconds: Int32 = 100
  /// The same while a hello waits for its rest.
  private static let holdingMilliseconds: Int32 = 10
  /// How old the counters that others see may be while packets come.
  private static let noteSeconds = 0.02
  /// How long packets that wait at the end are given verdicts.
  private static let closingSeconds = 1.0

  /// What the thread works with.
  private struct Work: ~Copyable {
    var path: PacketPath
    var counts = QueueWorkerStatistics()
    let rejecter: RejectSender
    let takeover: Takeover?
    /// For connections that the kernel's tracking is to forget.
    var conntrack: Conntrack?
    var isDraining = false
    /// On a bridge: whom refusals go to.
    private lazy var neighbours = NeighbourTable()

    mutating func noteSender(_ packet: borrowing QueuedPacket) {
      guard let sender = Takeover.source(of: packet.bytes), packet.hardwareSource != 0 else { return }
      neighbours.set(sender, packet.hardwareSource, interface: packet.inputInterface)
    }

    init(path: consuming PacketPath, rejecter: RejectSender, takeover: Takeover?, conntrack: consuming Conntrack?) {
      self.path = path
      self.rejecter = rejecter
      self.takeover = takeover
      self.conntrack = conntrack
    }
  }

  /// Works until told to stop.
  /// - Parameter queue: bound already, so that a failure shows before anything is diverted.
  /// - Throws: where the queue fails; its packets then follow the rule's `--queue-bypass`.
  func run(_ queue: consuming NFQueue) throws(CaptureError) {
    let writer = EVEWriter(settings: plan.eve, output: QueuedLineOutput(records), files: records.fileOutput)
    var work = Work(
      path: PacketPath(settings: plan.inspection, ruleSet: publication.ruleSet, shared: shared, sink: writer),
      rejecter: RejectSender(mark: plan.marksRefusals ? plan.marks.clientLeg : 0),
      takeover: takeoverTarget.map { Takeover($0, marks: plan.marks, failsOpen: plan.options.failsOpen) },
      conntrack: takeoverTarget == nil ? nil : try? Conntrack())
    var seen: UInt64 = 0
    var lines: UInt64 = 0
    var (isNoted, notedAt) = (true, 0.0)
    while !isStopping.load(ordering: .acquiring) {
      // In this order: who publishes rules and then asks for something gets it with those rules.
      beatCount.add(1, ordering: .relaxed)
      let requests = mailbox.take()
      if let ruleSet = publication.next(after: &seen) {
        work.path.replace(ruleSet: ruleSet)
        writer.forgetRules()
      }
      for request in requests { request(&work.path) }
      if !requests.isEmpty { note(&work, queue) }
      if !work.isDraining, isDraining.load(ordering: .acquiring) { beginDraining(&work, &queue) }
      let wait = work.takeover?.isHolding == true || !isNoted ? Self.holdingMilliseconds : Self.waitMilliseconds
      let count = try queue.receive(timeoutMilliseconds: wait) { packet, verdicts in
        handle(packet, &work, &verdicts)
      }
      work.takeover?.tick(&work.path)
      settle(&work, &queue)
      if count == 0 || writer.lineCount != lines {
        writer.flush()
        lines = writer.lineCount
      }
      // To copy all counters after each batch would take as long as a packet.
      isNoted = isNoted && count == 0
      if !isNoted, count == 0 || MonotonicClock.seconds() - notedAt > Self.noteSeconds {
        note(&work, queue)
        (isNoted, notedAt) = (true, MonotonicClock.seconds())
      }
    }
    try close(&work, &queue)
    note(&work, queue)
    for request in mailbox.take() { request(&work.path) }
    work.path.finish()
    writer.flush()
  }

  private func note(_ work: inout Work, _ queue: borrowing NFQueue) {
    var counts = work.counts
    counts.traffic.read(&work.path)
    counts.releasedFlows = work.path.counters.released
    counts.recalledFlows = work.path.counters.recalled
    counts.queue = queue.counters
    counts.refusalFailures = work.rejecter.failureCount
    if let counters = work.takeover?.counters { counts.takeover = counters }
    statistics.withLock { $0 = counts }
  }

  private func beginDraining(_ work: inout Work, _ queue: inout NFQueue) {
    work.isDraining = true
    work.takeover?.finish(&work.path)
    settle(&work, &queue)
    // Followers of what was taken last still have to reach their sockets.
  }

  /// What waits in the queue gets its verdict; what comes meanwhile passes where the queue fails open.
  private func close(_ work: inout Work, _ queue: inout NFQueue) throws(CaptureError) {
    if plan.options.failsOpen { queue.beginClosing() }
    let end = MonotonicClock.seconds() + Self.closingSeconds
    while MonotonicClock.seconds() < end {
      let count = try queue.receive(timeoutMilliseconds: 0) { packet, verdicts in
        handle(packet, &work, &verdicts)
      }
      settle(&work, &queue)
      if count == 0 { return }
    }
  }

  /// Verdicts for packets held before, and what was taken goes to the TLS stage.
  private func settle(_ work: inout Work, _ queue: inout NFQueue) {
    guard let takeover = work.takeover, !takeover.deferred.isEmpty || !takeover.handed.isEmpty else { return }
    hand(&work)
    for one in takeover.deferred {
      count(one.verdict, &work.counts)
      queue.verdict(packetID: one.held.id, one.verdict, mark: mark(one.verdict, one.held.mark))
    }
    takeover.deferred.removeAll(keepingCapacity: true)
    queue.flushVerdicts()
  }

  private func mark(_ verdict: Capture.PacketVerdict, _ mark: UInt32) -> UInt32? {
    verdict == .repeat ? mark & ~plan.marks.mask | plan.marks.deliver : nil
  }

  private func count(_ verdict: Capture.PacketVerdict, _ counts: inout QueueWorkerStatistics) {
    counts.held &-= 1
    if verdict == .accept { counts.traffic.accepted &+= 1 } else { counts.diverted &+= 1 }
  }

  /// Connections that were taken go to the stage before any packet of theirs is repeated.
  private func hand(_ work: inout Work) {
    guard let takeover = work.takeover, !takeover.handed.isEmpty else { return }
    for tuple in takeover.forgetInKernel { _ = try? work.conntrack?.delete(tuple) }
    for connection in takeover.handed {
      let place = Int(connection.clientName.port) % takeover.target.mailboxes.count
      takeover.target.mailboxes[place].adopt(connection)
    }
    takeover.handed.removeAll(keepingCapacity: true)
    takeover.forgetInKernel.removeAll(keepingCapacity: true)
  }

  private func handle(
    _ packet: borrowing QueuedPacket, _ work: inout Work, _ verdicts: inout VerdictBatch
  ) {
    guard plan.inspects else {
      work.counts.uninspected &+= 1
      verdicts.add(packet.id, .accept)
      return
    }
    if let takeover = work.takeover, takeover.hasRecent, takeover.isFollower(packet.bytes) {
      work.counts.diverted &+= 1
      let verdict = takeover.verdict(hook: packet.hook)
      verdicts.add(packet.id, verdict, mark: mark(verdict, packet.mark))
      return
    }
    let result = work.path.process(
      packet.bytes, link: .raw, time: packet.time, length: packet.originalLength,
      isChecksumPartial: packet.checksumNotReady)
    switch result.verdict {
    case .accept, .divert:
      if let quic, result.direction == .toServer, packet.bytes.isUDP, let flow = result.flow,
        refuses(packet, result, flow, quic, &work, &verdicts)
      {
        return
      }
      accept(packet, result, &work, &verdicts)
    case .release:
      work.counts.released &+= 1
      let mark = marked(packet, result) ?? packet.mark
      verdicts.add(packet.id, .repeat, mark: mark & ~plan.marks.mask | plan.marks.release)
    case .drop:
      work.counts.traffic.note(result)
      verdicts.add(packet.id, .drop)
    case .reject:
      work.counts.traffic.note(result)
      if packet.physicalInputInterface != 0 { work.noteSender(packet) }
      work.rejecter.reject(packet.bytes, action: result.rejectAction)
      verdicts.add(packet.id, .drop)
    }
  }

  private func accept(
    _ packet: borrowing QueuedPacket, _ result: Inspection.PacketVerdict, _ work: inout Work,
    _ verdicts: inout VerdictBatch
  ) {
    if !work.isDraining {
      if packet.hook == 0, isDiverted(result) {
        work.counts.diverted &+= 1
        if let flow = result.flow { work.path.forget(flow) }
        verdicts.add(packet.id, .repeat, mark: packet.mark & ~plan.marks.mask | plan.marks.deliver)
        return
      }
      if result.segment != nil, let takeover = work.takeover, takeOver(packet, result, takeover, &work, &verdicts) {
        return
      }
    }
    work.counts.traffic.note(result)
    if let changed = replaced(packet.bytes, result),
      verdicts.add(packet.id, .accept, mark: marked(packet, result), replacement: changed.rawSpan)
    {
      work.counts.replaced &+= 1
    } else {
      verdicts.add(packet.id, .accept, mark: marked(packet, result))
    }
  }

  /// The mark that rules give the packet; nil leaves it as it is.
  private func marked(_ packet: borrowing QueuedPacket, _ result: Inspection.PacketVerdict) -> UInt32? {
    result.mark.map { $0.applied(to: packet.mark, sparing: plan.marks.mask) }
  }

  /// - Returns: whether the packet's verdict is given, or will be.
  private func takeOver(
    _ packet: borrowing QueuedPacket, _ result: Inspection.PacketVerdict, _ takeover: Takeover,
    _ work: inout Work, _ verdicts: inout VerdictBatch
  ) -> Bool {
    let step = takeover.note(packet, result, &work.path)
    hand(&work)
    if !takeover.deferred.isEmpty {
      for one in takeover.deferred {
        count(one.verdict, &work.counts)
        verdicts.add(one.held.id, one.verdict, mark: mark(one.verdict, one.held.mark))
      }
      takeover.deferred.removeAll(keepingCapacity: true)
    }
    switch step {
    case .pass: return false
    case .hold:
      work.counts.held &+= 1
      return true
    case .taken:
      work.counts.diverted &+= 1
      let verdict = takeover.verdict(hook: packet.hook)
      verdicts.add(packet.id, verdict, mark: mark(verdict, packet.mark))
      return true
    case .drop:
      work.counts.diverted &+= 1
      verdicts.add(packet.id, .drop)
      return true
    case .refuse:
      work.counts.refusedTakeovers &+= 1
      work.rejecter.reject(packet.bytes, action: .rejectboth)
      verdicts.add(packet.id, .drop)
      return true
    }
  }

  /// - Returns: whether the packet's verdict is given.
  private func refuses(
    _ packet: borrowing QueuedPacket, _ result: Inspection.PacketVerdict, _ index: FlowIndex, _ quic: QUICRefusal,
    _ work: inout Work, _ verdicts: inout VerdictBatch
  ) -> Bool {
    guard case .hello(let hello) = work.path.quicOpening(index), let flow = work.path.flow(index),
      let (decision, sni) = quic.decide(hello, flow.tuple, at: packet.time)
    else { return false }
    var record = decision.record(sni: sni)
    record.step = "quic"
    let isStopped = decision.action != .tunnel
    if decision.action == .inspect { record.reason = "refused, for TCP to be inspected: \(decision.reason)" }
    work.path.decideQUIC(index, record, isStopped: isStopped, isReleased: !isStopped, at: packet.time)
    switch decision.action {
    case .inspect: work.counts.quicRefused &+= 1
    case .block: work.counts.quicBlocked &+= 1
    case .tunnel:
      work.counts.quicTunnelled &+= 1
      return false
    }
    var stopped = result
    stopped.verdict = .drop
    stopped.reason = .interceptionPolicy
    work.counts.traffic.note(stopped)
    if quic.handling == .refuse {
      if packet.physicalInputInterface != 0 { work.noteSender(packet) }
      work.rejecter.reject(packet.bytes, action: nil, asClosedPort: true)
    }
    verdicts.add(packet.id, .drop)
    return true
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
  /// Connections released, and called back.
  var releasedFlows: UInt64 = 0
  var recalledFlows: UInt64 = 0
  /// Packets of a hello that wait for its rest.
  var held: UInt64 = 0
  /// Packets stopped because their connection could not be taken over.
  var refusedTakeovers: UInt64 = 0
  var takeover = Takeover.Counters()
  /// QUIC connections refused so that they come by TCP, blocked, and left alone.
  var quicRefused: UInt64 = 0
  var quicBlocked: UInt64 = 0
  var quicTunnelled: UInt64 = 0
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
    left.releasedFlows &+= right.releasedFlows
    left.recalledFlows &+= right.recalledFlows
    left.held &+= right.held
    left.refusedTakeovers &+= right.refusedTakeovers
    left.takeover += right.takeover
    left.quicRefused &+= right.quicRefused
    left.quicBlocked &+= right.quicBlocked
    left.quicTunnelled &+= right.quicTunnelled
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
      ("sluice.capture.released", released), ("sluice.capture.held", held),
      ("sluice.release.flows", releasedFlows), ("sluice.release.recalled", recalledFlows),
      ("sluice.takeover.taken", takeover.taken), ("sluice.takeover.failures", takeover.failures),
      ("sluice.takeover.tunnelled", takeover.tunnelled), ("sluice.takeover.retries", takeover.retries),
      ("sluice.takeover.followers", takeover.followers), ("sluice.takeover.over_limit", takeover.overLimit),
      ("sluice.quic.refused", quicRefused), ("sluice.quic.blocked", quicBlocked),
      ("sluice.quic.tunnelled", quicTunnelled),
      ("sluice.takeover.refused", refusedTakeovers), ("sluice.capture.refusal_failures", refusalFailures),
    ]
  }
}
