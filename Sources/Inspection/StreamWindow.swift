import Traffic

/// The tail of one direction of a stream that rules on the raw stream look at.
struct StreamWindow {
  /// Octets that stay after inspection, so that matches may reach over chunks.
  static let tailBytes = 2048
  /// Memory that a window may keep for what comes next. The room for a super-segment of 64 kB is given back: each
  /// connection that is open would hold it.
  static let capacityKeptBytes = 16_384

  private(set) var bytes: [UInt8] = []
  /// What was there before a hole, and how wide that was, in words: for records that show what was seen.
  private(set) var beforeGap: [UInt8] = []
  /// What lies before holes in the stream and has not been inspected yet.
  private(set) var cutOff: [StreamFragment] = []
  /// Fragments that wait for inspection at most; more are joined with the last, over the hole.
  static let cutOffMax = 16
  /// Where the bytes not yet inspected begin.
  private(set) var newFrom = 0
  /// Where `bytes` begins in the stream.
  private(set) var offset: UInt64 = 0
  private(set) var isEnd = false
  /// Something came since the last inspection, if only the end.
  var hasNews = false

  /// What has come but waits for its acknowledgement, where a record is to show it.
  var waiting: [UInt8] = []

  /// The bytes as records show them.
  var shown: [UInt8] { beforeGap.isEmpty && waiting.isEmpty ? bytes : beforeGap + bytes + waiting }

  /// Octets of the stream that were not kept, because no rule will look at them.
  private var passedCount: UInt64 = 0
  /// How far the stream had come when it was inspected last.
  private var inspectedEnd: UInt64 = 0

  /// Octets of the stream seen so far.
  var streamEnd: UInt64 { offset &+ UInt64(bytes.count) &+ passedCount }
  /// How far it has come since it was inspected last, holes included.
  var newCount: UInt64 { streamEnd &- inspectedEnd }
  /// There is something to be inspected.
  var hasNewBytes: Bool { newFrom < bytes.count || !cutOff.isEmpty }

  /// There is something to be inspected, or the end to be told.
  var hasNewsToShow: Bool { hasNewBytes || isEnd }

  /// - Parameters:
  ///   - keepsBytes: rules may look at them; otherwise they are only counted.
  ///   - spare: room for a large chunk.
  mutating func append(_ chunk: borrowing StreamChunk, keepsBytes: Bool = true, spare: SpareRoom? = nil) {
    hasNews = true
    if chunk.isEnd { isEnd = true }
    guard keepsBytes else { return pass(chunk.gapBefore &+ UInt64(chunk.bytes.byteCount)) }
    if passedCount > 0 { startOver(at: chunk.offset) }
    if chunk.gapBefore > 0 {
      cutHere()
      beforeGap = Array((beforeGap + bytes).suffix(Self.tailBytes)) + Array("[\(chunk.gapBefore) bytes missing]".utf8)
      // What follows a gap is not the continuation of what was before.
      bytes.removeAll(keepingCapacity: true)
      newFrom = 0
      offset = chunk.offset
    }
    if let spare, bytes.count &+ chunk.bytes.byteCount > Self.capacityKeptBytes { spare.lend(to: &bytes) }
    bytes.append(chunk.bytes)
  }

  /// Counts octets that are not kept; what waits for inspection stays until then.
  mutating func pass(_ count: UInt64) {
    passedCount &+= count
    if !hasNewBytes { startOver(at: streamEnd) }
  }

  private mutating func startOver(at position: UInt64) {
    offset = position
    passedCount = 0
    newFrom = 0
    if !bytes.isEmpty { bytes = [] }
    if !beforeGap.isEmpty { beforeGap = [] }
  }

  /// Keeps what has not been inspected when a hole follows.
  private mutating func cutHere() {
    guard newFrom < bytes.count else { return }
    if cutOff.count == Self.cutOffMax {
      cutOff[cutOff.count - 1].bytes += bytes[newFrom...]
    } else {
      cutOff.append(StreamFragment(bytes: bytes, newFrom: newFrom, offset: offset))
    }
  }

  /// - Parameter spare: takes room back that is too large to be kept.
  mutating func markInspected(spare: SpareRoom? = nil) {
    if !cutOff.isEmpty { cutOff = [] }
    inspectedEnd = streamEnd
    let surplus = bytes.count > 2 * Self.tailBytes ? bytes.count - Self.tailBytes : 0
    if surplus > 0 {
      beforeGap = []
      offset &+= UInt64(surplus)
    }
    if bytes.capacity > Self.capacityKeptBytes {
      let tail = Array(bytes[surplus...])
      spare?.take(&bytes)
      bytes = tail
    } else if surplus > 0 {
      bytes.removeFirst(surplus)
    }
    newFrom = bytes.count
  }
}

/// What lies before a hole in a stream: a tail of what was inspected already, then what was not.
struct StreamFragment {
  var bytes: [UInt8]
  let newFrom: Int
  /// Where `bytes` begins in the stream.
  let offset: UInt64
}

/// Room for one large chunk, lent to the window that takes it and given back once it is inspected: a worker has one flow
/// in hand at a time, and to allocate 64 kB for each super-segment cost a twentieth of its time.
final class SpareRoom {
  /// What is larger is not kept: a chunk of 64 kB behind a tail.
  private static let keptMax = 256 * 1024
  private var bytes: [UInt8] = []

  /// Moves what is in `other` to the room, if that is the larger.
  func lend(to other: inout [UInt8]) {
    guard bytes.capacity > other.capacity else { return }
    bytes.append(contentsOf: other)
    swap(&bytes, &other)
    bytes = []
  }

  /// Keeps the room of `other`, which is left without any.
  func take(_ other: inout [UInt8]) {
    guard other.capacity > bytes.capacity, other.capacity <= Self.keptMax else { return }
    swap(&bytes, &other)
    bytes.removeAll(keepingCapacity: true)
    other = []
  }
}
