import Testing
import Traffic

@testable import Detection

/// Rules that wait on a stream: each octet is searched once for each literal, whatever the chunks.
@Suite struct StreamSearchTests {
  private static let rules = """
    alert tcp any any -> any any (content:"alpha beta"; content:"gamma"; distance:0; sid:1;)
    alert tcp any any -> any any (content:"alpha beta"; content:"gamma"; distance:0; within:9; sid:2;)
    alert tcp any any -> any any (content:"alpha beta"; content:"start"; depth:5; sid:3;)
    alert tcp any any -> any any (content:"alpha beta"; content:"start"; offset:1; depth:5; sid:4;)
    alert tcp any any -> any any (content:"alpha beta"; content:!"delta"; sid:5;)
    alert tcp any any -> any any (content:"alpha beta"; content:"GAMMA"; nocase; content:"omega"; sid:6;)
    alert tcp any any -> any any (content:"alpha beta"; byte_test:1,=,0x2b,4,relative; sid:7;)
    alert tcp any any -> any any (content:"alpha beta"; isdataat:40,relative; sid:8;)
    alert tcp any any -> any any (content:"alpha beta"; pcre:"/om[a-e]g./"; sid:9;)
    alert tcp any any -> any any (content:"omega"; content:"alpha beta"; content:"nowhere"; sid:10;)
    alert tcp any any -> any any (content:"alpha beta"; content:"mm"; content:"a"; distance:0; within:1; sid:11;)
    """
  private static let text =
    "start: then comes alpha beta -- + and after it gamma, mmmma Gamma; much later, at the end, omega."

  private func alerts(chunk: Int, isPrefilterOff: Bool = false) -> Set<UInt32> {
    let bench = Bench(Self.rules, isPrefilterOff: isPrefilterOff, isInline: true)
    var sids: Set<UInt32> = []
    var rest = Self.text[...]
    while !rest.isEmpty {
      sids.formUnion(bench.stream(String(rest.prefix(chunk))))
      rest = rest.dropFirst(chunk)
    }
    return sids
  }

  @Test(arguments: [1, 2, 3, 7, 16, 50])
  func theSameRulesMatchWhateverTheChunks(chunk: Int) {
    let whole = alerts(chunk: Self.text.count)
    #expect(whole == [1, 3, 5, 6, 7, 8, 9, 11])
    #expect(alerts(chunk: chunk) == whole)
    #expect(alerts(chunk: chunk, isPrefilterOff: true) == whole)
  }

  @Test func aLiteralThatNeverComesIsSearchedForOnceInEachOctet() {
    let bench = Bench(
      "alert tcp any any -> any any (content:\"needle in hay\"; content:\"nowhere\"; sid:1;)")
    #expect(bench.stream("needle in hay") == [])
    let octets: UInt64 = 3000
    for _ in 0..<octets { #expect(bench.stream("x") == []) }
    // One octet at a time, each search begins as much earlier as the literal is long, less one.
    #expect(bench.searchedBytes <= (octets + 13) * 7)
    #expect(bench.searchedBytes >= octets)
  }

  @Test func stepsThatFailedAreNotRunAgainUntilALiteralOccurs() {
    let bench = Bench(
      """
      alert tcp any any -> any any (content:"needle in hay"; content:"tail"; content:"end"; distance:0; \
      within:3; sid:1;)
      """)
    #expect(bench.stream("needle in hay, tail, end") == [])
    let before = bench.searchedBytes
    for _ in 0..<1000 { #expect(bench.stream("x") == []) }
    #expect(bench.searchedBytes - before <= 1000 * (13 + 4 + 3))
    #expect(bench.stream("tailend") == [1])
  }

  @Test func aRuleBoundToTheStartIsGivenUpOnceThatHasGoneBy() {
    let bench = Bench(
      "alert tcp any any -> any any (content:\"needle in hay\"; content:\"GET\"; depth:3; sid:1;)")
    #expect(bench.stream("PUT needle in hay") == [])
    let before = bench.searchedBytes
    for _ in 0..<1000 { #expect(bench.stream("GET") == []) }
    #expect(bench.searchedBytes == before)
  }

  @Test func aPieceThatIsLetThroughAheadLeavesNoTrace() {
    let bench = Bench(
      "alert tcp any any -> any any (content:\"needle in hay\"; content:\"tail\"; sid:1;)")
    #expect(bench.stream("needle in hay ") == [])
    #expect(bench.aside("no such thing") == [])
    #expect(bench.aside("needle in hay, tail") == [1])
    #expect(bench.stream("then a tail") == [1])
  }
}
