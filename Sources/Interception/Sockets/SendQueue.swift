/// What relayed connections have to say in one round of the worker, sent at its end.
///
/// The kernel wakes the program at the other end, on another processor, with each send; one after the other they find it
/// awake already, which is a quarter of what an answer costs. What is large goes at once.
///
/// SAFETY: the memory is owned and lives as long as the object. A place in it is read only between its being written and
/// `flush`, with the length that was written.
/// - Limits: `countMax` pieces of `pieceBytesMax` octets wait; one more sends them.
@safe
final class SendQueue {
  /// A record of a small answer, or two.
  static let pieceBytesMax = 4_096
  /// So many that waking costs little, and so few that the other end is not kept waiting.
  static let countMax = 16

  private let memory: UnsafeMutableRawBufferPointer
  private var used = 0
  private var waiting: [(stream: SocketStream, count: Int)] = []

  init() {
    unsafe memory = .allocate(byteCount: Self.countMax * Self.pieceBytesMax, alignment: 64)
    waiting.reserveCapacity(Self.countMax)
  }
  deinit { unsafe memory.deallocate() }

  /// - Returns: false for what is too large to wait.
  func take(_ bytes: UnsafeRawBufferPointer, for stream: SocketStream) -> Bool {
    guard bytes.count <= Self.pieceBytesMax else { return false }
    if used > (Self.countMax - 1) * Self.pieceBytesMax || waiting.count == Self.countMax { flush() }
    unsafe UnsafeMutableRawBufferPointer(rebasing: memory[used..<used + bytes.count]).copyMemory(from: bytes)
    used += bytes.count
    if let last = waiting.last, last.stream === stream {
      waiting[waiting.count - 1].count += bytes.count
    } else {
      waiting.append((stream, bytes.count))
    }
    return true
  }

  /// Sends all that waits; what a socket does not take waits with its stream.
  func flush() {
    guard !waiting.isEmpty else { return }
    var offset = 0
    for index in waiting.indices {
      let (stream, count) = waiting[index]
      unsafe stream.sendQueued(UnsafeRawBufferPointer(rebasing: memory[offset..<offset + count]))
      offset += count
    }
    used = 0
    waiting.removeAll(keepingCapacity: true)
  }
}
