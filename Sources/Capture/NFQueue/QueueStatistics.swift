import Glibc

/// What the kernel tells about a queue that is bound.
///
/// - Source: the columns of /proc/net/netfilter/nfnetlink_queue.
public struct QueueStatistics: Sendable, Hashable {
  public let queueNumber: UInt16
  /// The netlink port of the program that bound it; mostly, but not always, its process id.
  public let port: UInt32
  /// Packets that wait for a verdict.
  public let waitingCount: UInt64
  public let copyMode: UInt8
  public let copyLength: UInt32
  /// Packets dropped because the queue was full.
  public let queueDropCount: UInt64
  /// Packets dropped because the socket's receive buffer was full.
  public let socketDropCount: UInt64
  /// The identifier of the packet queued last.
  public let lastPacketID: UInt64

  /// All queues bound in the network namespace of this thread.
  /// - Throws: where the list can't be read: no such kernel module, or no permission.
  public static func all() throws(CaptureError) -> [QueueStatistics] {
    let text = try contents(of: "/proc/thread-self/net/netfilter/nfnetlink_queue")
    return text.split(separator: UInt8(ascii: "\n")).compactMap { QueueStatistics(line: $0) }
  }

  /// - Returns: nil when no program has bound the queue.
  public static func of(_ queueNumber: UInt16) throws(CaptureError) -> QueueStatistics? {
    try all().first { $0.queueNumber == queueNumber }
  }

  /// Queue, port, waiting, mode, copy length, queue drops, socket drops, last packet, 1.
  init?(line: some Collection<UInt8>) {
    let fields = line.split(separator: UInt8(ascii: " ")).map {
      UInt64(String(decoding: $0, as: UTF8.self))
    }
    guard fields.count >= 8, let number = fields[0], let queueNumber = UInt16(exactly: number),
      let port = fields[1], let waiting = fields[2], let mode = fields[3],
      let length = fields[4], let queueDrops = fields[5], let socketDrops = fields[6],
      let last = fields[7]
    else { return nil }
    self.queueNumber = queueNumber
    self.port = UInt32(truncatingIfNeeded: port)
    waitingCount = waiting
    copyMode = UInt8(truncatingIfNeeded: mode)
    copyLength = UInt32(truncatingIfNeeded: length)
    queueDropCount = queueDrops
    socketDropCount = socketDrops
    lastPacketID = last
  }

  private static func contents(of path: String) throws(CaptureError) -> [UInt8] {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      let what = errno == ENOENT ? "the kernel has no nfnetlink_queue" : "can't be read"
      throw CaptureError(path, .kernel, what, systemError: errno)
    }
    defer { close(descriptor) }
    var text: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16_384)
    while true {
      // SAFETY: the kernel writes at most the length it is told.
      let count = unsafe chunk.withUnsafeMutableBytes {
        unsafe read(descriptor, $0.baseAddress, $0.count)
      }
      guard count > 0 else { return text }
      text += chunk[..<count]
    }
  }
}
