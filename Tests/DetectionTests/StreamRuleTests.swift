import PacketDecoding
import Testing
import Traffic

@testable import Detection

@Suite struct StreamRuleTests {
  @Test func aContentMatchesTheStreamOfItsDirection() {
    let bench = Bench("alert tcp any any -> any any (flow:established,to_server; content:\"evil\"; sid:1;)")
    #expect(bench.stream("good ") == [])
    #expect(bench.stream("an evil thing") == [1])
    #expect(bench.stream("an evil thing", direction: .toClient) == [])
  }

  @Test func aContentCutByChunksMatches() {
    let bench = Bench("alert tcp any any -> any any (content:\"evil\"; sid:1;)")
    #expect(bench.stream("an ev") == [])
    #expect(bench.stream("il thing") == [1])
  }

  @Test func aMatchIsNotToldAgainWhileItStaysInTheWindow() {
    let bench = Bench("alert tcp any any -> any any (content:\"evil\"; sid:1;)")
    #expect(bench.stream("evil") == [1])
    #expect(bench.stream("more") == [])
    #expect(bench.stream("evil") == [1])
  }

  @Test func contentsMayLieInDifferentChunks() {
    let bench = Bench(
      "alert tcp any any -> any any (content:\"longest literal\"; content:\"x9\"; distance:0; sid:1;)")
    #expect(bench.stream("the longest literal, ") == [])
    #expect(bench.stream("nothing, ") == [])
    #expect(bench.stream("then x9") == [1])
  }

  @Test func aRuleWaitsNoLongerThanItsLiteralIsInTheWindow() {
    let bench = Bench(
      "alert tcp any any -> any any (content:\"longest literal\"; content:\"x9\"; sid:1;)")
    #expect(bench.stream("the longest literal") == [])
    #expect(bench.stream("0123456789", keeping: 0) == [])
    #expect(bench.stream("x9", keeping: 0) == [])
  }

  @Test func manyRulesWaitAtOnceAndTheRestIsCounted() {
    let count = PendingRules.countMax + 10
    let rules = (0..<count).map {
      "alert tcp any any -> any any (content:\"literal\($0)!\"; content:\"x9\"; distance:0; sid:\($0 + 1);)"
    }
    let bench = Bench(rules.reversed().joined(separator: "\n"))
    #expect(bench.stream((0..<count).map { "literal\($0)!" }.joined()) == [])
    #expect(bench.detector.counters.pendingOverflow == 10)
    bench.detector.alertsMax = count
    #expect(bench.stream("x9").count == PendingRules.countMax)
    // What has matched is remembered, not found again.
    #expect(bench.stream("x9") == [])
  }

  @Test func depthCountsFromTheStartOfTheStream() {
    let bench = Bench("alert tcp any any -> any any (content:\"evil\"; depth:4; sid:1;)", isInline: true)
    #expect(bench.stream("evil") == [1])
    #expect(bench.stream("0123", keeping: 0) == [])
    #expect(bench.stream("evil", keeping: 0) == [])
  }

  @Test func depthCountsFromTheStartOfAPieceAsWellWhereTrafficIsWatched() {
    for keeping in [0, 4096] {
      let bench = Bench("alert tcp any any -> any any (content:\"evil\"; depth:4; sid:1;)")
      #expect(bench.stream("evil") == [1])
      #expect(bench.stream("0123", keeping: keeping) == [])
      #expect(bench.stream("0evil", keeping: keeping) == [])
      #expect(bench.stream("evil", keeping: keeping) == [1])
      #expect(bench.stream("more", keeping: keeping) == [])
    }
  }

  @Test func anAnchoredContentIsAlsoTriedOnEachPacket() {
    let bench = Bench(
      """
      alert tcp any any -> any any (content:"evil"; depth:4; sid:1;)
      alert tcp any any -> any any (content:"evil"; sid:2;)
      """)
    #expect(bench.packet("evil", isInStream: true) == [1])
    #expect(bench.packet("evil", isInStream: false) == [1, 2])
  }

  @Test func dsizeKeepsARuleOnSinglePackets() {
    let bench = Bench("alert tcp any any -> any any (content:\"evil\"; dsize:4; sid:1;)")
    #expect(bench.stream("evil") == [])
    #expect(bench.packet("evil", isInStream: true) == [1])
    #expect(bench.packet("evils", isInStream: true) == [])
  }

  @Test func tcpPacketAndStreamProtocolsSayWhereToLook() {
    let bench = Bench(
      """
      alert tcp-pkt any any -> any any (content:"evil"; sid:1;)
      alert tcp-stream any any -> any any (content:"evil"; sid:2;)
      """)
    #expect(bench.packet("evil", isInStream: true) == [1])
    #expect(bench.stream("evil") == [2])
  }

  @Test func portsOfTheServerChooseTheTable() {
    let rules = """
      alert tcp any any -> any 80 (content:"evil"; sid:1;)
      alert tcp any any -> any [81:90,!85] (content:"evil"; sid:2;)
      alert tcp any 80 -> any any (flow:to_client; content:"evil"; sid:3;)
      alert tcp any any -> any !80 (content:"evil"; sid:4;)
      """
    let bench = Bench(rules)
    #expect(bench.stream("evil") == [1])
    #expect(bench.stream("evil", direction: .toClient) == [3, 4])
    let other = Bench(rules)
    other.packet.destinationPort = 85
    #expect(other.stream("evil") == [4])
    let third = Bench(rules)
    third.packet.destinationPort = 86
    #expect(third.stream("evil") == [2, 4])
  }

  @Test func rulesOfAProtocolWaitForIt() {
    let bench = Bench("alert smtp any any -> any any (content:\"evil\"; sid:1;)")
    #expect(bench.stream("evil ") == [])
    bench.flow.appProtocol = .smtp
    // What came before the protocol was known is looked at now.
    #expect(bench.stream("x") == [1])
    #expect(bench.stream("y") == [])
    #expect(bench.stream("evil") == [1])
  }

  /// Enough literals of a protocol that its table holds those for any protocol, too.
  private static let manyOfAProtocol =
    "alert tcp any any -> any any (content:\"general evil\"; sid:1;)\n"
    + (10..<60).map { "alert smtp any any -> any any (content:\"own literal \($0)x\"; sid:\($0);)\n" }.joined()

  @Test func oneScanFindsRulesOfAProtocolAndThoseOfAny() {
    let bench = Bench(Self.manyOfAProtocol)
    bench.flow.appProtocol = .smtp
    #expect(bench.stream("general evil, own literal 20x, ") == [1, 20])
    #expect(bench.stream("own lit") == [])
    #expect(bench.stream("eral 31x, general e") == [31])
    #expect(bench.stream("vil") == [1])
    // Packets that are in no stream are looked up for both as well.
    #expect(bench.packet("general evil, own literal 15x", isInStream: false) == [1, 15])
  }

  @Test func whatWasToldBeforeTheProtocolWasKnownIsNotToldAgain() {
    let bench = Bench(Self.manyOfAProtocol)
    #expect(bench.stream("general evil, own literal 20x, ") == [1])
    bench.flow.appProtocol = .smtp
    #expect(bench.stream("x") == [20])
    #expect(bench.stream("own literal 21x") == [21])
    // A piece aside of the stream is scanned as a whole, and leaves no trace.
    #expect(bench.aside("general evil, own literal 22x") == [1, 22])
  }

  @Test func aProtocolsLiteralsAreNotFoundWhereItIsAnother() {
    let bench = Bench(Self.manyOfAProtocol)
    bench.flow.appProtocol = .ftp
    #expect(bench.stream("general evil, own literal 20x, ") == [1])
  }

  @Test func negatedContentsNeedNoLiteral() {
    let bench = Bench("alert tcp any any -> any any (content:!\"good\"; sid:1;)")
    #expect(bench.stream("good") == [])
    let other = Bench("alert tcp any any -> any any (content:!\"good\"; sid:1;)")
    #expect(other.stream("bad") == [1])
  }

  @Test func bothWaysTakesEitherOrientation() {
    let bench = Bench("alert tcp $HOME_NET any <> $EXTERNAL_NET any (content:\"evil\"; sid:1;)")
    #expect(bench.stream("evil") == [1])
    #expect(bench.stream("evil", direction: .toClient) == [1])
    let oneWay = Bench("alert tcp $HOME_NET any -> $EXTERNAL_NET any (content:\"evil\"; sid:1;)")
    #expect(oneWay.stream("evil", direction: .toClient) == [])
  }
}
