import CSluiceLinux
import EventOutput
import Glibc
import Interception
import Synchronization
import Traffic

/// Takes lines from all workers to one thread that writes them.
///
/// - Limits: at most `bytesMax` wait; what comes beyond is lost and counted, because events never hold
///   up traffic.
final class RecordQueue: Sendable {
  private struct Waiting {
    var pieces: [[UInt8]] = []
    var bytes = 0
    var lostBytes: UInt64 = 0
    var writeErrors: UInt64 = 0
    var isClosed = false
  }

  private let bytesMax: Int
  private let waiting = Mutex(Waiting())
  private let wakeUp: Int32

  /// - Throws: where the kernel gives no event descriptor.
  init(bytesMax: Int = 64 << 20) throws(SettingsError) {
    self.bytesMax = bytesMax
    wakeUp = sluice_eventfd()
    guard wakeUp >= 0 else { throw SettingsError("eventfd: \(TextFile.lastError())") }
  }

  deinit { Glibc.close(wakeUp) }

  /// Octets of records lost because the output could not keep up.
  var lostBytes: UInt64 { waiting.withLock { $0.lostBytes } }

  /// Writes that failed; their records are lost.
  var writeErrors: UInt64 { waiting.withLock { $0.writeErrors } }

  func put(_ lines: RawSpan) {
    let copy = lines.copied()
    let wasEmpty = waiting.withLock { waiting in
      guard waiting.bytes + copy.count <= bytesMax else {
        waiting.lostBytes &+= UInt64(copy.count)
        return false
      }
      let wasEmpty = waiting.pieces.isEmpty
      waiting.pieces.append(copy)
      waiting.bytes += copy.count
      return wasEmpty
    }
    if wasEmpty { wake() }
  }

  /// Lets `run` return when all is written.
  func close() {
    waiting.withLock { $0.isClosed = true }
    wake()
  }

  /// Writes until closed; the output thread's work.
  func run(_ output: FileLineOutput) {
    while true {
      let (pieces, isClosed) = take()
      for piece in pieces { output.write(piece.rawSpan) }
      waiting.withLock { $0.writeErrors = output.failureCount }
      if pieces.isEmpty {
        if isClosed { return }
        sleep()
      }
    }
  }

  /// Everything that waits, in order, and whether nothing more will come.
  func take() -> (pieces: [[UInt8]], isClosed: Bool) {
    waiting.withLock { waiting in
      defer {
        waiting.pieces.removeAll(keepingCapacity: true)
        waiting.bytes = 0
      }
      return (waiting.pieces, waiting.isClosed)
    }
  }

  private func wake() {
    var one: UInt64 = 1
    // SAFETY: writes eight octets of a local.
    _ = unsafe Glibc.write(wakeUp, &one, 8)
  }

  /// Waits until something comes, one of `others` is ready, or a second is over.
  func sleep(also others: [pollfd] = []) {
    var descriptors = [pollfd(fd: wakeUp, events: Int16(POLLIN), revents: 0)] + others
    _ = unsafe poll(&descriptors, nfds_t(descriptors.count), 1000)
    var count: UInt64 = 0
    // SAFETY: reads eight octets into a local; the descriptor does not block.
    _ = unsafe Glibc.read(wakeUp, &count, 8)
  }
}

/// A worker's end of the queue.
final class QueuedLineOutput: LineOutput {
  private let queue: RecordQueue
  init(_ queue: RecordQueue) { self.queue = queue }
  func write(_ lines: RawSpan) { queue.put(lines) }
}
