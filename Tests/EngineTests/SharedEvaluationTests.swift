import Detection
import EventOutput
import FlowTracking
import Inspection
import RuleLanguage
import Testing
import TestSupport
import Traffic

@testable import Engine

/// One capture, evaluated by one job and by several.
@Suite struct SharedEvaluationTests {
  private static let rules = """
    alert http any any -> any any (msg:"each"; flow:established,to_server; http.uri; content:"/page"; sid:1;)
    alert http any any -> any any (msg:"few"; flow:established,to_server; http.uri; content:"/page"; threshold:type limit, track by_dst, count 3, seconds 60; sid:2;)
    alert http any any -> any any (msg:"third"; flow:established,to_server; http.uri; content:"/page"; threshold:type threshold, track by_rule, count 3, seconds 600; sid:3;)
    alert http any any -> any any (msg:"marks"; flow:established,to_server; http.uri; content:"/mark"; xbits:set,seen,track ip_dst,expire 300; noalert; sid:4;)
    alert http any any -> any any (msg:"marked"; flow:established,to_server; http.uri; content:"/page"; xbits:isset,seen,track ip_dst; sid:5;)
    alert udp any any -> any any (msg:"whole"; content:"end of the datagram"; sid:6;)
    alert icmp any any -> any any (msg:"unreachable"; itype:3; sid:7;)
    drop http any any -> any any (msg:"attack"; flow:established,to_server; http.uri; content:"/attack"; sid:8;)
    alert http any any -> any any (msg:"open end"; flow:established,to_server; http.request_body; content:"unfinished"; threshold:type limit, track by_rule, count 2, seconds 600; sid:9;)

    """

  private static func host(_ number: Int) -> IPAddress { ip("10.1.\(number / 200).\(number % 200 + 1)") }
  private static let server = ip("192.0.2.80")

  /// Connections of many hosts to two servers, in each other's midst; some never end.
  private static func connections(_ count: Int) -> [BuiltPacket] {
    let paths = ["/page", "/mark", "/page/2", "/attack", "/other"]
    var all: [BuiltPacket] = []
    for index in 0..<count {
      var one = TCPConversation(
        client: host(index % 23), server: index % 3 == 0 ? ip("192.0.2.81") : server, clientPort: UInt16(20_000 + index),
        start: Timestamp(nanoseconds: 1_700_000_000_000_000_000 + Int64(index) * 1_700_000_003))
      one.gapNanoseconds = 400_000_000
      one.handshake()
      if index % 7 == 0 {
        one.send(.toServer, "POST /open HTTP/1.1\r\nHost: a.example\r\nContent-Length: 500\r\n\r\nunfinished")
      } else {
        one.send(.toServer, "GET \(paths[index % paths.count]) HTTP/1.1\r\nHost: a.example\r\n\r\n")
        one.send(.toClient, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        if index % 4 != 0 { one.fin() }
      }
      all += one.packets
    }
    return all.sorted { $0.time < $1.time }
  }

  private static func frame(_ packet: any NetworkPacket, _ seconds: Double) -> BuiltPacket {
    BuiltPacket(
      time: Timestamp(nanoseconds: 1_700_000_000_000_000_000 + Int64(seconds * 1e9)), bytes: EthernetFrame(packet).bytes)
  }

  /// Fragments of datagrams, some of them too late; the answers that nobody is there; ICMP.
  private static func oddities() -> [BuiltPacket] {
    var all: [BuiltPacket] = []
    for index in 0..<12 {
      let text = Array((String(repeating: "x", count: 60) + "end of the datagram").utf8)
      let whole = IPv4Packet(host(index), server, UDPDatagram(from: 5000, to: 6000, text))
        .with { $0.identification = UInt16(100 + index) }
      for (part, fragment) in whole.fragments(size: 40).enumerated() {
        // One waits longer than the defragmenter does, another almost as long.
        let delay = part == 0 ? 0 : index == 5 ? 61.5 : index == 6 ? 59.2 : 0.3
        all.append(frame(fragment, Double(index) * 2 + delay))
      }
      let plain = IPv4Packet(host(index), server, UDPDatagram(from: 5000, to: 6000, text))
      all.append(frame(plain, Double(index) * 3 + 0.5))
      let router = ip("198.51.100.\(index + 1)")
      all.append(frame(IPv4Packet(router, host(index), ICMPv4Message.error(code: 1, about: plain)), Double(index) * 3 + 0.9))
      all.append(frame(IPv4Packet(host(index), server, ICMPv4Message.echo(identifier: 7, sequence: 1)), Double(index) + 0.1))
    }
    return all
  }

  /// Packets in tunnels between gateways, some in fragments.
  private static func tunnels(through gateways: Int, strides: Int = 0) -> [BuiltPacket] {
    var all: [BuiltPacket] = []
    for index in 0..<40 {
      let inner = IPv4Packet(host(index % 9), ip("203.0.113.5"), UDPDatagram(from: 1000, to: 2000, Array("end of the datagram".utf8)))
      let gateway = ip("198.18.0.\(1 + (index % 9 + strides * index) % gateways)")
      let outer = IPv4Packet(gateway, ip("198.18.1.1"), GREPacket(inner)).with { $0.identification = UInt16(500 + index) }
      for part in index % 4 == 0 ? outer.fragments(size: 32) : [outer] { all.append(frame(part, Double(index) * 0.9)) }
    }
    return all
  }

  /// Files that are fetched over connections announced on others, each from the moment on that it is.
  private static func transfers(_ count: Int) -> [BuiltPacket] {
    var all: [BuiltPacket] = []
    for index in 0..<count {
      let start = Timestamp(nanoseconds: 1_700_000_000_500_000_000 + Int64(index) * 3_000_000_000)
      var control = TCPConversation(
        client: host(index), server: server, clientPort: UInt16(30_000 + index), serverPort: 21, start: start)
      control.handshake()
      for (said, answered) in [
        ("USER anonymous", "331 who?"), ("PASS me@", "230 in"), ("PASV", "227 (192,0,2,80,40,\(index))"), ("RETR a\(index).bin", "150 here"),
      ] {
        control.send(.toServer, said + "\r\n")
        control.send(.toClient, answered + "\r\n")
      }
      var data = TCPConversation(
        client: host(index), server: server, clientPort: UInt16(31_000 + index), serverPort: UInt16(40 * 256 + index),
        start: Timestamp(nanoseconds: control.time.nanoseconds + 1_000_000))
      data.handshake()
      data.send(.toClient, "MZ of a file without any mark")
      data.fin()
      all += control.packets + data.packets
    }
    return all
  }

  private static func capture(_ packets: [BuiltPacket]) -> [UInt8] {
    PcapWriter(nanosecond: true, packets: packets.sorted { $0.time < $1.time }).bytes
  }

  private func evaluate(
    _ bytes: [UInt8], jobs: Int, isInline: Bool = false, rules text: String = rules,
    _ change: (inout Settings) -> Void = { _ in }
  ) throws -> (records: String, summary: EvaluationSummary) {
    let folder = try TemporaryFolder()
    var settings = try Settings.load(file: nil, flowSeed: 1)
    settings.prepareForCaptures(isInline: isInline)
    change(&settings)
    let shared = SharedDetectionState()
    let rules = try RuleLoader.load(settings, paths: [folder.file("t.rules", Array(text.utf8))], shared: shared)
    #expect(rules.diagnostics.isEmpty)
    var summary = EvaluationSummary()
    let path = folder.path + "/eve.json"
    try Evaluation(settings: settings, ruleSet: rules.ruleSet, names: shared.names)
      .run([folder.file("a.pcap", bytes)], jobs: jobs, to: path, into: &summary) { _, _ in }
    for worker in 0..<jobs { #expect(TextFile.read(path + ".flows\(worker)") == nil, "the parts are gone") }
    return (String(decoding: try #require(TextFile.read(path)), as: UTF8.self), summary)
  }

  /// - Returns: what was said of it.
  @discardableResult
  private func expectSame(
    _ bytes: [UInt8], jobs: Int, isInline: Bool = false, rules: String = rules, _ change: (inout Settings) -> Void = { _ in }
  ) throws -> (alone: String, warnings: [String]) {
    let alone = try evaluate(bytes, jobs: 1, isInline: isInline, rules: rules, change)
    let shared = try evaluate(bytes, jobs: jobs, isInline: isInline, rules: rules, change)
    #expect(shared.records == alone.records)
    #expect(shared.summary.packets == alone.summary.packets && shared.summary.bytes == alone.summary.bytes)
    #expect(shared.summary.flows == alone.summary.flows && shared.summary.alerts == alone.summary.alerts)
    #expect(shared.summary.drops == alone.summary.drops)
    return (alone.records, shared.summary.warnings)
  }

  private func count(_ part: String, in records: String) -> Int {
    records.split(separator: "\n").count { $0.contains(part) }
  }

  @Test(arguments: [2, 3, 5], [false, true])
  func `connections of many hosts give the same records to several jobs, thresholds and bits of hosts included`(
    jobs: Int, isInline: Bool
  ) throws {
    let (records, warnings) = try expectSame(Self.capture(Self.connections(120)), jobs: jobs, isInline: isInline)
    #expect(warnings.isEmpty)
    for sid in [1, 2, 3, 5, 8, 9] { #expect(count(#""signature_id":\#(sid),"#, in: records) > 0, "sid \(sid)") }
    #expect(count(#""signature_id":2,"#, in: records) < count(#""signature_id":1,"#, in: records))
    #expect(count(#""reason":"timeout""#, in: records) > 10 && count(#""reason":"shutdown""#, in: records) > 10)
  }

  @Test(arguments: [2, 3])
  func `fragments, ICMP errors about flows and tunnels meet what they belong to`(jobs: Int) throws {
    let packets = Self.connections(30) + Self.oddities() + Self.tunnels(through: 3)
    let (records, warnings) = try expectSame(Self.capture(packets), jobs: jobs)
    #expect(warnings.isEmpty)
    #expect(count(#""signature_id":6,"#, in: records) >= 11 + 12 + 40)
    #expect(count(#""pkt_src":"gre tunnel""#, in: records) > 0 && count(#""pkt_src":"defrag""#, in: records) > 0)
    #expect(count(#""signature_id":7,"#, in: records) == 12)
  }

  @Test(arguments: [2, 3])
  func `announced connections are told for what they are, whoever has seen the announcement`(jobs: Int) throws {
    let packets = Self.connections(60) + Self.transfers(12)
    let (records, warnings) = try expectSame(Self.capture(packets), jobs: jobs)
    #expect(warnings.isEmpty)
    #expect(count(#""event_type":"ftp_data""#, in: records) == 12)
  }

  @Test func `a capture whose times run backwards and leap gives the same records`() throws {
    var packets = Self.capturedOrder(Self.connections(60) + Self.oddities())
    for index in stride(from: 10, to: packets.count, by: 17) {
      packets[index].time = Timestamp(nanoseconds: packets[index].time.nanoseconds - 3_000_000_000)
    }
    for index in packets.count / 2..<packets.count {
      packets[index].time = Timestamp(nanoseconds: packets[index].time.nanoseconds + 5_000_000_000_000)
    }
    try expectSame(PcapWriter(nanosecond: true, packets: packets).bytes, jobs: 3)
  }

  private static func capturedOrder(_ packets: [BuiltPacket]) -> [BuiltPacket] { packets.sorted { $0.time < $1.time } }

  @Test(arguments: [2, 3])
  func `a connection whose packets come in fragments is one all the same`(jobs: Int) throws {
    var packets = Self.connections(25)
    for index in packets.indices.reversed() where index % 9 == 0 && packets[index].bytes.count > 100 {
      // The frame's header, and one of IPv4 without options.
      let bytes = packets[index].bytes
      let whole = IPv4Packet(
        IPAddress(ipv4: bytes.rawSpan.u32(at: 26)), IPAddress(ipv4: bytes.rawSpan.u32(at: 30)),
        RawTransport(ipProtocol: IPProtocol.tcp, Array(bytes[34...]))
      ).with { $0.identification = UInt16(index) }
      let parts = whole.fragments(size: 48).map { BuiltPacket(time: packets[index].time, bytes: EthernetFrame($0).bytes) }
      packets.replaceSubrange(index...index, with: parts)
    }
    let (records, warnings) = try expectSame(PcapWriter(nanosecond: true, packets: packets).bytes, jobs: jobs)
    #expect(warnings.isEmpty)
    #expect(count(#""event_type":"http""#, in: records) > 10)
  }

  @Test func `hosts seen through several tunnels are left to one job`() throws {
    let packets = Self.connections(10) + Self.tunnels(through: 40, strides: 1)
    let (_, warnings) = try expectSame(Self.capture(packets), jobs: 3)
    #expect(warnings.count == 1 && warnings[0].contains("evaluated by one job: hosts in tunnels"))
  }

  @Test func `a memory limit that all flows together may meet is left to one job`() throws {
    let (records, warnings) = try expectSame(Self.capture(Self.connections(60)), jobs: 2) {
      $0.inspection.flows.flowCountMax = 20
    }
    #expect(warnings.count == 1 && warnings[0].contains("a memory limit"))
    #expect(count(#""reason":"forced""#, in: records) > 0)
  }

  @Test func `rules that change datasets, and tags on hosts, are left to one job`() throws {
    let capture = Self.capture(Self.connections(30))
    let adding = #"alert http any any -> any any (msg:"new"; http.uri; dataset:set,seen-uris,type string; sid:1;)"# + "\n"
    var warnings = try expectSame(capture, jobs: 2, rules: adding).warnings
    #expect(warnings.count == 1 && warnings[0].contains("rules change datasets"))
    let tagging = #"alert http any any -> any any (msg:"tag"; http.uri; content:"/mark"; tag:host,5,packets,src; sid:1;)"# + "\n"
    warnings = try expectSame(capture, jobs: 2, rules: tagging).warnings
    #expect(warnings.count == 1 && warnings[0].contains("a tag on a host"))
  }

  @Test func `a capture cut short says so with several jobs too, and one that is none is an error`() throws {
    let whole = Self.capture(Self.connections(20))
    let (_, warnings) = try expectSame(Array(whole.dropLast(7)), jobs: 2)
    #expect(warnings.count == 1 && warnings[0].contains("ends in the middle"))
    #expect(refusal { _ = try evaluate(Array("no capture at all".utf8), jobs: 2) } != nil)
  }
}
