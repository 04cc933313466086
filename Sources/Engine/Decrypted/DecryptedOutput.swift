import Capture
import Glibc
import Interception
import Synchronization
import Traffic

/// Where decrypted traffic goes, if anywhere: a file, readers of a socket, an interface. One thread
/// writes; workers only queue.
final class DecryptedOutput: Sendable {
  private let queue: RecordQueue
  private let settings: DecryptedSettings
  private let thread: Mutex<WorkerThread?>
  private let counted = Mutex(Counters())

  struct Counters: Sendable {
    var packets: UInt64 = 0
    var fileFailures: UInt64 = 0
    var interfaceFailures: UInt64 = 0
    var slowReaders: UInt64 = 0
  }

  /// The ends of the thread; made before it so that what cannot be had is told at the start.
  private final class Sinks {
    var file: DecryptedFile?
    var listener: DecryptedListener?
    var interface: DecryptedInterface?
  }

  /// Hands the sinks to the thread, which alone uses them from then on.
  private struct Handover: @unchecked Sendable { let sinks: Sinks }

  /// - Returns: nil where nothing is wanted.
  /// - Throws: what is missing or in use.
  init?(_ settings: DecryptedSettings) throws(SettingsError) {
    guard settings.isWanted else { return nil }
    self.settings = settings
    queue = try RecordQueue(bytesMax: settings.waitingBytesMax)
    let header = PcapngWriting.fileHeader(application: "Sluice", interface: "decrypted")
    let sinks = Sinks()
    if let path = settings.file {
      sinks.file = try DecryptedFile(
        path, bytesMax: settings.fileBytesMax, count: settings.fileCount, header: header)
    }
    if let name = settings.interface { sinks.interface = try DecryptedInterface(name) }
    if let address = settings.socket { sinks.listener = try DecryptedListener(address, header: header) }
    thread = Mutex(nil)
    let handover = Handover(sinks: sinks)
    do throws(InterceptionError) {
      let started = try WorkerThread.start { [self] in run(handover.sinks) }
      thread.withLock { $0 = started }
    } catch {
      throw SettingsError("decrypted traffic: \(error.description)")
    }
  }

  /// What is to be written of a connection that begins.
  func connection(_ flow: FlowTuple, _ comment: String) -> DecryptedConnection {
    DecryptedConnection(flow, serverPort: settings.serverPort, comment: comment)
  }

  func put(_ blocks: [UInt8]) { queue.put(blocks.rawSpan) }

  /// Writes what waits, then ends.
  func stop() {
    queue.close()
    thread.withLock { $0?.join() }
  }

  private func run(_ sinks: Sinks) {
    while true {
      let (pieces, isClosed) = queue.take()
      for piece in pieces { write(piece.rawSpan, sinks) }
      counted.withLock {
        $0.fileFailures = sinks.file?.failureCount ?? 0
        $0.interfaceFailures = sinks.interface?.failureCount ?? 0
        $0.slowReaders = sinks.listener?.slowReaderCount ?? 0
      }
      if pieces.isEmpty, isClosed { return }
      if pieces.isEmpty { queue.sleep(also: sinks.listener?.polled ?? []) }
      sinks.listener?.proceed()
    }
  }

  private func write(_ blocks: RawSpan, _ sinks: Sinks) {
    sinks.file?.write(blocks)
    sinks.listener?.send(blocks)
    var count: UInt64 = 0
    PcapngWriting.forEachFrame(in: blocks) { frame in
      count &+= 1
      sinks.interface?.send(frame)
    }
    counted.withLock { $0.packets &+= count }
  }

  /// By dotted names.
  var statistics: [(name: String, value: UInt64)] {
    let now = counted.withLock { $0 }
    return [
      ("sluice.decrypted.packets", now.packets), ("sluice.decrypted.lost_bytes", queue.lostBytes),
      ("sluice.decrypted.file_failures", now.fileFailures),
      ("sluice.decrypted.interface_failures", now.interfaceFailures),
      ("sluice.decrypted.slow_readers", now.slowReaders),
    ]
  }
}
