import PacketDecoding
import Traffic

// What acknowledgements, and data that fills a hole, let out of what is held.

extension StreamReassembler {
  mutating func acknowledge(
    _ stream: Int, _ acknowledgement: UInt32, _ segment: StreamSegment,
    _ result: inout ReassemblyResult, _ body: (borrowing StreamChunk) -> Void
  ) {
    let position = streams[stream].position(of: acknowledgement)
    guard position > streams[stream].acknowledged else { return }
    streams[stream].acknowledged = position
    streams[stream].acknowledgedSequence = acknowledgement
    guard streams[stream].hold != StreamCore.noHold else { return }
    let isInline = settings.delivery == .inline
    deliver(
      stream, segment.direction.opposite, upTo: isInline ? .max : position, gapsUpTo: position,
      segment.time, &result, body)
    if isInline { forgetAcknowledged(stream) }
  }

  /// Delivers held bytes up to `limit`, across holes that end no later than `gapLimit`.
  mutating func deliver(
    _ stream: Int, _ direction: Direction, upTo limit: Int64, gapsUpTo gapLimit: Int64,
    _ time: Timestamp, _ result: inout ReassemblyResult, _ body: (borrowing StreamChunk) -> Void
  ) {
    guard streams[stream].hold != StreamCore.noHold else { return }
    let hold = Int(streams[stream].hold)
    let ceiling = streams[stream].clip(limit, depth: settings.depthBytes)
    while !streams[stream].isEnded {
      skipOutOfBand(stream)
      let position = streams[stream].position
      guard let piece = holds[hold].piece(after: position), position < ceiling else { break }
      if piece.position > position {
        guard piece.position <= gapLimit, piece.position < ceiling else { break }
        skipGap(stream, to: piece.position, &result)
        continue
      }
      let end = min(piece.end, ceiling, nextOutOfBand(stream))
      let count = Int(end &- position)
      let from = piece.arenaOffset &+ Int(position &- piece.position)
      let isEnd = advance(stream, to: end)
      let gap = streams[stream].takeGap()
      counters.deliveredBytes &+= UInt64(count)
      let arena = holds[hold].arena
      body(
        StreamChunk(
          bytes: arena.rawSpan.extracting(from..<(from &+ count)),
          direction: direction, offset: UInt64(position), gapBefore: gap, isEnd: isEnd, time: time))
    }
    noteDepth(stream, &result)
    if settings.delivery == .inline { trimHistory(stream) } else { forgetHistory(stream) }
    endIfComplete(stream, direction, time, body)
  }

  /// - Returns: whether the stream ends there, as far as that is to be said.
  mutating func advance(_ stream: Int, to end: Int64) -> Bool {
    guard streams[stream].advance(to: end), tellsEndAtFin else { return false }
    streams[stream].isEndTold = true
    return true
  }

  /// Where acknowledgements are waited for, the end is said when the session is over (``finish(flow:time:_:)``): until
  /// then the sender of a FIN may still have to send again what was lost.
  ///
  /// - Source: Suricata `StreamTcpReassembleAppLayer`.
  private var tellsEndAtFin: Bool { settings.delivery == .inline }

  private mutating func skipGap(_ stream: Int, to position: Int64, _ result: inout ReassemblyResult) {
    let missing = UInt64(position &- streams[stream].position)
    streams[stream].pendingGap &+= missing
    _ = streams[stream].advance(to: position)
    counters.gaps &+= 1
    counters.gapBytes &+= missing
    result.events.insert(.reassemblySequenceGap)
  }

  mutating func noteDepth(_ stream: Int, _ result: inout ReassemblyResult) {
    guard settings.depthBytes > 0, !streams[stream].isDepthReached,
      streams[stream].position >= Int64(clamping: settings.depthBytes)
    else { return }
    streams[stream].isDepthReached = true
    result.isDepthReached = true
    releaseHold(stream)
  }

  /// The first segment that reaches the depth is told of when it comes, delivered or not.
  mutating func noteDepth(
    _ stream: Int, reachedBy position: Int64, _ result: inout ReassemblyResult
  ) {
    guard settings.depthBytes > 0, !streams[stream].isDepthTold,
      position >= Int64(clamping: settings.depthBytes)
    else { return }
    streams[stream].isDepthTold = true
    counters.streamsAtDepth &+= 1
    result.events.insert(.reassemblyDepthReached)
  }

  mutating func endIfComplete(
    _ stream: Int, _ direction: Direction, _ time: Timestamp,
    _ body: (borrowing StreamChunk) -> Void
  ) {
    let core = streams[stream]
    guard !core.isEnded else { return }
    // Nothing is looked at beyond the depth, so that for those who look the stream ends there.
    if core.isDepthReached || tellsEndAtFin && core.hasFin && core.position >= core.finPosition {
      emitEnd(stream, direction, time, body)
    } else if core.hasFin, core.position >= core.finPosition {
      streams[stream].isEnded = true
    }
  }

  mutating func emitEnd(
    _ stream: Int, _ direction: Direction, _ time: Timestamp,
    _ body: (borrowing StreamChunk) -> Void
  ) {
    streams[stream].isEnded = true
    streams[stream].isEndTold = true
    let gap = streams[stream].takeGap()
    body(
      StreamChunk(
        bytes: RawSpan(), direction: direction,
        offset: UInt64(max(0, streams[stream].position)), gapBefore: gap, isEnd: true, time: time))
  }
}
