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
    inspectOnce(context, into: &matches)
    let slot = PacketClass(packet).rawValue &* 2 &+ direction.index
    inspectHeaders(ruleSet.groups.packet[slot], context, into: &matches)
    collectPacket(context)
    let payload = packet.payload(of: bytes)
    for index in candidates.indices {
      _ = tryRule(
        candidates[index], payload: payload, facts: BufferFacts(), source: .packet, context, found: .whole,
        into: &matches)
    }
  }

  /// Rules that are tried once for each direction of a flow.
  mutating func inspectOnce(_ context: borrowing TrialContext, into matches: inout MatchList) {
    inspectAddresses(context, into: &matches)
    inspectProtocol(context, into: &matches)
  }

  /// Finds the rules to be tried on the packet, but for those that are tried on every packet.
  ///
  /// - Parameter isScanned: the payload was scanned with the stream, for which see ``packetCandidates``.
  mutating func collectPacket(_ context: borrowing TrialContext, isScanned: Bool = false) {
    candidates.removeAll(keepingCapacity: true)
    collectEvents(context)
    let packet = context.packet
    let direction = context.ends.direction
    let payload = packet.payload(of: context.packetBytes)
    guard payload.byteCount > 0 else { return sortCandidates() }
    let slot = PacketClass(packet).rawValue &* 2 &+ direction.index
    if isScanned { candidates += packetCandidates }
    // What is in no stream is one for itself.
    let isAlone = packet.isTCP && !context.isInStream
    let isOne = isAlone && ruleSet.groups.scansPacketsWithStreams
    collect(ruleSet.groups.packetPayload[slot], isScanned || isOne ? nil : 0...0, payload, context)
    let appProtocol = context.flow?.appProtocol ?? .unknown
    let first = isOne ? TableMember.packets : TableMember.streams
    let own = ruleSet.groups.streamByProtocol[RuleGroups.slot(appProtocol, direction)]
    let hasOwn = appProtocol != .unknown && (isAlone || !packet.isTCP)
    let scansBoth = isAlone && hasOwn && own.isShared
    if isAlone {
      collect(ruleSet.groups.stream[direction.index], scansBoth ? nil : first...TableMember.streams, payload, context)
    }
    if hasOwn {
      collect(own, (scansBoth ? first : TableMember.appProtocol)...TableMember.appProtocol, payload, context)
    }
    sortCandidates()
  }

  /// - Parameter members: of the table for any port; nil where another table holds the same.
  private mutating func collect(
    _ group: PayloadGroup, _ members: ClosedRange<UInt8>?, _ payload: RawSpan, _ context: borrowing TrialContext
  ) {
    guard !group.isEmpty else { return }
    candidates += group.unconditional
    if let members, let table = group.table { collectCandidates(table, payload, members: members, notes: .packet) }
    if let table = group.table(forPort: context.ends.serverPort) { collectCandidates(table, payload, notes: .packet) }
  }

  /// Rules on addresses alone are tried once for each direction of a flow.
  private mutating func inspectAddresses(
    _ context: borrowing TrialContext, into matches: inout MatchList
  ) {
    guard context.packet.ipVersion != 0 else { return }
    if let state = context.state {
      guard !state[context.ends.direction].hasBeenInspectedForAddresses, !ruleSet.groups.addresses.isEmpty else { return }
      state[context.ends.direction].hasBeenInspectedForAddresses = true
    }
    candidates.removeAll(keepingCapacity: true)
    let index = ruleSet.groups.addresses
    let (source, destination) = (context.ends.source, context.ends.destination)
    index.append(rulesOf: source, to: &candidates)
    if source != destination { index.append(rulesOf: destination, to: &candidates) }
    candidates += index.always
    guard !candidates.isEmpty else { return }
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

  private mutating func collectEvents(_ context: borrowing TrialContext) {
    if !context.packet.events.isEmpty { candidates += ruleSet.groups.decodeEvents }
    if !context.streamEvents.isEmpty { candidates += ruleSet.groups.streamEvents }
    if let flow = context.flow, !flow.appLayerEvents.isEmpty { candidates += ruleSet.groups.flowEvents }
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
