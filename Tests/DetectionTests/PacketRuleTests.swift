import PacketDecoding
import Testing
import Traffic

@testable import Detection

@Suite struct PacketRuleTests {
  private func tcp(_ edit: (inout DecodedPacket) -> Void = { _ in }) -> DecodedPacket {
    var packet = DecodedPacket()
    packet.time = Timestamp(seconds: 1000)
    packet.ipVersion = 4
    packet.ipProtocol = IPProtocol.tcp
    packet.hasTransport = true
    packet.source = IPAddress(ipv4: 0xc0a8_0001)
    packet.destination = IPAddress(ipv4: 0x0102_0304)
    packet.sourcePort = 40_000
    packet.destinationPort = 80
    packet.timeToLive = 64
    packet.tcp.flags = TCPFields.syn
    edit(&packet)
    return packet
  }

  private func matches(
    _ options: String, _ header: String = "ip any any -> any any",
    _ edit: (inout DecodedPacket) -> Void = { _ in }
  ) -> Bool {
    let bench = Bench("alert \(header) (\(options) sid:1;)")
    #expect(bench.refusals == [], "\(options)")
    return bench.raw(tcp(edit), []) == [1]
  }

  @Test(arguments: [
    ("flags:S;", "flags:A;"), ("flags:+S;", "flags:SA;"), ("flags:!A;", "flags:!S;"),
    ("flags:*SF;", "flags:*AF;"), ("ttl:64;", "ttl:>64;"), ("ttl:60-70;", "ttl:<64;"),
    ("dsize:0;", "dsize:>0;"), ("window:0;", "window:!0;"), ("seq:0;", "seq:1;"), ("ack:0;", "ack:7;"),
    ("ip_proto:6;", "ip_proto:!tcp;"), ("ip_proto:TCP;", "ip_proto:<6;"), ("id:0;", "id:\"1\";"),
    ("tos:0;", "tos:!0;"), ("fragbits:!M;", "fragbits:+D;"), ("fragoffset:0;", "fragoffset:>0;"),
    ("flow.pkts:toserver,<5;", "flow.pkts:either,>5;"), ("flow.age:10;", "flow.age:>10;"),
    ("flow:established;", "flow:not_established;"), ("flow:to_server;", "flow:to_client;"),
    ("flow:stateless;", "flow:only_frag;"), ("stream_size:client,<,2;", "stream_size:both,>,1;"),
    ("app-layer-protocol:http;", "app-layer-protocol:!http;"),
  ]) func aKeywordHoldsOrNot(_ holds: String, _ fails: String) {
    func alerts(_ options: String) -> [UInt32] {
      let bench = Bench("alert tcp any any -> any any (\(options) sid:1;)")
      #expect(bench.refusals == [], "\(options)")
      bench.flow.appProtocol = .http
      return bench.raw(tcp(), [])
    }
    #expect(alerts(holds) == [1], "\(holds)")
    #expect(alerts(fails) == [], "\(fails)")
  }

  @Test(arguments: ["ttl:0;", "ttl:!64;", "dsize:0;", "dsize:!7;", "window:!7;", "seq:0;", "id:0;", "tos:!4;", "fragoffset:0;"])
  func whatNeverWasOnAWireHasNoHeaderFields(_ options: String) {
    #expect(
      !matches(options, "tcp any any -> any any") {
        $0.timeToLive = 0
        $0.isStandIn = true
      })
    #expect(matches("flags:S;", "tcp any any -> any any") { $0.isStandIn = true })
  }

  @Test func icmpKeywordsLookAtICMPOnly() {
    func icmp(_ packet: inout DecodedPacket) {
      packet.ipProtocol = IPProtocol.icmp
      packet.icmp.type = 8
      packet.icmp.hasIdentifier = true
      packet.icmp.identifier = 7
      packet.icmp.sequence = 9
    }
    let header = "icmp any any -> any any"
    #expect(matches("itype:8; icode:0; icmp_id:7; icmp_seq:9;", header, icmp))
    #expect(!matches("itype:>8;", header, icmp))
    #expect(!matches("itype:0;", "ip any any -> any any"))
  }

  @Test func fragmentBitsAndOptions() {
    #expect(matches("fragbits:D;", "ip any any -> any any") { $0.dontFragment = true })
    #expect(!matches("fragbits:D;", "ip any any -> any any") {
      $0.dontFragment = true
      $0.moreFragments = true
    })
    #expect(matches("fragbits:+D;", "ip any any -> any any") {
      $0.dontFragment = true
      $0.moreFragments = true
    })
    #expect(matches("ipopts:rr;") { $0.ipOptions = .recordRoute })
    #expect(!matches("ipopts:lsrr;") { $0.ipOptions = .recordRoute })
    #expect(matches("ipopts:any;") { $0.ipOptions = .timestamp })
    #expect(matches("sameip;") { $0.destination = $0.source })
    #expect(!matches("sameip;"))
  }

  @Test func eventsOfTheDecoderAndTheStream() {
    let event = DecodeEvent.ipv4OptionUnknown
    #expect(matches("decode-event:\(event.ruleName);", "pkthdr any any -> any any") { $0.events.insert(event) })
    #expect(!matches("decode-event:\(event.ruleName);", "pkthdr any any -> any any"))
    let bench = Bench("alert tcp any any -> any any (stream-event:pkt_invalid_ack; sid:1;)")
    #expect(bench.raw(tcp(), []) == [])
    #expect(bench.raw(tcp(), [], streamEvents: StreamEventSet(.packetInvalidAck)) == [1])
  }

  @Test func addressesAloneAreTriedOnceForEachDirection() {
    let bench = Bench(
      """
      alert ip [192.168.0.0/24,7.7.7.7] any -> any any (sid:1;)
      alert ip any any -> 1.2.3.4 any (sid:2;)
      alert ip 8.8.8.8 any -> any any (sid:3;)
      """)
    #expect(bench.packet() == [1, 2])
    #expect(bench.packet() == [])
    #expect(bench.packet(direction: .toClient) == [])
    // Without a flow each packet counts.
    #expect(bench.packet(direction: .toServer, hasFlow: false) == [1, 2])
  }

  @Test func negatedAddressesAreTriedOnEachPacket() {
    let bench = Bench("alert ip 192.168.0.1 any -> !9.9.9.9 any (sid:1;)")
    #expect(bench.packet() == [1])
    #expect(bench.packet() == [1])
  }

  @Test func headersAreBuffers() {
    var bytes: [UInt8] = [0x45, 0, 0, 40]  // version and length, service, total length
    bytes += [UInt8](repeating: 0, count: 16)
    bytes += [0x9c, 0x40, 0, 80]  // source and destination port
    bytes += [UInt8](repeating: 0, count: 16)
    let packet = tcp {
      $0.networkOffset = 0
      $0.networkHeaderLength = 20
      $0.transportOffset = 20
      $0.transportHeaderLength = 20
    }
    let bench = Bench(
      """
      alert tcp any any -> any any (tcp.hdr; content:"|9c 40|"; startswith; sid:1;)
      alert tcp any any -> any any (ipv4.hdr; content:"|45|"; depth:1; sid:2;)
      alert tcp any any -> any any (tcp.hdr; content:"|45|"; startswith; sid:3;)
      """)
    #expect(bench.refusals == [])
    #expect(bench.raw(packet, bytes) == [1, 2])
  }

  @Test func udpPayloadIsLookedAtPacketByPacket() {
    let bench = Bench("alert udp any any -> any 53 (content:\"evil\"; offset:2; depth:4; sid:1;)")
    bench.packet.ipProtocol = IPProtocol.udp
    bench.packet.destinationPort = 53
    #expect(bench.packet("..evil") == [1])
    #expect(bench.packet(".evil.") == [])
  }

  @Test func theRightRulesAreRefusedWithAReason() {
    let rules = """
      alert tcp any any -> any any (nosuchkeyword; sid:1;)
      alert nosuchprotocol any any -> any any (sid:2;)
      alert tcp $NOWHERE any -> any any (sid:3;)
      alert tcp any any -> any any (flags:Q; sid:4;)
      alert tcp any any -> any any (flow:to_server,to_client; sid:5;)
      alert tcp any any -> any any (threshold:type limit, track by_src, count 1; sid:6;)
      alert tls any any -> any any (http.uri; content:"a"; sid:7;)
      alert http any any -> any any (flow:to_client; http.uri; content:"a"; sid:8;)
      alert tcp any any -> any any (content:"a"; sid:9; rev:1;)
      alert tcp any any -> any any (content:"b"; sid:9; rev:1;)
      alert tcp any any -> any any (flowbits:sett,x; sid:10;)
      alert tcp any any -> any any (decode-event:nothing; sid:11;)
      """
    let bench = Bench(rules)
    #expect(bench.result.ruleSet.ruleCount == 1)
    #expect(bench.refusals.count == 11)
    #expect(bench.result.diagnostics.allSatisfy { $0.sid != nil && $0.line > 0 })
  }
}
