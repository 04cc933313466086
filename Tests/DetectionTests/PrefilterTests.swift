import AppLayer
import Testing
import TestSupport
import Traffic

@testable import Detection

/// With every prefilter off the alerts must be the same: literals only save work.
@Suite struct PrefilterTests {
  /// Words that overlap each other, so that random text is full of near matches.
  private static let words = ["ab", "abc", "bca", "cab", "aa", "x", "abcabc", "a", "/ab", "ca b"]
  private static let modifiers = ["", "nocase;", "offset:1;", "depth:6;", "startswith;", "endswith;", "offset:1; depth:5;"]

  private func rules(_ random: inout SeededGenerator, count: Int) -> String {
    (1...count).map { sid in
      let kind = random.below(4)
      func content() -> String {
        let negated = random.below(5) == 0 ? "!" : ""
        return "content:\(negated)\"\(random.pick(Self.words))\"; \(random.pick(Self.modifiers))"
      }
      let more = random.below(2) == 0 ? " content:\"\(random.pick(Self.words))\"; distance:0;" : ""
      switch kind {
      case 0:
        return "alert tcp any any -> any \(random.pick(["any", "80", "[79:81]", "!80"])) (\(content())\(more) sid:\(sid);)"
      case 1:
        let size = random.pick(["", "bsize:\(1 + random.below(4));"])
        return "alert http any any -> any any (http.uri; \(content())\(more) \(size) sid:\(sid);)"
      case 2:
        let size = random.pick(["", "dsize:<12;", "dsize:>3;"])
        let asked = random.below(2) == 0 ? " content:\"\(random.pick(Self.words))\"; fast_pattern; within:9;" : ""
        return "alert tcp-pkt any any -> any any (\(size) \(content())\(more)\(asked) sid:\(sid);)"
      default:
        return "alert http any any -> any any (http.method; \(content()) http.request_body; \(content()) sid:\(sid);)"
      }
    }.joined(separator: "\n")
  }

  private func text(_ random: inout SeededGenerator) -> String {
    String((0..<random.below(random.below(8) == 0 ? 700 : 24)).map { _ in random.pick(Array("abcABx/ ")) })
  }

  private func run(_ rules: String, seed: UInt64, isPrefilterOff: Bool) -> [[UInt32]] {
    var random = SeededGenerator(seed: seed)
    let bench = Bench(rules, isPrefilterOff: isPrefilterOff)
    var alerts: [[UInt32]] = []
    for _ in 0..<12 {
      alerts.append(bench.stream(text(&random), keeping: 0).sorted())
      alerts.append(bench.packet(text(&random), isInStream: random.below(2) == 0).sorted())
      let http = StubTransaction()
      http.set(.httpURI, text(&random))
      http.set(.httpMethod, text(&random))
      http.reach(HTTPProgress.body)
      for isLast in [false, false, true] {
        http.append(.httpRequestBody, text(&random), isComplete: isLast)
        if isLast { http.reach(HTTPProgress.complete) }
        alerts.append(bench.transaction(http).sorted())
      }
    }
    return alerts
  }

  /// With what the scan has seen of where literals lie the same is found as without.
  @Test(arguments: 0..<40) func placesOnlySaveWork(_ seed: Int) {
    var random = SeededGenerator(seed: UInt64(seed) &* 104_729 &+ 3)
    let rules = rules(&random, count: 40)
    let isInline = seed % 2 == 0
    let benches = [false, true].map { ignoresPlaces in
      let bench = Bench(rules)
      bench.detector.isInline = isInline
      bench.detector.ignoresPlaces = ignoresPlaces
      return bench
    }
    var alertCount = 0
    for _ in 0..<40 {
      let (piece, keeping) = (text(&random), random.pick([0, 3, 40, 4096]))
      let found = benches.map { $0.stream(piece, keeping: keeping).sorted() }
      #expect(found[0] == found[1], "\(piece), keeping \(keeping)")
      let packet = text(&random)
      let inPacket = benches.map { $0.packet(packet, isInStream: false).sorted() }
      #expect(inPacket[0] == inPacket[1], "\(packet)")
      alertCount += found[0].count + inPacket[0].count
    }
    #expect(alertCount > 0)
  }

  /// A packet and its stream scanned at once have the matches that they have one after the other.
  @Test(arguments: 0..<40) func oneScanOfPacketAndStreamOnlySavesWork(_ seed: Int) {
    var random = SeededGenerator(seed: UInt64(seed) &* 15_485_863 &+ 5)
    var rules = rules(&random, count: 40)
    // Of some protocol as many as are worth a table with those for any.
    for number in 0..<60 {
      let word = random.pick(Self.words) + String(repeating: random.pick(["a", "b", "c"]), count: number % 5)
      let keyword = random.pick(["flow:to_server;", "dsize:<30;", "dsize:<600;"])
      rules += "\nalert http any any -> any any (\(keyword) content:\"\(word)\"; \(random.pick(Self.modifiers)) sid:\(1000 + number);)"
    }
    let benches = [false, true].map { Bench(rules, isInline: true, scansPacketsWithStreams: $0) }
    var alertCount = 0
    for round in 0..<40 {
      let (piece, keeping) = (text(&random), random.pick([0, 3, 40, 4096]))
      let waiting = random.below(4) == 0 ? text(&random) : ""
      let found = benches.map { bench in
        if round == 15 { bench.flow.appProtocol = .http }
        return bench.packetOfStream(piece, waiting: waiting, keeping: keeping).sorted()
      }
      #expect(found[0] == found[1], "\(piece), keeping \(keeping)")
      alertCount += found[0].count
    }
    #expect(alertCount > 0)
  }

  @Test(arguments: 0..<40) func literalsOnlySaveWork(_ seed: Int) {
    var random = SeededGenerator(seed: UInt64(seed) &* 7919 &+ 1)
    let rules = rules(&random, count: 30)
    let with = run(rules, seed: UInt64(seed), isPrefilterOff: false)
    let without = run(rules, seed: UInt64(seed), isPrefilterOff: true)
    #expect(with == without)
    #expect(with.contains { !$0.isEmpty })
  }
}

extension SeededGenerator {
  mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }
  mutating func pick<Element>(_ list: [Element]) -> Element { list[below(list.count)] }
}
