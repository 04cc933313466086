import Detection
import Glibc
import RuleLanguage
import Testing

@testable import Engine

/// The folder of the sources that these tests were built from.
enum SourceFolder {
  static let path = #filePath.split(separator: "/").dropLast(3).reduce(into: "") { $0 += "/" + $1 }

  /// Names of the Swift files in a folder.
  static func files(_ folder: String) throws -> [String] {
    guard let handle = unsafe opendir(path + "/" + folder) else { return [] }
    defer { unsafe closedir(handle) }
    var names: [String] = []
    while let entry = unsafe readdir(handle) {
      // SAFETY: readdir's entry is valid until the next call; its name ends in NUL.
      let name = unsafe withUnsafePointer(to: entry.pointee.d_name) {
        unsafe String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
      }
      if name.hasSuffix(".swift") { names.append(name) }
    }
    return names.sorted()
  }

  static func text(_ name: String) throws -> String {
    String(decoding: try #require(TextFile.read(path + "/" + name)), as: UTF8.self)
  }
}

@Suite struct KeywordReferenceTests {
  @Test func `every keyword that rules may use is described, and nothing else is`() {
    #expect(KeywordCatalog.undescribed.isEmpty)
    #expect(KeywordCatalog.stale.isEmpty)
  }

  @Test func `no name is described twice`() {
    let names = KeywordCatalog.all.flatMap { [$0.name] + $0.aliases }
    #expect(Set(names).count == names.count)
  }

  @Test(arguments: KeywordCatalog.all.map(\.name))
  func `the example of a keyword uses it and loads`(name: String) throws {
    let keyword = try #require(KeywordCatalog.description(of: name))
    let rule = try RuleFile.parseRule(keyword.example)
    #expect(rule.options.contains { $0.name == name })
    var compiler = RuleCompiler(settings: RuleCompiler.Settings(), shared: SharedDetectionState())
    compiler.add(rule)
    // Reputation lists stand in the configuration, of which there is none here.
    let errors = compiler.diagnostics.filter { $0.severity == .error && !$0.message.hasSuffix("in the configuration") }
    #expect(errors.isEmpty)
    #expect(!keyword.summary.isEmpty && keyword.summary.hasSuffix("."))
  }

  @Test func `docs-keywords is what sluice keywords prints`() throws {
    let page = try SourceFolder.text("docs/keywords.md")
    #expect(
      page == KeywordReference.markdown(KeywordCatalog.all),
      "docs/keywords.md is not current: sluice keywords --markdown > docs/keywords.md")
  }

  @Test func `the details name aliases, direction and an example`() throws {
    let keyword = try #require(KeywordCatalog.description(of: "tls_sni"))
    let text = KeywordReference.details(keyword)
    #expect(text.hasPrefix("tls.sni\n"))
    #expect(text.contains("also      tls_sni\n"))
    #expect(text.contains("direction to server\n"))
    #expect(text.contains("alert tls any any -> any any"))
  }

  @Test func `the JSON holds an object for each keyword`() throws {
    let keyword = try #require(KeywordCatalog.description(of: "urilen"))
    let json = KeywordReference.json([keyword])
    #expect(json.hasPrefix(#"[{"name":"urilen","aliases":[],"kind":"transaction","protocols":["http"],"direction":"to server""#))
    #expect(json.hasSuffix("}]"))
  }
}
