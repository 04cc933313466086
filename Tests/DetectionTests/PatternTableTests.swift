import Testing
import Traffic

@testable import Detection

@Suite struct PatternTableTests {
  private func hits(
    _ patterns: [FastPattern], in text: String, newFrom: Int = 0, isComplete: Bool = true
  ) throws -> [Int] {
    var plan = PatternTablePlan()
    for (index, pattern) in patterns.enumerated() { plan.add(pattern, rule: RuleIndex(index)) }
    let table = PatternTable(database: try PatternDatabase.compile(plan.patterns), plan: plan)
    var scanner = PatternScanner()
    scanner.prepare([table])
    let bytes = Array(text.utf8)
    let isDone = scanner.scan(table, bytes.rawSpan, newFrom: newFrom, isComplete: isComplete)
    #expect(isDone)
    return (0..<scanner.hitCount).map { scanner.hit($0) }.sorted()
  }

  private func pattern(
    _ text: String, ignoringCase: Bool = false, _ constraint: HitConstraint = HitConstraint()
  ) -> FastPattern {
    FastPattern(bytes: Array(text.utf8), isCaseInsensitive: ignoringCase, constraint: constraint)
  }

  @Test func findsEachLiteralOnceWhateverItsCount() throws {
    #expect(try hits([pattern("ab"), pattern("zz")], in: "ab ab ab") == [0])
  }

  @Test func ignoresCaseOnlyWhereAsked() throws {
    #expect(try hits([pattern("GET", ignoringCase: true), pattern("GET")], in: "get") == [0])
  }

  @Test func takesLiteralsThatBeginWithNUL() throws {
    #expect(try hits([FastPattern(bytes: [0, 0x7c, 0xff], isCaseInsensitive: false)], in: "x").isEmpty)
  }

  @Test func leavesOutHitsThatEndedBefore() throws {
    #expect(try hits([pattern("ab")], in: "ab..", newFrom: 2).isEmpty)
    #expect(try hits([pattern("ab")], in: ".ab.", newFrom: 2) == [0])
  }

  @Test func prunesHitsOutsideTheirPlace() throws {
    let atEnd = HitConstraint(isAtEnd: true)
    #expect(try hits([pattern("ab", atEnd)], in: "ab.").isEmpty)
    #expect(try hits([pattern("ab", atEnd)], in: "ab.ab") == [0])
    #expect(try hits([pattern("ab", atEnd)], in: "ab.ab", isComplete: false).isEmpty)
    #expect(try hits([pattern("ab", HitConstraint(endMin: 2, endMax: 2))], in: ".ab").isEmpty)
    #expect(try hits([pattern("ab", HitConstraint(endMin: 2, endMax: 2))], in: "abab") == [0])
  }
}
