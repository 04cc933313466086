import RuleLanguage
import Testing
import Traffic

@testable import Detection

@Suite struct StateRuleTests {
  @Test func aFlowbitSetByOneRuleIsSeenByAnother() {
    let bench = Bench(
      """
      alert tcp any any -> any any (content:"second"; flowbits:isset,stage; sid:2;)
      alert tcp any any -> any any (content:"first"; flowbits:set,stage; flowbits:noalert; sid:1;)
      """)
    #expect(bench.stream("second ") == [])
    #expect(bench.stream("first ") == [])
    #expect(bench.stream("second ") == [2])
  }

  @Test func settersAreTriedBeforeReaders() {
    let bench = Bench(
      """
      alert tcp any any -> any any (content:"both"; flowbits:isset,stage; sid:2;)
      alert tcp any any -> any any (content:"both"; flowbits:set,stage; noalert; sid:1;)
      """)
    #expect(bench.stream("both") == [2])
  }

  @Test func listsOfFlowbitsAskForOne() {
    let bench = Bench(
      """
      alert tcp any any -> any any (content:"set"; flowbits:set,b; noalert; sid:1;)
      alert tcp any any -> any any (content:"ask"; flowbits:isset,a|b; sid:2;)
      alert tcp any any -> any any (content:"none"; flowbits:isnotset,a; flowbits:isnotset,b; sid:3;)
      alert tcp any any -> any any (content:"clear"; flowbits:unset,b; noalert; sid:4;)
      """)
    #expect(bench.stream("none") == [3])
    #expect(bench.stream("ask") == [])
    #expect(bench.stream("set") == [])
    #expect(bench.stream("ask none") == [2])
    #expect(bench.stream("clear") == [])
    #expect(bench.stream("none") == [3])
  }

  @Test func flowintsCount() {
    let bench = Bench(
      """
      alert tcp any any -> any any (content:"tick"; flowint:n,+,1; noalert; sid:1;)
      alert tcp any any -> any any (content:"ask"; flowint:n,>=,2; sid:2;)
      alert tcp any any -> any any (content:"known"; flowint:n,isset; sid:3;)
      """)
    #expect(bench.stream("known ask") == [])
    #expect(bench.stream("tick") == [])
    #expect(bench.stream("known ask") == [3])
    #expect(bench.stream("tick") == [])
    #expect(bench.stream("ask") == [2])
  }

  @Test func xbitsOutliveTheFlowAndExpire() {
    let shared = SharedDetectionState()
    let rules = """
      alert tcp any any -> any any (content:"set"; xbits:set,seen,track ip_src,expire 60; noalert; sid:1;)
      alert tcp any any -> any any (content:"ask"; xbits:isset,seen,track ip_src; sid:2;)
      """
    #expect(Bench(rules, shared: shared).stream("set") == [])
    #expect(Bench(rules, shared: shared).stream("ask") == [2])
    let stranger = Bench(rules, shared: shared)
    stranger.packet.source = IPAddress(ipv4: 0x0909_0909)
    #expect(stranger.stream("ask") == [])
    let late = Bench(rules, shared: shared)
    late.packet.time = Timestamp(seconds: 1060)
    #expect(late.stream("ask") == [])
  }

  @Test func thresholdsCountBySource() {
    func alerts(_ threshold: String, _ seconds: [Int64]) -> [Int] {
      let bench = Bench(
        "alert udp any any -> any any (content:\"x\"; threshold:\(threshold); sid:1;)")
      bench.packet.ipProtocol = IPProtocol.udp
      return seconds.map { bench.packet("x", after: $0).count }
    }
    let steady: [Int64] = [0, 1, 1, 1, 1, 1, 60, 1]
    #expect(alerts("type limit, track by_src, count 2, seconds 60", steady) == [1, 1, 0, 0, 0, 0, 1, 1])
    #expect(alerts("type threshold, track by_src, count 3, seconds 60", steady) == [0, 0, 1, 0, 0, 1, 0, 0])
    #expect(alerts("type both, track by_src, count 2, seconds 60", steady) == [0, 1, 0, 0, 0, 0, 0, 1])
    #expect(
      alerts("type backoff, track by_flow, count 1, multiplier 2", steady) == [1, 1, 0, 1, 0, 0, 0, 1])
  }

  @Test func detectionFilterLetsThroughWhatExceedsTheRate() {
    let bench = Bench(
      "alert tcp any any -> any any (content:\"x\"; detection_filter:track by_dst, count 2, seconds 10; sid:1;)")
    #expect((0..<4).map { _ in bench.stream("x").count } == [0, 0, 1, 1])
  }

  @Test func theThresholdFileSuppressesAndFilters() {
    let bench = Bench(
      """
      alert tcp any any -> any any (content:"a"; sid:1;)
      alert tcp any any -> any any (content:"b"; sid:2;)
      alert tcp any any -> any any (content:"c"; sid:3;)
      drop tcp any any -> any any (content:"d"; sid:4;)
      alert tcp any any -> any any (content:"e"; sid:5;)
      """,
      thresholds: """
        suppress gen_id 1, sig_id 1
        suppress gen_id 1, sig_id 2, track by_src, ip 9.9.9.9
        suppress gen_id 1, sig_id 3, track by_src, ip 192.168.0.0/24
        suppress gen_id 1, sig_id 4
        rate_filter gen_id 1, sig_id 5, track by_src, count 1, seconds 60, new_action drop, timeout 30
        """)
    #expect(bench.result.diagnostics.isEmpty)
    #expect(bench.stream("abc") == [2])
    #expect(bench.stream("e") == [5])
    #expect(bench.lastDecision.verdict == .accept)
    #expect(bench.stream("e") == [5])
    #expect(bench.lastDecision.verdict == .drop)
    // A suppressed drop still drops.
    #expect(bench.stream("d") == [])
    #expect(bench.lastDecision.verdict == .drop)
  }

  @Test func aRateFilterByFlowCountsEachFlowByItself() {
    let bench = Bench(
      """
      alert tcp any any -> any any (content:"e"; sid:5;)
      """,
      thresholds: """
        rate_filter gen_id 1, sig_id 5, track by_flow, count 1, seconds 60, new_action drop, timeout 30
        """)
    #expect(bench.result.diagnostics.isEmpty)
    #expect(bench.stream("e") == [5])
    #expect(bench.lastDecision.verdict == .accept)
    #expect(bench.stream("e") == [5])
    #expect(bench.lastDecision.verdict == .drop)
    bench.state = FlowDetection()
    #expect(bench.stream("e") == [5])
    #expect(bench.lastDecision.verdict == .accept)
  }

  @Test func aPassEndsTheInspectionOfTheFlow() {
    let bench = Bench(
      """
      alert tcp any any -> any any (content:"evil"; sid:1;)
      pass tcp any any -> any any (content:"friend"; sid:2;)
      """)
    #expect(bench.stream("evil friend") == [])
    #expect(bench.lastDecision.passScope == .flow)
    #expect(bench.stream("evil") == [])
  }

  @Test func dropsComeBeforeAlertsAndReachTheFlow() {
    let bench = Bench(
      """
      alert tcp any any -> any any (content:"evil"; sid:1;)
      drop tcp any any -> any any (content:"evil"; sid:2;)
      reject tcp any any -> any any (content:"bad"; dsize:3; sid:3;)
      """, isInline: true)
    #expect(bench.stream("evil") == [2, 1])
    #expect(bench.lastDecision.dropScope == .flow)
    #expect(bench.lastAlerts.map(\.isBlocked) == [true, false])
    #expect(bench.state.isDropped)
    #expect(bench.packet("bad", isInStream: true) == [3])
    #expect(bench.lastDecision.verdict == .reject)
    #expect(bench.lastDecision.dropScope == .packet)
  }

  @Test func prioritySortsAlertsOfOnePacket() {
    let bench = Bench(
      """
      alert tcp any any -> any any (content:"evil"; priority:3; sid:1;)
      alert tcp any any -> any any (content:"evil"; priority:1; sid:2;)
      """)
    #expect(bench.stream("evil") == [2, 1])
  }
}
