import AppLayer
@testable import Detection
import EventOutput
import Foundation
import Inspection
import PacketDecoding
import RuleLanguage
import TestSupport
import Testing
import Traffic

typealias JSON = [String: Any]

/// The value at a dotted path ("dns.answers.0.rdata").
func value(_ record: JSON, _ path: String) -> Any? {
  path.split(separator: ".").reduce(record as Any?) { found, part in
    if let list = found as? [Any] { return Int(part).flatMap { $0 < list.count ? list[$0] : nil } }
    return (found as? JSON)?[String(part)]
  }
}

func text(_ record: JSON, _ path: String) -> String? { value(record, path) as? String }
func number(_ record: JSON, _ path: String) -> Int? { (value(record, path) as? NSNumber)?.intValue }
func flag(_ record: JSON, _ path: String) -> Bool? { value(record, path) as? Bool }

/// Writes one event and parses the lines that come out.
func records(
  _ event: Event, _ context: EventContext, settings: EVESettings = EVESettings(),
  bytes: [UInt8] = []
) throws -> [JSON] {
  let output = MemoryLineOutput()
  let writer = EVEWriter(settings: settings, output: output)
  writer.emit(event, context, bytes: bytes.rawSpan)
  writer.flush()
  return try lines(output.bytes)
}

func lines(_ bytes: [UInt8]) throws -> [JSON] {
  try bytes.split(separator: 0x0a).map { line in
    try #require(try JSONSerialization.jsonObject(with: Data(line)) as? JSON)
  }
}

private let client = ip("192.0.2.10")
private let server = ip("198.51.100.20")

/// A packet of the flow below, as captured.
func context(
  ipProtocol: UInt8 = IPProtocol.tcp, serverPort: UInt16 = 443, direction: Direction = .toServer
) -> EventContext {
  var packet = DecodedPacket()
  packet.ipVersion = 4
  packet.ipProtocol = ipProtocol
  packet.hasTransport = true
  let tuple = FlowTuple(
    source: client, destination: server, sourcePort: 40_000, destinationPort: serverPort,
    ipProtocol: ipProtocol)
  let sent = direction == .toServer ? tuple : tuple.reversed
  packet.source = sent.source
  packet.destination = sent.destination
  packet.sourcePort = sent.sourcePort
  packet.destinationPort = sent.destinationPort
  let time = Timestamp(seconds: 1_496_936_758, nanoseconds: 525_601_000)
  var out = EventContext(time: time, packet: packet)
  out.packetNumber = 7
  out.packetLength = 60
  out.direction = direction
  out.flow = FlowRecord(
    id: 4711, tuple: tuple, start: Timestamp(seconds: 1_496_936_748), last: time)
  return out
}

private func rule(_ source: String) throws -> RuleInfo {
  let syntax = try RuleFile.parseRule(source)
  return RuleInfo(
    sid: 2_000_001, gid: 1, rev: 3, action: .alert,
    className: "trojan-activity", classDescription: "A Network Trojan was detected", priority: 1,
    target: nil, text: syntax.textReference)
}

private func alert(_ rule: RuleInfo, blocked: Bool = false, transaction: Transaction? = nil)
  -> AlertEvent
{
  AlertEvent(
    alert: Alert(
      rule: 0, action: .alert, isBlocked: blocked, source: transaction == nil ? .packet : .transaction,
      direction: .toServer, transactionID: transaction?.id, captures: []),
    rule: rule, transaction: transaction,
    verdict: VerdictRecord(action: blocked ? "drop" : "alert", rejectTarget: "both", rejects: ["tcp-reset"]))
}

private let ruleText = """
  alert tcp any any -> any any (msg:"A \\"quoted\\" message"; metadata:created_at 2020_01_01, tag a, tag b; sid:2000001;)
  """

@Test func `an alert tells of the rule, the flow and the packet`() throws {
  var context = context()
  context.flow?.appProtocol = .tls
  context.flow?.appProtocolToServer = .tls
  context.flow?.appProtocolToClient = .tls
  context.flow?.toServer.packets = 3
  context.flow?.toServer.bytes = 300
  context.packet.vlan0 = 5
  context.packet.vlanCount = 1
  let all = try records(.alert(alert(try rule(ruleText))), context)
  let record = try #require(all.first)
  #expect(all.count == 1)
  #expect(text(record, "timestamp") == "2017-06-08T15:45:58.525601+0000")
  #expect(number(record, "flow_id") == 4711)
  #expect(number(record, "pcap_cnt") == 7)
  #expect(text(record, "event_type") == "alert")
  #expect(text(record, "src_ip") == "192.0.2.10")
  #expect(number(record, "src_port") == 40_000)
  #expect(text(record, "dest_ip") == "198.51.100.20")
  #expect(number(record, "dest_port") == 443)
  #expect(text(record, "proto") == "TCP")
  #expect(number(record, "ip_v") == 4)
  #expect(text(record, "pkt_src") == "wire/pcap")
  #expect(number(record, "vlan.0") == 5)
  #expect(text(record, "alert.action") == "allowed")
  #expect(number(record, "alert.gid") == 1)
  #expect(number(record, "alert.signature_id") == 2_000_001)
  #expect(number(record, "alert.rev") == 3)
  #expect(text(record, "alert.signature") == "A \"quoted\" message")
  #expect(text(record, "alert.category") == "A Network Trojan was detected")
  #expect(number(record, "alert.severity") == 1)
  #expect(text(record, "alert.metadata.created_at.0") == "2020_01_01")
  #expect(text(record, "alert.metadata.tag.1") == "b")
  #expect(text(record, "app_proto") == "tls")
  #expect(value(record, "app_proto_tc") == nil)
  #expect(text(record, "direction") == "to_server")
  #expect(number(record, "flow.pkts_toserver") == 3)
  #expect(number(record, "flow.bytes_toserver") == 300)
  #expect(text(record, "flow.start") == "2017-06-08T15:45:48.000000+0000")
  #expect(value(record, "payload") == nil)
  #expect(value(record, "verdict") == nil)
}

@Test func `an alert carries payload, packet, verdict and variables when asked`() throws {
  var settings = EVESettings()
  settings.alert?.logsPayload = true
  settings.alert?.logsPayloadLength = true
  settings.alert?.logsPrintablePayload = true
  settings.alert?.logsPacket = true
  settings.alert?.logsVerdict = true
  settings.alert?.payloadOctetsMax = 4
  var event = alert(try rule(ruleText), blocked: true)
  event.payload = Array("EVIL things".utf8)
  var context = context()
  context.flow?.flowBits = ["seen", "traffic/id/browser", "traffic/label/lab"]
  context.flow?.flowIntegers = [("count", 2)]
  context.flow?.variables = [
    PayloadCapture(scope: .flow, name: "agent", bytes: Array("x".utf8)),
    PayloadCapture(scope: .entropy, name: "file_data", bytes: Array("4.5".utf8)),
  ]
  event.alert.captures = [
    PayloadCapture(scope: .packet, name: "version", bytes: Array("3".utf8)),
    PayloadCapture(scope: .alert, name: "ua", bytes: Array("a\"b".utf8)),
    PayloadCapture(scope: .context, name: "ioc", bytes: Array("{\"year\":5}".utf8)),
  ]
  let record = try #require(
    try records(.alert(event), context, settings: settings, bytes: [1, 2, 3]).first)
  #expect(text(record, "alert.action") == "blocked")
  #expect(text(record, "payload") == "RVZJTA==")
  #expect(text(record, "payload_printable") == "EVIL")
  #expect(number(record, "payload_length") == 11)
  #expect(number(record, "stream") == 0)
  #expect(text(record, "packet") == "AQID")
  #expect(number(record, "packet_info.linktype") == 1)
  #expect(text(record, "packet_info.linktype_name") == "EN10MB")
  #expect(text(record, "verdict.action") == "drop")
  #expect(text(record, "verdict.reject-target") == "both")
  #expect(text(record, "verdict.reject.0") == "tcp-reset")
  #expect(text(record, "metadata.flowbits.0") == "seen")
  #expect(number(record, "metadata.flowints.count") == 2)
  #expect(text(record, "metadata.flowvars.0.agent") == "x")
  #expect(text(record, "metadata.pktvars.0.version") == "3")
  #expect((value(record, "metadata.entropy.file_data") as? NSNumber)?.doubleValue == 4.5)
  #expect(value(record, "metadata.flowbits.1") == nil)
  #expect(text(record, "traffic.id.0") == "browser")
  #expect(text(record, "traffic.label.0") == "lab")
  #expect(text(record, "alert.context.ua") == "a\"b")
  #expect(number(record, "alert.context.ioc.year") == 5)
}

@Test func `a drop shows the headers that were read`() throws {
  var context = context()
  context.packet.tcp.flags = TCPFields.syn
  context.packet.tcp.sequence = 99
  context.packet.timeToLive = 64
  // An IPv4 header: length 40, identification 7; the rest is not looked at here.
  let bytes: [UInt8] = [0x45, 0, 0, 40, 0, 7] + Array(repeating: 0, count: 34)
  let event = DropEvent(
    reason: "rules", rule: try rule(ruleText), transactionID: 3, verdict: VerdictRecord(action: "drop"))
  let record = try #require(try records(.drop(event), context, bytes: bytes).first)
  #expect(text(record, "event_type") == "drop")
  #expect(number(record, "drop.len") == 40)
  #expect(number(record, "drop.ipid") == 7)
  #expect(number(record, "drop.ttl") == 64)
  #expect(number(record, "drop.tcpseq") == 99)
  #expect(flag(record, "drop.syn") == true)
  #expect(flag(record, "drop.ack") == false)
  #expect(text(record, "drop.reason") == "rules")
  #expect(text(record, "alert.action") == "blocked")
  #expect(number(record, "tx_id") == 3)
  // The rule is named and no more: the rest stands in its alert.
  #expect(text(record, "alert.signature") != nil)
  #expect(value(record, "alert.rule") == nil && value(record, "alert.metadata") == nil)
  #expect(text(record, "verdict.action") == "drop")
  // Bytes that are shorter than the headers say leave fields out.
  let short = try #require(try records(.drop(event), context, bytes: [0x45]).first)
  #expect(value(short, "drop.len") == nil)
}

@Test func `a flow record tells of counts, times, flags and policies`() throws {
  var context = context(direction: .toClient)
  context.packetLength = 0
  context.flow?.toServer.tcpFlags = 0x1a
  context.flow?.toClient.tcpFlags = 0x13
  context.flow?.state = "closed"
  context.flow?.reason = "shutdown"
  context.flow?.tcpState = "closed"
  context.flow?.hasAlerted = true
  context.flow?.action = "drop"
  context.flow?.isElephant = (toServer: false, toClient: true)
  context.flow?.appProtocol = .http
  context.flow?.appProtocolToClient = .tls
  context.flow?.exceptionPolicies = [
    ExceptionPolicyUse(target: "stream_midstream", policy: "drop_flow")
  ]
  let record = try #require(try records(.flow, context).first)
  // Always from client to server.
  #expect(text(record, "src_ip") == "192.0.2.10")
  #expect(number(record, "flow.age") == 10)
  #expect(text(record, "flow.end") == "2017-06-08T15:45:58.525601+0000")
  #expect(text(record, "flow.state") == "closed")
  #expect(text(record, "flow.reason") == "shutdown")
  #expect(flag(record, "flow.alerted") == true)
  #expect(text(record, "flow.action") == "drop")
  #expect(flag(record, "flow.elephant") == true)
  #expect(text(record, "flow.elephant_direction.0") == "toclient" && value(record, "flow.elephant_direction.1") == nil)
  #expect(text(record, "flow.exception_policy.0.target") == "stream_midstream")
  #expect(text(record, "tcp.tcp_flags") == "1b")
  #expect(text(record, "tcp.tcp_flags_ts") == "1a")
  #expect(flag(record, "tcp.fin") == true)
  #expect(value(record, "tcp.rst") == nil)
  #expect(text(record, "tcp.state") == "closed")
  #expect(text(record, "app_proto") == "http")
  #expect(text(record, "app_proto_tc") == "tls")
  #expect(value(record, "pkt_src") == nil && value(record, "pcap_cnt") == nil)
}

@Test func `anomalies are written by kind, old parsers in capitals`() throws {
  var settings = EVESettings()
  let decode = AnomalyEvent(kind: .decode, name: "decoder.ipv4.trunc_pkt")
  #expect(try records(.anomaly(decode), context(), settings: settings).isEmpty)
  settings.anomaly?.logsDecode = true
  let first = try #require(try records(.anomaly(decode), context(), settings: settings).first)
  #expect(text(first, "anomaly.type") == "decode")
  #expect(text(first, "anomaly.event") == "decoder.ipv4.trunc_pkt")
  for (appProtocol, shown) in [(AppProtocol.http, "ABNORMAL_CE_HEADER"), (.dns, "abnormal_ce_header")] {
    let event = AnomalyEvent(
      kind: .applayer, name: "abnormal_ce_header", layer: "proto_parser", appProtocol: appProtocol,
      transactionID: 4)
    let record = try #require(try records(.anomaly(event), context()).first)
    #expect(text(record, "anomaly.event") == shown)
    #expect(text(record, "anomaly.layer") == "proto_parser")
    #expect(text(record, "anomaly.app_proto") == appProtocol.name)
    #expect(number(record, "tx_id") == 4)
  }
}

@Test func `types that are switched off are not written`() throws {
  let all: [Event] = [
    .alert(alert(try rule(ruleText))), .flow,
    .drop(DropEvent(reason: "rules", verdict: VerdictRecord(action: "drop"))),
    .anomaly(AnomalyEvent(kind: .applayer, name: "x")),
    .interception(InterceptionRecord(step: "decide", reason: "policy")),
  ]
  for event in all {
    #expect(try records(event, context(), settings: .none).isEmpty)
    #expect(try records(event, context()).count == 1)
  }
}

@Test func `decrypted traffic and the steps of interception are told under sluice`() throws {
  var context = context()
  context.packet = DecodedPacket()
  context.packetNumber = 0
  context.packetLength = 0
  context.decryption = DecryptionFacts(
    sni: "example.com", alpn: "h2", version: "TLS 1.3", decision: "inspect", decisionReason: "default")
  let flow = try #require(try records(.flow, context).first)
  #expect(flag(flow, "sluice.decrypted") == true)
  #expect(text(flow, "sluice.sni") == "example.com")
  #expect(value(flow, "pkt_src") == nil && value(flow, "pcap_cnt") == nil)
  let step = InterceptionRecord(step: "refused", reason: "unknown_ca", facts: [("sni", "a.example")])
  let record = try #require(try records(.interception(step), context).first)
  #expect(text(record, "event_type") == "sluice")
  #expect(text(record, "sluice.step") == "refused")
  #expect(text(record, "sluice.sni") == "a.example")
}

@Test func `counters are nested by their dotted names`() throws {
  let output = MemoryLineOutput()
  let writer = EVEWriter(output: output)
  writer.writeStats(
    [("decoder.pkts", 5), ("decoder.event.ipv4.trunc_pkt", 1), ("uptime_x", 2), ("decoder.bytes", 9)],
    uptimeSeconds: 60, at: Timestamp(seconds: 0))
  writer.flush()
  let record = try #require(try lines(output.bytes).first)
  #expect(text(record, "event_type") == "stats")
  #expect(number(record, "stats.uptime") == 60)
  #expect(number(record, "stats.decoder.pkts") == 5)
  #expect(number(record, "stats.decoder.bytes") == 9)
  #expect(number(record, "stats.decoder.event.ipv4.trunc_pkt") == 1)
  #expect(number(record, "stats.uptime_x") == 2)
}

/// The values are those of the specification's own examples.
@Test func `community identifiers are those that other tools compute`() throws {
  var settings = EVESettings()
  settings.communityID = 0
  for (ipProtocol, source, sourcePort, destination, destinationPort, expected) in [
    (
      UInt8(6), "128.232.110.120", UInt16(34855), "66.35.250.204", UInt16(80),
      "1:LQU9qZlK+B5F3KDmev6m5PMibrg="
    ),
    (6, "66.35.250.204", 80, "128.232.110.120", 34855, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
    (17, "192.168.1.52", 54585, "8.8.8.8", 53, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
    (1, "192.168.0.89", 8, "192.168.0.1", 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
    (1, "192.168.0.1", 0, "192.168.0.89", 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
  ] {
    var context = context(ipProtocol: ipProtocol)
    context.flow?.tuple = FlowTuple(
      source: ip(source), destination: ip(destination), sourcePort: sourcePort,
      destinationPort: destinationPort, ipProtocol: ipProtocol)
    let record = try #require(try records(.flow, context, settings: settings).first)
    #expect(text(record, "community_id") == expected)
  }
}

@Test func `lines are handed over in blocks and by flush`() throws {
  let output = MemoryLineOutput()
  let writer = EVEWriter(output: output)
  let context = context()
  var count = 0
  while output.bytes.isEmpty {
    writer.emit(.flow, context, bytes: [UInt8]().rawSpan)
    count += 1
    try #require(count < 10_000)
  }
  #expect(output.bytes.count >= EVEWriter.flushOctets)
  writer.emit(.flow, context, bytes: [UInt8]().rawSpan)
  writer.flush()
  #expect(try lines(output.bytes).count == count + 1)
  #expect(writer.lineCount == UInt64(count + 1))
}

@Test func `a file takes lines at its end, and one that cannot be opened says why`() throws {
  let path = NSTemporaryDirectory() + "sluice-eve-\(ProcessInfo.processInfo.processIdentifier).json"
  defer { try? FileManager.default.removeItem(atPath: path) }
  for _ in 0..<2 {
    let writer = EVEWriter(output: try FileLineOutput(path: path))
    writer.emit(.flow, context(), bytes: [UInt8]().rawSpan)
    writer.flush()
  }
  #expect(try lines(Array(Data(contentsOf: URL(fileURLWithPath: path)))).count == 2)
  #expect(throws: LineOutputError.self) { try FileLineOutput(path: "/nonexistent/eve.json") }
}

@Test func `frames and the name of the writer are told when asked`() throws {
  var settings = EVESettings()
  settings.logsEthernet = true
  settings.versionName = "8.0 (Sluice)"
  // To 02:00:00:00:00:01 from 02:00:00:00:00:02, IPv4.
  let frame: [UInt8] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]
  var context = context()
  context.packet.linkOffset = 0
  let event = Event.alert(alert(try rule(ruleText)))
  let record = try #require(try records(event, context, settings: settings, bytes: frame).first)
  #expect(text(record, "ether.src_mac") == "02:00:00:00:00:02")
  #expect(text(record, "ether.dest_mac") == "02:00:00:00:00:01")
  #expect(number(record, "ether.ether_type") == 0x0800)
  #expect(text(record, "suricata_version") == "8.0 (Sluice)")
  let short = try #require(try records(event, context, settings: settings, bytes: [2]).first)
  #expect(value(short, "ether") == nil)
}

@Test func `netflow tells of each direction in which packets went`() throws {
  var settings = EVESettings.none
  settings.logsNetflow = true
  var context = context()
  context.flow?.toServer.packets = 3
  context.flow?.toServer.bytes = 300
  context.flow?.toServer.tcpFlags = 0x02
  let one = try records(.flow, context, settings: settings)
  #expect(one.count == 1)
  context.flow?.toClient.packets = 1
  let both = try records(.flow, context, settings: settings)
  #expect(both.map { text($0, "event_type") } == ["netflow", "netflow"])
  #expect(both.map { number($0, "netflow.pkts") } == [3, 1])
  #expect(both.map { text($0, "src_ip") } == ["192.0.2.10", "198.51.100.20"])
  #expect(flag(both[0], "tcp.syn") == true)
  #expect(value(both[1], "tcp.syn") == nil)
}
