import AppLayer
import PacketDecoding
import Traffic

/// Everything that trying a rule on a packet or chunk needs, passed down together.
struct TrialContext: ~Escapable {
  let packet: DecodedPacket
  let ends: PacketEnds
  let flow: FlowFacts?
  let state: FlowDetection?
  let streamEvents: StreamEventSet
  /// The packet's bytes, for header buffers; may be empty.
  let packetBytes: RawSpan
  /// The payload went into the stream: rules on the stream see it there.
  let isInStream: Bool

  @_lifetime(copy packetBytes)
  init(
    packet: DecodedPacket, ends: PacketEnds, flow: FlowFacts?, state: FlowDetection?,
    streamEvents: StreamEventSet = StreamEventSet(), packetBytes: RawSpan, isInStream: Bool = true
  ) {
    self.packet = packet
    self.ends = ends
    self.flow = flow
    self.state = state
    self.streamEvents = streamEvents
    self.packetBytes = packetBytes
    self.isInStream = isInStream
  }
}

extension Detector {
  /// Runs a table over a payload and adds the rules of the literals seen to the candidates.
  ///
  /// - Parameters:
  ///   - packetFrom: as of ``PatternScanner/scan(_:part:_:newFrom:offset:restartsAt:isComplete:members:packetFrom:)``;
  ///     rules on the packet become candidates of their own.
  ///   - notes: for which source it is noted where the literals of the rules lie.
  mutating func collectCandidates(
    _ table: PatternTable, _ bytes: RawSpan, newFrom: Int = 0, offset: UInt64 = 0, restartsAt: Int? = nil,
    isComplete: Bool = true, members: ClosedRange<UInt8> = 0...0, packetFrom: Int? = nil, notes: RuleMatch.Source? = nil
  ) {
    guard !isPrefilterOff else { return addAll(table, members, packetFrom) }
    for part in table.parts.indices {
      guard
        scanner.scan(
          table, part: part, bytes, newFrom: newFrom, offset: offset, restartsAt: restartsAt,
          isComplete: isComplete, members: members, packetFrom: packetFrom)
      else {
        counters.scanFailures &+= 1
        return addAll(table, members, packetFrom)
      }
      for index in 0..<scanner.hitCount {
        let pattern = scanner.hit(index)
        let rules = Int(table.starts[pattern])..<Int(table.starts[pattern &+ 1])
        let place = scanner.place(index)
        if let packetFrom, table.constraints[pattern].member == TableMember.packets {
          let origin = UInt32(truncatingIfNeeded: offset &+ UInt64(packetFrom))
          for rule in rules {
            packetCandidates.append(table.rules[rule])
            literalPlaces[Int(table.rules[rule])] = place.counted(from: origin)
          }
          continue
        }
        for rule in rules { candidates.append(table.rules[rule]) }
        guard let notes else { continue }
        if notes == .stream {
          for rule in rules { streamPlaces[Int(table.rules[rule])] = place }
        } else {
          for rule in rules { literalPlaces[Int(table.rules[rule])] = place }
        }
      }
    }
  }

  /// Every rule of those that are meant, wherever its literal is.
  mutating func addAll(_ table: PatternTable, _ members: ClosedRange<UInt8>, _ packetFrom: Int? = nil) {
    for pattern in table.constraints.indices {
      let member = table.constraints[pattern].member
      guard members.contains(member) else { continue }
      let isOnPacket = packetFrom != nil && member == TableMember.packets
      for index in Int(table.starts[pattern])..<Int(table.starts[pattern &+ 1]) {
        let rule = table.rules[index]
        if isOnPacket { packetCandidates.append(rule) } else { candidates.append(rule) }
        literalPlaces[Int(rule)] = .unknown
        streamPlaces[Int(rule)] = .unknown
      }
    }
  }

  /// The candidates ascending, each once.
  mutating func sortCandidates() {
    guard candidates.count > 1 else { return }
    candidates.sort()
    var kept = 1
    for index in 1..<candidates.count where candidates[index] != candidates[kept &- 1] {
      candidates[kept] = candidates[index]
      kept &+= 1
    }
    candidates.removeLast(candidates.count &- kept)
  }

  enum Trial {
    case matched
    /// May still match when more bytes come.
    case undecided
    /// Never will on this flow and direction.
    case ruledOut
  }

  /// Tries one rule on a payload; nil for rules on headers alone.
  ///
  /// - Parameter found: the payload was scanned for its literal: where, as ``literalPlaces`` or ``streamPlaces`` has it.
  mutating func tryRule(
    _ rule: RuleIndex, payload: RawSpan?, facts: BufferFacts, source: RuleMatch.Source,
    _ context: borrowing TrialContext, found: ScannedPart? = nil, into matches: inout MatchList
  ) -> Trial {
    guard headHolds(rule, context.ends, context.flow) else { return .ruledOut }
    counters.candidates &+= 1
    guard let began = meter.begin(rule) else { return .ruledOut }
    defer { if began > 0 { endTrial(rule, began: began) } }
    let body = ruleSet.bodies[Int(rule)]
    let areConditionsMet =
      !ruleSet.heads[Int(rule)].hasConditions
      || conditionsHold(
        body, context.packet, context.ends, context.flow, context.state, context.packetBytes,
        context.streamEvents)
    // On a stream, steps that hold while a condition does not have had their chance; steps that do
    // not hold yet may still.
    guard areConditionsMet || source == .stream else { return .ruledOut }
    scratch.beginRule()
    if let shared = body.payload {
      if let found, let payload, !ignoresPlaces {
        let place = source == .stream ? streamPlaces[Int(rule)] : literalPlaces[Int(rule)]
        scratch.begin(shared.program, place, found, count: payload.byteCount)
      }
      defer { scratch.foundStep = -1 }
      guard let payload, body.payloadScope.contains(source == .stream ? .stream : .packet)
        || (source == .packet && !context.isInStream && !ruleSet.heads[Int(rule)].flow.contains(.onlyStream)),
        runs(shared.program, on: payload, facts)
      else { return .undecided }
    }
    guard areConditionsMet else { return .ruledOut }
    for step in body.buffers {
      guard case .packetHeader(let header) = step.subject,
        let bytes = Self.header(header, of: context.packet, in: context.packetBytes),
        runs(step.program, on: bytes, BufferFacts())
      else { return .undecided }
    }
    noteMatch(rule, body, source: source, transaction: nil, context, into: &matches)
    return .matched
  }

  /// Runs the steps over a buffer, transformed if the rule says so.
  mutating func runs(_ program: PayloadProgram, on bytes: RawSpan, _ facts: BufferFacts) -> Bool {
    guard !program.transforms.isEmpty else {
      return program.matches(bytes, facts: facts, scratch: &scratch)
    }
    var result = transform(bytes, program.transforms)
    defer { giveBack(&result) }
    return program.matches(result.rawSpan, facts: facts, scratch: &scratch)
  }

  /// What transforms make of a buffer, in room of the detector's, to which it is to be given back.
  mutating func transform(_ bytes: RawSpan, _ transforms: [BufferTransform]) -> [UInt8] {
    var result: [UInt8] = []
    swap(&result, &transformed)
    for index in transforms.indices {
      if index == 0 {
        transforms[index].apply(bytes, into: &result, scratch: scratch)
      } else {
        swap(&result, &transforming)
        transforms[index].apply(transforming.rawSpan, into: &result, scratch: scratch)
      }
    }
    return result
  }

  /// Room for most of what is transformed is kept; large bodies get their own each time.
  private static var transformedMax: Int { 1 << 16 }

  mutating func giveBack(_ result: inout [UInt8]) {
    if transforming.capacity > Self.transformedMax { transforming = [] }
    if result.capacity <= Self.transformedMax { swap(&result, &transformed) }
  }

  mutating func noteMatch(
    _ rule: RuleIndex, _ body: RuleBody, source: RuleMatch.Source, transaction: UInt64?,
    _ context: borrowing TrialContext, frame: MatchedFrame? = nil, into matches: inout MatchList
  ) {
    counters.matches &+= 1
    meter.noteMatch(rule)
    if !scratch.captures.isEmpty {
      context.state?.store(scratch.captures)
      for capture in scratch.captures where capture.scope == .packet {
        packetVariables.removeAll { $0.name == capture.name }
        if packetVariables.count < FlowDetection.variablesMax { packetVariables.append(capture) }
      }
    }
    perform(body, context.ends, context.state, rule: rule)
    matches.append(
      RuleMatch(
        rule: rule, source: source, direction: context.ends.direction,
        transactionID: transaction, captures: scratch.captures,
        replacements: source == .packet ? scratch.replacements : [], frame: frame))
  }

  @_lifetime(copy bytes)
  private static func address(
    _ header: PacketHeader, of packet: DecodedPacket, in bytes: RawSpan
  ) -> RawSpan? {
    guard packet.ipVersion == 4 || packet.ipVersion == 6 else { return nil }
    let count = packet.ipVersion == 4 ? 4 : 16
    let first = packet.ipVersion == 4 ? 12 : 8
    let start = Int(packet.networkOffset) &+ first &+ (header == .destinationAddress ? count : 0)
    guard start >= first, start &+ count <= bytes.byteCount else { return nil }
    return bytes.extracting(start..<start &+ count)
  }

  /// The header as a buffer, or nil when the packet has none such.
  @_lifetime(copy bytes)
  static func header(
    _ header: PacketHeader, of packet: DecodedPacket, in bytes: RawSpan
  ) -> RawSpan? {
    let isNetwork: Bool
    switch header {
    case .sourceAddress, .destinationAddress: return address(header, of: packet, in: bytes)
    case .ipv4:
      guard packet.ipVersion == 4 else { return nil }
      isNetwork = true
    case .ipv6:
      guard packet.ipVersion == 6 else { return nil }
      isNetwork = true
    case .tcp:
      guard packet.isTCP else { return nil }
      isNetwork = false
    case .udp:
      guard packet.isUDP else { return nil }
      isNetwork = false
    case .icmpv4:
      guard packet.isICMP, packet.ipVersion == 4 else { return nil }
      isNetwork = false
    case .icmpv6:
      guard packet.isICMP, packet.ipVersion == 6 else { return nil }
      isNetwork = false
    }
    let start = Int(isNetwork ? packet.networkOffset : packet.transportOffset)
    var count = Int(isNetwork ? packet.networkHeaderLength : packet.transportHeaderLength)
    if header == .icmpv4 {
      count = Self.icmpv4HeaderLength(packet, bytes.extracting(min(max(0, start), bytes.byteCount)...))
    }
    guard start >= 0, count > 0, start &+ count <= bytes.byteCount else { return nil }
    return bytes.extracting(start..<start &+ count)
  }

  /// Timestamps, and the addresses that a router announces, belong to the header.
  /// - Source: RFC 792 (timestamp), RFC 1256 (router advertisement), as Suricata counts them.
  private static func icmpv4HeaderLength(_ packet: borrowing DecodedPacket, _ message: RawSpan) -> Int {
    switch packet.icmp.type {
    case 13, 14: return message.byteCount >= 20 ? 20 : 8
    case 9:
      guard message.byteCount >= 8 else { return 8 }
      let count = 8 &+ Int(message.u8(at: 4)) &* Int(message.u8(at: 5)) &* 4
      return count <= message.byteCount ? count : 8
    default: return 8
    }
  }
}
