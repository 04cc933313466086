/// The bytes that rules and their options point into: a whole file, or one rule whose lines were joined.
///
/// Shared by reference so that 37,000 rules with 750,000 options cost no copy of their text.
final class RuleSource: Sendable {
  /// Where a run of bytes came from that was joined out of continued lines.
  struct Piece: Sendable {
    var offset: Int
    var line: Int
  }

  let fileName: String
  let bytes: [UInt8]
  /// Empty if the bytes are those of the file; otherwise the lines that were joined, in order.
  let pieces: [Piece]

  init(fileName: String, bytes: [UInt8], pieces: [Piece] = []) {
    self.fileName = fileName
    self.bytes = bytes
    self.pieces = pieces
  }

  /// The location of `offset`, counted from an `anchor` before it on the same line, or by the joined lines.
  func location(of offset: Int, anchor: Int, line: Int, column: Int) -> RuleLocation {
    guard !pieces.isEmpty else {
      return RuleLocation(file: fileName, line: line, column: column &+ (offset &- anchor))
    }
    var first = 0
    var end = pieces.count
    while end &- first > 1 {
      let middle = first &+ (end &- first) / 2
      if pieces[middle].offset <= offset { first = middle } else { end = middle }
    }
    let piece = pieces[first]
    return RuleLocation(file: fileName, line: piece.line, column: offset &- piece.offset &+ 1)
  }
}
