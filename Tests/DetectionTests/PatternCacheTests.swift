import Foundation
import Testing
import Traffic

@testable import Detection

@Suite struct PatternCacheTests {
  private let patterns = (0..<100).map {
    FastPattern(bytes: Array("literal \($0)".utf8), isCaseInsensitive: $0 % 2 == 0)
  }

  /// A directory of its own for each test; taken away at the end.
  private func withCache(_ body: (PatternCache, URL) throws -> Void) throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: url) }
    try body(PatternCache(directory: url.path), url)
  }

  private func file(in url: URL) throws -> URL {
    try #require(try FileManager.default.contentsOfDirectory(at: url, includingPropertiesForKeys: nil).first)
  }

  @Test func whatIsStoredIsLoadedAndMatches() throws {
    try withCache { cache, _ in
      #expect(cache.load(patterns) == nil)
      cache.store(try PatternDatabase.compile(patterns), patterns)
      let database = try #require(cache.load(patterns))
      var plan = PatternTablePlan()
      for (index, pattern) in patterns.enumerated() { plan.add(pattern, rule: RuleIndex(index)) }
      let table = PatternTable(databases: [database], plan: plan)
      var scanner = PatternScanner()
      scanner.prepare([table])
      let bytes = Array("a literal 7.".utf8)
      let isDone = scanner.scan(table, bytes.rawSpan)
      #expect(isDone)
      #expect(scanner.hitCount == 1)
    }
  }

  @Test func otherLiteralsAreOtherFiles() throws {
    try withCache { cache, _ in
      cache.store(try PatternDatabase.compile(patterns), patterns)
      var others = patterns
      others[0].isCaseInsensitive.toggle()
      #expect(cache.load(others) == nil)
    }
  }

  @Test(arguments: [0, 20, 60, -1]) func aDamagedFileIsAsGoodAsNone(_ place: Int) throws {
    try withCache { cache, url in
      cache.store(try PatternDatabase.compile(patterns), patterns)
      let file = try file(in: url)
      var data = try Data(contentsOf: file)
      data[place < 0 ? data.count - 1 : place] ^= 1
      try data.write(to: file)
      #expect(cache.load(patterns) == nil)
    }
  }

  @Test(arguments: [0, 16, 48, 49]) func aCutFileIsAsGoodAsNone(_ count: Int) throws {
    try withCache { cache, url in
      cache.store(try PatternDatabase.compile(patterns), patterns)
      let file = try file(in: url)
      try Data(contentsOf: file).prefix(count).write(to: file)
      #expect(cache.load(patterns) == nil)
    }
  }

  @Test func aFileThatOthersMayWriteIsNotTaken() throws {
    try withCache { cache, url in
      cache.store(try PatternDatabase.compile(patterns), patterns)
      let file = try file(in: url)
      try FileManager.default.setAttributes([.posixPermissions: 0o666], ofItemAtPath: file.path)
      #expect(cache.load(patterns) == nil)
    }
  }
}
