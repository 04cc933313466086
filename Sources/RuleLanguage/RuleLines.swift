/// Takes a rule file apart into rules and comments, joining continued lines.
///
/// - Source: Suricata's rule loader: lines that start with `#` or `;` are comments; a backslash as last byte
///   that is not blank continues a line.
struct RuleLines {
  enum Line {
    case rule(RuleText)
    /// A comment, without its first byte.
    case comment(RuleText)
  }

  private let source: RuleSource
  private var index = 0
  private var lineNumber: Int

  init(_ source: RuleSource, linesBefore: Int = 0) {
    self.source = source
    lineNumber = linesBefore
    // A byte order mark is no part of the first line.
    if linesBefore == 0, source.bytes.starts(with: [0xef, 0xbb, 0xbf]) { index = 3 }
  }

  /// The next line that is not blank; nil at the end of the file.
  mutating func next() -> Line? {
    while index < source.bytes.count {
      let lineStart = index
      let range = readLine()
      guard !range.isEmpty else { continue }
      let number = lineNumber
      let isComment = Self.isComment(source.bytes[range.lowerBound])
      var text = RuleText(source: source, range: range, anchor: lineStart, line: number, column: 1)
      if source.bytes[range.upperBound &- 1] == ASCII.backslash {
        text = joined(text, isComment: isComment)
        if text.range.isEmpty { continue }
      }
      guard isComment else { return .rule(text) }
      text.range = (text.range.lowerBound &+ 1)..<text.range.upperBound
      return .comment(text)
    }
    return nil
  }

  private static func isComment(_ byte: UInt8) -> Bool { byte == ASCII.hash || byte == ASCII.semicolon }

  /// The range of the next line without blanks at its ends.
  private mutating func readLine() -> Range<Int> {
    lineNumber &+= 1
    let start = index
    while index < source.bytes.count, source.bytes[index] != ASCII.newline { index &+= 1 }
    let range = source.bytes.trimmed(start..<index)
    index &+= 1
    return range
  }

  /// The rule that starts with `first`, in a source of its own with all its lines.
  ///
  /// A comment goes on only over lines that start with a blank: so a rule that was disabled by one `#` is
  /// left out as a whole, but a comment that happens to end in a backslash does not swallow the next rule.
  private mutating func joined(_ first: RuleText, isComment: Bool) -> RuleText {
    var bytes: [UInt8] = []
    var pieces: [RuleSource.Piece] = []
    var range = first.range
    var start = first.anchor
    while true {
      pieces.append(RuleSource.Piece(offset: bytes.count, line: lineNumber))
      let isContinued = !range.isEmpty && source.bytes[range.upperBound &- 1] == ASCII.backslash
      bytes += source.bytes[start..<(isContinued ? range.upperBound &- 1 : range.upperBound)]
      guard isContinued, index < source.bytes.count, bytes.count <= RuleFile.ruleBytesMax else { break }
      if isComment, !ASCII.isBlank(source.bytes[index]) { break }
      start = index
      range = readLine()
      if range.isEmpty { start = range.lowerBound }
    }
    let joined = RuleSource(fileName: source.fileName, bytes: bytes, pieces: pieces)
    return RuleText(
      source: joined, range: bytes.trimmed(), anchor: 0, line: first.line, column: first.column)
  }
}
