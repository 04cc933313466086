import AppLayer
import PacketDecoding
import Traffic

extension Detector {
  /// Lets the tracer look at a packet of a flow and at what is new in its stream, after the rules were tried.
  public mutating func trace(
    _ tracer: RuleTracer, _ packet: DecodedPacket, bytes: RawSpan, stream: borrowing StreamPiece,
    flow: FlowFacts, state: FlowDetection, payloadIsInStream: Bool, streamEvents: StreamEventSet,
    matches: MatchList
  ) {
    let ends = PacketEnds(packet, direction: flow.packetDirection, packetDirection: flow.packetDirection)
    let context = TrialContext(
      packet: packet, ends: ends, flow: flow, state: state, streamEvents: streamEvents,
      packetBytes: bytes, isInStream: packet.isTCP && payloadIsInStream)
    tracePacket(tracer, context, matches)
    guard stream.hasNews else { return }
    traceStream(tracer, stream.window, stream.offset, context, matches)
  }

  /// The same for a packet without a flow.
  public mutating func trace(
    _ tracer: RuleTracer, _ packet: DecodedPacket, bytes: RawSpan, streamEvents: StreamEventSet,
    matches: MatchList
  ) {
    let ends = PacketEnds(packet, direction: .toServer, packetDirection: .toServer)
    let context = TrialContext(
      packet: packet, ends: ends, flow: nil, state: nil, streamEvents: streamEvents,
      packetBytes: bytes, isInStream: false)
    tracePacket(tracer, context, matches)
  }

  /// Lets the tracer look at a stream where no packet is at hand.
  public mutating func traceStream(
    _ tracer: RuleTracer, _ window: RawSpan, offset: UInt64, direction: Direction, packet: DecodedPacket,
    flow: FlowFacts, state: FlowDetection, matches: MatchList
  ) {
    let ends = PacketEnds(packet, direction: direction, packetDirection: flow.packetDirection)
    let empty: [UInt8] = []
    let context = TrialContext(packet: packet, ends: ends, flow: flow, state: state, packetBytes: empty.rawSpan)
    traceStream(tracer, window, offset, context, matches)
  }

  /// Lets the tracer look at transactions, after the rules were tried.
  public mutating func traceTransactions(
    _ tracer: RuleTracer, _ transactions: [Transaction], direction: Direction, payload: RawSpan,
    packet: DecodedPacket, bytes: RawSpan, flow: FlowFacts, state: FlowDetection, matches: MatchList
  ) {
    guard tracer.explanation.kind == .transaction else { return }
    let body = ruleSet.bodies[Int(tracer.rule)]
    let ends = PacketEnds(packet, direction: direction, packetDirection: flow.packetDirection)
    let context = TrialContext(packet: packet, ends: ends, flow: flow, state: state, packetBytes: bytes)
    for transaction in transactions {
      if let sole = transaction.soleDirection, sole != direction { continue }
      guard isAboutDirection(tracer, direction), body.isLookedFor(in: transaction, direction) else { continue }
      let scope = RuleTracer.Scope.transaction(transaction.id)
      let hasMatched = matches.matches.contains { $0.rule == tracer.rule && $0.transactionID == transaction.id }
      let head = body.isTransactional ? ends.facing(.toServer) : ends
      if let reason = headFailure(tracer, head, flow) {
        tracer.noteMiss(reason, ends, flowID: flow.id)
        continue
      }
      let key = RuleTracer.Key(flowID: flow.id, direction: direction, scope: scope, packet: 0)
      var result = RuleTracer.Result()
      tracer.withHeld(key) { held in
        result = tracedTransaction(tracer, body, transaction, direction, payload, context, &held)
      }
      if hasMatched { result.failure = nil }
      tracer.note(result, scope, ends, packet.ipProtocol, flowID: flow.id)
    }
  }

  // MARK: Packets and streams

  private mutating func tracePacket(_ tracer: RuleTracer, _ context: borrowing TrialContext, _ matches: MatchList) {
    let kind = tracer.explanation.kind
    guard isAboutDirection(tracer, context.ends.direction) else { return }
    if let reason = headFailure(tracer, context.ends, context.flow) {
      if let flow = context.flow { tracer.noteMiss(reason, context.ends, flowID: flow.id) }
      return
    }
    switch kind {
    case .transaction, .stream:
      if kind == .stream, !context.isInStream, context.packet.payloadLength > 0 { break }
      if let flow = context.flow {
        let reason = kind == .stream ? "no octets of its stream were looked at" : "it had no transaction to look at"
        tracer.noteMiss(reason, context.ends, flowID: flow.id)
      }
      return
    default: break
    }
    let hasMatched = matches.matches.contains { $0.rule == tracer.rule && $0.source == .packet }
    var result = traced(tracer, context, context.packet.payload(of: context.packetBytes), BufferFacts())
    if hasMatched { result.failure = nil }
    tracer.note(result, .packet, context.ends, context.packet.ipProtocol, flowID: context.flow?.id)
  }

  private mutating func traceStream(
    _ tracer: RuleTracer, _ window: RawSpan, _ offset: UInt64, _ context: borrowing TrialContext,
    _ matches: MatchList
  ) {
    guard [.stream, .payloadAndStream].contains(tracer.explanation.kind), window.byteCount > 0 else { return }
    guard isAboutDirection(tracer, context.ends.direction), headFailure(tracer, context.ends, context.flow) == nil
    else { return }
    let hasMatched = matches.matches.contains { $0.rule == tracer.rule && $0.source == .stream }
    var result = traced(tracer, context, window, BufferFacts(offset: offset))
    if hasMatched { result.failure = nil }
    tracer.note(result, .stream, context.ends, context.packet.ipProtocol, flowID: context.flow?.id)
  }

  /// Conditions, then steps over the payload, then over headers, as a trial has it.
  private mutating func traced(
    _ tracer: RuleTracer, _ context: borrowing TrialContext, _ payload: RawSpan, _ facts: BufferFacts
  ) -> RuleTracer.Result {
    let body = ruleSet.bodies[Int(tracer.rule)]
    var result = RuleTracer.Result()
    traceConditions(tracer, body, context, &result)
    guard result.failure == nil else { return result }
    var scratch = PayloadScratch()
    scratch.beginRule()
    var texts = tracer.explanation.buffers[...]
    if let program = body.payload?.program {
      trace(program, texts.popFirst(), payload, facts, &scratch, &result)
    }
    for step in body.buffers where result.failure == nil {
      let buffer = texts.popFirst()
      guard case .packetHeader(let header) = step.subject else { continue }
      guard let bytes = Self.header(header, of: context.packet, in: context.packetBytes) else {
        result.failure = .init(buffer?.name ?? "", "the packet has no such header", buffer: buffer?.name)
        return result
      }
      trace(step.program, buffer, bytes, BufferFacts(), &scratch, &result)
    }
    return result
  }

  private mutating func traceConditions(
    _ tracer: RuleTracer, _ body: RuleBody, _ context: borrowing TrialContext, _ result: inout RuleTracer.Result
  ) {
    for (index, condition) in body.conditions.enumerated() {
      let texts = tracer.explanation.conditions
      let text = texts.indices.contains(index) ? texts[index] : "condition \(index + 1)"
      let holds: Bool
      switch condition {
      case .packet(let condition):
        holds = condition.holds(
          context.packet, bytes: context.packetBytes, streamEvents: context.streamEvents, flow: context.flow)
      case .state(let condition): holds = stateHolds(condition, context.ends, context.flow, context.state)
      }
      guard holds else {
        result.failure = .init(text, "does not hold")
        return
      }
      result.held.append(text)
    }
  }

  /// Runs a program over its buffer and writes down which steps held.
  private mutating func trace(
    _ program: PayloadProgram, _ buffer: RuleExplanation.Buffer?, _ bytes: RawSpan, _ facts: BufferFacts,
    _ scratch: inout PayloadScratch, _ result: inout RuleTracer.Result
  ) {
    let changed = program.transforms.isEmpty ? [] : transform(bytes, program.transforms)
    let seen = program.transforms.isEmpty ? bytes : changed.rawSpan
    let outcome = program.trace(seen, facts, &scratch)
    let name = buffer?.name ?? "buffer"
    let texts = (0..<program.steps.count).map { index in
      buffer.flatMap { $0.steps.indices.contains(index) ? $0.steps[index] : nil } ?? "step \(index + 1)"
    }
    result.held += texts.prefix(outcome.heldCount).map { "\(name): \($0)" }
    guard outcome.hasFailed, texts.indices.contains(outcome.heldCount) else { return }
    var failure = RuleTracer.Failure(texts[outcome.heldCount], outcome.reason, buffer: name)
    failure.offset = outcome.offset
    failure.bufferBytes = seen.byteCount
    failure.excerpt = seen.extracting(0..<min(Self.excerptBytes, seen.byteCount)).copied()
    result.failure = failure
  }

  private static var excerptBytes: Int { 64 }

  // MARK: Transactions

  private mutating func tracedTransaction(
    _ tracer: RuleTracer, _ body: RuleBody, _ transaction: Transaction, _ direction: Direction,
    _ payload: RawSpan, _ context: borrowing TrialContext, _ held: inout UInt64
  ) -> RuleTracer.Result {
    var result = RuleTracer.Result()
    traceConditions(tracer, body, context, &result)
    guard result.failure == nil else { return result }
    for (index, condition) in body.transactionConditions.enumerated() {
      let texts = tracer.explanation.transactionConditions
      let text = texts.indices.contains(index) ? texts[index] : "condition \(index + 1)"
      guard case .matched = holds(condition, transaction, direction, at: context.ends.time) else {
        result.failure = .init(text, "does not hold yet or at all")
        return result
      }
      result.held.append(text)
    }
    var scratch = PayloadScratch()
    scratch.beginRule()
    for (index, step) in body.buffers.enumerated() {
      let texts = tracer.explanation.buffers
      let buffer = texts.indices.contains(index) ? texts[index] : nil
      let bit = UInt64(1) << UInt64(index & 63)
      if held & bit != 0 {
        result.held += (buffer?.steps ?? []).map { "\(buffer?.name ?? ""): \($0)" }
        continue
      }
      trace(step, buffer, transaction, direction, isTransactional: body.isTransactional, payload, context, &scratch, &result)
      guard result.failure == nil else { return result }
      if !body.sharesVariables { held |= bit }
    }
    return result
  }

  private mutating func trace(
    _ step: SharedStep, _ buffer: RuleExplanation.Buffer?, _ transaction: Transaction, _ direction: Direction,
    isTransactional: Bool, _ payload: RawSpan, _ context: borrowing TrialContext,
    _ scratch: inout PayloadScratch, _ result: inout RuleTracer.Result
  ) {
    switch step.subject {
    case .frame: result.failure = .init(buffer?.name ?? "", "frames are not looked at again", buffer: buffer?.name)
    case .packetHeader(let header):
      guard let bytes = Self.header(header, of: context.packet, in: context.packetBytes) else {
        result.failure = .init(buffer?.name ?? "", "the packet has no such header", buffer: buffer?.name)
        return
      }
      trace(step.program, buffer, bytes, BufferFacts(), &scratch, &result)
    case .payload: trace(step.program, buffer, payload, BufferFacts(), &scratch, &result)
    case .buffer(let id):
      let directions = isTransactional ? [direction, direction.opposite] : [direction]
      var best: RuleTracer.Result?
      for direction in directions {
        var index = 0
        while let view = transaction.buffer(id, direction, index: index) {
          var one = result
          let facts = BufferFacts(offset: view.offset, isComplete: view.isComplete)
          trace(step.program, buffer, view.storage.rawSpan.extracting(view.range), facts, &scratch, &one)
          if one.failure == nil {
            result = one
            return absenceFailure(step, buffer, isThere: true, &result)
          }
          if best.map({ $0.held.count < one.held.count }) ?? true { best = one }
          index += 1
          if !step.isMultiple { break }
        }
      }
      if let best { result = best } else { absenceFailure(step, buffer, isThere: false, &result) }
    }
  }

  private mutating func absenceFailure(
    _ step: SharedStep, _ buffer: RuleExplanation.Buffer?, isThere: Bool, _ result: inout RuleTracer.Result
  ) {
    let name = buffer?.name ?? "buffer"
    switch (step.program.absence, isThere) {
    case (.mustExist, false):
      result.failure = .init(buffer?.steps.first ?? name, "the transaction has no \(name), or not yet", buffer: name)
    case (.mustBeAbsent, true):
      result.failure = .init("absent", "the transaction has \(name)", buffer: name)
    case (.mustBeAbsent, false), (.mayBeAbsent, false): result.held.append("\(name): absent")
    case (.mustExist, true), (.mayBeAbsent, true): break
    }
  }

  // MARK: Header

  private mutating func isAboutDirection(_ tracer: RuleTracer, _ direction: Direction) -> Bool {
    tracer.explanation.directions.contains(direction.words)
  }

  /// What of the header does not fit; nil when all does. The same checks as ``headHolds(_:_:_:)``, in its order.
  private mutating func headFailure(_ tracer: RuleTracer, _ ends: PacketEnds, _ flow: FlowFacts?) -> String? {
    guard !headHolds(tracer.rule, ends, flow) else { return nil }
    let head = ruleSet.heads[Int(tracer.rule)]
    let explanation = tracer.explanation
    if head.protocols.isDisjoint(with: ends.protocols) { return "its protocol is not \(explanation.protocolName)" }
    if head.ipVersion != 0, head.ipVersion != ends.ipVersion { return "it is not IPv\(head.ipVersion)" }
    if !head.appProtocols.isAny, !(flow.map { head.appProtocols.contains($0.appProtocol) } ?? false) {
      let wanted = explanation.appProtocols.joined(separator: " or ")
      return "its application protocol is \(flow?.appProtocol.name ?? "unknown"), not \(wanted)"
    }
    if head.destinationPorts != 0, !ruleSet.portSets[Int(head.destinationPorts)].contains(ends.destinationPort) {
      return "destination port \(ends.destinationPort) is not in \(explanation.destination.ports)"
    }
    if head.sourcePorts != 0, !ruleSet.portSets[Int(head.sourcePorts)].contains(ends.sourcePort) {
      return "source port \(ends.sourcePort) is not in \(explanation.source.ports)"
    }
    if head.sources != 0,
      !ruleSet.addressSets[Int(head.sources)].contains(high: ends.source.high, low: ends.source.low)
    {
      return "source address \(ends.source) is not in \(explanation.source.addresses)"
    }
    if head.destinations != 0,
      !ruleSet.addressSets[Int(head.destinations)].contains(high: ends.destination.high, low: ends.destination.low)
    {
      return "destination address \(ends.destination) is not in \(explanation.destination.addresses)"
    }
    return "flow:\(explanation.flow.joined(separator: ",")) does not hold"
  }
}

extension RuleBody {
  /// The transaction's protocol has the rule's buffers in that direction.
  fileprivate func isLookedFor(in transaction: Transaction, _ direction: Direction) -> Bool {
    buffers.allSatisfy { step in
      guard case .buffer = step.subject else { return true }
      return step.reach(transaction.appProtocol, direction) != nil
        || isTransactional && step.reach(transaction.appProtocol, direction.opposite) != nil
    }
  }
}
