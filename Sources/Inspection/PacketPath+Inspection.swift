import AppLayer
import Detection
import FlowTracking
import PacketDecoding
import RuleLanguage
import StreamReassembly
import Traffic

extension PacketPath {
  /// A packet of a flow: stream → protocols → detection → verdict.
  ///
  /// - Parameter inner: what became of the packet inside; one that is stopped stops this one.
  mutating func inspect(
    _ packet: DecodedPacket, _ bytes: RawSpan, _ lookup: FlowLookup, length: Int,
    inner: PacketVerdict? = nil
  ) -> PacketVerdict {
    var verdict = PacketVerdict()
    verdict.flow = lookup.index
    verdict.direction = lookup.direction
    if packet.isTCP, packet.tunnelDepth == 0, !lookup.isQuoted {
      let start = min(Int(packet.payloadOffset), bytes.byteCount)
      let end = min(start &+ max(0, Int(packet.payloadLength)), bytes.byteCount)
      verdict.segment = SegmentFacts(
        sequence: packet.tcp.sequence, acknowledgement: packet.tcp.acknowledgement, flags: packet.tcp.flags,
        payload: start..<max(start, end))
    }
    if packet.isTCP, packet.tcp.flags & (TCPFields.syn | TCPFields.ack) == TCPFields.syn {
      verdict.synDestinationPort = packet.destinationPort
    }
    let flow = inspection(lookup.index)
    if flow.frameEnds == nil { flow.frameEnds = FrameEnds(packet, bytes, lookup.direction) }
    if settings.logs.linkAddresses { noteLinkAddresses(packet, bytes, lookup.direction, flow) }
    if settings.isInline, flows[lookup.index].isDropped {
      verdict.verdict = .drop
      verdict.reason = flow.isDroppedByPolicy ? .exceptionFlowDrop : .flowDrop
      logDrop(verdict, flow, context(packet, length: length, lookup, flow), bytes)
      return verdict
    }
    if flows[lookup.index].state == .bypassed {
      verdict.verdict = .release
      return verdict
    }
    adopt(inner, &verdict)
    if let limit = settings.elephantLimit, !lookup.isQuoted {
      flow.rate.note(lookup.direction, octets: length, at: packet.time, limit)
    }
    var work = PacketWork(lookup: lookup, length: length, streamEvents: lookup.tcp.events)
    work.isEstablished = isEstablished(packet, lookup.index)
    if packet.isTCP {
      feedStream(packet, bytes, flow, &work)
      applyTrackingPolicies(packet, flow, &work, &verdict)
      applyUrgentPolicy(work, &verdict)
      applyReassemblyPolicy(flow, &work, &verdict)
    } else if packet.isUDP {
      feedDatagram(packet, bytes, lookup, flow)
    }
    applyErrorPolicy(flow, &work, &verdict)
    if work.isConflicting, settings.isInline, let accepted = acceptedPayload(packet, bytes, lookup) {
      verdict.replacements.append(PayloadReplacement(position: 0, bytes: accepted))
      let rewritten = Self.rewrite(packet, bytes, accepted)
      detect(packet, rewritten.rawSpan, flow, work, &verdict)
    } else {
      detect(packet, bytes, flow, work, &verdict)
    }
    releaseWhereDecided(flow, lookup, &verdict)
    return consume verdict
  }

  /// Rules, decision, records.
  private mutating func detect(
    _ packet: DecodedPacket, _ bytes: RawSpan, _ flow: FlowInspection, _ work: PacketWork,
    _ verdict: inout PacketVerdict
  ) {
    let lookup = work.lookup
    reportStreamEvents(work.streamEvents, packet, bytes, lookup, flow, work.length)
    if !work.isExempt, !flow.detection.isPassed, flows[lookup.index].disposition == .inspect {
      inspectRules(packet, bytes, flow, work, &verdict)
    }
    if stream.hasRecords(flow, isEnd: false) {
      if stream.tellsOfTransactions(flow) {
        stream.logTransactions(
          flow, isEnd: false, context: context(packet, length: work.length, lookup, flow), bytes: bytes)
      } else {
        // Nobody looks at the flow's record.
        stream.logTransactions(
          flow, isEnd: false, context: EventContext(time: packet.time, packet: packet), bytes: bytes)
      }
    }
    if verdict.isStopped {
      logDrop(verdict, flow, context(packet, length: work.length, lookup, flow), bytes)
    }
    reportTag(packet, bytes, lookup, flow, work.length)
    if lookup.tcp.isSessionEnded { finishSession(lookup.index, flow) }
    if settings.isInline, flows[lookup.index].isDropped {
      // No octet of it is looked at again, while the flow may stay for long: its other end acknowledges nothing.
      reassembler.forgetHeld(flow: lookup.index.rawValue)
      flow.forgetStreams()
    }
  }

  private mutating func inspectRules(
    _ packet: DecodedPacket, _ bytes: RawSpan, _ flow: FlowInspection, _ work: PacketWork,
    _ verdict: inout PacketVerdict
  ) {
    guard !verdict.isStopped, !work.isHidden else {
      var headers = packet
      // Of a packet that TCP refuses and that is dropped for it, headers and events are still told.
      if verdict.isStopped { headers.payloadLength = 0 }
      headers.hidesPayload = work.isHidden
      return tryRules(packet, inspected: headers, bytes, flow, work, &verdict)
    }
    tryRules(packet, inspected: packet, bytes, flow, work, &verdict)
  }

  private mutating func tryRules(
    _ packet: DecodedPacket, inspected: DecodedPacket, _ bytes: RawSpan, _ flow: FlowInspection, _ work: PacketWork,
    _ verdict: inout PacketVerdict
  ) {
    let lookup = work.lookup
    if work.isEstablished, !work.isAlone, work.streamEvents.isEmpty,
      stream.hasNothing(for: inspected, flow, lookup.direction)
    {
      return
    }
    var facts = facts(flows[lookup.index], lookup.direction, flow)
    facts.isEstablished = work.isEstablished
    stream.isPacketStopped = verdict.isStopped
    defer { stream.isPacketStopped = false }
    stream.inspect(
      flow, packet: inspected, bytes: bytes, facts: facts, payloadIsInStream: work.isInStream,
      streamEvents: work.streamEvents)
    if work.isAlone, !verdict.isStopped {
      let piece = acceptedAround(packet, lookup)
      if !piece.isEmpty { stream.inspectAlone(piece.rawSpan, flow, inspected, facts: facts) }
    }
    if stream.detector.hasExcesses {
      stream.reportExcesses(context(packet, length: work.length, lookup, flow), bytes)
    }
    guard stream.hasMatches else { return }
    let decision = stream.decide(flow, facts: facts, packet: packet)
    if stream.hasAlerts { tell(decision, packet, bytes, flow, work) }
    apply(decision, lookup.index, packet, &verdict)
  }

  private mutating func tell(
    _ decision: DetectionDecision, _ packet: DecodedPacket, _ bytes: RawSpan, _ flow: FlowInspection, _ work: PacketWork
  ) {
    let lookup = work.lookup
    let context = context(packet, length: work.length, lookup, flow)
    let showsWaiting = settings.logs.payload && packet.isTCP
    if showsWaiting {
      flow[lookup.direction].waiting = reassembler.waiting(
        flow: lookup.index.rawValue, direction: lookup.direction)
    }
    stream.tell(decision, flow, context: context, bytes: bytes)
    if showsWaiting { flow[lookup.direction].waiting = [] }
  }

  /// Whether the flow was established before a TCP packet came: the packet that completes a handshake
  /// is not yet part of what it begins, unless it brings data along, which would otherwise be looked at by no rule on
  /// established flows. For others the first answer counts.
  ///
  /// - Source: Suricata "Flow Keywords", `flow:established`.
  private mutating func isEstablished(_ packet: borrowing DecodedPacket, _ index: FlowIndex) -> Bool {
    let isNow = flows[index].state != .new
    guard packet.isTCP else { return isNow }
    let wasBefore = flows[index].upperFlags & Self.wasEstablished != 0
    if isNow {
      flows[index].upperFlags |= Self.wasEstablished
    } else {
      flows[index].upperFlags &= ~Self.wasEstablished
    }
    let bringsData = packet.payloadLength > 0
    return wasBefore || isNow && bringsData
  }

  private static var wasEstablished: UInt32 { 1 }

  /// A packet around one that is stopped is stopped with it, and around one that is marked is marked.
  mutating func adopt(_ inner: PacketVerdict?, _ verdict: inout PacketVerdict) {
    if let mark = inner?.mark { verdict.mark = verdict.mark?.followed(by: mark) ?? mark }
    guard let inner, inner.isStopped else { return }
    verdict.verdict = inner.verdict
    verdict.reason = .innerPacket
    verdict.rejectAction = inner.rejectAction
  }

  /// What is kept of the flow, made where there is none.
  private mutating func inspection(_ index: FlowIndex) -> FlowInspection {
    while inspections.count <= index.index { inspections.append(nil) }
    if let known = inspections[index.index] { return known }
    let made = FlowInspection(spare: stream.spare)
    inspections[index.index] = made
    return made
  }

  // MARK: Feeding

  private mutating func feedStream(
    _ packet: DecodedPacket, _ bytes: RawSpan, _ flow: FlowInspection, _ work: inout PacketWork
  ) {
    let lookup = work.lookup
    if lookup.tcp.flags.contains(.sessionStarted) { reassembler.reset(flow: lookup.index.rawValue) }
    work.isHidden = flow.hidesPayload
    guard lookup.tcp.isAccepted else { return }
    flow.isClosing = flows.tcpState(lookup.index).isClosing
    if flow.appLayer == nil { flow.appLayer = appLayer(lookup.index, .tcp) }
    var segment = StreamSegment(
      packet, direction: lookup.direction,
      policy: hostPolicy(packet.destination)?.stream ?? .bsd)
    segment.deliversNow = lookup.tcp.flags.contains(.oneSided)
    segment.isOpaque = flow.hidesPayload
    // Data on a SYN belongs to the stream with TCP fast open alone (RFC 7413).
    let isSynData = packet.tcp.has(TCPFields.syn) && !flows.session(lookup.index).isFastOpen
    let payload = isSynData ? bytes.extracting(0..<0) : packet.payload(of: bytes)
    var isDelivered = false
    let keepsBytes = stream.looksAtStreams
    let result = reassembler.add(flow: lookup.index.rawValue, segment, payload: payload) { chunk in
      if chunk.direction == lookup.direction, chunk.bytes.byteCount > 0 { isDelivered = true }
      flow.feed(chunk, keepsBytes: keepsBytes)
    }
    if packet.tcp.has(TCPFields.rst), lookup.tcp.isSessionEnded {
      // Whoever resets has nothing more to say: what was said is inspected with this packet.
      reassembler.finish(
        flow: lookup.index.rawValue, direction: lookup.direction, time: packet.time
      ) { chunk in flow.feed(chunk, isLive: false, keepsBytes: keepsBytes) }
    } else if lookup.tcp.isSessionEnded, settings.reassembly.delivery != .inline {
      // Both sides are heard to the end with the packet that acknowledges the last FIN.
      reassembler.finish(flow: lookup.index.rawValue, time: packet.time) { chunk in
        flow.feed(chunk, isLive: false, keepsBytes: keepsBytes)
      }
    }
    // The packet that begins or ends the ciphertext is looked at.
    if !flow.hidesPayload { work.isHidden = false }
    if settings.hidesEncrypted, flow.appLayer?.hidesPayload == true { flow.hidesPayload = true }
    work.streamEvents.formUnion(result.events)
    work.isConflicting = result.isConflicting
    work.isInStream = payload.byteCount > 0 && !result.isRefused && !result.isBeyondDepth
    work.isUrgentRefused = result.isUrgentRefused
    work.isOverLimit = result.isOverLimit
    // What is let through now must be looked at now, also where it waits for what is before it.
    work.isAlone = work.isInStream && !isDelivered && settings.isInspectedOnArrival
  }

  private mutating func feedDatagram(
    _ packet: DecodedPacket, _ bytes: RawSpan, _ lookup: FlowLookup, _ flow: FlowInspection
  ) {
    // Whatever its checksum: sums left to the network card are wrong in captures of the sender.
    if flow.appLayer == nil { flow.appLayer = appLayer(lookup.index, .udp) }
    guard packet.payloadLength > 0 || flow.appLayer?.parser == nil else { return }
    let chunk = StreamChunk(
      bytes: packet.payload(of: bytes), direction: lookup.direction, offset: 0, time: packet.time)
    flow.feedDatagram(chunk)
  }

  private mutating func appLayer(_ index: FlowIndex, _ transport: AppLayerFlow.Transport) -> AppLayerFlow {
    let tuple = flows[index].tuple
    let made = AppLayerFlow(
      supply: stream.supply, transport: transport, serverPort: tuple.destinationPort,
      clientPort: tuple.sourcePort, isMidstream: flows[index].isMidstream,
      ends: transport == .tcp ? FlowEnds(tuple, expected: expectedFlows, flowID: flows[index].flowID) : nil)
    made.marksFrames = stream.detector.usesFrames
    return made
  }

  mutating func facts(_ flow: Flow, _ direction: Direction, _ inspection: FlowInspection) -> FlowFacts {
    var facts = FlowFacts()
    facts.id = flow.flowID
    facts.packetDirection = direction
    facts.isEstablished = flow.state != .new
    facts.isMidstream = flow.isMidstream
    if let appLayer = inspection.appLayer {
      facts.take(appLayer)
      facts.take(appLayer.events, from: inspection.reportedEventCount)
    }
    facts.packets = .init(toServer: flow.toServer.packetCount, toClient: flow.toClient.packetCount)
    facts.bytes = .init(toServer: flow.toServer.byteCount, toClient: flow.toClient.byteCount)
    facts.streamBytes = .init(
      toServer: inspection.toServer.streamEnd, toClient: inspection.toClient.streamEnd)
    facts.start = flow.startTime
    facts.isElephant = inspection.rate.isElephant
    return facts
  }
}

/// What becomes of one packet of a flow on its way; passed down together.
struct PacketWork {
  let lookup: FlowLookup
  let length: Int
  var streamEvents: StreamEventSet
  /// The payload went into the stream, so that rules on the stream see it there.
  var isInStream = false
  /// It did, but nothing of it was delivered: it is ahead of a hole, or was sent again.
  var isAlone = false
  /// It carries urgent data and is not to be let through for it.
  var isUrgentRefused = false
  /// There is no room for it to wait in.
  var isOverLimit = false
  /// Its data contradicts what was let through before.
  var isConflicting = false
  var isEstablished = false
  /// Its payload is ciphertext, as that of the packets before it was.
  var isHidden = false
  /// No rule is tried on this packet: a policy has decided about it.
  var isExempt = false

  init(lookup: FlowLookup, length: Int, streamEvents: StreamEventSet) {
    self.lookup = lookup
    self.length = length
    self.streamEvents = streamEvents
  }
}

extension FlowFacts {
  /// What recognition has found odd since it was told of last.
  mutating func take(_ events: [AppEvent], from told: Int) {
    guard events.count > told else { return }
    appLayerEvents = FlowAppLayerEvents(Array(events[told...]))
  }

  mutating func take(_ appLayer: AppLayerFlow) {
    appProtocol = appLayer.appProtocol
    appProtocolToServer = appLayer.protocolToServer
    appProtocolToClient = appLayer.protocolToClient
    originalProtocol = appLayer.originalProtocol
  }
}
