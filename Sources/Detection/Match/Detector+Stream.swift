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
  public mutating func inspectStream(
    _ window: RawSpan, newFrom: Int, offset: UInt64, isEnd: Bool, direction: Direction,
    packet: DecodedPacket, flow: FlowFacts, state: FlowDetection,
    into matches: inout MatchList
  ) {
    guard ruleSet.ruleCount > 0, !state.isPassed, window.byteCount > newFrom else { return }
    prepare(state)
    let ends = PacketEnds(packet, direction: direction, packetDirection: flow.packetDirection)
    let empty: [UInt8] = []
    let context = TrialContext(
      packet: packet, ends: ends, flow: flow, state: state, packetBytes: empty.rawSpan)
    let piece = StreamPiece(window: window, newFrom: newFrom, offset: offset, isEnd: isEnd)
    var pending = direction == .toServer ? state.toServer.pending : state.toClient.pending
    let pendingBefore = pending.count
    collectStream(piece, direction, flow, state, context, &pending)
    if !candidates.isEmpty {
      let facts = BufferFacts(offset: offset, isComplete: true)
      for index in candidates.indices {
        let rule = candidates[index]
        let trial = tryRule(
          rule, payload: window, facts: facts, source: .stream, context, into: &matches)
        if trial != .undecided { pending.removeAll { $0.rule == rule } }
      }
    }
    if isEnd { pending.removeAll(keepingCapacity: true) }
    guard pendingBefore > 0 || !pending.isEmpty else { return }
    if direction == .toServer { state.toServer.pending = pending } else { state.toClient.pending = pending }
  }

  /// Finds the rules to be tried on a stream, ascending, into `candidates`.
  mutating func collectStream(
    _ piece: borrowing StreamPiece, _ direction: Direction, _ flow: FlowFacts, _ state: FlowDetection,
    _ context: borrowing TrialContext, _ pending: inout [FlowDetection.PendingRule]
  ) {
    counters.streamBytesInspected &+= UInt64(piece.window.byteCount &- piece.newFrom)
    candidates.removeAll(keepingCapacity: true)
    forget(&pending, before: piece.offset)
    for rule in pending { candidates.append(rule.rule) }
    collect(
      ruleSet.groups.stream[direction.index], piece.window, piece.newFrom, piece.offset, context, &pending)
    if flow.appProtocol != .unknown {
      // The protocol may have become known only now: what was not scanned for it yet is still there.
      let isNew = state.streamProtocol(direction) != flow.appProtocol
      collect(
        ruleSet.groups.streamByProtocol[RuleGroups.slot(flow.appProtocol, direction)], piece.window,
        isNew ? 0 : piece.newFrom, piece.offset, context, &pending)
      if isNew { state.setStreamProtocol(flow.appProtocol, direction) }
    }
    sortCandidates()
  }

  private mutating func collect(
    _ group: PayloadGroup, _ window: RawSpan, _ newFrom: Int, _ offset: UInt64,
    _ context: borrowing TrialContext, _ pending: inout [FlowDetection.PendingRule]
  ) {
    guard !group.isEmpty else { return }
    candidates += group.unconditional
    if group.table >= 0 {
      scan(ruleSet.groups.tables[Int(group.table)], window, newFrom, offset, &pending)
    }
    let portTable = group.table(forPort: context.ends.serverPort)
    if portTable >= 0 {
      scan(ruleSet.groups.tables[Int(portTable)], window, newFrom, offset, &pending)
    }
  }

  private mutating func scan(
    _ table: PatternTable, _ window: RawSpan, _ newFrom: Int, _ offset: UInt64,
    _ pending: inout [FlowDetection.PendingRule]
  ) {
    let before = candidates.count
    collectCandidates(table, window, newFrom: newFrom, offset: offset)
    let hitEnd = offset &+ UInt64(window.byteCount)
    for index in before..<candidates.count {
      let rule = candidates[index]
      if let known = pending.firstIndex(where: { $0.rule == rule }) {
        pending[known].hitEnd = hitEnd
      } else if pending.count < FlowDetection.pendingMax {
        pending.append(FlowDetection.PendingRule(rule: rule, hitEnd: hitEnd))
      } else {
        counters.pendingOverflow &+= 1
      }
    }
  }

  /// A rule waits while its literal may still lie in the window.
  private func forget(_ pending: inout [FlowDetection.PendingRule], before offset: UInt64) {
    guard !pending.isEmpty else { return }
    pending.removeAll { $0.hitEnd <= offset }
  }

  /// What refers to rules of another set is forgotten.
  func prepare(_ state: FlowDetection) {
    guard state.generation != ruleSet.generation else { return }
    state.generation = ruleSet.generation
    state.toServer.pending.removeAll()
    state.toClient.pending.removeAll()
    state.tags.removeAll()
  }
}
