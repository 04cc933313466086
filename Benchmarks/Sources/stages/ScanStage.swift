import AppLayer
import Detection
import Inspection
import PacketDecoding
import Traffic

/// The rules on packets, streams, frames and transactions, and the decision.
///
/// What parsers yield changes with each chunk, so they run beside it: `measured` is called once for each packet, and the
/// time that the rest of a round takes is found out by rounds without it.
final class ScanStage: Stage {
  let name = "scan"
  let unit = "packet"
  private let input: Input
  private let preparation: Preparation
  private let settings: InspectionSettings
  private let files: FileExaminer
  private let wanted: Expectation
  private var detector: Detector
  private var flows: [ScanFlow] = []
  private var matches = MatchList()
  private var alerts: [Alert] = []
  private var isScanning = true
  private var alertCount: UInt64 = 0
  private(set) var overheadNanoseconds: UInt64 = 0

  init(_ input: Input, _ preparation: Preparation, _ expectation: Expectation, _ setup: Setup) {
    self.input = input
    self.preparation = preparation
    settings = setup.settings.inspection
    files = FileExaminer(settings: settings.appLayer.files)
    files.ruleNeeds = setup.ruleSet.fileNeeds
    wanted = expectation
    detector = Detector(ruleSet: setup.ruleSet, shared: setup.makeShared())
    detector.isInline = settings.isInline
    detector.alertsMax = settings.alertsPerPacketMax
    detector.meter.budget = settings.ruleBudget
  }

  var unitCount: Int { input.packets.count }
  var octetCount: Int { input.octets.count }

  /// Times rounds without detection.
  func timeRest(rounds: Int) throws(StageError) {
    isScanning = false
    overheadNanoseconds = try nanoseconds(rounds: rounds)
    isScanning = true
  }

  func round(_ number: Int64) throws(StageError) {
    let usesFrames = detector.usesFrames
    flows = preparation.flows.map { ScanFlow($0, settings.appLayer, files, marksFrames: usesFrames) }
    let before = detector.counters
    alertCount = 0
    for (place, tracked) in preparation.tracked.enumerated() {
      play(tracked, input.packets[place], later: input.roundNanoseconds &* number)
    }
    for flow in flows { end(flow, later: input.roundNanoseconds &* number) }
    guard isScanning else { return }
    let (now, path) = (detector.counters, wanted.detection)
    try expect("packets", now.packetsInspected - before.packetsInspected, path.packetsInspected)
    try expect("octets of streams", now.streamBytesInspected - before.streamBytesInspected, path.streamBytesInspected)
    try expect("looks at transactions", now.transactionsInspected - before.transactionsInspected, path.transactionsInspected)
    try expect("candidates", now.candidates - before.candidates, path.candidates)
    try expect("alerts", alertCount, wanted.alerts)
    try expect("failed scans", now.scanFailures - before.scanFailures, 0)
  }

  /// A packet, what it brings to its flow, and what there is at the end of a session.
  private func play(_ tracked: Preparation.Tracked, _ raw: Input.Packet, later: Int64) {
    var packet = tracked.packet
    packet.time = packet.time.later(by: later)
    let (captured, delivered) = (input.octets, preparation.octets)
    let bytes = captured.rawSpan.extracting(raw.range)
    guard let number = tracked.flow else {
      if isScanning { measured(packet, bytes, tracked, nil, nil) }
      return
    }
    let flow = flows[number]
    let isHidden = flow.hidesPayload
    for place in tracked.pieces { flow.feed(preparation.pieces[place], delivered.rawSpan) }
    packet.hidesPayload = isHidden && flow.hidesPayload
    if settings.hidesEncrypted, flow.appLayer.hidesPayload { flow.hidesPayload = true }
    let facts = flow.facts(tracked.facts)
    if isScanning { measured(packet, bytes, tracked, flow, facts) }
    let direction = tracked.lookup.direction
    flow[direction].markInspected()
    flow.removeTransactions(isScanned: isScanning)
    guard tracked.lookup.tcp.isSessionEnded else { return }
    for place in tracked.lastPieces { flow.feed(preparation.pieces[place], delivered.rawSpan) }
    end(flow, later: later)
  }

  /// What a flow still holds is looked at.
  private func end(_ flow: ScanFlow, later: Int64) {
    flow.appLayer.finish(at: flow.flow.lastTime)
    for direction in Direction.allCases where flow.appLayer.parser != nil || flow[direction].hasNews {
      var facts = flow.facts(FlowFacts())
      facts.packetDirection = direction
      facts.isEstablished = true
      var packet = DecodedPacket()
      let tuple = direction == .toServer ? flow.flow.tuple : flow.flow.tuple.reversed
      packet.time = flow.flow.lastTime.later(by: later)
      packet.ipVersion = tuple.source.isIPv4 ? 4 : 6
      packet.ipProtocol = tuple.ipProtocol
      (packet.source, packet.destination) = (tuple.source, tuple.destination)
      (packet.sourcePort, packet.destinationPort) = (tuple.sourcePort, tuple.destinationPort)
      packet.hasTransport = true
      packet.isStandIn = true
      if isScanning { measured(packet, RawSpan(), nil, flow, facts) }
      flow[direction].markInspected()
    }
    flow.removeTransactions(isScanned: isScanning)
  }

  // MARK: Measured

  /// What the path does with a packet between its flow's parser and the verdict.
  ///
  /// - Parameters:
  ///   - tracked: nil at the end of a flow.
  ///   - flow: nil for packets that belong to none.
  @inline(never)
  private func measured(
    _ packet: DecodedPacket, _ bytes: RawSpan, _ tracked: Preparation.Tracked?, _ flow: ScanFlow?, _ facts: FlowFacts?
  ) {
    guard let flow, let facts else {
      detector.inspectPacket(packet, bytes: bytes, flow: nil, state: nil, payloadIsInStream: false, into: &matches)
      return decide(packet, nil, nil)
    }
    let direction = facts.packetDirection
    // An ICMP error about the flow has nothing to show of its streams.
    let isOfStream = packet.isTCP || packet.isUDP
    let tail = isOfStream ? flow[direction] : ScanFlow.Tail()
    if let tracked {
      if facts.isEstablished, tracked.streamEvents.isEmpty, hasNothing(for: packet, flow, facts, tail) { return }
      detector.inspect(
        packet, bytes: bytes,
        stream: StreamPiece(window: tail.octets.rawSpan, newFrom: tail.newFrom, offset: tail.offset, isEnd: tail.isEnd),
        flow: facts, state: flow.state, payloadIsInStream: tracked.isInStream, streamEvents: tracked.streamEvents,
        into: &matches)
    } else {
      detector.inspectStream(
        tail.octets.rawSpan, newFrom: tail.newFrom, offset: tail.offset, isEnd: tail.isEnd, direction: direction,
        packet: packet, flow: facts, state: flow.state, into: &matches)
    }
    if tail.hasNews || tracked == nil { scanTransactions(packet, bytes, flow, facts, tail) }
    decide(packet, flow, facts)
  }

  private func hasNothing(
    for packet: DecodedPacket, _ flow: ScanFlow, _ facts: FlowFacts, _ tail: ScanFlow.Tail
  ) -> Bool {
    if tail.hasNews, tail.newFrom < tail.octets.count || tail.isEnd { return false }
    let direction = facts.packetDirection
    guard facts.appLayerEvents.isEmpty, detector.hasNothing(for: packet, direction, flow.state, facts.appProtocol)
    else { return false }
    guard tail.hasNews else { return true }
    return (!detector.usesFrames || flow.appLayer.parser?.frames == nil)
      && detector.hasNothing(in: flow.appLayer.transactions, direction)
  }

  private func scanTransactions(
    _ packet: DecodedPacket, _ bytes: RawSpan, _ flow: ScanFlow, _ facts: FlowFacts, _ tail: ScanFlow.Tail
  ) {
    let direction = facts.packetDirection
    if detector.usesFrames, let log = flow.appLayer.parser?.frames {
      detector.inspectFrames(
        log, direction: direction, packet: packet, bytes: bytes, flow: facts, state: flow.state, into: &matches)
    }
    let transactions = flow.appLayer.transactions
    guard !transactions.isEmpty else { return }
    detector.inspectTransactions(
      transactions, direction: direction, payload: packet.isUDP ? packet.payload(of: bytes) : tail.octets.rawSpan,
      packet: packet, bytes: bytes, flow: facts, state: flow.state, into: &matches)
  }

  private func decide(_ packet: DecodedPacket, _ flow: ScanFlow?, _ facts: FlowFacts?) {
    guard !matches.isEmpty else { return }
    _ = detector.decide(&matches, packet: packet, flow: facts, state: flow?.state, into: &alerts)
    alertCount &+= UInt64(alerts.count)
    alerts.removeAll(keepingCapacity: true)
  }
}
