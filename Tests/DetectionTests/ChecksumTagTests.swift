import PacketDecoding
import Testing
import Traffic

@testable import Detection

/// Keywords on checksums, VLAN layers, both sides of a flow, and tags.
@Suite struct ChecksumTagTests {
  /// IPv4 header and a UDP datagram of four octets, both sums right but for what is added.
  private static func datagram(_ wrong: UInt8) -> (DecodedPacket, [UInt8]) {
    let bytes: [UInt8] = [
      0x45, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00,  // version, length 32
      0x40, 0x11, 0xf7, 0xc7, 0x0a, 0x00, 0x00, 0x01,  // TTL, UDP, sum, 10.0.0.1
      0x01, 0x02, 0x03, 0x04,  // 1.2.3.4
      0x10, 0x00, 0x00, 0x35, 0x00, 0x0c, 0x14, 0xd4,  // 4096 → 53, length 12, sum
      0x61, 0x62, 0x63, 0x64 &+ wrong,  // "abcd"
    ]
    var settings = DecoderSettings()
    settings.verifiesChecksums = false
    let packet = PacketDecoder(settings: settings).decode(
      bytes.rawSpan, link: .raw, time: Timestamp(seconds: 1000))
    return (packet, bytes)
  }

  private func holds(_ options: String, _ wrong: UInt8) -> Bool {
    let bench = Bench("alert ip any any -> any any (\(options) sid:1;)")
    #expect(bench.refusals == [], "\(options)")
    let (packet, bytes) = Self.datagram(wrong)
    return bench.raw(packet, bytes) == [1]
  }

  @Test func checksumsAreWorkedOutWhereTheDecoderDidNot() {
    let (packet, bytes) = Self.datagram(0)
    let isRight = packet.checksum(.transport, in: bytes.rawSpan) == .valid
    #expect(holds("udpv4-csum:valid;", 0) == isRight)
    #expect(holds("udpv4-csum:invalid;", 0) != isRight)
    #expect(holds("udpv4-csum:valid;", 1) == false || !isRight)
    #expect(holds("ipv4-csum:valid;", 0) != holds("ipv4-csum:invalid;", 0))
  }

  @Test func aChecksumOfAnotherProtocolIsNeither() {
    #expect(!holds("tcpv4-csum:valid;", 0) && !holds("tcpv4-csum:invalid;", 0))
    #expect(!holds("udpv6-csum:valid;", 0) && !holds("udpv6-csum:invalid;", 0))
    #expect(!holds("icmpv4-csum:invalid;", 0) && !holds("icmpv6-csum:valid;", 0))
  }

  @Test func whatTheCardIsToFillInIsNeither() {
    let bench = Bench("alert ip any any -> any any (udpv4-csum:invalid; sid:1;)")
    var (packet, bytes) = Self.datagram(9)
    packet.isChecksumLeftToCard = true
    #expect(bench.raw(packet, bytes) == [])
  }

  @Test func allLayersOfVLANsOrOneOfThem() {
    func alerts(_ value: String, _ tags: [UInt16]) -> Bool {
      let bench = Bench("alert ip any any -> any any (vlan.id:\(value); sid:1;)")
      #expect(bench.refusals == [], "\(value)")
      var (packet, bytes) = Self.datagram(0)
      packet.vlanCount = UInt8(tags.count)
      if tags.count > 0 { packet.vlan0 = tags[0] }
      if tags.count > 1 { packet.vlan1 = tags[1] }
      return bench.raw(packet, bytes) == [1]
    }
    #expect(alerts(">100,all", [200, 300]))
    #expect(!alerts(">250,all", [200, 300]))
    #expect(alerts(">250", [200, 300]) && alerts("300,any", [200, 300]) && alerts("300,-1", [200, 300]))
    #expect(!alerts("!5,all", []))
  }

  @Test func eitherSideOfAFlowIsEnough() {
    func alerts(_ options: String) -> Bool {
      let bench = Bench("alert ip any any -> any any (\(options) sid:1;)")
      #expect(bench.refusals == [], "\(options)")
      bench.flow.packets = .init(toServer: 3, toClient: 10)
      bench.flow.bytes = .init(toServer: 300, toClient: 4000)
      return bench.packet() == [1]
    }
    #expect(alerts("flow.pkts:either,=10;") && alerts("flow.pkts:toclient,10;"))
    #expect(!alerts("flow.pkts:either,=13;") && !alerts("flow.bytes:toserver,>1kb;"))
    #expect(alerts("flow.bytes:either,>1kb;") && !alerts("flow.bytes:both,>1kb;"))
  }

  @Test func aTagTellsOfThePacketsAfterTheMatch() {
    var tags: [PacketTag] = []
    let time = Timestamp(seconds: 5)
    tags.begin(TagAction(scope: .session, unit: .packets, count: 3), gid: 1, sid: 1, at: time)
    let told = (0..<5).map { _ in tags.take(octets: 100, at: time) }
    #expect(told == [false, true, true, false, false])
    #expect(tags.isEmpty)
    tags.begin(TagAction(scope: .session, unit: .seconds, count: 2), gid: 1, sid: 1, at: time)
    let timed = [5, 7, 8].map { tags.take(octets: 1, at: Timestamp(seconds: $0)) }
    #expect(timed == [false, true, false])
    tags.begin(TagAction(scope: .session, unit: .octets, count: 250), gid: 1, sid: 1, at: time)
    let counted = (0..<3).map { _ in tags.take(octets: 100, at: time) }
    #expect(counted == [false, true, false])
  }

  @Test func aTagOnAHostOutlivesTheFlow() {
    let shared = SharedDetectionState()
    let bench = Bench("alert tcp any any -> any any (content:\"x\"; tag:host,2,packets,src; sid:1;)", shared: shared)
    #expect(bench.packet("x") == [1])
    let source = bench.packet.source
    let time = bench.packet.time
    #expect(!shared.takeTag(on: source, octets: 1, at: time))
    #expect(shared.takeTag(on: source, octets: 1, at: time))
    #expect(!shared.takeTag(on: source, octets: 1, at: time))
    #expect(!shared.takeTag(on: bench.packet.destination, octets: 1, at: time))
  }

  @Test(arguments: [
    "tcpv4-csum:bad;", "tcpv4-csum;", "vlan.id:5000;", "vlan.id:1,3;", "vlan.id:1,first;", "flow.pkts:<5;",
    "flow.pkts:up,<5;", "flow.bytes:either;", "tag:flow;", "tag:session,10;", "tag:host,10,words;",
    "tag:host,10,packets,both;",
  ]) func badSyntaxIsRefused(_ options: String) {
    #expect(Bench("alert ip any any -> any any (\(options) sid:1;)").refusals.count == 1, "\(options)")
  }
}
