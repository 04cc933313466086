import Testing

@testable import RuleLanguage

/// A file that is read in pieces says what it says as a whole.
@Suite struct RuleFilePieceTests {
  /// Everything that ends or continues a line.
  static let text =
    "\u{feff}alert tcp any any -> any any (msg:\"one\"; sid:1;)\r\n"
    + "# a comment that ends in \\\n"
    + "alert tcp any any -> any any (msg:\"two\"; sid:2;)\n\n"
    + "alert tcp any any -> any any ( \\\n   msg:\"three\"; \\  \r\n  sid:3;)\n"
    + "#alert tcp any any -> any any (msg:\"off\"; \\\n  sid:4;)\n"
    + "alert tcp any any -> any any (msg:\"broken; sid:5;)\n"
    + "alert tcp any any -> any any (sid:6;) \\\n\n"
    + "\u{feff}alert tcp any any -> any any (sid:7;)\n"
    + "alert tcp any any -> any any (sid:8;)"

  private func read(_ pieces: [RuleFilePiece]) -> [String] {
    guard let first = pieces.first else { return [] }
    var reader = RuleFileReader(first)
    var found: [String] = []
    for (number, piece) in pieces.enumerated() {
      if number > 0 { reader.open(piece) }
      while let item = reader.next() {
        switch item {
        case .rule(let rule):
          found.append("\(rule.location) \(rule.sid) " + rule.options.map { "\($0.location) \($0.name)" }.joined(separator: ";"))
        case .diagnostic(let diagnostic): found.append(diagnostic.description)
        }
      }
    }
    return found
  }

  /// - Parameter count: octets that are read at once.
  private func cut(_ bytes: [UInt8], bytesWanted: Int = RuleFilePiece.bytesWanted, at count: Int = .max) -> [RuleFilePiece] {
    var cutter = RuleFileCutter(fileName: "t.rules", bytesWanted: bytesWanted)
    var rest = bytes[...]
    while !rest.isEmpty {
      cutter.add(rest.prefix(count))
      rest = rest.dropFirst(count)
    }
    cutter.finish()
    var pieces: [RuleFilePiece] = []
    while let piece = cutter.next() { pieces.append(piece) }
    return pieces
  }

  @Test(arguments: [1, 7, 40, 64, 100, 200]) func readsTheSameInPieces(of bytes: Int) {
    let whole = cut(Array(Self.text.utf8))
    #expect(whole.count == 1)
    let pieces = cut(Array(Self.text.utf8), bytesWanted: bytes)
    #expect(pieces.count > 1)
    // Where it is cut does not go by how it was read.
    for count in [1, 3, 50] {
      let again = cut(Array(Self.text.utf8), bytesWanted: bytes, at: count)
      #expect(again.map(\.bytes) == pieces.map(\.bytes) && again.map(\.linesBefore) == pieces.map(\.linesBefore))
    }
    #expect(pieces.flatMap(\.bytes) == Array(Self.text.utf8))
    #expect(read(pieces) == read(whole))
    #expect(read(whole).count >= 6)
  }

  @Test func aFileOfNothingIsOnePiece() {
    #expect(cut([]).count == 1 && read(cut([])).isEmpty)
  }
}
