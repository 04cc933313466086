import AppLayer
import Detection
import FlowTracking
import PacketDecoding
import RuleLanguage
import Traffic

/// The way of relayed bytes, decrypted or as they are: protocols → detection → verdict, the same code
/// that packets go through from the stream on.
///
/// One for each worker of the interception stage.
public final class RelayPath {
  let settings: InspectionSettings
  let sink: any EventSink
  fileprivate var stream: StreamPath
  fileprivate let expectedFlows: ExpectedFlows
  private var flowCounter: UInt64 = 0

  public init(
    settings: InspectionSettings, ruleSet: RuleSet, shared: SharedDetectionState, sink: any EventSink
  ) {
    var settings = settings
    settings.appLayer.http.showsBodiesAtOnce = true
    self.settings = settings
    self.sink = sink
    expectedFlows = shared.expectedFlows
    stream = StreamPath(
      detector: Detector(ruleSet: ruleSet, shared: shared), settings: settings, sink: sink)
  }

  /// Takes another rule set; flows keep their state.
  public func replace(ruleSet: RuleSet) { stream.replace(ruleSet: ruleSet) }

  /// What rules have cost on relayed bytes.
  public var ruleCosts: RuleCostSnapshot { stream.detector.ruleCosts }

  public var alertCount: UInt64 { stream.counters.alerts }

  /// Writes a step of the interception stage.
  public func record(_ record: InterceptionRecord, _ tuple: FlowTuple, at time: Timestamp) {
    var flow = FlowRecord(id: 0, tuple: tuple, start: time, last: time)
    flow.ipVersion = tuple.source.isIPv4 ? 4 : 6
    let context = EventContext(time: time, packet: DecodedPacket(endsOf: flow, .toServer, time: time))
    sink.emit(.interception(record), context, bytes: RawSpan())
  }

  /// Begins to inspect a connection.
  ///
  /// - Parameters:
  ///   - tuple: from client to server.
  ///   - decryption: what is known of the TLS around the bytes; nil for bytes as they are.
  public func open(_ tuple: FlowTuple, decryption: DecryptionFacts?, at time: Timestamp) -> RelayFlow {
    flowCounter &+= 1
    // Identifiers stay within 53 bits, so that JSON readers keep them.
    let id = (settings.flows.seed &* 0x9e37_79b9_7f4a_7c15 &+ flowCounter &* 0x2545_f491_4f6c_dd1d) >> 11
    return RelayFlow(path: self, id: id, tuple: tuple, decryption: decryption, time: time)
  }
}

/// What inspection says of a stretch of a relayed stream.
public enum RelayDecision: Sendable {
  case forward
  /// Neither this stretch nor anything after it may pass.
  case cut(rule: RuleInfo?, reason: DropReason)
  /// Other octets in its place, and some for its sender: streams of HTTP/2 are taken out.
  /// - Parameter rule: by which one was with this stretch; nil for those before.
  case rewrite(forward: [UInt8], back: [UInt8], rule: RuleInfo?)
}

/// One relayed connection under inspection.
public final class RelayFlow {
  private let path: RelayPath
  private let inspection: FlowInspection
  private var record: FlowRecord
  private var isCut = false
  /// Where streams of HTTP/2 can be taken out.
  private var cutter: HTTP2Cutter?
  /// Those that the last decision asks to be stopped; nil where it is more than streams.
  private var stoppedStreams: Set<UInt32>?
  /// What was passed on before the protocol was known; nil once it is, or nobody wants it.
  private var early: (toServer: [UInt8], toClient: [UInt8])?
  private var seenDirections: (toServer: Bool, toClient: Bool) = (false, false)

  init(
    path: RelayPath, id: UInt64, tuple: FlowTuple, decryption: DecryptionFacts?, time: Timestamp
  ) {
    self.path = path
    inspection = FlowInspection(spare: path.stream.spare)
    record = FlowRecord(id: id, tuple: tuple, start: time, last: time)
    record.ipVersion = tuple.source.isIPv4 ? 4 : 6
    record.state = "established"
    inspection.decryption = decryption
    inspection.appLayer = AppLayerFlow(
      supply: path.stream.supply, transport: .tcp, serverPort: tuple.destinationPort, clientPort: tuple.sourcePort,
      ends: FlowEnds(tuple, expected: path.expectedFlows, isDecrypted: decryption != nil))
    if path.settings.isInline, path.settings.appLayer.http2.keepsBlocks { early = ([], []) }
  }

  /// HTTP was recognised inside.
  public var isHTTP: Bool { inspection.appLayer?.appProtocol == .http }

  /// Whether TLS may begin with what the client sends next: not within protocols that carry anything, where
  /// what looks like it may be a file. After CONNECT or STARTTLS the protocol is TLS, or nothing yet.
  public var mayTurnToTLS: Bool {
    switch inspection.appLayer?.appProtocol ?? .unknown {
    case .http, .http2, .doh2, .websocket, .dns, .ssh, .smb, .dcerpc: false
    default: true
    }
  }

  /// What an HTTP/2 client can be sent in place of an answer; nil where that cannot be.
  public func http2Refusal(page: [UInt8]) -> [UInt8]? {
    (inspection.appLayer?.parser as? HTTP2Parser)?.refusal(page: page)
  }

  /// Writes the record of the TLS connection that was taken apart.
  public func tell(_ tls: TLSTransaction, _ legs: [DecryptionFacts.Member]) {
    var context = context(.toServer)
    context.decryption?.legs = legs
    path.sink.emit(.transaction(tls, nil), context, bytes: RawSpan())
  }

  /// Inspects the next stretch before anything of it is passed on.
  public func inspect(_ chunk: borrowing StreamChunk) -> RelayDecision {
    guard !isCut else { return .cut(rule: nil, reason: .flowDrop) }
    record.last = chunk.time
    if chunk.direction == .toServer {
      record.toServer.packets &+= 1
      record.toServer.bytes &+= UInt64(chunk.bytes.byteCount)
    } else {
      record.toClient.packets &+= 1
      record.toClient.bytes &+= UInt64(chunk.bytes.byteCount)
    }
    inspection.feed(chunk)
    if early != nil { prepareCutter(chunk) }
    guard !inspection.detection.isPassed else { return rewritten(chunk) }
    let decision = decide(chunk.direction)
    guard stops(decision) else { return rewritten(chunk) }
    let context = context(chunk.direction)
    let rule = decision.decidingRule.flatMap { path.stream.detector.ruleSet.info($0) }
    if let streams = stoppedStreams, let cutter {
      let isNew = streams.contains { !cutter.isCut($0) }
      if case .rewritten(let forward, let back) = cutter.process(chunk, cutting: streams) {
        if isNew { note(rule, decision.decidingTransaction, context) }
        return .rewrite(forward: forward, back: back, rule: isNew ? rule : nil)
      }
    }
    isCut = true
    record.action = "drop"
    note(rule, decision.decidingTransaction, context)
    return .cut(rule: rule, reason: .rules)
  }

  // MARK: Streams of HTTP/2

  /// Octets of each direction that may go by before the protocol is known.
  private static let earlyBytesMax = 4_096

  private func prepareCutter(_ chunk: borrowing StreamChunk) {
    if let parser = inspection.appLayer?.parser as? HTTP2Parser {
      if let early, inspection.appLayer?.originalProtocol == .unknown { cutter = HTTP2Cutter(parser, early: early) }
      early = nil
      return
    }
    let count = (early?.toServer.count ?? 0) + (early?.toClient.count ?? 0) + chunk.bytes.byteCount
    guard inspection.appLayer?.parser == nil, count <= Self.earlyBytesMax else {
      early = nil
      return
    }
    if chunk.direction == .toServer { early?.toServer.append(chunk.bytes) } else { early?.toClient.append(chunk.bytes) }
  }

  /// The chunk, without what has been taken out.
  private func rewritten(_ chunk: borrowing StreamChunk) -> RelayDecision {
    switch cutter?.process(chunk) {
    case nil, .unchanged: return .forward
    case .rewritten(let forward, let back): return .rewrite(forward: forward, back: back, rule: nil)
    case .failed:
      isCut = true
      record.action = "drop"
      note(nil, nil, context(chunk.direction))
      return .cut(rule: nil, reason: .rules)
    }
  }

  /// The streams that rules ask to be stopped; nil where it is more than streams.
  private func streams(_ decision: DetectionDecision) -> Set<UInt32>? {
    guard !decision.stopsMore, !decision.stoppedTransactions.isEmpty else { return nil }
    var found: Set<UInt32> = []
    for id in decision.stoppedTransactions {
      let transaction = inspection.appLayer?.transactions.first { $0.id == id }
      let stream = (transaction as? HTTP2Transaction)?.streamID ?? (transaction as? WebSocketTransaction)?.streamID ?? 0
      guard stream != 0 else { return nil }
      found.insert(stream)
    }
    return found
  }

  /// The connection is over: what is left is inspected, records are written.
  ///
  /// - Parameter reason: EVE's `flow.reason`.
  public func close(at time: Timestamp, reason: String) {
    record.last = time
    inspection.appLayer?.finish(at: time)
    if !isCut, !inspection.detection.isPassed {
      inspection.toServer.hasNews = true
      inspection.toClient.hasNews = true
      for direction in [Direction.toServer, .toClient] {
        let decision = decide(direction)
        guard stops(decision) else { continue }
        isCut = true
        record.action = "drop"
        note(
          decision.decidingRule.flatMap { path.stream.detector.ruleSet.info($0) }, decision.decidingTransaction,
          context(direction))
      }
    }
    let context = context(.toServer)
    path.stream.logTransactions(inspection, isEnd: true, context: context, bytes: RawSpan())
    guard path.settings.logs.flows, !inspection.detection.silencesFlow else { return }
    var last = context
    last.flow?.reason = reason
    last.flow?.state = "closed"
    path.sink.emit(.flow, last, bytes: RawSpan())
  }

  private func decide(_ direction: Direction) -> DetectionDecision {
    let facts = facts(direction)
    let packet = DecodedPacket(endsOf: record, direction, time: record.last)
    inspectHeaders(direction, packet, facts)
    path.stream.inspect(inspection, direction: direction, packet: packet, bytes: RawSpan(), facts: facts)
    let decision = path.stream.decide(inspection, facts: facts, packet: packet)
    if path.stream.detector.hasExcesses { path.stream.reportExcesses(context(direction), RawSpan()) }
    // What events tell of the flow is gathered only where there is one.
    if path.stream.hasAlerts { path.stream.tell(decision, inspection, context: context(direction), bytes: RawSpan()) }
    // Before those that are done with are let go of.
    stoppedStreams = cutter == nil ? nil : streams(decision)
    if path.stream.hasRecords(inspection, isEnd: false) {
      path.stream.logTransactions(inspection, isEnd: false, context: context(direction), bytes: RawSpan())
    }
    return decision
  }

  private func stops(_ decision: DetectionDecision) -> Bool {
    path.settings.isInline && (decision.verdict == .drop || decision.verdict == .reject)
  }

  private func note(_ rule: RuleInfo?, _ transactionID: UInt64?, _ context: borrowing EventContext) {
    guard path.settings.logs.drops else { return }
    let event = DropEvent(
      reason: DropReason.rules.rawValue, rule: rule, transactionID: transactionID, verdict: VerdictRecord(action: "drop"))
    path.sink.emit(.drop(event), context, bytes: RawSpan())
  }

  /// Rules on addresses and ports alone are tried once for each direction: the packets of a relayed
  /// connection do not come by.
  private func inspectHeaders(_ direction: Direction, _ packet: DecodedPacket, _ facts: FlowFacts) {
    let isSeen = direction == .toServer ? seenDirections.toServer : seenDirections.toClient
    guard !isSeen else { return }
    if direction == .toServer { seenDirections.toServer = true } else { seenDirections.toClient = true }
    path.stream.inspectPacket(
      packet, bytes: RawSpan(), facts: facts, flow: inspection, payloadIsInStream: true,
      streamEvents: StreamEventSet())
  }

  private func facts(_ direction: Direction) -> FlowFacts {
    var facts = FlowFacts()
    facts.id = record.id
    facts.packetDirection = direction
    facts.isEstablished = true
    facts.appProtocol = inspection.appLayer?.appProtocol ?? .unknown
    facts.packets = .init(toServer: record.toServer.packets, toClient: record.toClient.packets)
    facts.bytes = .init(toServer: record.toServer.bytes, toClient: record.toClient.bytes)
    facts.streamBytes = .init(
      toServer: inspection.toServer.streamEnd, toClient: inspection.toClient.streamEnd)
    facts.start = record.start
    return facts
  }

  private func context(_ direction: Direction) -> EventContext {
    var context = EventContext(
      time: record.last, packet: DecodedPacket(endsOf: record, direction, time: record.last))
    context.direction = direction
    var flow = record
    flow.hasAlerted = inspection.hasAlerted
    if let appLayer = inspection.appLayer {
      flow.appProtocol = appLayer.appProtocol
      flow.appProtocolToServer = appLayer.protocolToServer
      flow.appProtocolToClient = appLayer.protocolToClient
    }
    context.flow = flow
    context.appLayer = inspection.appLayer
    context.decryption = inspection.decryption
    return context
  }
}

extension DecodedPacket {
  /// A packet that stands for a stretch or the end of a flow. TCP flags are those of a segment amid a
  /// connection, as Suricata's are then.
  init(endsOf record: FlowRecord, _ direction: Direction, time: Timestamp) {
    let (first, second) = (record.vlan.first ?? 0, record.vlan.count > 1 ? record.vlan[1] : 0)
    self.init(
      endsOf: record.tuple, ipVersion: record.ipVersion,
      vlan: (first, second, UInt8(truncatingIfNeeded: record.vlan.count)), direction, time: time)
  }

  init(endsOf flow: borrowing Flow, _ direction: Direction) {
    self.init(
      endsOf: flow.tuple, ipVersion: flow.ipVersion, vlan: (flow.vlan0, flow.vlan1, min(2, flow.vlanCount)), direction,
      time: flow.lastTime)
  }

  private init(
    endsOf flow: FlowTuple, ipVersion: UInt8, vlan: (UInt16, UInt16, count: UInt8), _ direction: Direction, time: Timestamp
  ) {
    self.init()
    isStandIn = true
    tcp.flags = TCPFields.psh | TCPFields.ack
    let tuple = direction == .toServer ? flow : flow.reversed
    self.time = time
    self.ipVersion = ipVersion
    ipProtocol = tuple.ipProtocol
    source = tuple.source
    destination = tuple.destination
    sourcePort = tuple.sourcePort
    destinationPort = tuple.destinationPort
    hasTransport = tuple.ipProtocol == IPProtocol.tcp || tuple.ipProtocol == IPProtocol.udp
    (vlan0, vlan1, vlanCount) = vlan
  }
}
