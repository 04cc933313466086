import AppLayer
import Detection
import FlowTracking
import PacketDecoding
import RuleLanguage
import StreamReassembly
import Traffic

extension PacketPath {
  /// A packet of a flow: stream → protocols → detection → verdict.
  mutating func inspect(
    _ packet: DecodedPacket, _ bytes: RawSpan, _ lookup: FlowLookup, length: Int
  ) -> PacketVerdict {
    var verdict = PacketVerdict()
    verdict.flow = lookup.index
    verdict.isNewFlow = lookup.isNew
    if packet.isTCP, packet.tcp.flags & (TCPFields.syn | TCPFields.ack) == TCPFields.syn {
      verdict.synDestinationPort = packet.destinationPort
    }
    if let settled = settledVerdict(lookup.index) {
      verdict.verdict = settled
      if verdict.isStopped {
        verdict.reason = .flowDrop
        let flow = inspection(lookup.index)
        logDrop(verdict, flow, context(packet, length: length, lookup, flow), bytes)
      }
      return verdict
    }
    let flow = inspection(lookup.index)
    var streamEvents = lookup.tcp.events
    var isInStream = false
    if packet.isTCP {
      isInStream = feedStream(packet, bytes, lookup, flow, &streamEvents)
      applyTrackingPolicies(lookup, flow, &verdict)
    } else if packet.isUDP {
      feedDatagram(packet, bytes, lookup, flow)
    }
    detect(packet, bytes, lookup, flow, length, isInStream, streamEvents, &verdict)
    return verdict
  }

  /// Rules, decision, records.
  private mutating func detect(
    _ packet: DecodedPacket, _ bytes: RawSpan, _ lookup: FlowLookup, _ flow: FlowInspection,
    _ length: Int, _ isInStream: Bool, _ streamEvents: StreamEventSet,
    _ verdict: inout PacketVerdict
  ) {
    reportStreamEvents(streamEvents, packet, bytes, lookup, flow, length)
    if !flow.detection.isPassed, !verdict.isStopped {
      let facts = facts(flows[lookup.index], lookup.direction, flow)
      stream.inspectPacket(
        packet, bytes: bytes, facts: facts, flow: flow, payloadIsInStream: isInStream,
        streamEvents: streamEvents)
      stream.inspect(flow, direction: lookup.direction, packet: packet, bytes: bytes, facts: facts)
      if lookup.tcp.isSessionEnded {
        stream.inspect(
          flow, direction: lookup.direction.opposite, packet: packet, bytes: bytes, facts: facts)
      }
      if stream.hasMatches {
        let context = context(packet, length: length, lookup, flow)
        let decision = stream.decide(flow, facts: facts, context: context, bytes: bytes)
        apply(decision, lookup.index, &verdict)
      }
    }
    applyErrorPolicy(lookup, flow, &verdict)
    if stream.hasRecords(flow, isEnd: lookup.tcp.isSessionEnded) {
      let context = context(packet, length: length, lookup, flow)
      stream.logTransactions(
        flow, isEnd: lookup.tcp.isSessionEnded, context: context, bytes: bytes)
    }
    if verdict.isStopped { logDrop(verdict, flow, context(packet, length: length, lookup, flow), bytes) }
  }

  /// The verdict that was given for the whole flow earlier.
  private func settledVerdict(_ index: FlowIndex) -> Verdict? {
    switch flows[index].disposition {
    case .inspect: nil
    case .pass: .accept
    case .drop, .reject: .drop
    }
  }

  /// What is kept of the flow, made where there is none.
  private mutating func inspection(_ index: FlowIndex) -> FlowInspection {
    while inspections.count <= index.index { inspections.append(nil) }
    if let known = inspections[index.index] { return known }
    let made = FlowInspection()
    inspections[index.index] = made
    return made
  }

  // MARK: Feeding

  /// - Returns: the payload went into the stream, so that rules on the stream see it there.
  private mutating func feedStream(
    _ packet: DecodedPacket, _ bytes: RawSpan, _ lookup: FlowLookup, _ flow: FlowInspection,
    _ events: inout StreamEventSet
  ) -> Bool {
    if lookup.tcp.flags.contains(.sessionStarted) { reassembler.reset(flow: lookup.index.rawValue) }
    guard lookup.tcp.isAccepted else { return false }
    if flow.appLayer == nil { flow.appLayer = appLayer(lookup.index, .tcp) }
    var segment = StreamSegment(
      packet, direction: lookup.direction,
      policy: hostPolicy(packet.destination)?.stream ?? .bsd)
    segment.deliversNow = lookup.tcp.flags.contains(.oneSided)
    let result = reassembler.add(
      flow: lookup.index.rawValue, segment, payload: packet.payload(of: bytes)
    ) { chunk in flow.feed(chunk) }
    events.formUnion(result.events)
    if lookup.tcp.isSessionEnded {
      reassembler.finish(flow: lookup.index.rawValue, time: packet.time) { chunk in flow.feed(chunk) }
      flow.appLayer?.finish(at: packet.time)
      flow.toServer.hasNews = true
      flow.toClient.hasNews = true
    }
    return packet.payloadLength > 0 && !result.isRefused
  }

  private mutating func feedDatagram(
    _ packet: DecodedPacket, _ bytes: RawSpan, _ lookup: FlowLookup, _ flow: FlowInspection
  ) {
    // Whatever its checksum: sums left to the network card are wrong in captures of the sender.
    guard packet.payloadLength > 0 else { return }
    if flow.appLayer == nil { flow.appLayer = appLayer(lookup.index, .udp) }
    let chunk = StreamChunk(
      bytes: packet.payload(of: bytes), direction: lookup.direction, offset: 0, time: packet.time)
    flow.feedDatagram(chunk)
  }

  private func appLayer(_ index: FlowIndex, _ transport: AppLayerFlow.Transport) -> AppLayerFlow {
    let tuple = flows[index].tuple
    return AppLayerFlow(
      settings: settings.appLayer, transport: transport, serverPort: tuple.destinationPort,
      clientPort: tuple.sourcePort, isMidstream: flows[index].isMidstream)
  }

  func facts(_ flow: Flow, _ direction: Direction, _ inspection: FlowInspection) -> FlowFacts {
    var facts = FlowFacts()
    facts.id = flow.flowID
    facts.packetDirection = direction
    facts.isEstablished = flow.state != .new
    facts.isMidstream = flow.isMidstream
    facts.appProtocol = inspection.appLayer?.appProtocol ?? .unknown
    facts.packets = .init(toServer: flow.toServer.packetCount, toClient: flow.toClient.packetCount)
    facts.bytes = .init(toServer: flow.toServer.byteCount, toClient: flow.toClient.byteCount)
    facts.streamBytes = .init(
      toServer: inspection.toServer.streamEnd, toClient: inspection.toClient.streamEnd)
    facts.start = flow.startTime
    return facts
  }
}
