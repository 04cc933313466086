import AppLayer
import PacketDecoding
import Traffic

extension Detector {
  /// Tries the rules on the raw stream of one direction.
  ///
  /// A rule whose literal was seen is tried again on later bytes for as long as the literal lies in
  /// the window, so contents may lie in different chunks.
  ///
  /// - Parameters:
  ///   - window: the bytes at hand: a tail of those seen before, then the new ones.
  ///   - newFrom: where the new ones begin in `window`.
  ///   - offset: where `window` begins in the stream.
  ///   - isEnd: nothing follows.
  ///   - packet: the packet that brought the bytes; for relayed streams one that holds the addresses.
  ///   - isAside: a piece that is not the next of the stream, but let through ahead of it or once more:
  ///     it leaves no trace in what is remembered of the stream.
  public mutating func inspectStream(
    _ window: RawSpan, newFrom: Int, offset: UInt64, isEnd: Bool, isAside: Bool = false,
    direction: Direction, packet: DecodedPacket, flow: FlowFacts, state: FlowDetection,
    into matches: inout MatchList
  ) {
    guard ruleSet.ruleCount > 0, !state.isPassed, window.byteCount > newFrom else { return }
    prepare(state)
    let ends = PacketEnds(packet, direction: direction, packetDirection: flow.packetDirection)
    let empty: [UInt8] = []
    let context = TrialContext(
      packet: packet, ends: ends, flow: flow, state: state, packetBytes: empty.rawSpan)
    let piece = StreamPiece(
      window: window, newFrom: newFrom, offset: offset, isEnd: isEnd, isAlone: seesPiecesAlone)
    var pending = PendingRules()
    if !isAside { swap(&pending, &state[direction].pending) }
    collectStream(piece, isAside: isAside, direction, flow, state, context, &pending)
    for index in candidates.indices {
      _ = tryOnStream(candidates[index], piece, context, &pending, into: &matches)
    }
    if isEnd { pending.removeAll() }
    if !isAside { swap(&pending, &state[direction].pending) }
  }

  /// Tries a rule on the stream, if it could hold on what is new; not on octets that it has matched on before.
  ///
  /// - Source: seen of Suricata 8: where traffic is watched, rules see nothing but the piece that was not inspected
  ///   before, and positions count from its start. Here they see the window as well, so that no literal is cut.
  mutating func tryOnStream(
    _ rule: RuleIndex, _ piece: borrowing StreamPiece, _ context: borrowing TrialContext,
    _ pending: inout PendingRules, into matches: inout MatchList
  ) -> Trial {
    let place = pending.place(of: rule)
    let end = piece.offset &+ UInt64(piece.window.byteCount)
    let used = place.map { pending[$0].usedTo } ?? 0
    let skipped = used > piece.offset ? Int(min(used, end) &- piece.offset) : 0
    // A rule that waits for other bytes than its literal has nothing to find by that in the piece alone.
    let isOfPiece = place.map { !pending[$0].isAwaited || pending[$0].hitEnd == end } ?? true
    // Seen by the scan that came before; of others it is not known where their literals lie.
    let isFound = place.map { pending[$0].isAwaited && pending[$0].hitEnd == end } ?? false
    let windowOffset = piece.offset &+ UInt64(skipped)
    var trial = tryOnWindow(
      rule, place, piece.window.extracting(skipped...), offset: windowOffset,
      isFound ? ScannedPart(offset: windowOffset, from: max(0, piece.newFrom &- skipped)) : nil, piece, context, &pending,
      into: &matches)
    if trial != .matched, !isInline, isOfPiece, piece.isLater,
      ruleSet.bodies[Int(rule)].payload?.program.countsFromStart == true
    {
      let onPiece = tryRule(
        rule, payload: piece.window.extracting(piece.newFrom...), facts: BufferFacts(), source: .stream, context,
        found: isFound ? ScannedPart(offset: piece.offset &+ UInt64(piece.newFrom)) : nil, into: &matches)
      if onPiece == .matched { trial = .matched }
    }
    remember(trial, rule, place, end, &pending)
    return trial
  }

  private mutating func tryOnWindow(
    _ rule: RuleIndex, _ place: Int?, _ window: RawSpan, offset: UInt64, _ found: ScannedPart?, _ piece: borrowing StreamPiece,
    _ context: borrowing TrialContext, _ pending: inout PendingRules, into matches: inout MatchList
  ) -> Trial {
    if let place, !isPrefilterOff, let shared = ruleSet.bodies[Int(rule)].payload {
      let prospect = pending[place].growing.prospect(
        shared.program, step: 0, instance: 0, window, offset: offset, isEnd: piece.isEnd,
        retriesAtOnce: true, isFound: found != nil, searched: &scratch.searchedBytes)
      switch prospect {
      case .worthTrying: break
      case .notYet: return .undecided
      case .never: return .ruledOut
      }
    }
    return tryRule(
      rule, payload: window, facts: BufferFacts(offset: offset, isComplete: true), source: .stream, context, found: found,
      into: &matches)
  }

  /// Keeps of a trial what the next needs: the rule waits, or has used up what is there, or is forgotten.
  private mutating func remember(
    _ trial: Trial, _ rule: RuleIndex, _ place: Int?, _ end: UInt64, _ pending: inout PendingRules
  ) {
    switch trial {
    case .undecided: break
    case .ruledOut:
      guard let place else { return }
      if pending[place].usedTo > 0 { pending[place].isAwaited = false } else { pending.remove(at: place) }
    case .matched:
      let used = PendingRules.Entry(rule: rule, hitEnd: end, isAwaited: false, usedTo: end)
      if !pending.set(used) { counters.pendingOverflow &+= 1 }
    }
  }

  /// Finds the rules to be tried on a stream, ascending, into `candidates`.
  ///
  /// - Parameter withPacket: what is new is the payload of the packet in hand, for which ``packetCandidates`` are found
  ///   as well.
  mutating func collectStream(
    _ piece: borrowing StreamPiece, withPacket: Bool = false, isAside: Bool = false, _ direction: Direction, _ flow: FlowFacts,
    _ state: FlowDetection, _ context: borrowing TrialContext,
    _ pending: inout PendingRules
  ) {
    counters.streamBytesInspected &+= UInt64(piece.window.byteCount &- piece.newFrom)
    candidates.removeAll(keepingCapacity: true)
    pending.forget(before: piece.offset)
    for rule in pending.entries where rule.isAwaited { candidates.append(rule.rule) }
    let general = ruleSet.groups.stream[direction.index]
    let packetFrom = withPacket ? piece.newFrom : nil
    let first = withPacket ? TableMember.packets : TableMember.streams
    guard flow.appProtocol != .unknown else {
      collect(general, first...TableMember.streams, piece, piece.newFrom, packetFrom, context, &pending)
      return sortCandidates()
    }
    let own = ruleSet.groups.streamByProtocol[RuleGroups.slot(flow.appProtocol, direction)]
    // The protocol may have become known only now: what was not scanned for it yet is still there.
    let isNew = !isAside && state[direction].streamProtocol != flow.appProtocol
    let scansBoth = own.isShared && (!isNew || piece.newFrom == 0)
    collect(
      general, scansBoth ? nil : first...TableMember.streams, piece, piece.newFrom, packetFrom, context, &pending)
    collect(
      own, (scansBoth ? first : TableMember.appProtocol)...TableMember.appProtocol, piece, isNew ? 0 : piece.newFrom,
      scansBoth ? packetFrom : nil, context, &pending)
    if isNew { state[direction].streamProtocol = flow.appProtocol }
    sortCandidates()
  }

  /// - Parameter members: of the table for any port; nil where another table holds the same.
  private mutating func collect(
    _ group: PayloadGroup, _ members: ClosedRange<UInt8>?, _ piece: borrowing StreamPiece, _ newFrom: Int,
    _ packetFrom: Int?, _ context: borrowing TrialContext, _ pending: inout PendingRules
  ) {
    guard !group.isEmpty else { return }
    candidates += group.unconditional
    if let members, let table = group.table { scan(table, members, piece, newFrom, packetFrom, context, &pending) }
    if let table = group.table(forPort: context.ends.serverPort) {
      scan(table, 0...0, piece, newFrom, nil, context, &pending)
    }
  }

  /// Of the rules whose literals were seen those are kept whose heads hold.
  private mutating func scan(
    _ table: PatternTable, _ members: ClosedRange<UInt8>, _ piece: borrowing StreamPiece, _ newFrom: Int,
    _ packetFrom: Int?, _ context: borrowing TrialContext, _ pending: inout PendingRules
  ) {
    let before = candidates.count
    collectCandidates(
      table, piece.window, newFrom: newFrom, offset: piece.offset, restartsAt: isInline || !piece.isLater ? nil : piece.newFrom,
      members: members, packetFrom: packetFrom, notes: .stream)
    let hitEnd = piece.offset &+ UInt64(piece.window.byteCount)
    var kept = before
    for index in before..<candidates.count {
      let rule = candidates[index]
      if let known = pending.place(of: rule) {
        pending[known].hitEnd = hitEnd
        guard !pending[known].isAwaited else { continue }
        pending[known].isAwaited = true
        candidates[kept] = rule
        kept &+= 1
        continue
      }
      guard headHolds(rule, context.ends, context.flow) else { continue }
      candidates[kept] = rule
      kept &+= 1
      if !pending.set(PendingRules.Entry(rule: rule, hitEnd: hitEnd)) { counters.pendingOverflow &+= 1 }
    }
    candidates.removeLast(candidates.count &- kept)
  }

  /// What refers to rules of another set is forgotten.
  mutating func prepare(_ state: FlowDetection) {
    guard state.generation != ruleSet.generation else { return }
    state.generation = ruleSet.generation
    state.toServer.pending.removeAll()
    state.toClient.pending.removeAll()
    state.toServer.headerRules = nil
    state.toClient.headerRules = nil
  }
}
