/// Whole lines of a rule file, to be read apart from the others, on any thread.
///
/// Octets of its own: what is kept of a rule keeps the octets of its piece, and threads that count references to
/// the same ones get in each other's way.
public struct RuleFilePiece: Sendable {
  /// Octets of a piece, about: a large set has some tens, so that threads that read them end together. Where a file is
  /// cut goes by its octets alone, never by how many threads there are or how it was read.
  public static let bytesWanted = 1 << 19

  let fileName: String
  let bytes: [UInt8]
  /// Lines of the file before the piece.
  let linesBefore: Int
}

/// Cuts a rule file, as it is read, where a line ends that the next one doesn't continue.
///
/// The pieces hold, one after the other, what ``RuleFile/parse(_:fileName:includeDisabled:)`` finds in the whole.
public struct RuleFileCutter {
  private let fileName: String
  private let bytesWanted: Int
  private var pieces: [RuleFilePiece] = []
  /// What is not in a piece yet.
  private var rest: [UInt8] = []
  /// Octets of it that do not end a piece.
  private var seen = 0
  private var lines = 0
  private var hasCut = false

  public init(fileName: String, bytesWanted: Int = RuleFilePiece.bytesWanted) {
    self.fileName = fileName
    self.bytesWanted = max(bytesWanted, 1)
  }

  /// Takes up what follows in the file.
  public mutating func add(_ bytes: ArraySlice<UInt8>) {
    rest += bytes
    while let end = endOfPiece() {
      cut(end)
      seen = 0
    }
  }

  /// The file ends here; of an empty one there is a piece without octets.
  public mutating func finish() {
    if !rest.isEmpty || !hasCut { cut(rest.count) }
  }

  /// The next piece that is whole.
  public mutating func next() -> RuleFilePiece? { pieces.isEmpty ? nil : pieces.removeFirst() }

  private mutating func cut(_ end: Int) {
    hasCut = true
    let piece = Array(rest[..<end])
    rest.removeFirst(end)
    pieces.append(RuleFilePiece(fileName: fileName, bytes: piece, linesBefore: lines))
    var count = 0
    for byte in piece where byte == ASCII.newline { count &+= 1 }
    lines &+= count
  }

  private mutating func endOfPiece() -> Int? {
    var index = max(bytesWanted, seen)
    while index < rest.count {
      if rest[index] == ASCII.newline, !isContinued(at: index) { return index &+ 1 }
      index &+= 1
    }
    seen = index
    return nil
  }

  /// Whether a backslash is the last before a line's end that is no blank. One on a line before, with but blanks behind
  /// it, counts as well: then the file is cut a little later.
  private func isContinued(at newline: Int) -> Bool {
    var index = newline
    while index > 0, ASCII.isSpace(rest[index &- 1]) { index &-= 1 }
    return index > 0 && rest[index &- 1] == ASCII.backslash
  }
}
