import AppLayer
import Capture
import Detection
import EventOutput
import FlowTracking
import Glibc
import Inspection
import Interception
import PacketDecoding
import StreamReassembly
import Synchronization
import Traffic

/// One capture, spread over several workers by flow, whose records are those of one worker.
///
/// A reader hands blocks of packets to all workers; each takes those of its hosts through a path of its own. What rules
/// remember across flows is one for all, and each worker comes to it in the order of packets (``ShareOrder``). Records
/// are written with their places and joined. Where something was met that only one worker can tell, or that might have
/// been otherwise had one path held all flows, what was written counts for nothing, and the caller begins anew.
final class SharedEvaluation: Sendable {
  /// What a worker leaves.
  private struct Result: Sendable {
    var traffic = TrafficStatistics()
    var flows = FlowTableCounters()
    var fragments = DefragmenterCounters()
    var streams = ReassemblyCounters()
    var share: PathShare
    var failure: Int32?
  }

  private let evaluation: Evaluation
  private let workers: Int
  private let way: Way
  private let ring: BlockRing
  private let order: ShareOrder
  private let shared: SharedDetectionState
  private let results: Mutex<[Result?]>
  private let path: String
  private let arePortsRefused = Atomic<Bool>(false)
  private let isHasteRefused = Atomic<Bool>(false)

  /// How a capture is shared. The quickest way is tried first; what makes it impossible shows on the way.
  struct Way: Sendable, Equatable {
    /// Connections between the same two hosts are spread, too.
    var usesPorts = true
    /// Each connection waits at its start until it is known whether an earlier packet has announced it.
    var awaitsAnnouncements = false
  }

  /// - Parameter path: workers write beside it.
  init(_ evaluation: Evaluation, workers: Int, way: Way, path: String) {
    self.way = way
    self.evaluation = evaluation
    self.workers = workers
    self.path = path
    ring = BlockRing(workers: workers)
    order = ShareOrder(workers: workers)
    shared = SharedDetectionState(names: evaluation.names)
    results = Mutex(Array(repeating: nil, count: workers))
  }

  enum Outcome {
    /// Nothing was written.
    case refused(String)
    /// Nor here, but it may be done in this way.
    case again(Way)
    case done(EvaluationSummary)
  }

  private func part(_ worker: Int) -> String { "\(path).flows\(worker)" }

  func run(
    _ capture: String, output: FileLineOutput, progress: (UInt64, UInt64?) -> Void
  ) throws(CaptureError) -> Outcome {
    var reader = ShareReader(try PcapFileSource(path: capture), evaluation, workers: workers, usesPorts: way.usesPorts)
    defer { for worker in 0..<workers { unsafe unlink(part(worker)) } }
    var threads: [WorkerThread] = []
    for worker in 0..<workers {
      guard let file = try? FileLineOutput(path: part(worker), appends: false) else {
        return stop(threads, "\(part(worker)): cannot be written")
      }
      let opened = Handed(file)
      guard let thread = try? WorkerThread.start({ self.work(worker, opened) }) else {
        return stop(threads, "the system grants no more threads")
      }
      threads.append(thread)
    }
    do throws(CaptureError) {
      try reader.read(into: ring, order, progress)
    } catch {
      _ = stop(threads, error.description)
      throw error
    }
    ring.end()
    for thread in threads { thread.join() }
    if let next = otherWay { return .again(next) }
    if let reason = order.reasonOfRefusal { return .refused(reason) }
    return finish(reader, output)
  }

  private var otherWay: Way? {
    var other = way
    if arePortsRefused.load(ordering: .relaxed) { other.usesPorts = false }
    if isHasteRefused.load(ordering: .relaxed) { other.awaitsAnnouncements = true }
    return other == way ? nil : other
  }

  private func stop(_ threads: [WorkerThread], _ reason: String) -> Outcome {
    order.refuse(reason)
    for worker in threads.count..<workers { order.positions[worker].finish() }
    ring.end()
    for thread in threads { thread.join() }
    return .refused(reason)
  }

  // MARK: A worker

  /// SAFETY (`@unchecked`): made by one thread for another, and touched by that other alone.
  private final class Handed: @unchecked Sendable {
    let file: FileLineOutput
    init(_ file: FileLineOutput) { self.file = file }
  }

  private func work(_ worker: Int, _ file: Handed) {
    let settings = evaluation.settings
    let part = RecordPart(file.file)
    let writer = EVEWriter(settings: settings.outputs.eve, output: part)
    let position = order.positions[worker]
    defer { position.finish() }
    let turn = ShareTurn(order, worker: worker)
    let expected = way.awaitsAnnouncements ? ExpectedFlows.Order.byTurn { turn.take() } : .unexpected { self.refuseHaste() }
    var path = PacketPath(
      settings: settings.inspection, ruleSet: evaluation.ruleSet,
      shared: SharedDetectionState(sharing: shared, turn: turn, expected: expected), sink: writer)
    path.expiryLimit = .max
    path.share = PathShare(
      index: worker, count: workers, usesPorts: way.usesPorts, usesTunnelDepth: settings.inspection.flows.usesTunnelDepth)
    var traffic = TrafficStatistics()
    var second = Int64.min
    var last: UInt64 = 0
    while ring.next(worker, { block in
      last = block.firstNumber &+ UInt64(block.entries.count) &- 1
      if !order.isOver { walk(block, worker, position, part, writer, &path, &traffic, &second) }
    }) {}
    if order.isOver { return }
    position.beginEndings(last &+ 1)
    path.finish { start, flowID in
      writer.flush()
      part.place = RecordPlace(packet: last &+ 1, start: start.nanoseconds, flowID: flowID)
      position.note(start, flowID)
    }
    writer.flush()
    part.flush()
    traffic.read(&path)
    guard let share = path.share else { return }
    let result = Result(
      traffic: traffic, flows: path.flowCounters, fragments: path.defragmenterCounters,
      streams: path.reassemblyCounters, share: share, failure: part.failure)
    results.withLock { $0[worker] = result }
  }

  private func walk(
    _ block: PacketBlock, _ worker: Int, _ position: ShareOrder.Position, _ part: RecordPart, _ writer: EVEWriter,
    _ path: inout PacketPath, _ traffic: inout TrafficStatistics, _ second: inout Int64
  ) {
    let entries = block.entries
    let bytes = block.bytes
    var number = block.firstNumber &- 1
    for entry in entries {
      number &+= 1
      if entry.time.seconds > second {
        second = entry.time.seconds
        position.beginEndings(number)
        path.advance(to: entry.time) { start, flowID in
          writer.flush()
          part.place = RecordPlace(packet: number, start: start.nanoseconds, flowID: flowID)
          position.note(start, flowID)
        }
        writer.flush()
      }
      position.begin(number)
      guard entry.owner == worker else { continue }
      part.place = RecordPlace(packet: number)
      path.skip(to: number)
      let verdict = path.process(
        bytes.rawSpan.extracting(entry.offset..<entry.offset + entry.byteCount), link: entry.link, time: entry.time,
        length: entry.originalLength)
      traffic.note(verdict)
      writer.flush()
    }
    switch path.share?.refusal {
    case nil: break
    case .other(let reason): order.refuse(reason)
    case .fragmentedTCP:
      arePortsRefused.store(true, ordering: .relaxed)
      order.refuse("TCP in fragments")
    }
  }

  private func refuseHaste() {
    isHasteRefused.store(true, ordering: .relaxed)
    order.refuse("a connection was announced")
  }

  // MARK: All together

  private func finish(_ reader: borrowing ShareReader, _ output: FileLineOutput) -> Outcome {
    let all = results.withLock { $0.compactMap { $0 } }
    guard all.count == workers else { return .refused("a worker came to no end") }
    if let reason = reasonToRefuse(all) { return .refused(reason) }
    RecordPartReader.join((0..<workers).map(part), into: output)
    var summary = EvaluationSummary()
    var traffic = TrafficStatistics()
    for one in all { traffic += one.traffic }
    summary.take(traffic, packets: reader.count, warnings: reader.warnings)
    let writer = EVEWriter(settings: evaluation.settings.outputs.eve, output: output)
    Evaluation.writeStatistics(traffic, reader.span, writer)
    return .done(summary)
  }

  /// What one path with all flows might have told otherwise.
  private func reasonToRefuse(_ all: [Result]) -> String? {
    let settings = evaluation.settings.inspection
    if let failure = all.lazy.compactMap(\.failure).first {
      return "records beside \(path) were lost: \(TextFile.lastError(failure))"
    }
    func sum(_ value: (Result) -> UInt64) -> UInt64 { all.reduce(0) { $0 &+ value($1) } }
    let flows = sum { $0.flows.flowsActiveMax }
    let hits = sum { $0.flows.memcapHits &+ $0.flows.sessionMemcapHits &+ $0.fragments.memcapHits &+ $0.streams.memcapHits }
    if hits > 0 || sum({ $0.fragments.evicted }) > 0
      || flows > UInt64(clamping: min(settings.flows.flowCountMax, settings.flows.sessionCountMax))
      || sum({ $0.fragments.heldBytesMax }) > UInt64(clamping: settings.defragmentation.memcapBytes)
      || sum({ $0.fragments.datagramsMax }) > UInt64(clamping: settings.defragmentation.datagramCountMax)
      || sum({ $0.streams.heldBytesMax }) > UInt64(clamping: settings.reassembly.memcapBytes)
    {
      return "a memory limit may have been met"
    }
    for (index, one) in all.enumerated() where !one.share.claims.isEmpty {
      for other in all[(index + 1)...] where !one.share.claims.isDisjoint(with: other.share.claims) {
        return "hosts in tunnels are seen through several of them"
      }
    }
    return nil
  }
}
