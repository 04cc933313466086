import RuleLanguage
import Testing
import Traffic

@testable import AppLayer
@testable import Detection

/// Frames, reputation of addresses, protocols by side, calls of Sun RPC, bits of transactions.
@Suite struct FrameReputationTests {
  // MARK: Frames

  private func frames(_ options: String, _ feed: (FrameLog) -> Void) -> [UInt32] {
    let result = Bench.compile("alert tcp any any -> any any (\(options) sid:1;)")
    #expect(result.diagnostics.filter { $0.severity == .error }.isEmpty, "\(options)")
    var detector = Detector(ruleSet: result.ruleSet, shared: SharedDetectionState())
    let bench = Bench("")
    var flow = bench.flow
    flow.appProtocol = .http
    let log = FrameLog(.http)
    var matches = MatchList()
    feed(log)
    detector.inspectFrames(
      log, direction: .toServer, packet: bench.packet, bytes: RawSpan(), flow: flow, state: bench.state,
      into: &matches)
    detector.inspectFrames(
      log, direction: .toServer, packet: bench.packet, bytes: RawSpan(), flow: flow, state: bench.state,
      into: &matches)
    return matches.matches.compactMap { result.ruleSet.info($0.rule)?.sid }
  }

  @Test func aFrameIsInspectedByItself() {
    func feed(_ log: FrameLog) {
      log.begin("request", .toServer, transaction: 0)
      log.feed(Array("GET /a".utf8).rawSpan, .toServer)
      log.end("request", .toServer)
      log.feed(Array("b\r\n".utf8).rawSpan, .toServer)
      log.begin("request", .toServer, transaction: 1)
      log.feed(Array("GET /c".utf8).rawSpan, .toServer)
    }
    #expect(frames("frame:http1.request; content:\"ab\"; bsize:9;", feed) == [1])
    #expect(frames("frame:http1.request; content:\"GET\"; startswith; content:\"/c\";", feed) == [1])
    #expect(frames("frame:http1.request; content:\"a\"; content:\"c\";", feed) == [])
    #expect(frames("frame:http1.request; content:\"/c\"; endswith;", feed) == [])
    #expect(frames("frame:http1.response; content:\"GET\";", feed) == [])
    #expect(frames("frame:http1.request; strip_whitespace; content:\"GET/ab\"; bsize:6;", feed) == [1])
  }

  @Test func aFrameThatBeginsBehindTheOctetsInHandLacksThem() {
    let log = FrameLog(.tls)
    log.begin("hdr", .toClient)
    log.begin("data", .toClient, isUpcoming: true)
    log.end("hdr", .toClient)
    log.feed([1, 2].rawSpan, .toClient)
    log.feed([3].rawSpan, .toClient)
    #expect(log.frames.map(\.bytes) == [[1, 2], [3]])
    #expect(log.frames.map(\.isComplete) == [true, false])
  }

  @Test func parsersMarkTheirFrames() {
    let http = HTTPParser(settings: HTTPSettings())
    http.frames = FrameLog(.http)
    let request = Array("\r\nGET / HTTP/1.0\r\nA: b\r\n\r\nPOST /x HTTP/1.1\r\n".utf8)
    http.consume(StreamChunk(bytes: request.rawSpan, direction: .toServer, offset: 0, time: Timestamp(seconds: 0)))
    let marked = http.frames?.frames.map { String(decoding: $0.bytes, as: UTF8.self) }
    #expect(marked == ["GET / HTTP/1.0\r\nA: b\r\n\r\n", "POST /x HTTP/1.1\r\n"])
    let tls = TLSParser()
    tls.frames = FrameLog(.tls)
    // An alert record: type 21, version 3.3, two octets.
    let record: [UInt8] = [21, 3, 3, 0, 2, 1, 0]
    for octet in record {
      tls.consume(StreamChunk(bytes: [octet].rawSpan, direction: .toServer, offset: 0, time: Timestamp(seconds: 0)))
    }
    let names = tls.frames?.frames.map { "\($0.kind.name) \($0.bytes) \($0.isComplete)" }
    #expect(
      names == [
        "pdu [21, 3, 3, 0, 2, 1, 0] true", "hdr [21, 3, 3, 0, 2] true", "data [1, 0] true", "alert [1, 0] true",
      ])
  }

  @Test(arguments: [
    "frame:http1.foo; content:\"a\";", "frame:request; content:\"a\";", "frame; content:\"a\";",
    "frame:tls.pdu; content:\"a\"; frame:tls.hdr; content:\"b\";", "content:\"x\"; frame:tls.pdu; content:\"a\";",
    "rpc:*,1,1;", "rpc:1,2,3,4;", "ftpbounce:1;", "app-layer-protocol:http,foo;", "iprep:src,Bad,>,10;",
    "xbits:set,a,track host;", "tls_cert_notbefore:soon;", "tls_cert_notafter:2021<>2020;", "tls_cert_expired:1;",
    "threshold:type backoff,track by_src,count 1,multiplier 2;",
  ]) func badSyntaxIsRefused(_ options: String) {
    #expect(Bench("alert tcp any any -> any any (\(options) sid:1;)").refusals.count == 1, "\(options)")
  }

  // MARK: Reputation

  private static let reputation = IPReputation(
    categories: ("c", Array("# names\n1,Bad,bad hosts\n2,Worse,worse hosts\n".utf8)),
    lists: [("l", Array("192.168.0.1,1,40\n192.168.0.0/16,1,20\n192.168.0.0/24,2,9\nnonsense,1,1\n1.2.3.4,1,200\n".utf8))])

  private func listed(_ value: String, _ source: UInt32 = 0xc0a8_0001) -> Bool? {
    var settings = RuleCompiler.Settings()
    settings.reputation = Self.reputation
    var compiler = RuleCompiler(settings: settings, shared: SharedDetectionState())
    for rule in RuleFile.parse("alert ip any any -> any any (iprep:\(value); sid:1;)").rules { compiler.add(rule) }
    let result = compiler.finish()
    guard result.ruleSet.ruleCount == 1 else { return nil }
    var detector = Detector(ruleSet: result.ruleSet, shared: SharedDetectionState())
    let bench = Bench("")
    var packet = bench.packet
    packet.source = IPAddress(ipv4: source)
    var matches = MatchList()
    detector.inspectPacket(
      packet, bytes: RawSpan(), flow: bench.flow, state: bench.state, payloadIsInStream: false, into: &matches)
    return !matches.isEmpty
  }

  @Test func anAddressBeatsItsNetworkAndANarrowNetworkAWideOne() {
    #expect(listed("src,Bad,=,40") == true)
    #expect(listed("src,Bad,=,20", 0xc0a8_0101) == true)
    #expect(listed("src,Bad,>,20", 0xc0a8_0101) == false)
    #expect(listed("src,Worse,<,10") == true)
    #expect(listed("src,Worse,isset", 0xc0a8_0101) == false)
    #expect(listed("src,Worse,isnotset", 0xc0a8_0101) == true)
  }

  @Test func sidesOfReputation() {
    #expect(listed("any,Bad,>,30") == true)
    #expect(listed("dst,Bad,>,30") == false)
    #expect(listed("both,Bad,>,30") == false)
    #expect(listed("src,Unknown,>,30") == nil)
    #expect(listed("src,Bad,>,128") == nil)
    #expect(Self.reputation.faults.count == 2)
  }

  // MARK: Others

  @Test func protocolsOfEachSide() {
    func holds(_ value: String) -> Bool {
      let bench = Bench("alert tcp any any -> any any (app-layer-protocol:\(value); sid:1;)")
      bench.flow.appProtocol = .tls
      bench.flow.appProtocolToServer = .tls
      bench.flow.originalProtocol = .http
      return bench.packet() == [1]
    }
    #expect(holds("tls") && holds("tls,final") && holds("http,original") && holds("tls,either"))
    #expect(holds("tls,to_server") && !holds("tls,to_client") && !holds("tls,original"))
    #expect(!holds("!tls,either") && holds("!http,to_server") && !holds("!http,to_client"))
  }

  @Test func callsOfSunRPC() {
    // xid, call (0), version 2, program 100000, version 2, procedure 3
    let call = "\0\0\0\u{1}\0\0\0\0\0\0\0\u{2}\0\u{1}\u{6}a\0\0\0\u{2}\0\0\0\u{3}"
    func holds(_ value: String) -> Bool {
      let bench = Bench("alert udp any any -> any any (rpc:\(value); sid:1;)")
      bench.packet.ipProtocol = IPProtocol.udp
      return bench.packet(call) == [1]
    }
    #expect(holds("67169,2,3") && holds("67169,*,3") && holds("67169"))
    #expect(!holds("67169,3,*") && !holds("100000"))
  }

  @Test func datesOfCertificatesAreCounted() throws {
    let rules = ["2020", "2020-02-29", ">2020-02-29T12:30:15", "<2020-01-01 10", "2019<>2020", "1577836800"]
    for rule in rules {
      let bench = Bench("alert tls any any -> any any (tls_cert_notbefore:\(rule); sid:1;)")
      #expect(bench.refusals == [], "\(rule)")
    }
  }
}
