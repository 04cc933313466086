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
  private enum Piece {
    case lines([UInt8])
    case content([UInt8], UInt64)
    case file(UInt64, [UInt8])
    case description([UInt8], [UInt8], [UInt8])

    var bytes: Int {
      switch self {
      case .lines(let bytes), .content(let bytes, _), .description(_, _, let bytes): bytes.count
      case .file: 64
      }
    }
  }

  private struct Waiting {
    var pieces: [Piece] = []
    var bytes = 0
    var lostBytes: UInt64 = 0
    var writeErrors: UInt64 = 0
    var isClosed = false
  }

  private let bytesMax: Int
  private let waiting = Mutex(Waiting())
  private let wakeUp: Int32
  /// Where files are stored; nil where they are not.
  private let files: FileDirectory?

  /// - Throws: where the kernel gives no event descriptor.
  init(bytesMax: Int = 64 << 20, files: FileDirectory? = nil) throws(SettingsError) {
    self.bytesMax = bytesMax
    self.files = files
    wakeUp = sluice_eventfd()
    guard wakeUp >= 0 else { throw SettingsError("eventfd: \(TextFile.lastError())") }
  }

  deinit { Glibc.close(wakeUp) }

  /// Octets of records lost because the output could not keep up.
  var lostBytes: UInt64 { waiting.withLock { $0.lostBytes } }

  /// Writes that failed; their records are lost.
  var writeErrors: UInt64 { waiting.withLock { $0.writeErrors } }

  func put(_ lines: RawSpan) { _ = put(.lines(lines.copied())) }

  /// - Returns: false where it is lost.
  private func put(_ piece: Piece) -> Bool {
    let count = piece.bytes
    let (isTaken, wasEmpty) = waiting.withLock { waiting in
      guard waiting.bytes + count <= bytesMax else {
        waiting.lostBytes &+= UInt64(count)
        return (false, false)
      }
      let wasEmpty = waiting.pieces.isEmpty
      waiting.pieces.append(piece)
      waiting.bytes += count
      return (true, wasEmpty)
    }
    if wasEmpty { wake() }
    return isTaken
  }

  /// A worker's way to the store; nil where files are not stored.
  var fileOutput: (any FileOutput)? { files.map { QueuedFileOutput(self, $0) } }

  fileprivate func put(_ bytes: RawSpan, to number: UInt64) -> Bool { put(.content(bytes.copied(), number)) }

  fileprivate func finish(_ number: UInt64, as name: [UInt8]) -> Bool { put(.file(number, name)) }

  fileprivate func describe(_ name: [UInt8], _ suffix: [UInt8], _ record: RawSpan) {
    _ = put(.description(name, suffix, record.copied()))
  }

  /// Lets `run` return when all is written.
  func close() {
    waiting.withLock { $0.isClosed = true }
    wake()
  }

  /// Writes until closed; the output thread's work.
  func run(_ output: FileLineOutput) {
    while true {
      let (pieces, isClosed) = takePieces()
      for piece in pieces { write(piece, output) }
      waiting.withLock { $0.writeErrors = output.failureCount }
      if pieces.isEmpty {
        if isClosed { return }
        sleep()
      }
    }
  }

  /// Everything that waits, in order, and whether nothing more will come; for queues that take no files.
  func take() -> (pieces: [[UInt8]], isClosed: Bool) {
    let (pieces, isClosed) = takePieces()
    return (pieces.compactMap { if case .lines(let lines) = $0 { lines } else { nil } }, isClosed)
  }

  private func takePieces() -> (pieces: [Piece], isClosed: Bool) {
    waiting.withLock { waiting in
      defer {
        waiting.pieces.removeAll(keepingCapacity: true)
        waiting.bytes = 0
      }
      return (waiting.pieces, waiting.isClosed)
    }
  }

  private func write(_ piece: Piece, _ output: FileLineOutput) {
    switch piece {
    case .lines(let lines): output.write(lines.rawSpan)
    // The directory counts what it cannot write.
    case .content(let bytes, let number): _ = files?.append(bytes.rawSpan, to: number)
    case .file(let number, let name): _ = files?.finish(number, as: name)
    case .description(let name, let suffix, let record):
      files?.describe(name, suffix, record: record.rawSpan)
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

/// A worker's end of the queue for files.
private final class QueuedFileOutput: FileOutput {
  private let queue: RecordQueue
  private let directory: FileDirectory

  init(_ queue: RecordQueue, _ directory: FileDirectory) {
    self.queue = queue
    self.directory = directory
  }

  func nextNumber() -> UInt64 { directory.nextNumber() }
  func append(_ bytes: RawSpan, to number: UInt64) -> Bool { queue.put(bytes, to: number) }
  func finish(_ number: UInt64, as name: [UInt8]) -> Bool { queue.finish(number, as: name) }
  func describe(_ name: [UInt8], _ suffix: [UInt8], record: RawSpan) { queue.describe(name, suffix, record) }
}
