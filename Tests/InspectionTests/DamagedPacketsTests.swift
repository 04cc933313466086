import Detection
import Glibc
import Inspection
import PacketDecoding
import RuleLanguage
import TestSupport
import Testing
import Traffic

/// Takes records without keeping them.
private final class CountingSink: EventSink {
  var count = 0
  func emit(_ event: Event, _ context: borrowing EventContext, bytes: RawSpan) { count += 1 }
}

/// Packets as they may come from anyone: damaged in every way, through the whole path.
///
/// The environment variable SLUICE_MUTATIONS sets how many; memory is watched over all of them.
@Suite struct DamagedPacketsTests {
  private static let rules = """
    alert tcp any any -> any any (msg:"stream"; content:"GET"; content:"HTTP"; distance:0; sid:1;)
    drop http any any -> any any (msg:"uri"; http.uri; content:"/evil"; pcre:"/ev[il]+/R"; sid:2;)
    alert dns any any -> any any (msg:"dns"; dns.query; content:"example"; sid:3;)
    alert ip any any -> any any (msg:"odd"; ttl:<5; sid:4;)
    alert tls any any -> any any (msg:"sni"; tls.sni; content:"a"; sid:5;)
    """

  private static func seeds() -> [[UInt8]] {
    var packets: [[UInt8]] = []
    for version in [4, 6] {
      let isIPv6 = version == 6
      var web = TCPConversation(
        client: ip(isIPv6 ? "fd00::1" : "10.0.0.1"), server: ip(isIPv6 ? "fd00::2" : "192.0.2.1"),
        clientPort: 40_000, serverPort: 80)
      web.handshake()
      web.send(.toServer, "GET /evil?a=1 HTTP/1.1\r\nHost: www.example.com\r\n\r\n", segmentSize: 20)
      web.send(.toClient, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
      web.fin()
      packets += web.packets.map(\.bytes)
    }
    return packets
  }

  @Test func `damaged packets end in a verdict, and memory stays where it is`() throws {
    let count = unsafe getenv("SLUICE_MUTATIONS").flatMap { unsafe Int(String(cString: $0)) } ?? 100_000
    for isInline in [false, true] {
      let shared = SharedDetectionState()
      var compiler = RuleCompiler(settings: RuleCompiler.Settings(), shared: shared)
      for rule in RuleFile.parse(Self.rules, fileName: "test.rules").rules { compiler.add(rule) }
      let compiled = compiler.finish()
      #expect(compiled.diagnostics.isEmpty)
      var settings = InspectionSettings(flowSeed: 1)
      settings.isInline = isInline
      settings.reassembly.delivery = isInline ? .inline : .acknowledged
      settings.decoder.verifiesChecksums = false
      settings.flows.tcp.checksumValidation = false
      settings.flows.tcp.midstream = true
      settings.flows.flowCountMax = 5000
      let sink = CountingSink()
      var path = PacketPath(settings: settings, ruleSet: compiled.ruleSet, shared: shared, sink: sink)
      var mutator = Mutator(seed: isInline ? 7 : 8)
      let seeds = Self.seeds()
      var residentBefore = 0
      for index in 0..<count {
        let time = Timestamp(nanoseconds: 1_700_000_000_000_000_000 &+ Int64(index) &* 20_000)
        let packet = mutator.mutate(seeds[index % seeds.count])
        _ = path.process(packet.rawSpan, link: .ethernet, time: time)
        if index == count / 2 { residentBefore = Self.residentPages() }
      }
      path.finish()
      #expect(sink.count > 0)
      // Flow tables and their like have been filled by half of it: what comes then is a leak.
      #expect(Self.residentPages() - residentBefore < 8192)
    }
  }

  private static func residentPages() -> Int {
    guard let file = unsafe fopen("/proc/self/statm", "r") else { return 0 }
    defer { unsafe fclose(file) }
    var line = [CChar](repeating: 0, count: 128)
    guard unsafe fgets(&line, 128, file) != nil else { return 0 }
    let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let words = text.split(separator: " ")
    return words.count > 1 ? Int(words[1]) ?? 0 : 0
  }
}
