import Traffic

/// Bytes of one stream that lie together, in position and in the arena.
struct HeldPiece: BitwiseCopyable {
  var position: Int64
  var count: Int
  var arenaOffset: Int

  var end: Int64 { position &+ Int64(count) }
}

/// Bytes of one direction that wait for something.
///
/// Bytes lie in an arena in the order of arrival; pieces say in order of position which of them
/// count. Segments as they were sent are remembered too where a policy must compare with them.
/// - Invariant: pieces are sorted, not empty, and do not overlap.
struct HeldStream {
  private(set) var arena: [UInt8] = []
  /// The stream's own arena while it has a larger one, emptied.
  private var small: [UInt8] = []
  private var pieces: [HeldPiece] = []
  /// Pieces before this one are gone.
  private var pieceHead = 0
  private var sent: [Range<Int64>] = []
  private var sentHead = 0
  /// Octets of the arena that no piece points at.
  private var deadBytes = 0

  struct Overlap {
    var isOverlap = false
    var isDifferent = false
  }

  var liveBytes: Int { arena.count &- deadBytes }
  var isEmpty: Bool { pieceHead == pieces.count }
  var pieceCount: Int { pieces.count &- pieceHead }

  /// Dead space that is not worth tidying up.
  private static let deadBytesKept = 64 << 10

  /// The most octets that the arena of a stream may keep while it holds little: room beyond is lent, and whoever waits
  /// long with a few octets does not sit on it.
  static let arenaKeptBytes = 16 << 10

  /// Whether room is to be lent before `count` octets more are held.
  func isTooSmall(for count: Int) -> Bool {
    arena.count &+ count > max(Self.arenaKeptBytes, arena.capacity)
  }

  /// Moves what is held into `room`, which is larger.
  /// - Returns: the arena before, emptied, where it is not the stream's own.
  mutating func move(into room: consuming [UInt8]) -> [UInt8]? {
    room.append(contentsOf: arena)
    swap(&arena, &room)
    room.removeAll(keepingCapacity: true)
    guard room.capacity <= Self.arenaKeptBytes else { return room }
    small = room
    return nil
  }

  /// Holds nothing any more.
  /// - Returns: the arena, emptied, where it has more than `kept` octets.
  mutating func clear(keeping kept: Int) -> [UInt8]? {
    var room: [UInt8]?
    arena.removeAll(keepingCapacity: true)
    if arena.capacity > kept {
      room = arena
      arena = small.capacity > kept ? [] : small
      small = []
    }
    pieces.removeAll(keepingCapacity: true)
    sent.removeAll(keepingCapacity: true)
    pieceHead = 0
    sentHead = 0
    deadBytes = 0
    return room
  }

  // MARK: Reading

  /// The first piece that reaches beyond `position`.
  func piece(after position: Int64) -> HeldPiece? {
    let index = firstIndex(endingAfter: position)
    return index < pieces.count ? pieces[index] : nil
  }

  /// Octets held in one stretch from `position` on.
  func contiguousEnd(from position: Int64) -> Int64 {
    var end = position
    var index = firstIndex(endingAfter: position)
    while index < pieces.count, pieces[index].position <= end {
      end = pieces[index].end
      index &+= 1
    }
    return end
  }

  private func firstIndex(endingAfter position: Int64) -> Int {
    var low = pieceHead
    var high = pieces.count
    while low < high {
      let middle = (low &+ high) / 2
      if pieces[middle].end <= position { low = middle &+ 1 } else { high = middle }
    }
    return low
  }

  // MARK: Writing

  /// Holds the octets of `payload` from `floor` on.
  ///
  /// - Parameter range: where the segment as sent begins and ends; `payload` fills it.
  /// - Parameter policy: nil where what was first stands and segments need not be remembered.
  mutating func insert(
    _ range: Range<Int64>, floor: Int64, ceiling: Int64, payload: RawSpan, policy: OverlapPolicy?,
    scratch: inout [UInt8]
  ) -> Overlap {
    var overlap = Overlap()
    let end = min(range.upperBound, ceiling)
    var cursor = max(range.lowerBound, floor)
    var index = firstIndex(endingAfter: cursor)
    while cursor < end {
      if index < pieces.count, pieces[index].position <= cursor {
        let stop = min(end, pieces[index].end)
        overlap.isOverlap = true
        if isDifferent(pieces[index], from: cursor, to: stop, payload, range.lowerBound) {
          overlap.isDifferent = true
        }
        cursor = stop
        index &+= 1
      } else {
        let stop = index < pieces.count ? min(end, pieces[index].position) : end
        let from = Int(cursor &- range.lowerBound)
        let to = Int(stop &- range.lowerBound)
        index = add(payload.extracting(from..<to), at: cursor, before: index)
        cursor = stop
      }
    }
    if let policy {
      if overlap.isDifferent {
        settle(range, floor: floor, end: end, payload, policy, &scratch)
      }
      remember(range)
    }
    return overlap
  }

  private func isDifferent(
    _ piece: HeldPiece, from: Int64, to: Int64, _ payload: RawSpan, _ start: Int64
  ) -> Bool {
    let held = piece.arenaOffset &+ Int(from &- piece.position)
    let new = Int(from &- start)
    let count = Int(to &- from)
    let heldBytes = arena.rawSpan.extracting(held..<(held &+ count))
    return !heldBytes.equals(payload.extracting(new..<(new &+ count)))
  }

  /// - Returns: the index of the piece that follows the added bytes.
  private mutating func add(_ bytes: RawSpan, at position: Int64, before index: Int) -> Int {
    let offset = arena.count
    arena.append(bytes)
    if index > pieceHead, pieces[index &- 1].end == position,
      pieces[index &- 1].arenaOffset &+ pieces[index &- 1].count == offset
    {
      pieces[index &- 1].count &+= bytes.byteCount
      return index
    }
    pieces.insert(
      HeldPiece(position: position, count: bytes.byteCount, arenaOffset: offset), at: index)
    return index &+ 1
  }

  /// Decides octet by octet between what is held and a segment that differs: the segment's bytes
  /// count unless one of the segments it overlaps stands by the policy.
  private mutating func settle(
    _ range: Range<Int64>, floor: Int64, end: Int64, _ payload: RawSpan, _ policy: OverlapPolicy,
    _ scratch: inout [UInt8]
  ) {
    scratch.removeAll(keepingCapacity: true)
    scratch.append(payload)
    let low = max(range.lowerBound, floor)
    for index in sentHead..<sent.count {
      let old = sent[index]
      if old.lowerBound >= range.upperBound { break }
      // A FIN may end the stream before either segment does.
      let from = max(old.lowerBound, low)
      let to = min(old.upperBound, end)
      guard from < to, !policy.newWins(range, over: old) else { continue }
      transfer(from..<to, range.lowerBound, &scratch, toArena: false)
    }
    transfer(low..<end, range.lowerBound, &scratch, toArena: true)
  }

  /// Copies held octets of `span` into the segment's copy, or back.
  private mutating func transfer(
    _ span: Range<Int64>, _ start: Int64, _ scratch: inout [UInt8], toArena: Bool
  ) {
    var index = firstIndex(endingAfter: span.lowerBound)
    while index < pieces.count, pieces[index].position < span.upperBound {
      let piece = pieces[index]
      let from = max(piece.position, span.lowerBound)
      let count = Int(min(piece.end, span.upperBound) &- from)
      let held = piece.arenaOffset &+ Int(from &- piece.position)
      let other = Int(from &- start)
      for octet in 0..<count {
        if toArena {
          arena[held &+ octet] = scratch[other &+ octet]
        } else {
          scratch[other &+ octet] = arena[held &+ octet]
        }
      }
      index &+= 1
    }
  }

  private mutating func remember(_ range: Range<Int64>) {
    var index = sent.count
    while index > sentHead, sent[index &- 1].lowerBound > range.lowerBound { index &-= 1 }
    sent.insert(range, at: index)
  }

  /// Forgets what lies before `position`.
  mutating func discard(before position: Int64, spare: inout [UInt8]) {
    while pieceHead < pieces.count, pieces[pieceHead].position < position {
      let piece = pieces[pieceHead]
      let gone = Int(min(position, piece.end) &- piece.position)
      deadBytes &+= gone
      if gone == piece.count {
        pieceHead &+= 1
      } else {
        pieces[pieceHead].position &+= Int64(gone)
        pieces[pieceHead].count &-= gone
        pieces[pieceHead].arenaOffset &+= gone
      }
    }
    while sentHead < sent.count, sent[sentHead].upperBound <= position { sentHead &+= 1 }
    tidy(&spare)
  }

  /// Gives back dead space once it outweighs what lives, so that each octet moves at most a few times.
  private mutating func tidy(_ spare: inout [UInt8]) {
    if isEmpty {
      arena.removeAll(keepingCapacity: true)
      pieces.removeAll(keepingCapacity: true)
      pieceHead = 0
      deadBytes = 0
    } else if deadBytes > max(Self.deadBytesKept, liveBytes) {
      spare.removeAll(keepingCapacity: true)
      for index in pieceHead..<pieces.count {
        let piece = pieces[index]
        pieces[index].arenaOffset = spare.count
        spare.append(
          arena.rawSpan.extracting(piece.arenaOffset..<(piece.arenaOffset &+ piece.count)))
      }
      swap(&arena, &spare)
      // Little is left: it does not keep the room that much has taken.
      if arena.count <= Self.arenaKeptBytes { arena = Array(arena[...]) }
      deadBytes = 0
    }
    if pieceHead > 64, pieceHead &* 2 > pieces.count {
      pieces.removeFirst(pieceHead)
      pieceHead = 0
    }
    if sentHead == sent.count {
      sent.removeAll(keepingCapacity: true)
      sentHead = 0
    } else if sentHead > 64, sentHead &* 2 > sent.count {
      sent.removeFirst(sentHead)
      sentHead = 0
    }
  }
}

extension RawSpan {
  /// Whether both hold the same octets; of equal length by the caller's arithmetic.
  fileprivate func equals(_ other: RawSpan) -> Bool {
    guard byteCount == other.byteCount else { return false }
    var index = 0
    while index &+ 8 <= byteCount {
      if u64(at: index) != other.u64(at: index) { return false }
      index &+= 8
    }
    while index < byteCount {
      if u8(at: index) != other.u8(at: index) { return false }
      index &+= 1
    }
    return true
  }
}
