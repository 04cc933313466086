import Traffic

/// The content of a body or file as it comes: the tail that is still of use.
///
/// - Limits: nothing is added after `limitBytes` (nil: no limit). What has been inspected is let go
///   but for the last `windowBytes`, in strides, so that trimming costs O(1) an octet.
/// - Invariant: `start <= inspected <= end`.
struct HTTPBody {
  private(set) var bytes: [UInt8] = []
  /// Position of `bytes[0]` in the whole content.
  private(set) var start: UInt64 = 0
  private var inspected: UInt64 = 0
  /// Octets seen, those beyond the limit or lost included.
  private(set) var seenCount: UInt64 = 0
  private(set) var isComplete = false
  private(set) var hasGap = false
  private(set) var isCut = false
  /// What lies before holes and was not inspected when they came, in order: seen before ``bytes``, each by itself.
  private var pieces: [(bytes: [UInt8], start: UInt64)] = []

  /// A hole lies behind what ``view`` shows: there is more once that has been inspected.
  var showsPiece: Bool { !pieces.isEmpty }

  /// Whether enough has come for another look, before the end; whatever the pace, no more waits than ``uninspectedBytesMax``.
  func isDue(_ pace: HTTPSettings.BodyPace) -> Bool {
    let new = end &- inspected
    return showsPiece || isCut && new > 0 || end >= pace.leastBytes && new >= pace.stepBytes || new >= UInt64(Self.uninspectedBytesMax)
  }

  /// Forgets the content, keeping its room.
  mutating func reset() {
    bytes.clear()
    (start, inspected, seenCount) = (0, 0, 0)
    (isComplete, hasGap, isCut) = (false, false, false)
    pieces = []
  }

  /// Room that is kept for another body.
  static let roomBytesMax = 32_768

  var isSmall: Bool { bytes.capacity <= Self.roomBytesMax }

  /// Where the kept content ends.
  var end: UInt64 { start &+ UInt64(bytes.count) }
  var hasContent: Bool { end > 0 }

  mutating func append(_ span: RawSpan, limitBytes: UInt64?) {
    seenCount &+= UInt64(span.byteCount)
    guard !isCut else { return }
    var count = span.byteCount
    if let limitBytes {
      let room = limitBytes > end ? limitBytes - end : 0
      if UInt64(count) > room {
        count = Int(room)
        isCut = true
      }
    }
    if count > 0 { bytes.append(span.extracting(0..<count)) }
  }

  /// Counts octets that nobody looks at.
  mutating func pass(_ count: Int) { seenCount &+= UInt64(count) }

  /// `count` octets were lost on the way: what follows cannot be matched together with what was before.
  ///
  /// - Parameter keepsUninspected: what was not inspected yet is shown first (``showsPiece``).
  /// - Returns: false where more waits already than may, and what came last is let go uninspected.
  @discardableResult
  mutating func appendGap(_ count: UInt64, keepsUninspected: Bool = false) -> Bool {
    seenCount &+= count
    hasGap = true
    guard !isCut else { return true }
    let after = end &+ count
    let isWaiting = keepsUninspected && inspected < end
    let hasRoom =
      pieces.count < Self.piecesMax && pieces.reduce(bytes.count, { $0 + $1.bytes.count }) <= 2 * Self.uninspectedBytesMax
    if isWaiting, hasRoom {
      pieces.append((bytes, start))
      bytes = []
    }
    start = after
    inspected = start
    bytes.clear()
    return !isWaiting || hasRoom
  }

  mutating func complete() { isComplete = true }

  mutating func markInspected(windowBytes: Int) {
    guard pieces.isEmpty else {
      pieces.removeFirst()
      return
    }
    inspected = end
    if bytes.count > max(1, windowBytes) &* 2 {
      let dropped = bytes.count - windowBytes
      bytes.removeFirst(dropped)
      start &+= UInt64(dropped)
    }
  }

  /// Pieces before holes that may wait to be inspected; of more the latest are let go (event `body_holes_limit_reached`).
  private static let piecesMax = 64
  /// Octets that may wait to be inspected; in flows that nobody inspects the oldest are let go beyond.
  static let uninspectedBytesMax = 1_048_576

  mutating func trimUninspected(windowBytes: Int) {
    if bytes.count > Self.uninspectedBytesMax { markInspected(windowBytes: windowBytes) }
  }

  /// What is kept; nil while there is nothing and more may come.
  var view: BufferView? {
    if let piece = pieces.first {
      return BufferView(piece.bytes, offset: piece.start, newCount: piece.bytes.count, isComplete: false)
    }
    guard hasContent else { return nil }
    return BufferView(
      bytes, offset: start, newCount: Int(truncatingIfNeeded: end &- inspected),
      isComplete: isComplete || isCut)
  }
}
