import Detection
import FlowTracking
import PacketDecoding
import StreamReassembly
import Traffic

extension PacketPath {
  /// Flows ended at once to make room in a full table.
  private static let pruneBatch = 32

  /// Called before a flow that is over is told of, with its start and its number.
  public typealias EndingNote = (Timestamp, UInt64) -> Void

  private struct EndedFlow {
    var index: FlowIndex
    var flow: Flow
    var reason: FlowEndReason
  }

  mutating func expire(now: Timestamp) { advance(to: now) { _, _ in } }

  /// Ends what is over by now, without a packet.
  ///
  /// - Parameter note: told of each flow before its records are written, in the order of their starts.
  public mutating func advance(to now: Timestamp, _ note: EndingNote) {
    if now.seconds > lookedAtSecond {
      lookedAtSecond = now.seconds
      defragmenter.expire(now: now)
    }
    var ended: [EndedFlow] = []
    flows.expire(now: now, limit: expiryLimit) { index, flow, reason in
      ended.append(EndedFlow(index: index, flow: copy flow, reason: reason))
    }
    if !ended.isEmpty { end(&ended, note) }
  }

  /// Ends the flows nearest to their timeout; returns how many.
  mutating func makeRoom() -> Int {
    var ended: [EndedFlow] = []
    flows.prune(limit: Self.pruneBatch) { index, flow, reason in
      ended.append(EndedFlow(index: index, flow: copy flow, reason: reason))
    }
    for one in ended { endFlow(one.index, one.flow, reason: one.reason) }
    return ended.count
  }

  /// The traffic is over: what flows still hold is inspected and written.
  public mutating func finish(_ note: EndingNote = { _, _ in }) {
    var ended: [EndedFlow] = []
    flows.removeAll(reason: .shutdown) { index, flow, reason in
      ended.append(EndedFlow(index: index, flow: copy flow, reason: reason))
    }
    end(&ended, note)
  }

  /// In an order that has nothing to do with where the table kept them.
  private mutating func end(_ ended: inout [EndedFlow], _ note: EndingNote) {
    if ended.count > 1 {
      ended.sort { ($0.flow.startTime, $0.flow.flowID) < ($1.flow.startTime, $1.flow.flowID) }
    }
    for one in ended {
      note(one.flow.startTime, one.flow.flowID)
      endFlow(one.index, one.flow, reason: one.reason)
    }
  }

  /// Inspects what a flow still holds, writes its records and lets go of it. Its place in the table
  /// has been freed already and not yet been given away.
  mutating func endFlow(_ index: FlowIndex, _ flow: Flow, reason: FlowEndReason) {
    defer {
      reassembler.reset(flow: index.rawValue)
      if inspections.indices.contains(index.index) { inspections[index.index] = nil }
    }
    let inspection = inspections.indices.contains(index.index) ? inspections[index.index] : nil
    var flow = flow
    if let inspection { inspectRest(index, &flow, inspection) }
    // Most short connections leave nothing to tell.
    guard settings.logs.flows || inspection?.journal.entries.isEmpty == false else { return }
    var context = endContext(index, flow, inspection, .toServer)
    context.flow?.reason = reason.eveName
    if let inspection, let record = context.flow { pastFlows.add(record, inspection.journal) }
    guard settings.logs.flows, inspection?.detection.silencesFlow != true else { return }
    sink.emit(.flow, context, bytes: RawSpan())
  }

  /// A TCP session is over: what its flow still holds is inspected and written now, so that bodies do
  /// not lie in memory until the flow's time is over.
  mutating func finishSession(_ index: FlowIndex, _ inspection: FlowInspection) {
    var flow = flows[index]
    inspectRest(index, &flow, inspection)
    if flow.disposition != .inspect { flows[index].disposition = flow.disposition }
  }

  private mutating func inspectRest(
    _ index: FlowIndex, _ flow: inout Flow, _ inspection: FlowInspection
  ) {
    let keepsBytes = stream.looksAtStreams
    reassembler.finish(flow: index.rawValue, time: flow.lastTime) { chunk in
      inspection.feed(chunk, isLive: false, keepsBytes: keepsBytes)
    }
    inspection.appLayer?.finish(at: flow.lastTime)
    if inspection.appLayer?.parser != nil {
      inspection.toServer.hasNews = true
      inspection.toClient.hasNews = true
    }
    if flow.state == .bypassed {
      // What was complete when the kernel took the flow is told; what a rule or policy let go by is not.
      guard let reason = inspection.releaseReason, reason != .rule, reason != .policy else { return }
      let context = endContext(index, flow, inspection, .toServer)
      return stream.logTransactions(inspection, isEnd: true, context: context, bytes: RawSpan())
    }
    // What came of a flow that is cut is no transaction that took place.
    if settings.isInline, flow.isDropped { return }
    for direction in Direction.allCases
    where stream.looksAtStreams && flow.disposition == .inspect && !inspection.detection.isPassed
      && inspection[direction].hasNews
    {
      let packet = DecodedPacket(endsOf: flow, direction)
      var facts = facts(flow, direction, inspection)
      facts.isEstablished = true
      stream.inspect(
        inspection, direction: direction, packet: packet, bytes: RawSpan(), facts: facts)
      guard stream.hasMatches else { continue }
      let decision = stream.decide(inspection, facts: facts, packet: packet)
      // What rules have noted by now is part of what is told.
      if stream.hasAlerts {
        stream.tell(decision, inspection, context: endContext(index, flow, inspection, direction), bytes: RawSpan())
      }
      // Nothing can be stopped any more; the record says what the rules asked.
      if decision.dropScope == .flow {
        flow.disposition = .drop
      } else if decision.passScope == .flow {
        flow.disposition = .pass
      }
    }
    guard stream.hasRecords(inspection, isEnd: true) else { return }
    if stream.tellsOfTransactions(inspection) {
      stream.logTransactions(
        inspection, isEnd: true, context: endContext(index, flow, inspection, .toServer), bytes: RawSpan())
    } else {
      let packet = DecodedPacket(endsOf: flow, .toServer)
      stream.logTransactions(
        inspection, isEnd: true, context: EventContext(time: flow.lastTime, packet: packet), bytes: RawSpan())
    }
  }

  /// A packet that stands for the end of the flow: only its addresses mean something.
  mutating func endContext(
    _ index: FlowIndex, _ flow: Flow, _ inspection: FlowInspection?, _ direction: Direction
  ) -> EventContext {
    let record = record(flow, index, inspection)
    let packet = DecodedPacket(endsOf: record, direction, time: flow.lastTime)
    var context = EventContext(time: flow.lastTime, packet: packet)
    context.direction = direction
    context.flow = record
    context.appLayer = inspection?.appLayer
    context.decryption = inspection?.decryption
    return context
  }
}

extension PacketPath {
  /// Lets go of a flow that goes on elsewhere, without a record of its own.
  public mutating func forget(_ index: FlowIndex) {
    if inspections.indices.contains(index.index), let inspection = inspections[index.index], flows.isLive(index) {
      inspection.journal.note("handed to the TLS stage", at: flows[index].lastTime)
      pastFlows.add(record(flows[index], index, inspection), inspection.journal)
    }
    flows.remove(index, reason: .forced)
    reassembler.reset(flow: index.rawValue)
    if inspections.indices.contains(index.index) { inspections[index.index] = nil }
  }

  /// Flows made since the start.
  public var flowCount: UInt64 { flows.counters.flowsCreated }
  /// Times that a memory limit was hit.
  public var memcapHits: MemcapHits {
    MemcapHits(
      flows: flows.counters.memcapHits, fragments: defragmenter.counters.memcapHits,
      sessions: flows.counters.sessionMemcapHits, segments: reassembler.counters.memcapHits)
  }
  /// Alerts told of since the start.
  public var alertCount: UInt64 { stream.counters.alerts }
  public var flowCounters: FlowTableCounters { flows.counters }
  public var reassemblyCounters: ReassemblyCounters { reassembler.counters }
  public var defragmenterCounters: DefragmenterCounters { defragmenter.counters }
  /// What each rule has cost.
  public var ruleCosts: RuleCostSnapshot { stream.detector.ruleCosts }
  /// Times one trial of a rule in so many, where it is the rules' cost that is asked for.
  public mutating func timeRules(oneIn period: UInt32) { stream.detector.meter.period = max(1, period) }
  /// What the rules cost so far.
  public var detectionCounters: DetectionCounters { stream.detector.counters }
}
