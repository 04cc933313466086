import AppLayer
import PacketDecoding
import Traffic

extension Detector {
  /// Tries the rules on what is new in transactions of one direction.
  ///
  /// Call it whenever the parser has consumed bytes of that direction, and once more at the end of the
  /// flow. Transactions done with in both directions answer ``isInspected(_:)`` with true.
  ///
  /// - Parameters:
  ///   - payload: the window of the raw stream, or the datagram, for rules that ask for both.
  ///   - packet: the packet that brought the bytes; for relayed streams one that holds the addresses.
  ///   - bytes: the packet's bytes, for rules that also look at headers; may be empty.
  public mutating func inspectTransactions(
    _ transactions: [Transaction], direction: Direction, payload: RawSpan,
    packet: DecodedPacket, bytes: RawSpan, flow: FlowFacts, state: FlowDetection,
    into matches: inout MatchList
  ) {
    guard ruleSet.ruleCount > 0, !state.isPassed else {
      for transaction in transactions {
        transaction.markInspected(direction)
        if transaction.isComplete || transaction.soleDirection.map(transaction.isComplete) == true {
          transaction.inspectionState = InspectedTransaction.done
        }
      }
      return
    }
    prepare(state)
    let ends = PacketEnds(packet, direction: direction, packetDirection: flow.packetDirection)
    let context = TrialContext(
      packet: packet, ends: ends, flow: flow, state: state, packetBytes: bytes)
    for transaction in transactions where isDue(transaction, direction, payload) && !Self.isInspected(transaction) {
      var hasMore = true
      while hasMore {
        let hasNews = transaction.hasNews(direction)
        hasMore = hasNews && transaction.showsPiece(direction)
        inspect(transaction, direction, payload, context, into: &matches)
        if hasNews { transaction.markInspected(direction) }
      }
    }
  }

  /// Whether no transaction has anything to look at without octets of the raw stream beside it.
  public mutating func hasNothing(in transactions: [Transaction], _ direction: Direction) -> Bool {
    for transaction in transactions where isDue(transaction, direction, RawSpan()) && !Self.isInspected(transaction) {
      return false
    }
    return true
  }

  /// Whether something may be found in the transaction that was not at the last look.
  private func isDue(_ transaction: Transaction, _ direction: Direction, _ payload: RawSpan) -> Bool {
    if transaction.hasNews(direction) { return true }
    let waits = direction == .toServer ? transaction.waits.toServer : transaction.waits.toClient
    return waits.contains(.packets) || waits.contains(.payload) && payload.byteCount > 0
  }

  /// Whether nothing of the transaction is left to be inspected.
  public static func isInspected(_ transaction: Transaction) -> Bool {
    transaction.inspectionState === InspectedTransaction.done
      || transaction.isAnswerUnseen
        && (transaction.inspectionState as? TransactionInspection)?.toServer.isDone == true
  }

  /// The transaction is looked at no more, even where nothing was seen of its answer: what was kept of it is used again.
  public mutating func letGo(of transaction: Transaction) {
    guard let inspection = transaction.inspectionState as? TransactionInspection else { return }
    transaction.inspectionState = InspectedTransaction.done
    keep(inspection)
  }

  private mutating func keep(_ inspection: TransactionInspection) {
    if spareInspections.count < Self.spareInspectionsMax { spareInspections.append(inspection) }
  }

  private mutating func inspect(
    _ transaction: Transaction, _ direction: Direction, _ payload: RawSpan,
    _ context: borrowing TrialContext, into matches: inout MatchList
  ) {
    if let sole = transaction.soleDirection, sole != direction { return }
    let inspection = inspection(of: transaction)
    inspectedTransaction = inspection
    defer { inspectedTransaction = nil }
    var state = TransactionInspection.DirectionState()
    swap(&state, &inspection[direction])
    defer { swap(&state, &inspection[direction]) }
    guard !state.isDone else { return }
    let group = ruleSet.groups.transactions[RuleGroups.slot(transaction.appProtocol, direction)]
    counters.transactionsInspected &+= 1
    if !transaction.hasNews(direction), state.hasStarted {
      // Only what waits for something else can have come to a match.
      let causes: InspectionWaits = payload.byteCount > 0 ? [.packets, .payload] : .packets
      tryCandidates(transaction, direction, payload, context, &state, inspection, causes: causes, into: &matches)
    } else if !group.isEmpty {
      findCandidates(transaction, direction, group, &state, inspection)
      tryCandidates(transaction, direction, payload, context, &state, inspection, into: &matches)
    } else if !state.candidates.isEmpty {
      tryCandidates(transaction, direction, payload, context, &state, inspection, into: &matches)
    }
    if inspection.isSilenced { transaction.isRecordUnwanted = true }
    state.progress = transaction.progress(direction)
    state.isDone = transaction.isComplete(direction) && !transaction.showsPiece(direction)
    guard state.isDone else { return }
    state.candidates.removeAll(keepingCapacity: true)
    let isOtherDone = direction == .toServer ? inspection.toClient.isDone : inspection.toServer.isDone
    if transaction.soleDirection != nil || isOtherDone {
      transaction.inspectionState = InspectedTransaction.done
      keep(inspection)
    }
  }

  static var spareInspectionsMax: Int { 64 }

  private mutating func inspection(of transaction: Transaction) -> TransactionInspection {
    if let known = transaction.inspectionState as? TransactionInspection {
      if known.generation != ruleSet.generation { known.reset(generation: ruleSet.generation) }
      return known
    }
    let fresh = spareInspections.popLast() ?? TransactionInspection()
    fresh.reset(generation: ruleSet.generation)
    transaction.inspectionState = fresh
    return fresh
  }

  // MARK: Trials

  /// - Parameter causes: what there is besides the transaction, which has no news; nil where it has.
  private mutating func tryCandidates(
    _ transaction: Transaction, _ direction: Direction, _ payload: RawSpan,
    _ context: borrowing TrialContext, _ state: inout TransactionInspection.DirectionState,
    _ inspection: TransactionInspection, causes: InspectionWaits? = nil, into matches: inout MatchList
  ) {
    var waits: InspectionWaits = []
    defer { if direction == .toServer { transaction.waits.toServer = waits } else { transaction.waits.toClient = waits } }
    for index in state.candidates.indices where !state.candidates[index].isDone {
      let rule = state.candidates[index].rule
      let body = ruleSet.bodies[Int(rule)]
      if let causes, body.waits.isDisjoint(with: causes) {
        waits.formUnion(body.waits)
        continue
      }
      if !state.candidates[index].isHeadChecked {
        // The header of a rule over both directions is that of the request.
        let ends = body.isTransactional ? context.ends.facing(.toServer) : context.ends
        guard headHolds(rule, ends, context.flow) else {
          state.candidates[index].isDone = true
          continue
        }
        state.candidates[index].isHeadChecked = true
      }
      if body.firesOnce, inspection.fired.contains(rule) {
        state.candidates[index].isDone = true
        continue
      }
      if let hooked = body.hookedProgress,
        hooked < state.progress || hooked > 0 && direction == .toClient && transaction.isUnanswered
      {
        state.candidates[index].isDone = true
        continue
      }
      counters.candidates &+= 1
      guard let began = meter.begin(rule) else {
        state.candidates[index].isDone = true
        continue
      }
      let trial = tryRule(
        rule, body, transaction, direction, payload, context, &state.candidates[index])
      if began > 0 { endTrial(rule, began: began) }
      switch trial {
      case .undecided: waits.formUnion(body.waits)
      case .ruledOut: state.candidates[index].isDone = true
      case .matched:
        state.candidates[index].isDone = body.hookedProgress == nil
        if body.hookedProgress != nil { waits.formUnion(body.waits) }
        if body.firesOnce { inspection.fired.append(rule) }
        if let action = body.fileStore { store(action, rule, body, transaction, direction) }
        noteMatch(
          rule, body, source: .transaction, transaction: transaction.id, context, into: &matches)
      }
    }
  }

  private mutating func tryRule(
    _ rule: RuleIndex, _ body: RuleBody, _ transaction: Transaction, _ direction: Direction,
    _ payload: RawSpan, _ context: borrowing TrialContext,
    _ candidate: inout TransactionInspection.Candidate
  ) -> Trial {
    if ruleSet.heads[Int(rule)].hasConditions,
      !conditionsHold(body, context.packet, context.ends, context.flow, context.state, context.packetBytes)
    {
      return .undecided
    }
    scratch.beginRule()
    var isUndecided = false
    for condition in body.transactionConditions {
      switch holds(condition, transaction, direction, at: context.ends.time) {
      case .matched: continue
      case .undecided: isUndecided = true
      case .ruledOut: return .ruledOut
      }
    }
    for index in body.buffers.indices {
      let bit = UInt64(1) << UInt64(index & 63)
      if candidate.matched & bit != 0 { continue }
      switch tryStep(body, index, transaction, direction, payload, context, &candidate.growing) {
      case .matched: if !body.sharesVariables { candidate.matched |= bit }
      case .undecided: isUndecided = true
      case .ruledOut: return .ruledOut
      }
      if isUndecided, body.sharesVariables { return .undecided }
    }
    return isUndecided ? .undecided : .matched
  }

  mutating func holds(
    _ condition: TransactionCondition, _ transaction: Transaction, _ direction: Direction,
    at time: Timestamp
  ) -> Trial {
    switch condition {
    case .number(let id, let condition):
      var index = 0
      while let number = transaction.number(id, direction, index: index) {
        if condition.holds(for: number) { return .matched }
        index &+= 1
      }
      return transaction.isComplete(direction) ? .ruledOut : .undecided
    case .numberIn(let id, let numbers, let isNegated):
      var index = 0
      while let number = transaction.number(id, direction, index: index) {
        if numbers.contains(number) != isNegated { return .matched }
        index &+= 1
      }
      return transaction.isComplete(direction) ? .ruledOut : .undecided
    case .keyedNumber(let id, let key, let condition):
      var index = 0
      while let number = transaction.number(id, direction, index: index) {
        if number >> 32 == key, condition?.holds(for: number & 0xffff_ffff) ?? true { return .matched }
        index &+= 1
      }
      return transaction.isComplete(direction) ? .ruledOut : .undecided
    case .certificateValidity(let isValid):
      guard let start = transaction.number(.tlsNotBefore, direction, index: 0),
        let end = transaction.number(.tlsNotAfter, direction, index: 0)
      else { return transaction.isComplete(direction) ? .ruledOut : .undecided }
      let now = UInt64(clamping: time.seconds)
      return (isValid ? start <= now && now <= end : end < now) ? .matched : .ruledOut
    case .event(let event):
      return transaction.events.contains(event) ? .matched : .undecided
    case .progress(let side, let progress, let isNegated):
      return (transaction.progress(side) >= progress) != isNegated ? .matched : .undecided
    case .anyProgress(let states):
      let isReached = states.contains { (transaction.progress($0.side) >= $0.progress) != $0.isNegated }
      return isReached ? .matched : .undecided
    case .files(let conditions, let side):
      let files = transaction.files(side ?? direction)
      if files.contains(where: { file in conditions.allSatisfy { $0.holds(file) } }) { return .matched }
      return transaction.isComplete(side ?? direction) ? .ruledOut : .undecided
    }
  }

  private mutating func tryStep(
    _ body: RuleBody, _ index: Int, _ transaction: Transaction, _ direction: Direction,
    _ payload: RawSpan, _ context: borrowing TrialContext, _ growing: inout GrowingBuffer
  ) -> Trial {
    let step = body.buffers[index]
    switch step.subject {
    case .frame: return .ruledOut
    case .packetHeader(let header):
      guard let bytes = Self.header(header, of: context.packet, in: context.packetBytes) else {
        return .undecided
      }
      return runs(step.program, on: bytes, BufferFacts()) ? .matched : .undecided
    case .payload:
      if payload.byteCount > 0, runs(step.program, on: payload, BufferFacts()) {
        return .matched
      }
      return transaction.isComplete(direction) ? .ruledOut : .undecided
    case .buffer(let id):
      guard body.isTransactional else {
        return tryBuffer(step, index, body, id, transaction, direction, &growing)
      }
      let here = tryBuffer(step, index, body, id, transaction, direction, &growing)
      if here == .matched { return .matched }
      let there = tryBuffer(step, index, body, id, transaction, direction.opposite, &growing)
      if there == .matched { return .matched }
      return here == .ruledOut && there == .ruledOut ? .ruledOut : .undecided
    }
  }

  /// Octets of a growing buffer after which steps that depend on its end are tried all the same
  /// (Suricata inspects bodies in pieces of this size).
  private static var undecidedBytesMax: UInt64 { 32_768 }

  private mutating func tryBuffer(
    _ step: SharedStep, _ index: Int, _ body: RuleBody, _ id: BufferID, _ transaction: Transaction,
    _ direction: Direction, _ growing: inout GrowingBuffer
  ) -> Trial {
    guard let reach = step.reach(transaction.appProtocol, direction) else {
      return .ruledOut
    }
    let progress = transaction.progress(direction)
    guard progress >= reach.first else { return .undecided }
    // From here on the buffer does not change any more, unless it streams.
    let isFinal =
      transaction.isComplete(direction)
      || (!step.isStreaming && progress >= reach.last)
    let absence = step.program.absence
    var instance = 0
    var areAllComplete = true
    while let view = transaction.buffer(id, direction, index: instance) {
      if absence == .mustBeAbsent { return .ruledOut }
      let bytes = view.storage.rawSpan.extracting(view.range)
      let facts = BufferFacts(offset: view.offset, isComplete: view.isComplete)
      var canTell =
        !step.dependsOnEnd || view.isComplete
        || view.offset &+ UInt64(view.count) >= Self.undecidedBytesMax
      // Steps that share numbers with another buffer's must run each time.
      if canTell, step.isStreaming, !body.sharesVariables, !isPrefilterOff {
        switch growing.prospect(
          step.program, step: index, instance: instance, bytes, offset: view.offset,
          isEnd: view.isComplete || isFinal, retriesAtOnce: isInline, searched: &scratch.searchedBytes)
        {
        case .worthTrying: break
        case .notYet: canTell = false
        case .never:
          guard step.isMultiple || body.isTransactional else { return .ruledOut }
          canTell = false
        }
      }
      if canTell, runs(step.program, on: bytes, facts) { return .matched }
      areAllComplete = areAllComplete && view.isComplete
      instance &+= 1
      if !step.isMultiple { break }
    }
    guard isFinal else {
      let canGrow = step.isMultiple || reach.last > progress
      return instance > 0 && areAllComplete && !canGrow ? .ruledOut : .undecided
    }
    return instance == 0 && absence != .mustExist ? .matched : .ruledOut
  }
}

extension TransactionInspection {
  subscript(direction: Direction) -> DirectionState {
    @inline(__always) _read {
      if direction == .toServer { yield toServer } else { yield toClient }
    }
    @inline(__always) _modify {
      if direction == .toServer { yield &toServer } else { yield &toClient }
    }
  }
}
