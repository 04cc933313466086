import AppLayer
import Detection
import FlowTracking
import Inspection
import PacketDecoding
import RuleLanguage
import StreamReassembly
import TestSupport
import Testing
import Traffic

/// Records as tests look at them.
final class RecordSink: EventSink {
  struct AlertSeen: Equatable {
    var sid: UInt32
    /// Number of the packet; 0 where the end of the flow brought it.
    var packet: UInt64
    var isBlocked: Bool
    var verdict: String
  }

  struct DropSeen: Equatable {
    var packet: UInt64
    var reason: String
    var transactionID: UInt64?
  }

  var alerts: [AlertSeen] = []
  /// Of the alerts that are for one.
  var transactionIDs: [UInt64] = []
  var drops: [DropSeen] = []
  var flows: [FlowRecord] = []
  var transactionCount = 0
  /// `pkt_src` of the packets that alerts were for, as far as they came in tunnels.
  var tunnels: [String] = []

  func emit(_ event: Event, _ context: borrowing EventContext, bytes: RawSpan) {
    switch event {
    case .alert(let alert):
      if let id = alert.alert.transactionID { transactionIDs.append(id) }
      alerts.append(
        AlertSeen(
          sid: alert.rule.sid, packet: context.packetNumber, isBlocked: alert.alert.isBlocked,
          verdict: alert.verdict.action))
      if let tunnel = context.tunnel { tunnels.append(tunnel.means) }
    case .drop(let drop): drops.append(DropSeen(packet: context.packetNumber, reason: drop.reason, transactionID: drop.transactionID))
    case .flow: if let flow = context.flow { flows.append(flow) }
    case .transaction: transactionCount += 1
    case .anomaly, .arp, .interception, .ruleExcess, .file, .fileContent, .taggedPacket: break
    }
  }
}

/// What came of packets that went through the whole path.
struct PathScene {
  var verdicts: [PacketVerdict] = []
  var sink = RecordSink()
  var memcapHits = MemcapHits()
  /// Octets of streams held after each packet.
  var heldBytes: [UInt64] = []

  var sids: [UInt32] { sink.alerts.map(\.sid) }
  /// Numbers of the packets that were stopped, from 1.
  var stopped: [Int] { verdicts.indices.filter { verdicts[$0].isStopped }.map { $0 + 1 } }

  static func run(
    _ packets: [BuiltPacket], rules: String, isInline: Bool = true, actionOrder: [RuleAction]? = nil,
    change: (inout InspectionSettings) -> Void = { _ in }
  ) -> PathScene {
    let shared = SharedDetectionState()
    var compilerSettings = RuleCompiler.Settings()
    compilerSettings.scansPacketsWithStreams = isInline
    if let actionOrder { compilerSettings.actionOrder = actionOrder }
    var compiler = RuleCompiler(settings: compilerSettings, shared: shared)
    for rule in RuleFile.parse(rules, fileName: "test.rules").rules { compiler.add(rule) }
    let compiled = compiler.finish()
    #expect(compiled.diagnostics.isEmpty)
    var settings = InspectionSettings(flowSeed: 1)
    settings.isInline = isInline
    settings.flows.tcp.isInline = isInline
    settings.reassembly.delivery = isInline ? .inline : .acknowledged
    settings.logs.dropsWholeFlows = true
    change(&settings)
    var scene = PathScene()
    var path = PacketPath(settings: settings, ruleSet: compiled.ruleSet, shared: shared, sink: scene.sink)
    for packet in packets {
      scene.verdicts.append(path.process(packet.bytes.rawSpan, link: .ethernet, time: packet.time))
      scene.heldBytes.append(path.reassemblyCounters.heldBytes)
    }
    path.finish()
    scene.memcapHits = path.memcapHits
    return scene
  }

  /// One HTTP exchange: packets 1–3 the handshake, 4 the request, 6 the response, then both FINs.
  static func exchange(
    request: String = "GET /evil HTTP/1.1\r\nHost: a.example\r\n\r\n", segmentSize: Int = 1460,
    hasHandshake: Bool = true
  ) -> TCPConversation {
    var web = TCPConversation()
    if hasHandshake { web.handshake() }
    web.send(.toServer, request, segmentSize: segmentSize)
    web.send(.toClient, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", segmentSize: segmentSize)
    web.fin()
    return web
  }
}
