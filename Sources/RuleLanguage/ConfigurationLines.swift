/// Reads the small files beside rules, which hold one entry a line and share comments and continuation with
/// rule files.
struct ConfigurationLines {
  private var lines: RuleLines

  init(_ bytes: [UInt8], fileName: String) {
    lines = RuleLines(RuleSource(fileName: fileName, bytes: bytes.count > RuleFile.fileBytesMax ? [] : bytes))
  }

  /// The next entry; comments and blank lines are passed over.
  mutating func next() -> RuleText? {
    while let line = lines.next() {
      if case .rule(let text) = line { return text }
    }
    return nil
  }
}

extension RuleText {
  var bytes: [UInt8] { Array(source.bytes[range]) }

  func diagnostic(
    _ error: RuleValueError, _ severity: RuleDiagnostic.Severity = .error, sid: UInt32? = nil
  ) -> RuleDiagnostic {
    RuleDiagnostic(
      severity: severity, location: location(of: range.lowerBound &+ error.columnOffset), sid: sid,
      message: error.message, hint: error.hint)
  }
}

extension RuleValueReader {
  /// Takes `config <word>:` as classification and reference files start their lines.
  mutating func takeConfig(_ word: StaticString) throws(RuleValueError) {
    guard take("config") else {
      throw RuleValueError("'config \(word):' is expected", columnOffset: index)
    }
    skipBlanks()
    let offset = index
    guard take(word) else { throw RuleValueError("'\(word):' is expected", columnOffset: offset) }
    skipBlanks()
    guard take(":") else { throw RuleValueError("':' is missing", columnOffset: index) }
    skipBlanks()
  }

  /// Takes a name of letters, digits, `-` and `_` that starts with a letter, in lower case.
  mutating func takeName() throws(RuleValueError) -> String {
    let start = index
    let name = takeWhile { ASCII.isLetter($0) || ASCII.isDigit($0) || $0 == ASCII.minus || $0 == 0x5f }
    guard let first = name.first, ASCII.isLetter(first) else {
      throw RuleValueError("a name that starts with a letter is expected", columnOffset: start)
    }
    return ASCII.lowercased(name).text
  }
}
