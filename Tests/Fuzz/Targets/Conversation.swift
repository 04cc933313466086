import AppLayer
import Traffic

/// What two sides say, as a fuzzer's input: a control octet, a length of two octets, the bytes.
struct Conversation {
  struct Piece {
    var direction: Direction
    var bytes: [UInt8]
    /// Octets lost before it.
    var gap: UInt64 = 0
    var isEnd = false
  }

  var pieces: [Piece] = []

  init() {}

  init(_ bytes: [UInt8]) {
    var reader = InputReader(bytes)
    while !reader.isAtEnd {
      let control = reader.u8()
      let count = Int(reader.u16())
      pieces.append(
        Piece(
          direction: control & 1 == 0 ? .toServer : .toClient, bytes: reader.take(count),
          gap: control & 4 == 0 ? 0 : UInt64(control >> 3) &+ 1, isEnd: control & 2 != 0))
    }
  }

  /// As an input.
  static func input(_ pieces: [(direction: Direction, bytes: [UInt8])], isEnded: Bool = true) -> [UInt8] {
    var out: [UInt8] = []
    for (direction, bytes) in pieces {
      out += [direction == .toServer ? 0 : 1, UInt8(bytes.count & 255), UInt8(bytes.count >> 8 & 255)] + bytes
    }
    return isEnded ? out + [2, 0, 0, 3, 0, 0] : out
  }

  /// The same bytes cut at each octet.
  var cut: Conversation {
    var result = Conversation()
    for piece in pieces {
      guard piece.bytes.count > 1 else {
        result.pieces.append(piece)
        continue
      }
      for (index, byte) in piece.bytes.enumerated() {
        result.pieces.append(
          Piece(
            direction: piece.direction, bytes: [byte], gap: index == 0 ? piece.gap : 0,
            isEnd: piece.isEnd && index == piece.bytes.count - 1))
      }
    }
    return result
  }

  /// Puts other bytes in place of each piece's.
  mutating func mapPieces(_ body: (Piece) -> [UInt8]) {
    for index in pieces.indices { pieces[index].bytes = body(pieces[index]) }
  }

  /// - Parameter body: gets each piece as the chunk it is, until the end of its side.
  func forEachChunk(_ body: (borrowing StreamChunk) -> Void) {
    var offsets: [UInt64] = [0, 0]
    var isEnded = [false, false]
    for piece in pieces where !isEnded[piece.direction.index] {
      offsets[piece.direction.index] &+= piece.gap
      body(
        StreamChunk(
          bytes: piece.bytes.rawSpan, direction: piece.direction, offset: offsets[piece.direction.index],
          gapBefore: piece.gap, isEnd: piece.isEnd, time: Self.time))
      offsets[piece.direction.index] &+= UInt64(piece.bytes.count)
      isEnded[piece.direction.index] = piece.isEnd
    }
  }

  static let time = Timestamp(seconds: 1_700_000_000)
}
