import Testing

@testable import Engine

/// However the connections of Tests/Keywords are cut into segments, and in whatever order these come, the same
/// rules fire.
@Suite struct CuttingRuleTests {
  /// Rules that look at single packets by what they say, so that segments make a difference to them.
  private static let packetBound: [UInt32: String] = [
    7016: "replace: octets are replaced in the packet that holds all of them",
  ]

  /// Rules that ought to find the same, and don't yet.
  private static let shortfalls: [UInt32: String] = [
    7014: "the request that asks for WebSocket is over before it is looked at, where no packet comes between",
    7015: "as 7014", 9102: "as 7014",
    18002: "a frame whose last octet ends the connection's data", 18003: "as 18002", 18004: "as 18002",
  ]

  @Test func `segments make no difference to what rules for every keyword find`() throws {
    let run = try RuleTestRun(settings: KeywordScenarios.settings(), paths: KeywordScenarios.paths)
    let (differences, count) = try run.compareCuttings()
    var told: [String] = []
    var bound: Set<UInt32> = []
    for difference in differences {
      let sids = difference.whole.symmetricDifference(difference.cut)
      bound.formUnion(sids)
      let unexpected = sids.filter { Self.packetBound[$0] == nil && Self.shortfalls[$0] == nil }.sorted()
      guard !unexpected.isEmpty else { continue }
      told.append(
        "\(difference.place) \(difference.cutting): \(unexpected.map { "\(difference.whole.contains($0) ? "-" : "+")\($0)" })")
    }
    #expect(told.joined(separator: "\n") == "")
    let known = Array(Self.packetBound.keys) + Array(Self.shortfalls.keys)
    #expect(known.filter { !bound.contains($0) }.sorted() == [], "these make no difference any more")
    #expect(count > 500)
  }
}
