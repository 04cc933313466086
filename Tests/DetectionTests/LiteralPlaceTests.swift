import TestSupport
import Testing

@testable import Detection

@Suite struct LiteralPlaceTests {
  /// However they are told, what is known of them is so, across the end of 32 bits too.
  @Test(arguments: [0, UInt32.max - 40]) func whatIsKnownOfPlacesHolds(base: UInt32) {
    var random = SeededGenerator(seed: UInt64(base) + 7)
    for _ in 0..<2000 {
      let ends = (0..<1 + random.below(7)).map { _ in UInt32(random.below(100)) }
      var place = LiteralPlace(end: base &+ ends[0])
      for end in ends.dropFirst() { place.add(base &+ end) }
      #expect(place.ends[0] &- base == ends.min() && place.lastEnd &- base == ends.max())
      guard !place.hasMore else { continue }
      let known = (0..<Int(place.count)).map { place.ends[$0] &- base }
      #expect(known == Set(ends).sorted())
    }
    var four = LiteralPlace(end: base)
    for end in 1...3 { four.add(base &+ UInt32(end)) }
    #expect(four.count == 4 && !four.hasMore)
    four.add(base &+ 4)
    #expect(four.hasMore && four.lastEnd == base &+ 4)
  }
}
