/// All rules of a file and all that is wrong with it.
public struct RuleFileSyntax: Sendable {
  public var fileName: String
  public var rules: [RuleSyntax]
  public var diagnostics: [RuleDiagnostic]

  public init(fileName: String, rules: [RuleSyntax] = [], diagnostics: [RuleDiagnostic] = []) {
    self.fileName = fileName
    self.rules = rules
    self.diagnostics = diagnostics
  }
}

/// Reads rule files.
public enum RuleFile {
  /// A longer rule is refused with a diagnostic. Suricata takes 8,192 bytes; address lists grow past that.
  public static let ruleBytesMax = 1 << 20
  /// A longer file is refused as a whole with a diagnostic: offsets into it have 32 bits.
  public static let fileBytesMax = 1 << 30

  /// Parses a whole file. A broken rule yields one diagnostic; parsing goes on after it.
  ///
  /// - Parameter bytes: any bytes; they need not be UTF-8.
  /// - Parameter fileName: what diagnostics name.
  /// - Parameter includeDisabled: also read comments that start with an action as rules with
  ///   `isEnabled == false`; those that are broken are left out without a word.
  /// - Complexity: O(bytes); one pass for lines, two for options.
  public static func parse(
    _ bytes: [UInt8], fileName: String, includeDisabled: Bool = false
  ) -> RuleFileSyntax {
    var reader = RuleFileReader(bytes, fileName: fileName, includeDisabled: includeDisabled)
    var result = RuleFileSyntax(fileName: fileName)
    while let item = reader.next() {
      switch item {
      case .rule(let rule): result.rules.append(rule)
      case .diagnostic(let diagnostic): result.diagnostics.append(diagnostic)
      }
    }
    return result
  }

  public static func parse(
    _ text: String, fileName: String = "rules", includeDisabled: Bool = false
  ) -> RuleFileSyntax {
    parse(Array(text.utf8), fileName: fileName, includeDisabled: includeDisabled)
  }

  /// Parses text that holds exactly one rule.
  ///
  /// - Throws: the first error, or one that says that there is no rule or more than one.
  public static func parseRule(
    _ text: String, fileName: String = "rule"
  ) throws(RuleDiagnostic) -> RuleSyntax {
    let file = parse(text, fileName: fileName)
    if let error = file.diagnostics.first(where: { $0.severity == .error }) { throw error }
    guard let rule = file.rules.first, file.rules.count == 1 else {
      throw RuleDiagnostic(
        location: RuleLocation(file: fileName, line: 1, column: 1),
        message: "one rule is expected here, not \(file.rules.count)")
    }
    return rule
  }
}

/// What a file holds, in the order of the file.
public enum RuleFileItem: Sendable {
  case rule(RuleSyntax)
  case diagnostic(RuleDiagnostic)
}

/// Reads a rule file rule by rule, for callers that compile each rule and keep none of the syntax.
public struct RuleFileReader {
  private let includeDisabled: Bool
  private var lines: RuleLines
  private var tables: RuleTables
  private var pending: [RuleFileItem] = []

  public init(_ bytes: [UInt8], fileName: String, includeDisabled: Bool = false) {
    self.init(RuleFilePiece(fileName: fileName, bytes: bytes, linesBefore: 0), includeDisabled: includeDisabled)
  }

  /// Reads a part of a file; lines count from where the file begins.
  ///
  /// - Parameter keywords: names by whose places options are told (``RuleOption/keywordNumber``), in lower case.
  public init(_ piece: RuleFilePiece, includeDisabled: Bool = false, keywords: [String] = []) {
    self.includeDisabled = includeDisabled
    tables = RuleTables(keywords: keywords)
    lines = RuleLines(RuleSource(fileName: piece.fileName, bytes: []))
    open(piece)
  }

  /// Goes on with another piece, when all of the one before is read; what was learnt of names and addresses stays.
  public mutating func open(_ piece: RuleFilePiece) {
    let isTooLong = piece.bytes.count > RuleFile.fileBytesMax
    lines = RuleLines(
      RuleSource(fileName: piece.fileName, bytes: isTooLong ? [] : piece.bytes), linesBefore: piece.linesBefore)
    pending = []
    if isTooLong {
      pending.append(
        .diagnostic(
          RuleDiagnostic(
            location: RuleLocation(file: piece.fileName, line: 1, column: 1),
            message: "the file has more than \(RuleFile.fileBytesMax) bytes")))
    }
  }

  /// The next rule or diagnostic; nil at the end.
  public mutating func next() -> RuleFileItem? {
    if !pending.isEmpty { return pending.removeFirst() }
    while let line = lines.next() {
      switch line {
      case .rule(let text):
        return read(text)
      case .comment(let text):
        if includeDisabled, let rule = readDisabled(text) { return .rule(rule) }
      }
    }
    return nil
  }

  private mutating func read(_ text: RuleText) -> RuleFileItem {
    guard text.range.count <= RuleFile.ruleBytesMax else {
      return diagnostic(
        RuleSyntaxError("the rule has more than \(RuleFile.ruleBytesMax) bytes", at: text.range.lowerBound),
        in: text)
    }
    var parser = RuleParser(text)
    do throws(RuleSyntaxError) {
      let rule = try parser.parse(&tables, isEnabled: true)
      for warning in parser.warnings { pending.append(diagnostic(warning, .warning, in: text)) }
      return .rule(rule)
    } catch {
      return diagnostic(error, in: text)
    }
  }

  private mutating func readDisabled(_ text: RuleText) -> RuleSyntax? {
    var text = text
    text.range = text.source.bytes.trimmed(text.range)
    guard text.range.count <= RuleFile.ruleBytesMax else { return nil }
    var parser = RuleParser(text)
    return try? parser.parse(&tables, isEnabled: false)
  }

  private func diagnostic(
    _ error: RuleSyntaxError, _ severity: RuleDiagnostic.Severity = .error, in text: RuleText
  ) -> RuleFileItem {
    .diagnostic(
      RuleDiagnostic(
        severity: severity, location: text.location(of: error.offset), sid: Self.sid(in: text),
        message: error.message, hint: error.hint))
  }

  /// The number after the first `sid:` of a text that may be broken anywhere.
  private static func sid(in text: RuleText) -> UInt32? {
    let bytes = text.source.bytes
    var index = text.range.lowerBound
    while index &+ 4 <= text.range.upperBound {
      guard bytes.spells("sid:", in: index..<(index &+ 4)) else {
        index &+= 1
        continue
      }
      index &+= 4
      while index < text.range.upperBound, ASCII.isBlank(bytes[index]) { index &+= 1 }
      let digits = bytes[index..<text.range.upperBound].prefix { ASCII.isDigit($0) }
      if let number = DecimalNumber.parse(digits) { return UInt32(exactly: number) }
    }
    return nil
  }
}
