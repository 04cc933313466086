import Glibc
import Synchronization
import Traffic

/// Packets of a capture in their order, as the reader hands them to all workers at once.
///
/// SAFETY (`@unchecked`): only the reader changes it, and only while no worker has it (``BlockRing``).
final class PacketBlock: @unchecked Sendable {
  struct Entry: Sendable, BitwiseCopyable {
    var offset: Int
    var byteCount: Int
    var originalLength: Int
    var time: Timestamp
    var link: LinkType
    /// The worker whose packet it is.
    var owner: Int32
  }

  /// A block of as many packets, or of as many octets, is handed on.
  static let entriesMax = 1024
  static let bytesMax = 1 << 20

  /// The number of its first packet, from 1.
  fileprivate(set) var firstNumber: UInt64 = 1
  private(set) var entries: [Entry] = []
  private(set) var bytes: [UInt8] = []

  var isFull: Bool { entries.count >= Self.entriesMax || bytes.count >= Self.bytesMax }
  var isEmpty: Bool { entries.isEmpty }

  func add(_ packet: RawSpan, originalLength: Int, time: Timestamp, link: LinkType, owner: Int) {
    let entry = Entry(
      offset: bytes.count, byteCount: packet.byteCount, originalLength: originalLength, time: time, link: link,
      owner: Int32(truncatingIfNeeded: owner))
    bytes.append(packet)
    entries.append(entry)
  }

  fileprivate func empty(from number: UInt64) {
    firstNumber = number
    entries.removeAll(keepingCapacity: true)
    bytes.removeAll(keepingCapacity: true)
  }
}

/// A few blocks that go round: the reader fills them, every worker walks all of them, and takes its own packets.
///
/// That each worker sees each packet go by gives it the clock of the whole capture. A worker that is ahead waits for
/// the others at most at the ring's end, so that none of them can wait for a packet that is not read.
/// - Limits: ``blockCount`` blocks of about ``PacketBlock/bytesMax`` octets, whatever the capture.
final class BlockRing: Sendable {
  static let blockCount = 8

  private let blocks: [PacketBlock]
  private let published = Atomic<Int>(0)
  private let isEnded = Atomic<Bool>(false)
  /// Blocks that each worker is done with.
  private let done: [Progress]

  private final class Progress: Sendable {
    let count = Atomic<Int>(0)
  }

  init(workers: Int) {
    blocks = (0..<Self.blockCount).map { _ in PacketBlock() }
    done = (0..<workers).map { _ in Progress() }
  }

  // MARK: The reader's side

  /// An empty block, once every worker is done with what was in it.
  func empty(from number: UInt64) -> PacketBlock {
    let next = published.load(ordering: .relaxed)
    for one in done {
      var patience = Patience()
      while one.count.load(ordering: .acquiring) <= next - Self.blockCount { patience.wait() }
    }
    let block = blocks[next % Self.blockCount]
    block.empty(from: number)
    return block
  }

  /// The block that `empty` gave is full.
  func publish() { published.wrappingAdd(1, ordering: .releasing) }

  /// There are no more packets.
  func end() { isEnded.store(true, ordering: .releasing) }

  // MARK: A worker's side

  /// Hands the next block to `body`; false when there are no more.
  func next(_ worker: Int, _ body: (PacketBlock) -> Void) -> Bool {
    let position = done[worker].count.load(ordering: .relaxed)
    var patience = Patience()
    while published.load(ordering: .acquiring) <= position {
      // In this order: what was published before the end is seen after it.
      if isEnded.load(ordering: .acquiring), published.load(ordering: .acquiring) <= position { return false }
      patience.wait()
    }
    body(blocks[position % Self.blockCount])
    done[worker].count.store(position + 1, ordering: .releasing)
    return true
  }
}

/// Waiting for another thread that is at work: first a moment, then the processor is let go.
struct Patience {
  private var turns = 0

  mutating func wait() {
    turns &+= 1
    if turns < 32 { return }
    if turns < 96 {
      sched_yield()
      return
    }
    var time = timespec(tv_sec: 0, tv_nsec: 50_000)
    // SAFETY: the call reads the structure, and writes nothing where no place is given.
    unsafe nanosleep(&time, nil)
  }
}
