import RuleLanguage
import Testing

@testable import Detection

@Suite struct FastPatternTests {
  private func choice(_ options: String, reach: UInt32 = .max) throws -> FastPatternChoice.Choice? {
    FastPatternChoice.best([(nil, try program(options), 100)], reach: reach)
  }

  private func text(_ choice: FastPatternChoice.Choice?) -> String? {
    choice.map { String(decoding: $0.pattern.bytes, as: UTF8.self) }
  }

  @Test func ofAStreamALiteralNearTheStartIsLookedForBeforeALongerOne() throws {
    let options = "content:\"NEAR\"; depth:4; content:\"a much longer literal\";"
    #expect(text(try choice(options)) == "NEAR")
    #expect(text(try choice("content:\"AR\"; offset:2; depth:2; content:\"much longer\";")) == "AR")
    #expect(text(FastPatternChoice.best([(0, try program(options), 100)])) == "a much longer literal")
  }

  @Test func whatBeginsManyStreamsOrLiesFarInIsNotPreferred() throws {
    #expect(text(try choice("content:\"GET /\"; depth:5; content:\"much longer\";")) == "much longer")
    #expect(text(try choice("content:\"NEAR\"; depth:4000; content:\"much longer\";")) == "much longer")
    #expect(text(try choice("content:\"AR\"; depth:40; content:\"much longer\";")) == "much longer")
  }

  @Test func theSizeOfThePayloadBoundsWhereALiteralCounts() throws {
    #expect(try choice("content:\"anywhere\";", reach: 20)?.pattern.constraint.endMax == 20)
    let bench = Bench(
      """
      alert tcp any any -> any any (dsize:<9; content:"evil"; sid:1;)
      alert tcp any any -> any any (dsize:8; content:"evil"; sid:2;)
      alert tcp any any -> any any (dsize:7<>9; content:"evil"; sid:3;)
      """)
    #expect(bench.packet("good evil") == [])
    #expect(bench.packet("bad evil") == [1, 2, 3])
  }
}
