import TestSupport
import Testing
import Traffic

@testable import Detection

struct AddressIndexTests {
  /// Addresses where something may change: the ends of both families, of blocks, and some between.
  private static func edges(_ random: inout SeededGenerator) -> [IPAddress] {
    var found: [IPAddress] = [
      IPAddress(high: 0, low: 0), IPAddress(high: 0, low: 0xffff_0000_0000 - 1), IPAddress(ipv4: 0),
      IPAddress(ipv4: .max), IPAddress(high: 0, low: 0x1_0000_0000_0000), IPAddress(high: .max, low: .max),
    ]
    for _ in 0..<30 {
      let address = UInt32.random(in: 0 ... .max, using: &random)
      found += [IPAddress(ipv4: address), IPAddress(ipv4: address & 0xffff_0000), IPAddress(ipv4: address | 0xffff)]
      found.append(IPAddress(high: UInt64.random(in: 0 ... .max, using: &random), low: 1))
    }
    return found
  }

  @Test(arguments: 0..<40 as Range<UInt64>) func theRulesOfAnAddressAreThoseOfItsSegment(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let all = Self.edges(&random)
    let lows = Set(all.shuffled(using: &random).prefix(Int.random(in: 0...all.count, using: &random))).sorted()
    var segments = AddressSegments()
    var expected: [[RuleIndex]] = []
    for (number, low) in lows.enumerated() {
      let rules = Int.random(in: 0...2, using: &random) == 0 ? [RuleIndex(number), RuleIndex(number + 1)] : []
      segments.append(low, rules)
      expected.append(rules)
    }
    segments.finish()
    let asked = all + lows.map { IPAddress(high: $0.high, low: $0.low &+ 1) } + lows.map { IPAddress(high: $0.high, low: $0.low &- 1) }
    for address in asked {
      let segment = lows.lastIndex { $0 <= address }
      #expect(segments.range(of: address).map { segments.rules[$0] } == segment.map { expected[$0] } ?? [])
    }
  }
}
