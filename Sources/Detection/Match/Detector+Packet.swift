import AppLayer
import PacketDecoding
import Traffic

extension Detector {
  /// Tries the rules on headers, on the packet's payload and on events.
  ///
  /// - Parameters:
  ///   - packet: as decoded from `bytes`, after defragmentation.
  ///   - flow: nil for packets without a flow.
  ///   - state: the flow's; nil without one.
  ///   - payloadIsInStream: the TCP payload went into the stream, so that rules on the stream see it
  ///     there; otherwise they are tried on the packet.
  ///   - streamEvents: what the reassembler found odd about this packet.
  public mutating func inspectPacket(
    _ packet: DecodedPacket, bytes: RawSpan, flow: FlowFacts?, state: FlowDetection?,
    payloadIsInStream: Bool, streamEvents: StreamEventSet = StreamEventSet(),
    into matches: inout MatchList
  ) {
    guard ruleSet.ruleCount > 0, state?.isPassed != true else { return }
    counters.packetsInspected &+= 1
    let direction = flow?.packetDirection ?? .toServer
    let ends = PacketEnds(packet, direction: direction, packetDirection: direction)
    let context = TrialContext(
      packet: packet, ends: ends, flow: flow, state: state, streamEvents: streamEvents,
      packetBytes: bytes, isInStream: packet.isTCP && payloadIsInStream)
    inspectAddresses(context, into: &matches)
    inspectProtocol(context, into: &matches)
    inspectEvents(context, into: &matches)
    let slot = PacketClass(packet).rawValue &* 2 &+ direction.index
    inspectHeaders(ruleSet.groups.packet[slot], context, into: &matches)
    let payload = packet.payload(of: bytes)
    guard payload.byteCount > 0 else { return }
    candidates.removeAll(keepingCapacity: true)
    collect(ruleSet.groups.packetPayload[slot], payload, context)
    if packet.isTCP, !payloadIsInStream {
      collect(ruleSet.groups.stream[direction.index], payload, context)
      if let appProtocol = flow?.appProtocol {
        collect(
          ruleSet.groups.streamByProtocol[RuleGroups.slot(appProtocol, direction)], payload, context)
      }
    } else if !packet.isTCP, let appProtocol = flow?.appProtocol, appProtocol != .unknown {
      collect(
        ruleSet.groups.streamByProtocol[RuleGroups.slot(appProtocol, direction)], payload, context)
    }
    guard !candidates.isEmpty else { return }
    sortCandidates()
    for index in candidates.indices {
      _ = tryRule(
        candidates[index], payload: payload, facts: BufferFacts(), source: .packet, context,
        into: &matches)
    }
  }

  private mutating func collect(
    _ group: PayloadGroup, _ payload: RawSpan, _ context: borrowing TrialContext
  ) {
    guard !group.isEmpty else { return }
    candidates += group.unconditional
    if group.table >= 0 {
      collectCandidates(ruleSet.groups.tables[Int(group.table)], payload)
    }
    let portTable = group.table(forPort: context.ends.serverPort)
    if portTable >= 0 { collectCandidates(ruleSet.groups.tables[Int(portTable)], payload) }
  }

  /// Rules on addresses alone are tried once for each direction of a flow.
  private mutating func inspectAddresses(
    _ context: borrowing TrialContext, into matches: inout MatchList
  ) {
    guard !ruleSet.groups.addresses.isEmpty, context.packet.ipVersion != 0 else { return }
    if let state = context.state {
      let isFirst =
        context.ends.direction == .toServer
        ? !state.toServer.hasBeenInspectedForAddresses : !state.toClient.hasBeenInspectedForAddresses
      guard isFirst else { return }
      if context.ends.direction == .toServer {
        state.toServer.hasBeenInspectedForAddresses = true
      } else {
        state.toClient.hasBeenInspectedForAddresses = true
      }
    }
    candidates.removeAll(keepingCapacity: true)
    let index = ruleSet.groups.addresses
    let isSourceSame = context.ends.source == context.ends.destination
    for address in [context.ends.source, context.ends.destination] {
      for place in index.bySource.range(of: address) { candidates.append(index.bySource.rules[place]) }
      for place in index.byDestination.range(of: address) {
        candidates.append(index.byDestination.rules[place])
      }
      if isSourceSame { break }
    }
    candidates += index.always
    sortCandidates()
    inspectHeaders(candidates, context, into: &matches)
  }

  /// Rules on the protocol alone are tried once for each direction of a flow.
  private mutating func inspectProtocol(
    _ context: borrowing TrialContext, into matches: inout MatchList
  ) {
    guard !ruleSet.groups.protocolFound.isEmpty, let state = context.state,
      let appProtocol = context.flow?.appProtocol, appProtocol != .unknown
    else { return }
    if context.ends.direction == .toServer {
      guard state.toServer.foundProtocol != appProtocol else { return }
      state.toServer.foundProtocol = appProtocol
    } else {
      guard state.toClient.foundProtocol != appProtocol else { return }
      state.toClient.foundProtocol = appProtocol
    }
    inspectHeaders(ruleSet.groups.protocolFound, context, into: &matches)
  }

  private mutating func inspectEvents(
    _ context: borrowing TrialContext, into matches: inout MatchList
  ) {
    if !context.packet.events.isEmpty {
      inspectHeaders(ruleSet.groups.decodeEvents, context, into: &matches)
    }
    if !context.streamEvents.isEmpty {
      inspectHeaders(ruleSet.groups.streamEvents, context, into: &matches)
    }
    if let flow = context.flow, !flow.appLayerEvents.isEmpty {
      inspectHeaders(ruleSet.groups.flowEvents, context, into: &matches)
    }
  }

  private mutating func inspectHeaders(
    _ rules: [RuleIndex], _ context: borrowing TrialContext, into matches: inout MatchList
  ) {
    for rule in rules {
      _ = tryRule(
        rule, payload: nil, facts: BufferFacts(), source: .packet, context, into: &matches)
    }
  }
}
