import RuleLanguage
import TestSupport
import Testing
import Traffic

@testable import Detection

@Suite struct PayloadContentTests {
  /// Options, a buffer they hold for, one they do not.
  @Test(arguments: [
    (#"content:"abc";"#, "xxabcxx", "xxabxcx"), (#"content:"a|20|b";"#, "a b", "ab"),
    (#"content:"AbC"; nocase;"#, "xaBcx", "xabx"), (#"content:"abc";"#, "abc", "ABC"),
    (#"content:!"abc";"#, "xab", "xabc"), (#"content:"abc"; rawbytes;"#, "abc", "ab"),
    (#"content:"def"; offset:3;"#, "abcdef", "defabc"), (#"content:"def"; offset:3; depth:3;"#, "abcdef", "abcxdef"),
    (#"content:"abc"; depth:3;"#, "abcdef", "xabcdef"), (#"content:"abc"; depth:4;"#, "xabc", "xxabc"),
    (#"content:"abc"; startswith;"#, "abcx", "xabc"), (#"content:"abc"; endswith;"#, "xabc", "abcx"),
    (#"content:"abc"; endswith;"#, "abcabc", "abcab"),
    (#"content:"abc"; startswith; endswith;"#, "abc", "abcabc"),
    (#"content:"abc"; nocase; startswith; endswith;"#, "ABC", "ABCD"),
    (#"content:!"abc"; startswith;"#, "xabc", "abcx"), (#"content:!"abc"; endswith;"#, "abcx", "xabc"),
    (#"content:"a"; content:"b"; distance:0;"#, "xaxb", "xbxa"),
    (#"content:"a"; content:"b"; distance:2;"#, "axxb", "axb"),
    (#"content:"a"; content:"b"; within:1;"#, "xab", "xaxb"),
    (#"content:"a"; content:"b"; within:3;"#, "axxb", "axxxb"),
    (#"content:"a"; content:"b"; distance:1; within:1;"#, "axb", "ab"),
    (#"content:"c"; content:"b"; distance:-2; within:1;"#, "xbc", "bxc"),
    (#"content:"a"; content:!"b"; distance:0;"#, "ba", "ab"),
    (#"content:"a"; content:!"b"; within:1;"#, "axb", "ab"),
    (#"content:"a"; content:"b"; within:1; endswith;"#, "abab", "abx"),
    // Of several places of the first, one must fit the second.
    (#"content:"a"; content:"b"; distance:0; within:1;"#, "axabx", "axaxb"),
    (#"content:"a"; content:"b"; within:1; content:"c"; within:1;"#, "abxabxabc", "abxabxab"),
    (#"content:"a"; content:!"b"; within:1; content:"c"; distance:0;"#, "abaxc", "abab"),
    // A content that no other depends on is independent of the order.
    (#"content:"b"; content:"a";"#, "ab", "b"),
    (#"content:"a"; distance:1; within:1;"#, "xa", "a"),
  ])
  func contentsHoldOrNot(options: String, holds: String, fails: String) throws {
    #expect(try matches(options, holds), "\(options) on \(holds)")
    #expect(try !matches(options, fails), "\(options) on \(fails)")
    #expect(try !matches(options, "") || options.contains("!"))
  }

  @Test(arguments: [
    #"content:"abc"; depth:2;"#, #"content:"abc"; within:2;"#, #"content:"a"; offset:65536;"#,
    #"content:"a"; depth:x;"#, #"content:"a"; offset:-1;"#, #"content:"a"; distance:2000000;"#,
    #"content:"a"; offset:1; distance:1;"#, #"content:"a"; distance:1; offset:1;"#,
    #"content:"a"; depth:1; within:1;"#, #"content:"a"; within:1; depth:1;"#,
    #"content:"a"; startswith; distance:1;"#, #"content:"a"; startswith; depth:1;"#,
    #"content:"a"; offset:1; startswith;"#, #"content:"a"; distance:1; startswith;"#, "nocase;", "depth:3;",
    #"content:"a"; fast_pattern:1;"#, #"content:"abc"; fast_pattern:2,2;"#, #"content:"abc"; fast_pattern:-1,2;"#,
    #"content:"abc"; replace:"ab";"#, #"content:!"abc"; replace:"abc";"#, #"content:"a"; distance:unknown;"#,
  ])
  func badContentsAreRefused(options: String) {
    #expect(throws: (any Error).self) { try program(options) }
  }

  @Test func fastPatternsAreNoted() throws {
    #expect(try program(#"content:"abc"; fast_pattern;"#).contents.first?.fastPattern == .whole)
    #expect(try program(#"content:"abc"; fast_pattern:only;"#).contents.first?.fastPattern == .only)
    #expect(try program(#"content:"abc"; fast_pattern:1,2;"#).contents.first?.fastPattern == .chop(offset: 1, length: 2))
  }

  @Test func positionsCountFromTheStartOfTheStream() throws {
    // The bytes at hand begin at 100.
    #expect(try matches(#"content:"abc"; offset:100;"#, "abc", offset: 100))
    #expect(try matches(#"content:"abc"; offset:50;"#, "abc", offset: 100))
    #expect(try !matches(#"content:"abc"; offset:101;"#, "abc", offset: 100))
    #expect(try matches(#"content:"abc"; depth:103;"#, "abc", offset: 100))
    #expect(try !matches(#"content:"abc"; depth:102;"#, "abc", offset: 100))
    #expect(try matches(#"content:"abc"; offset:101; depth:3;"#, "xabc", offset: 100))
    #expect(try !matches(#"content:"abc"; startswith;"#, "abc", offset: 100))
    #expect(try matches(#"content:"abc"; within:103;"#, "abc", offset: 100))
    #expect(try !matches(#"content:"abc"; within:102;"#, "abc", offset: 100))
  }

  @Test func whatLiesBeforeTheBytesIsNotTakenToBeAbsent() throws {
    #expect(try !matches(#"content:!"abc"; depth:10;"#, "xyz", offset: 100))
    #expect(try !matches(#"content:!"abc"; startswith;"#, "xyz", offset: 100))
    #expect(try matches(#"content:!"abc"; depth:200;"#, "xyz", offset: 100))
    #expect(try matches(#"content:!"abc";"#, "xyz", offset: 100))
  }

  @Test func replacementsStandWhereTheContentWas() throws {
    let rule = try program(#"content:"abc"; replace:"xyz"; content:"!"; distance:0; within:1;"#)
    let hit = run(rule, Array("abc abc!".utf8))
    #expect(hit.isMatch)
    #expect(hit.replacements.map(\.position) == [4])
    #expect(hit.replacements.first?.bytes == Array("xyz".utf8))
    // Places that were tried in vain leave nothing.
    #expect(run(rule, Array("abc abc".utf8)).replacements.isEmpty)
  }

  @Test func aRuleOfTooManyStepsGivesUpAndIsCounted() throws {
    let options =
      (0..<12).map { _ in #"content:"a"; within:50;"# }.joined() + #"content:"b"; within:50;"#
    let result = run(try program(options), [UInt8](repeating: 0x61, count: 200))
    #expect(!result.isMatch)
    #expect(result.exhausted == 1)
  }

  @Test func aContentThatIsMissingAltogetherEndsTheRetriesOfThoseBeforeIt() throws {
    let options = (0..<12).map { _ in #"content:"a"; distance:0;"# }.joined() + #"content:"b"; distance:0;"#
    let result = run(try program(options), [UInt8](repeating: 0x61, count: 200))
    #expect(!result.isMatch)
    #expect(result.exhausted == 0)
  }

  @Test func contentsAgreeWithAPlainReadingOfTheirDefinition() throws {
    var generator = SeededGenerator(seed: 11)
    var hits = 0
    for _ in 0..<4_000 {
      let bytes = (0..<Int.random(in: 0...24, using: &generator)).map { _ in
        UInt8.random(in: 0x61...0x63, using: &generator)
      }
      let contents = (0..<Int.random(in: 1...3, using: &generator)).map { index in
        NaiveContent.random(isFirst: index == 0, &generator)
      }
      let options = contents.map(\.option).joined(separator: " ")
      let expected = NaiveContent.matches(contents[...], bytes, cursor: 0)
      hits += expected ? 1 : 0
      #expect(run(try program(options), bytes).isMatch == expected, "\(options) on \(String(decoding: bytes, as: UTF8.self))")
    }
    // Neither answer is rare.
    #expect(hits > 500 && hits < 3_500)
  }

  @Test func searchAgreesWithAPlainOne() {
    var generator = SeededGenerator(seed: 12)
    for round in 0..<20_000 {
      let letters: [UInt8] = [0x61, 0x41, 0x62, 0x42, 0x40, 0x60, 0x5b, 0x7b, 0x20, 0x00]
      let bytes = (0..<Int.random(in: 0...70, using: &generator)).map { _ in letters.randomElement(using: &generator) ?? 0 }
      let ignoringCase = round % 2 == 0
      var literal = (0..<Int.random(in: 1...4, using: &generator)).map { _ in letters.randomElement(using: &generator) ?? 0 }
      if ignoringCase { literal = literal.map(ByteSearch.lower) }
      let from = Int.random(in: 0...(bytes.count + 1), using: &generator)
      let to = Int.random(in: 0...(bytes.count + 1), using: &generator)
      let found = ByteSearch.find(literal.rawSpan, in: bytes.rawSpan, from: from, to: to, ignoringCase: ignoringCase)
      #expect(found == Self.plainFind(literal, bytes, from, to, ignoringCase))
      let stands = ByteSearch.matches(literal.rawSpan, in: bytes.rawSpan, at: from, ignoringCase: ignoringCase)
      #expect(stands == (Self.plainFind(literal, bytes, from, min(bytes.count, from + literal.count), ignoringCase) == from))
    }
  }

  private static func plainFind(_ literal: [UInt8], _ bytes: [UInt8], _ from: Int, _ to: Int, _ ignoringCase: Bool) -> Int? {
    guard to <= bytes.count, from <= to else { return nil }
    return (from..<max(from, to)).first { start in
      start + literal.count <= to
        && zip(bytes[start...], literal).allSatisfy { (ignoringCase ? ByteSearch.lower($0) : $0) == $1 }
    }
  }

  @Test func stepsAreTriviallyCopied() {
    #expect(_isPOD(PayloadStep.self))
  }
}

/// A content with modifiers, matched by trying every place there is.
struct NaiveContent {
  var text: [UInt8]
  var isNegated = false
  var offset: Int?
  var depth: Int?
  var distance: Int?
  var within: Int?
  var startsWith = false
  var endsWith = false

  static func random(isFirst: Bool, _ generator: inout SeededGenerator) -> NaiveContent {
    let text = (0..<Int.random(in: 1...2, using: &generator)).map { _ in UInt8.random(in: 0x61...0x63, using: &generator) }
    var content = NaiveContent(text: text, isNegated: Int.random(in: 0..<5, using: &generator) == 0)
    switch Int.random(in: 0..<7, using: &generator) {
    case 0: content.offset = Int.random(in: 0...6, using: &generator)
    case 1: content.depth = text.count + Int.random(in: 0...6, using: &generator)
    case 2:
      content.offset = Int.random(in: 0...6, using: &generator)
      content.depth = text.count + Int.random(in: 0...6, using: &generator)
    case 3: content.startsWith = true
    case 4 where !isFirst: content.distance = Int.random(in: -3...4, using: &generator)
    case 5 where !isFirst: content.within = text.count + Int.random(in: 0...4, using: &generator)
    case 6 where !isFirst:
      content.distance = Int.random(in: -3...4, using: &generator)
      content.within = text.count + Int.random(in: 0...4, using: &generator)
    default: break
    }
    content.endsWith = Int.random(in: 0..<6, using: &generator) == 0
    return content
  }

  var option: String {
    var out = "content:\(isNegated ? "!" : "")\"\(String(decoding: text, as: UTF8.self))\";"
    if let offset { out += " offset:\(offset);" }
    if let depth { out += " depth:\(depth);" }
    if let distance { out += " distance:\(distance);" }
    if let within { out += " within:\(within);" }
    if startsWith { out += " startswith;" }
    if endsWith { out += " endswith;" }
    return out
  }

  /// Where the text may start, given where the match before ended.
  func places(_ bytes: [UInt8], cursor: Int) -> [Int] {
    bytes.indices.filter { start in
      let end = start + text.count
      guard end <= bytes.count, Array(bytes[start..<end]) == text else { return false }
      if endsWith, end != bytes.count { return false }
      if startsWith, start != 0 { return false }
      if distance != nil || within != nil {
        let from = cursor + (distance ?? 0)
        return start >= from && (within.map { end <= from + $0 } ?? true)
      }
      return start >= (offset ?? 0) && (depth.map { end <= (offset ?? 0) + $0 } ?? true)
    }
  }

  static func matches(_ contents: ArraySlice<NaiveContent>, _ bytes: [UInt8], cursor: Int) -> Bool {
    guard let first = contents.first else { return true }
    let places = first.places(bytes, cursor: cursor)
    if first.isNegated { return places.isEmpty && matches(contents.dropFirst(), bytes, cursor: cursor) }
    return places.contains { matches(contents.dropFirst(), bytes, cursor: $0 + first.text.count) }
  }
}
