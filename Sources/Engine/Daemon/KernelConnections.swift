import Capture
import Diversion
import Inspection
import Interception
import Synchronization
import Traffic

/// Follows the connections that the kernel passes by itself: their counts for the flow records, their ends,
/// and calling them back.
///
/// One thread asks connection tracking every few seconds and hears of ends in between; workers hear of it
/// through their mailboxes.
final class KernelConnections: Sendable {
  private let workers: [QueueWorker]
  private let marks: MarkLayout
  private let isStopping = Atomic(false)
  private let thread: Mutex<WorkerThread?>
  private let lostEvents = Atomic<UInt64>(0)
  private let active = Atomic<UInt64>(0)

  /// Between two looks at all of them.
  private static let lookSeconds = 5.0

  /// - Throws: where the kernel has no connection tracking that can be asked.
  init(workers: [QueueWorker], marks: MarkLayout) throws(CaptureError) {
    self.workers = workers
    self.marks = marks
    thread = Mutex(nil)
    // What is missing shows here, not in the thread.
    _ = try Conntrack(hearsEnds: true)
  }

  func start() {
    let started = try? WorkerThread.start { [self] in run() }
    thread.withLock { $0 = started }
  }

  func stop() {
    isStopping.store(true, ordering: .releasing)
    thread.withLock { thread in
      thread?.join()
      thread = nil
    }
  }

  /// Events of ends that the kernel could not hand over; the next look finds what they would have told.
  var lostEventCount: UInt64 { lostEvents.load(ordering: .relaxed) }
  /// Connections that the kernel passes now, as of the last look.
  var activeCount: UInt64 { active.load(ordering: .relaxed) }

  private func run() {
    guard var events = try? Conntrack(hearsEnds: true, mask: marks.release), var asking = try? Conntrack() else { return }
    var next = 0.0
    while !isStopping.load(ordering: .acquiring) {
      if let ended = try? events.ends(timeoutMilliseconds: 200) {
        tell(ended.filter { $0.mark & marks.release != 0 }, areOver: true)
      }
      lostEvents.store(events.lostEventCount, ordering: .relaxed)
      guard MonotonicClock.seconds() >= next else { continue }
      next = MonotonicClock.seconds() + Self.lookSeconds
      look(&asking)
    }
  }

  private func look(_ asking: inout Conntrack) {
    let begun = Timestamp.now()
    guard let all = try? asking.entries(mark: marks.release, mask: marks.release) else { return }
    active.store(UInt64(all.count), ordering: .relaxed)
    tell(all, areOver: false)
    let known = Set(all.map(\.tuple))
    // A flow released while the kernel listed its connections may be missing from the list.
    let before = Timestamp(nanoseconds: begun.nanoseconds &- 10_000_000_000)
    for worker in workers { worker.mailbox.post { $0.endReleased(except: known, before: before) } }
  }

  private func tell(_ entries: [ConntrackEntry], areOver: Bool) {
    guard !entries.isEmpty else { return }
    let now = Timestamp.now()
    for worker in workers {
      worker.mailbox.post { path in
        for entry in entries {
          path.noteKernelCounts(
            entry.tuple, original: (entry.original.packets, entry.original.bytes),
            reply: (entry.reply.packets, entry.reply.bytes), isOver: areOver, at: now)
        }
      }
    }
  }

  /// Brings the counts up to date before records are written for good.
  func lookNow() {
    guard var asking = try? Conntrack() else { return }
    if let all = try? asking.entries(mark: marks.release, mask: marks.release) { tell(all, areOver: false) }
  }

  /// Calls released connections back: their next packets come to the workers again.
  /// - Parameter fits: which; by their first packet's 5-tuple.
  /// - Returns: how many the kernel gave back.
  func recall(where fits: @Sendable (FlowTuple) -> Bool = { _ in true }) -> Int {
    guard var asking = try? Conntrack(),
      let all = try? asking.entries(mark: marks.release, mask: marks.release)
    else { return 0 }
    var count = 0
    for entry in all where fits(entry.tuple) {
      if (try? asking.setMark(entry, to: 0, mask: marks.release)) == true { count += 1 }
    }
    return count
  }
}
