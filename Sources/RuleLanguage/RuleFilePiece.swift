/// Whole lines of a rule file, to be read apart from the others, on any thread.
///
/// Octets of its own: what is kept of a rule keeps the octets of its piece, and threads that count references to
/// the same ones get in each other's way.
public struct RuleFilePiece: Sendable {
  /// Octets of a piece, about: a large set has some tens, so that threads that read them end together. Where a file is
  /// cut goes by its octets alone, never by how many threads there are.
  public static let bytesWanted = 1 << 19

  let fileName: String
  let bytes: [UInt8]
  /// Lines of the file before the piece.
  let linesBefore: Int
}

extension RuleFile {
  /// Cuts a file where a line ends that the next one doesn't continue.
  ///
  /// The pieces hold, one after the other, what ``parse(_:fileName:includeDisabled:)`` finds in the whole.
  public static func pieces(
    _ bytes: consuming [UInt8], fileName: String, bytesWanted: Int = RuleFilePiece.bytesWanted
  ) -> [RuleFilePiece] {
    // A file that is too long is refused by the reader, as a whole.
    guard bytes.count > bytesWanted, bytes.count <= fileBytesMax else {
      return [RuleFilePiece(fileName: fileName, bytes: bytes, linesBefore: 0)]
    }
    var pieces: [RuleFilePiece] = []
    var start = 0
    var lines = 0
    while start < bytes.count {
      let end = endOfPiece(bytes, from: start, bytesWanted)
      let piece = Array(bytes[start..<end])
      pieces.append(RuleFilePiece(fileName: fileName, bytes: piece, linesBefore: lines))
      var count = 0
      for byte in piece where byte == ASCII.newline { count &+= 1 }
      lines &+= count
      start = end
    }
    return pieces
  }

  private static func endOfPiece(_ bytes: [UInt8], from start: Int, _ bytesWanted: Int) -> Int {
    var index = start + max(bytesWanted, 1)
    while index < bytes.count {
      if bytes[index] == ASCII.newline, !isContinued(bytes, at: index) { return index &+ 1 }
      index &+= 1
    }
    return bytes.count
  }

  /// Whether a backslash is the last before a line's end that is no blank. One on a line before, with but blanks behind
  /// it, counts as well: then the file is cut a little later.
  private static func isContinued(_ bytes: [UInt8], at newline: Int) -> Bool {
    var index = newline
    while index > 0, ASCII.isSpace(bytes[index &- 1]) { index &-= 1 }
    return index > 0 && bytes[index &- 1] == ASCII.backslash
  }
}
