import PacketDecoding
import Traffic

// Where the data of a segment goes: to whoever looks at it, to what waits, or nowhere.

extension StreamReassembler {
  mutating func take(
    _ stream: Int, _ segment: StreamSegment, _ payload: RawSpan, _ result: inout ReassemblyResult,
    _ body: (borrowing StreamChunk) -> Void
  ) {
    let first = segment.isSyn ? segment.sequence &+ 1 : segment.sequence
    let start = streams[stream].position(of: first)
    let end = start &+ Int64(payload.byteCount)
    if segment.isFin { streams[stream].noteFin(at: end) }
    if settings.depthBytes > 0, start >= Int64(clamping: settings.depthBytes) { result.isBeyondDepth = true }
    if streams[stream].isDepthReached {
      result.isDepthReached = true
      return
    }
    if streams[stream].isEnded {
      if payload.byteCount > 0 { noteBeforeBase(&result) }
      return
    }
    if payload.byteCount > 0 {
      streams[stream].hasData = true
      if segment.urgentPointer > 0, segment.urgentPointer <= payload.byteCount {
        placeUrgent(stream, start..<end, segment, payload, &result, body)
      } else {
        place(stream, start..<end, segment, payload, &result, body)
      }
    }
    endIfComplete(stream, segment.direction, segment.time, body)
  }

  /// A segment that carries urgent data: the policy says what becomes of the last urgent octet.
  private mutating func placeUrgent(
    _ stream: Int, _ range: Range<Int64>, _ segment: StreamSegment, _ payload: RawSpan,
    _ result: inout ReassemblyResult, _ body: (borrowing StreamChunk) -> Void
  ) {
    var policy = settings.urgentPolicy
    let octet = range.lowerBound &+ Int64(segment.urgentPointer) &- 1
    if policy == .outOfBand {
      if Int(streams[stream].outOfBandCount) >= settings.urgentOctetsMax {
        result.events.insert(.reassemblyUrgentLimitReached)
        policy = settings.urgentLimitPolicy == .outOfBand ? .inline : settings.urgentLimitPolicy
      } else if outOfBand[stream, default: []].count >= Self.outOfBandWaitingMax {
        policy = .inline
      }
    }
    switch policy {
    case .inline: return place(stream, range, segment, payload, &result, body)
    case .drop:
      result.isUrgentRefused = true
      result.isRefused = true
      return
    case .gap: break
    case .outOfBand:
      if octet >= streams[stream].position, !(outOfBand[stream]?.contains(octet) ?? false) {
        outOfBand[stream, default: []].append(octet)
        streams[stream].outOfBandCount &+= 1
        counters.urgentOctets &+= 1
        skipOutOfBand(stream)
      }
    }
    let place = Int(octet &- range.lowerBound)
    if place > 0 {
      self.place(stream, range.lowerBound..<octet, segment, payload.extracting(0..<place), &result, body)
    }
    skipOutOfBand(stream)
    if place &+ 1 < payload.byteCount {
      self.place(
        stream, (octet &+ 1)..<range.upperBound, segment,
        payload.extracting((place &+ 1)..<payload.byteCount), &result, body)
    }
  }

  /// Octets out of band that may wait for what is before them, so that they cost no memory.
  private static let outOfBandWaitingMax = 64

  /// Octets of one direction that were out of band so far.
  public func outOfBandCount(flow: UInt32, direction: Direction) -> UInt32 {
    has(flow) ? streams[Self.stream(flow, direction)].outOfBandCount : 0
  }

  /// Moves on where the next octets are out of band.
  mutating func skipOutOfBand(_ stream: Int) {
    guard !outOfBand.isEmpty, var waiting = outOfBand[stream] else { return }
    while let index = waiting.firstIndex(of: streams[stream].position) {
      waiting.remove(at: index)
      _ = streams[stream].advance(to: streams[stream].position &+ 1)
      // The end is told by a chunk of its own.
      streams[stream].isEnded = false
      streams[stream].isEndTold = false
    }
    let position = streams[stream].position
    waiting.removeAll { $0 < position }
    outOfBand[stream] = waiting.isEmpty ? nil : waiting
  }

  /// Where the next octet out of band lies, so that delivery stops there.
  mutating func nextOutOfBand(_ stream: Int) -> Int64 {
    guard !outOfBand.isEmpty, let waiting = outOfBand[stream] else { return .max }
    let position = streams[stream].position
    return waiting.lazy.filter { $0 >= position }.min() ?? .max
  }

  mutating func place(
    _ stream: Int, _ range: Range<Int64>, _ segment: StreamSegment, _ payload: RawSpan,
    _ result: inout ReassemblyResult, _ body: (borrowing StreamChunk) -> Void
  ) {
    skipOutOfBand(stream)
    let core = streams[stream]
    if core.isDepthReached {
      result.isDepthReached = true
      return
    }
    guard range.lowerBound &- max(core.position, core.acknowledged) < Self.reachMax else {
      counters.invalidSegments &+= 1
      result.events.insert(.reassemblyInsertInvalid)
      result.isRefused = true
      return
    }
    noteDepth(stream, reachedBy: range.upperBound, &result)
    let isInline = settings.delivery == .inline
    let floor = isInline ? core.historyStart : core.position
    guard range.upperBound > floor else {
      // What was counted past and is not yet acknowledged may well be sent again.
      if !segment.isOpaque || range.upperBound <= core.acknowledged { noteBeforeBase(&result) }
      return
    }
    let waits = !isInline && !segment.deliversNow && !segment.isOpaque
    if range.lowerBound == core.position, !waits || core.acknowledged >= range.upperBound,
      !hasHeld(stream, after: core.position), nextOutOfBand(stream) >= range.upperBound
    {
      passThrough(stream, range, to: range.upperBound, segment, payload, &result, body)
      if segment.isOpaque {
        forgetHistory(stream)
      } else if isInline {
        keepHistory(stream, range, payload)
      }
      return
    }
    var limit = waits ? core.acknowledged : .max
    if !makeRoom(stream, segment, payload.byteCount, &result, body) {
      // What is next in order goes through in any case; the rest is refused.
      let position = streams[stream].position
      guard range.lowerBound <= position, position < range.upperBound else {
        // What was delivered before is no news.
        result.isRefused = true
        result.isOverLimit = range.upperBound > position
        return
      }
      let next = nextHeld(stream, after: position) ?? .max
      let end = min(range.upperBound, next)
      if end > position { passThrough(stream, range, to: end, segment, payload, &result, body) }
      if end < range.upperBound {
        result.isRefused = true
        result.isOverLimit = true
      }
      limit = .max
    } else {
      hold(stream, range, segment, payload, &result)
    }
    deliver(
      stream, segment.direction, upTo: limit, gapsUpTo: streams[stream].acknowledged, segment.time,
      &result, body)
    if streams[stream].position < range.upperBound { result.isHeld = !result.isRefused }
  }

  private mutating func nextHeld(_ stream: Int, after position: Int64) -> Int64? {
    guard streams[stream].hold != StreamCore.noHold else { return nil }
    return holds[Int(streams[stream].hold)].piece(after: position)?.position
  }

  private mutating func hasHeld(_ stream: Int, after position: Int64) -> Bool {
    nextHeld(stream, after: position) != nil
  }

  /// Delivers a segment as it lies in the packet, from the stream's position to `end`.
  private mutating func passThrough(
    _ stream: Int, _ range: Range<Int64>, to end: Int64, _ segment: StreamSegment,
    _ payload: RawSpan, _ result: inout ReassemblyResult, _ body: (borrowing StreamChunk) -> Void
  ) {
    let position = streams[stream].position
    let end = streams[stream].clip(end, depth: settings.depthBytes)
    counters.passedThrough &+= 1
    if end > position {
      let from = Int(position &- range.lowerBound)
      let to = Int(end &- range.lowerBound)
      let isEnd = advance(stream, to: end)
      let gap = streams[stream].takeGap()
      counters.deliveredBytes &+= UInt64(to &- from)
      body(
        StreamChunk(
          bytes: payload.extracting(from..<to), direction: segment.direction,
          offset: UInt64(position), gapBefore: gap, isEnd: isEnd, time: segment.time))
    }
    noteDepth(stream, &result)
  }

  private mutating func keepHistory(_ stream: Int, _ range: Range<Int64>, _ payload: RawSpan) {
    guard keepsHistory, settings.historyBytesMax > 0, !streams[stream].isEnded,
      heldBytes &+ payload.byteCount <= settings.memcapBytes
    else {
      streams[stream].historyStart = streams[stream].position
      return
    }
    _ = insert(
      stream, range, floor: max(range.lowerBound, streams[stream].historyStart), payload, nil)
    trimHistory(stream)
  }

  mutating func hold(
    _ stream: Int, _ range: Range<Int64>, _ segment: StreamSegment, _ payload: RawSpan,
    _ result: inout ReassemblyResult
  ) {
    let isInline = settings.delivery == .inline
    let floor = isInline ? streams[stream].historyStart : streams[stream].position
    let overlap = insert(stream, range, floor: floor, payload, isInline ? nil : segment.policy)
    counters.segmentsHeld &+= 1
    if overlap.isOverlap { counters.overlaps &+= 1 }
    if overlap.isDifferent {
      counters.overlapsDifferent &+= 1
      result.isConflicting = true
      if settings.reportsDifferentData ?? isInline { result.events.insert(.reassemblyOverlapDifferentData) }
    }
  }

  mutating func insert(
    _ stream: Int, _ range: Range<Int64>, floor: Int64, _ payload: RawSpan, _ policy: OverlapPolicy?
  ) -> HeldStream.Overlap {
    let hold = holdIndex(stream)
    let before = holds[hold].arena.count
    lendRoom(hold, for: payload.byteCount)
    let ceiling = streams[stream].clip(.max, depth: settings.depthBytes)
    let overlap = holds[hold].insert(
      range, floor: floor, ceiling: ceiling, payload: payload, policy: policy, scratch: &scratch)
    noteHeld(holds[hold].arena.count &- before)
    return overlap
  }

  /// Keeps the limits; where one is hit, waiting ends for what is contiguous.
  /// - Returns: whether the segment may be held.
  private mutating func makeRoom(
    _ stream: Int, _ segment: StreamSegment, _ count: Int, _ result: inout ReassemblyResult,
    _ body: (borrowing StreamChunk) -> Void
  ) -> Bool {
    if fits(stream, count) { return true }
    noteLimit(stream, count, &result)
    deliver(
      stream, segment.direction, upTo: .max, gapsUpTo: streams[stream].acknowledged, segment.time,
      &result, body)
    forgetHistory(stream)
    return fits(stream, count)
  }

  private mutating func fits(_ stream: Int, _ count: Int) -> Bool {
    heldBytes &+ count <= settings.memcapBytes && !isStreamFull(stream, count)
  }

  private mutating func isStreamFull(_ stream: Int, _ count: Int) -> Bool {
    let core = streams[stream]
    guard core.hold != StreamCore.noHold else { return count > settings.streamHeldBytesMax }
    return holds[Int(core.hold)].liveBytes &+ count > settings.streamHeldBytesMax
      || holds[Int(core.hold)].pieceCount >= settings.streamHeldSegmentsMax
  }

  private mutating func noteLimit(_ stream: Int, _ count: Int, _ result: inout ReassemblyResult) {
    if isStreamFull(stream, count) {
      counters.streamLimitHits &+= 1
      result.events.insert(.reassemblyInsertLimit)
    } else {
      counters.memcapHits &+= 1
      result.events.insert(.reassemblyInsertMemcap)
    }
  }

  private mutating func noteBeforeBase(_ result: inout ReassemblyResult) {
    counters.segmentsBeforeBase &+= 1
    result.events.insert(.reassemblySegmentBeforeBaseSequence)
  }
}
