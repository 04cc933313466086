import Detection
import RuleLanguage
import Testing

@testable import Engine

/// The files of Tests/Keywords: rules with traffic that must and must not make them fire, each marked with the
/// keywords that it is about, and rules that must be refused.
private struct KeywordFile {
  /// A rule that must be refused, where, and what is said.
  struct Refusal {
    var rule: String
    var column: Int
    var message: String
    var place: String
  }

  struct Block {
    var keywords: [String]
    var alerts = 0
    var quiets = 0
    var rule = ""
    /// The tests and the rule, as they stand in the file.
    var lines: [String] = []
    var refusals: [Refusal] = []
  }

  var blocks: [Block] = []

  private static let mark = "# keyword: "
  private static let bad = "# bad: "

  init(_ name: String, _ text: String) {
    var refused: String?
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init).enumerated() {
      if line.hasPrefix(Self.mark) {
        blocks.append(Block(keywords: line.dropFirst(Self.mark.count).split(separator: " ").map(String.init)))
      } else if let last = blocks.indices.last {
        if let rule = refused, let caret = line.firstIndex(of: "^") {
          let column = line.distance(from: line.startIndex, to: caret) - Self.bad.count + 1
          let message = String(line[line.index(after: caret)...].dropFirst())
          blocks[last].refusals.append(
            Refusal(rule: rule, column: column, message: message, place: "\(name):\(index + 1)"))
          refused = nil
        } else if line.hasPrefix(Self.bad) {
          refused = String(line.dropFirst(Self.bad.count))
        } else if blocks[last].rule.isEmpty, !line.isEmpty {
          blocks[last].lines.append(line)
          if line.hasPrefix("# test: alert") { blocks[last].alerts += 1 }
          if line.hasPrefix("# test: quiet") { blocks[last].quiets += 1 }
          if !line.hasPrefix("#") { blocks[last].rule = line }
        }
      }
    }
  }

  static func all() throws -> [KeywordFile] {
    let files = try RuleLoader.load(KeywordScenarios.settings(), paths: KeywordScenarios.paths, shared: .init()).files
    return try files.map { path in
      let name = String(path.dropFirst(SourceFolder.path.count + 1))
      return KeywordFile(name, try SourceFolder.text(name))
    }
  }
}

/// Where the rules for every keyword are, and the settings that some of them need.
enum KeywordScenarios {
  static let paths = ["/Tests/Keywords", "/Tests/Keywords/reputation"].map { SourceFolder.path + $0 }

  static func settings() throws -> Settings {
    let lists = SourceFolder.path + "/Tests/Keywords/reputation"
    return try Settings.load(
      file: nil,
      overrides: [
        "reputation-categories-file=\(lists)/categories.txt", "default-reputation-path=\(lists)",
        "reputation-files.0=addresses.txt", "flow.rate-tracking.bytes=200",
      ], flowSeed: 1)
  }
}

@Suite struct KeywordRuleTests {
  @Test func `rules for every keyword fire where they must and nowhere else`() throws {
    let report = try RuleTestRun(settings: KeywordScenarios.settings(), paths: KeywordScenarios.paths).run()
    #expect(report.failures.map(\.description).joined(separator: "\n") == "")
    #expect(report.passed > 400)
  }

  @Test func `every keyword has traffic that matches, traffic that does not, and a form that is refused`() throws {
    var alerts: Set<String> = [], quiets: Set<String> = [], refusals: Set<String> = [], uses: Set<String> = []
    for block in try KeywordFile.all().flatMap(\.blocks) {
      let rule = try RuleFile.parseRule(block.rule)
      for keyword in block.keywords {
        if rule.options.contains(where: { $0.name == keyword }) { uses.insert(keyword) }
        if block.alerts > 0 { alerts.insert(keyword) }
        if block.quiets > 0 { quiets.insert(keyword) }
        if !block.refusals.isEmpty { refusals.insert(keyword) }
      }
    }
    // Some need more than a rule and a few packets: those are tested where their protocol is.
    let names = Set(KeywordCatalog.all.map(\.name)).subtracting(try Self.testedInSwift(but: uses))
    #expect(names.subtracting(uses).sorted() == [], "no rule in Tests/Keywords uses these")
    #expect(names.subtracting(alerts).sorted() == [], "no test makes these fire")
    #expect(names.subtracting(quiets).sorted() == [], "no test leaves these quiet")
    #expect(names.subtracting(refusals).sorted() == [], "no bad form of these is refused")
  }

  /// Keywords that tests of other stations use in rules.
  private static func testedInSwift(but known: Set<String>) throws -> Set<String> {
    let text = try ["DetectionTests", "InspectionTests", "EventOutputTests", "EngineTests"].map { folder in
      try SourceFolder.files("Tests/" + folder).map { try SourceFolder.text("Tests/\(folder)/\($0)") }.joined()
    }.joined()
    let words = Set(text.split { !($0.isLetter || $0.isNumber || $0 == "." || $0 == "_" || $0 == "-") }.map(String.init))
    return Set(KeywordCatalog.all.map(\.name)).subtracting(known).intersection(words)
  }

  @Test func `what is malformed is refused, with the column of what is wrong`() throws {
    let folder = try TemporaryFolder()
    let settings = try KeywordScenarios.settings()
    var missed: [String] = []
    for refusal in try KeywordFile.all().flatMap(\.blocks).flatMap(\.refusals) {
      let path = try folder.file("bad.rules", Array((refusal.rule + "\n").utf8))
      let loaded = try RuleLoader.load(settings, paths: [path], shared: .init())
      let error = loaded.diagnostics.first { $0.severity == .error }
      // Of the words the files show an example: it is the place and the keyword that must be right.
      let isSame = error?.message.split(separator: ":").first == refusal.message.split(separator: ":").first
      if let error, error.column == refusal.column, isSame || !error.message.contains(":") { continue }
      missed.append(
        "\(refusal.place): column \(error?.column ?? 0) \(error?.message ?? "is not refused"), not \(refusal.column) \(refusal.message)")
    }
    #expect(missed.joined(separator: "\n") == "")
  }

  /// Each rule whose keyword goes by other names too is tested once more under each of these.
  @Test func `the other names of a keyword do what the first one does`() throws {
    let folder = try TemporaryFolder()
    var text = ""
    var count = 0
    for block in try KeywordFile.all().flatMap(\.blocks) {
      for keyword in block.keywords {
        for alias in KeywordCatalog.description(of: keyword)?.aliases ?? [] {
          guard let rule = Self.rename(keyword, alias, block.rule, sid: 100_000 + count) else { continue }
          text += (block.lines.dropLast() + [rule]).joined(separator: "\n") + "\n\n"
          count += 1
        }
      }
    }
    let path = try folder.file("aliases.rules", Array(text.utf8))
    let report = try RuleTestRun(settings: try KeywordScenarios.settings(), paths: [path]).run()
    #expect(report.failures.map(\.description).joined(separator: "\n") == "")
    #expect(count > 20 && report.passed >= count * 2)
  }

  private static func rename(_ keyword: String, _ alias: String, _ rule: String, sid: Int) -> String? {
    var options = rule
    for end in [";", ":"] {
      options = options.split(separator: " ", omittingEmptySubsequences: false).map { word -> String in
        let isOpening = word.hasPrefix("(")
        let bare = isOpening ? word.dropFirst() : word
        guard bare.hasPrefix(keyword + end) else { return String(word) }
        return (isOpening ? "(" : "") + alias + String(bare.dropFirst(keyword.count))
      }.joined(separator: " ")
    }
    guard options != rule, let place = options.range(of: "sid:") else { return nil }
    return options[..<place.lowerBound] + "sid:\(sid);)"
  }
}

extension String {
  /// The last place of a text in this one; the standard library alone has no such search.
  fileprivate func range(of part: String) -> Range<String.Index>? {
    var index = endIndex
    while index > startIndex {
      index = self.index(before: index)
      if self[index...].hasPrefix(part) { return index..<self.index(index, offsetBy: part.count) }
    }
    return nil
  }
}
