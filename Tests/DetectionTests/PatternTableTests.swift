import Testing
import Traffic

@testable import Detection

@Suite struct PatternTableTests {
  private func hits(
    _ patterns: [FastPattern], in text: String, newFrom: Int = 0, isComplete: Bool = true
  ) throws -> [Int] {
    var plan = PatternTablePlan()
    for (index, pattern) in patterns.enumerated() { plan.add(pattern, rule: RuleIndex(index)) }
    let table = PatternTable(databases: [try PatternDatabase.compile(plan.patterns)], plan: plan)
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

  @Test func literalsAreLookedForInPartsAndFoundAsInOne() throws {
    var plan = PatternTablePlan()
    let near = HitConstraint(endMin: 4, endMax: 8)
    plan.add(pattern("ab"), rule: 0)
    plan.add(pattern("head", near), rule: 1)
    for index in 2..<20 { plan.add(pattern("literal \(index)."), rule: RuleIndex(index)) }
    plan.divide(for: .streams)
    #expect(plan.parts.count == 3)
    let table = PatternTable(
      databases: try plan.parts.map { try PatternDatabase.compile(Array(plan.patterns[$0])) }, plan: plan)
    func rules(_ text: String, offset: UInt64 = 0) -> [RuleIndex] {
      var scanner = PatternScanner()
      scanner.prepare([table])
      var found: [RuleIndex] = []
      for part in table.parts.indices {
        let bytes = Array(text.utf8)
        let isDone = scanner.scan(table, part: part, bytes.rawSpan, offset: offset)
        #expect(isDone)
        for hit in 0..<scanner.hitCount { found.append(table.rules[Int(table.starts[scanner.hit(hit)])]) }
      }
      return found.sorted()
    }
    #expect(rules("a head, ab, literal 7. literal 19.") == [0, 1, 7, 19])
    #expect(rules("a long head, literal 2") == [])
    #expect(rules("a head", offset: 4) == [])
    #expect(rules("a head", offset: 2) == [1])
    #expect(rules("abhead", offset: 1 << 40) == [0])
  }

  @Test func buffersThatShareATableFindTheirOwnLiteralsAlone() throws {
    var own = PatternTablePlan()
    own.add(pattern("shared"), rule: 1)
    own.add(pattern("mine"), rule: 2)
    var other = PatternTablePlan()
    other.add(pattern("shared"), rule: 3)
    var plan = PatternTablePlan()
    plan.add(own, as: 0)
    plan.add(other, as: 1)
    plan.divide(for: .wholes)
    #expect(plan.parts.count == 1)
    let table = PatternTable(databases: [try PatternDatabase.compile(plan.patterns)], plan: plan)
    var scanner = PatternScanner()
    scanner.prepare([table])
    let bytes = Array("mine is shared".utf8)
    var found: [[RuleIndex]] = []
    for member in [0, 1] as [UInt8] {
      let isDone = scanner.scan(table, bytes.rawSpan, member: member)
      #expect(isDone)
      found.append((0..<scanner.hitCount).map { table.rules[Int(table.starts[scanner.hit($0)])] }.sorted())
    }
    #expect(found == [[1, 2], [3]])
    let isDone = scanner.scan(table, bytes.rawSpan, member: PatternScanner.everyMember)
    #expect(isDone)
    #expect(scanner.hitCount == 3)
  }

  /// Vectorscan 5.4.9 overlooks some of these with AVX-512 when it is given no more than the buffer.
  @Test(arguments: [2, 3, 40, 200]) func literalsAreFoundUpToTheLastOctetWhereverTheBufferLies(count: Int) throws {
    var state: UInt64 = 7
    func next(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    for length in [150, 5000] {
      var plan = PatternTablePlan()
      let literals = (0..<count).map { _ in (0..<4 + next(20)).map { _ in UInt8(next(256)) } }
      for (rule, literal) in literals.enumerated() {
        plan.add(FastPattern(bytes: literal, isCaseInsensitive: false), rule: RuleIndex(rule))
      }
      let table = PatternTable(databases: [try PatternDatabase.compile(plan.patterns)], plan: plan)
      var scanner = PatternScanner()
      scanner.prepare([table])
      var missed: [Int] = []
      for round in 0..<1500 {
        let start = next(64)
        var bytes = (0..<start + length).map { _ in UInt8(next(256)) }
        let chosen = next(count)
        let end = bytes.count - next(40)
        bytes.replaceSubrange(end - literals[chosen].count..<end, with: literals[chosen])
        let isDone = scanner.scan(table, bytes.rawSpan.extracting(start...))
        #expect(isDone)
        if !(0..<scanner.hitCount).contains(where: { scanner.hit($0) == chosen }) { missed.append(round) }
      }
      #expect(missed.isEmpty)
    }
  }

  @Test func nothingBehindTheBufferIsFound() throws {
    // The second literal would lie partly in what is put behind.
    let patterns = [pattern("ab"), FastPattern(bytes: [0x63, 0, 0], isCaseInsensitive: false)]
    #expect(try hits(patterns, in: "ab..c") == [0])
    #expect(try hits(patterns, in: "..c", isComplete: false).isEmpty)
  }
}
