import Detection
import EventOutput
import FuzzTargets
import Inspection
import PacketDecoding
import RuleLanguage
import TestSupport
import Traffic

/// TCP segments and datagrams of two hosts through the whole path, with rules and records.
///
/// The first octet: bit 0 inline, bit 1 midstream, bit 2 one-sided. Then for each packet: control (bit 0
/// direction, bits 1–2 which of four flows, bit 3 UDP, bit 4 moves the sequence number on, bit 5 time
/// passes), flags, two octets each for the sequence number relative to what is expected, the
/// acknowledgement likewise and the length, then the payload.
enum PathTarget {
  private static let rules = """
    alert tcp any any -> any any (msg:"stream"; content:"GET"; content:"HTTP"; distance:0; flowbits:set,seen; sid:1;)
    drop http any any -> any any (msg:"uri"; http.uri; content:"/evil"; pcre:"/ev[il]+/R"; sid:2;)
    alert dns any any -> any any (msg:"dns"; dns.query; content:"example"; sid:3;)
    alert ip any any -> any any (msg:"odd"; ttl:<5; sid:4;)
    alert tls any any -> any any (msg:"sni"; tls.sni; content:"a"; sid:5;)
    alert http any any -> any any (msg:"body"; flow:to_client; file.data; content:"hello"; byte_test:1,>,10,0,relative; sid:6;)
    alert tcp any any -> any any (msg:"bits"; flowbits:isset,seen; content:"x"; depth:3; threshold:type limit,track by_src,count 1,seconds 5; sid:7;)
    alert tcp-pkt any any -> any any (msg:"pkt"; content:"abc"; content:!"d"; within:2; sid:8;)
    alert http any any -> any any (msg:"head"; http.header; content:"Host|3a|"; http.method; content:"POST"; http.request_body; content:"a=1"; sid:9;)
    alert tcp any any -> any any (msg:"event"; stream-event:reassembly_overlap_different_data; sid:10;)
    alert tcp any any -> any any (msg:"jump"; byte_jump:2,0; content:"end"; distance:1; within:9; sid:11;)
    reject tcp any any -> any 81 (msg:"reject"; content:"stop"; sid:12;)
    pass tcp any any -> any 82 (msg:"pass"; content:"go"; sid:13;)
    """

  private static let shared = SharedDetectionState()
  private static let ruleSet: RuleSet = {
    var compiler = RuleCompiler(settings: RuleCompiler.Settings(), shared: shared)
    for rule in RuleFile.parse(rules, fileName: "path.rules").rules { compiler.add(rule) }
    let compiled = compiler.finish()
    precondition(compiled.diagnostics.isEmpty, "\(compiled.diagnostics.map(\.description))")
    return compiled.ruleSet
  }()

  static func run(_ bytes: [UInt8]) {
    var reader = InputReader(bytes)
    let control = reader.u8()
    var settings = InspectionSettings(flowSeed: 1)
    settings.isInline = control & 1 != 0
    settings.reassembly.delivery = settings.isInline ? .inline : .acknowledged
    settings.flows.tcp.isInline = settings.isInline
    settings.flows.tcp.midstream = control & 2 != 0
    settings.flows.tcp.asyncOneside = control & 4 != 0
    settings.decoder.verifiesChecksums = false
    settings.flows.tcp.checksumValidation = false
    settings.flows.flowCountMax = 64
    settings.logs.payload = true
    let lines = LineCheck()
    let writer = EVEWriter(output: lines)
    var path = PacketPath(settings: settings, ruleSet: ruleSet, shared: shared, sink: writer)
    var hosts = Hosts()
    var count = 0
    while !reader.isAtEnd, count < 300 {
      let packet = hosts.next(&reader)
      let verdict = path.process(packet.rawSpan, link: .raw, time: hosts.time)
      precondition(settings.isInline || !verdict.isStopped || verdict.verdict == .reject)
      count += 1
    }
    path.finish()
    writer.flush()
  }

  static var seeds: [(name: String, bytes: [UInt8])] {
    func input(_ mode: UInt8, _ talk: TCPConversation) -> [UInt8] { [mode] + Hosts.input(talk.packets) }
    var web = TCPConversation()
    web.handshake()
    web.send(.toServer, "GET /evil HTTP/1.1\r\nHost: a.example\r\n\r\n", segmentSize: 20)
    web.send(.toClient, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    web.fin()
    var tls = TCPConversation()
    tls.handshake()
    tls.send(.toServer, TLSClientHello().records())
    tls.send(.toClient, TLSServerHello().records(), segmentSize: 40)
    tls.rst()
    var holes = TCPConversation()
    holes.handshake()
    holes.acknowledges = false
    holes.send(.toServer, "GET / HT")
    holes.lose(.toServer, octets: 5)
    holes.send(.toServer, "Host: a\r\n\r\n")
    holes.inject(.toServer, Array("TP/1.1\r\nXX".utf8), offset: -16)
    holes.inject(.toServer, Array("TP/1.1\r\nYY".utf8), offset: -16)
    return [
      ("web", input(0, web)), ("web-inline", input(1, web)), ("tls", input(0, tls)), ("holes", input(0, holes)),
      ("holes-inline", input(1, holes)), ("midstream", input(2, holes)),
    ]
  }
}

/// The two hosts: they know where each flow's streams stand.
private struct Hosts {
  private var next: [[UInt32]] = Array(repeating: [1000, 5000], count: 4)
  private(set) var time = Timestamp(nanoseconds: 1_700_000_000_000_000_000)
  private static let ports: [UInt16] = [80, 443, 81, 82]

  mutating func next(_ reader: inout InputReader) -> [UInt8] {
    let control = reader.u8()
    let flags = reader.u8()
    let (sequence, acknowledgement) = (reader.u16(), reader.u16())
    let payload = reader.take(Int(reader.u16() & 0x0fff))
    let flow = Int(control >> 1 & 3)
    let side = Int(control & 1)
    let server = Self.ports[flow]
    let (client, other) = (ip("10.0.0.1"), ip("192.0.2.1"))
    time = Timestamp(nanoseconds: time.nanoseconds &+ (control & 32 != 0 ? 40_000_000_000 : 1_000_000))
    if control & 8 != 0 {
      let datagram = UDPDatagram(
        from: side == 0 ? 4000 : 53, to: side == 0 ? 53 : 4000, payload)
      return IPv4Packet(side == 0 ? client : other, side == 0 ? other : client, datagram).bytes
    }
    let offset = UInt32(truncatingIfNeeded: Int16(bitPattern: sequence))
    var segment = TCPSegment(
      from: side == 0 ? 4000 : server, to: side == 0 ? server : 4000, sequence: next[flow][side] &+ offset,
      acknowledgment: next[flow][1 - side] &+ UInt32(truncatingIfNeeded: Int16(bitPattern: acknowledgement)),
      flags: TCPFlags(rawValue: flags), payload: payload)
    segment.window = 65_535
    if control & 16 != 0 {
      next[flow][side] = next[flow][side] &+ offset &+ UInt32(payload.count) &+ (flags & 3 != 0 ? 1 : 0)
    }
    return IPv4Packet(side == 0 ? client : other, side == 0 ? other : client, segment).bytes
  }

  /// A conversation as an input.
  static func input(_ packets: [BuiltPacket]) -> [UInt8] {
    let decoder = PacketDecoder()
    var out: [UInt8] = []
    var expected: [UInt32] = [0, 0]
    var isKnown = [false, false]
    for built in packets {
      let packet = decoder.decode(built.bytes.rawSpan, link: .ethernet, time: built.time)
      let side = packet.destinationPort == 80 ? 0 : 1
      if !isKnown[side] { expected[side] = packet.tcp.sequence }
      isKnown[side] = true
      let offset = UInt16(truncatingIfNeeded: packet.tcp.sequence &- expected[side])
      let payload = packet.payload(of: built.bytes.rawSpan).copied()
      out += [16 | UInt8(side), packet.tcp.flags, UInt8(offset & 255), UInt8(offset >> 8), 0, 0]
      out += [UInt8(payload.count & 255), UInt8(payload.count >> 8)] + payload
      expected[side] =
        packet.tcp.sequence &+ UInt32(payload.count) &+ (packet.tcp.flags & 3 != 0 ? 1 : 0)
    }
    return out
  }
}

/// Every line is UTF-8 without control characters.
private final class LineCheck: LineOutput {
  func write(_ lines: RawSpan) {
    let bytes = lines.copied()
    precondition(bytes.allSatisfy { $0 >= 0x20 || $0 == 0x0a })
    precondition(String(validating: bytes, as: UTF8.self) != nil)
  }
}
