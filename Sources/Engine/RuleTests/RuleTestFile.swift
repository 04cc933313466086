/// The tests of one rule, and what is wrong with some of them.
struct RuleTestBlock: Sendable {
  var tests: [RuleTest] = []
  var problems: [(line: Int, message: String)] = []
  /// The lines of the rule that they belong to, from 1; nil when none follows.
  var ruleLines: ClosedRange<Int>?

  var isEmpty: Bool { tests.isEmpty && problems.isEmpty }
}

/// Reads the tests out of the comments of a rule file.
///
/// A test belongs to the next line that is no comment; an empty line between them is an error.
enum RuleTestFile {
  static func parse(_ bytes: [UInt8]) -> [RuleTestBlock] {
    var blocks: [RuleTestBlock] = []
    var current = RuleTestBlock()
    var reader = RuleTestReader()
    var number = 0
    // A rule may go on in the next line behind a backslash; that line begins no other rule.
    var isContinued = false
    var continuedBlock: Int?
    for line in bytes.split(separator: 10, omittingEmptySubsequences: false) {
      number += 1
      let line = line.last == 13 ? line.dropLast() : line
      let wasContinued = isContinued
      isContinued = line.first != UInt8(ascii: "#") && line.last == UInt8(ascii: "\\")
      if wasContinued {
        if let index = continuedBlock, let first = blocks[index].ruleLines?.lowerBound {
          blocks[index].ruleLines = first...number
        }
        continue
      }
      if let first = line.first, first != UInt8(ascii: "#") {
        reader.end(into: &current)
        continuedBlock = nil
        if !current.isEmpty {
          current.ruleLines = number...number
          continuedBlock = blocks.count
          blocks.append(current)
        }
        current = RuleTestBlock()
        continue
      }
      do throws(RuleTestProblem) {
        try reader.take(line, number: number, into: &current)
      } catch {
        current.problems.append((number, error.message))
      }
    }
    reader.end(into: &current)
    if let last = current.tests.last {
      current.problems.append((last.line, "belongs to no rule"))
      current.tests = []
    }
    if !current.isEmpty { blocks.append(current) }
    return blocks
  }
}

/// Reads comment lines; keeps the test that they add to.
private struct RuleTestReader {
  private var test: RuleTest?
  /// A text line without line end came: it is the last of its part.
  private var isPartEnded = false

  mutating func take(
    _ line: ArraySlice<UInt8>, number: Int, into block: inout RuleTestBlock
  ) throws(RuleTestProblem) {
    if line.isEmpty {
      let isOpen = test != nil || !block.tests.isEmpty
      end(into: &block)
      if isOpen { throw RuleTestProblem("an empty line stands between a test and its rule") }
      return
    }
    if line.starts(with: "# test:".utf8) {
      end(into: &block)
      isPartEnded = false
      var made = try Self.head(line)
      made.line = number
      test = made
    } else if line.elementsEqual("# ---".utf8) {
      guard test != nil else { throw RuleTestProblem("a text stands without a test") }
      test?.parts.append([])
      isPartEnded = false
    } else if line.starts(with: "# |".utf8) {
      try addText(line.dropFirst(3))
    }
  }

  private mutating func addText(_ rest: ArraySlice<UInt8>) throws(RuleTestProblem) {
    guard var test, let last = test.parts.indices.last else {
      throw RuleTestProblem("a text stands without a test")
    }
    guard !isPartEnded else { throw RuleTestProblem("a text follows a line without line end (`# |.`)") }
    if rest.starts(with: ". ".utf8) {
      test.parts[last] += try RuleTestText.unescape(rest.dropFirst(2))
      isPartEnded = true
    } else if rest.isEmpty || rest.first == UInt8(ascii: " ") {
      test.parts[last] += try RuleTestText.unescape(rest.dropFirst()) + [13, 10]
    } else {
      throw RuleTestProblem("a text line begins with `# | ` or `# |. `")
    }
    self.test = test
  }

  /// Closes the test in hand: checks it and fills lengths in.
  mutating func end(into block: inout RuleTestBlock) {
    guard var finished = test else { return }
    test = nil
    do throws(RuleTestProblem) {
      try Self.check(&finished)
      block.tests.append(finished)
    } catch {
      block.problems.append((finished.line, error.message))
    }
  }

  private static func check(_ test: inout RuleTest) throws(RuleTestProblem) {
    let names = Set(test.keys.keys), kind = test.kind
    if let missing = kind.requiredKeys.subtracting(names).min() {
      throw RuleTestProblem("a test of kind \(kind.rawValue) needs \(missing)=")
    }
    if let unknown = names.subtracting(kind.requiredKeys).subtracting(kind.optionalKeys).min() {
      throw RuleTestProblem("a test of kind \(kind.rawValue) has no \(unknown)=")
    }
    guard kind.partCounts.contains(test.parts.count) else {
      let few = kind.partCounts.lowerBound, many = kind.partCounts.upperBound
      throw RuleTestProblem(
        "a test of kind \(kind.rawValue) has \(few == many ? "\(few)" : "\(few) to \(many)") texts, not \(test.parts.count)")
    }
    if kind.needsText, test.parts.contains(where: \.isEmpty) {
      throw RuleTestProblem("a test of kind \(kind.rawValue) needs a text")
    }
    guard kind.isHTTP else { return }
    for index in test.parts.indices {
      guard let filled = RuleTestText.fillContentLength(test.parts[index]) else {
        throw RuleTestProblem("no empty line ends the headers of the HTTP text")
      }
      test.parts[index] = filled
    }
  }

  // MARK: The first line

  /// `# test: alert|quiet KIND name=value…`
  private static func head(_ line: ArraySlice<UInt8>) throws(RuleTestProblem) -> RuleTest {
    var rest = line.dropFirst("# test:".utf8.count)
    guard let word = word(&rest), let expectation = RuleTest.Expectation(rawValue: word) else {
      throw RuleTestProblem("a test begins with `# test: alert` or `# test: quiet`")
    }
    let name = Self.word(&rest) ?? ""
    guard let kind = RuleTestKind(rawValue: name) else {
      let kinds = RuleTestKind.allCases.map(\.rawValue).joined(separator: ", ")
      throw RuleTestProblem("there is no kind of test \(name); there are \(kinds)")
    }
    var test = RuleTest(expectation: expectation, kind: kind, line: 0)
    while !rest.isEmpty {
      let (name, value) = try pair(&rest)
      guard test.keys.updateValue(value, forKey: name) == nil else {
        throw RuleTestProblem("\(name)= stands twice")
      }
    }
    return test
  }

  /// A blank and the letters and dashes behind it.
  private static func word(_ rest: inout ArraySlice<UInt8>) -> String? {
    guard rest.first == 32 else { return nil }
    let found = rest.dropFirst().prefix { (97...122).contains($0) || $0 == UInt8(ascii: "-") }
    rest = rest[found.endIndex...]
    return String(decoding: found, as: UTF8.self)
  }

  /// A blank, `name=`, and a value in quotes or without blanks.
  private static func pair(
    _ rest: inout ArraySlice<UInt8>
  ) throws(RuleTestProblem) -> (String, [UInt8]) {
    let malformed = RuleTestProblem("keys are name=value or name=\"value\", with one blank before each")
    guard rest.popFirst() == 32 else { throw malformed }
    let name = rest.prefix { (97...122).contains($0) || (48...57).contains($0) }
    rest = rest[name.endIndex...]
    guard !name.isEmpty, rest.popFirst() == UInt8(ascii: "=") else { throw malformed }
    let quote = UInt8(ascii: "\"")
    let value: ArraySlice<UInt8>
    if rest.first == quote {
      rest.removeFirst()
      value = rest.prefix { $0 != quote }
      rest = rest[value.endIndex...]
      guard rest.popFirst() == quote else { throw malformed }
    } else {
      value = rest.prefix { $0 != 32 && $0 != 9 }
      rest = rest[value.endIndex...]
      guard !value.isEmpty else { throw malformed }
    }
    return (String(decoding: name, as: UTF8.self), try RuleTestText.unescape(value))
  }
}
