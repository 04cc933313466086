import PacketDecoding
import Traffic

/// Turns the TCP segments of all flows of a worker into ordered chunks.
///
/// A segment that is next in order and needs not wait is delivered as it lies in the packet, without
/// a copy. Others are held; see ``DeliveryMode``. A hole that the receiver has acknowledged, with
/// data behind it, becomes a gap.
/// - Source: RFC 9293 section 3.10.7.4; Suricata `stream.reassembly`, `stream.inline`.
/// - Limits: see ``ReassemblySettings``.
/// - Complexity: O(1) and no allocation in order; O(log n) to find, O(n) to insert among n held
///   pieces out of order.
public struct StreamReassembler: ~Copyable {
  public let settings: ReassemblySettings
  public private(set) var counters = ReassemblyCounters()
  /// What was delivered inline is remembered until it is acknowledged, so that nobody can say otherwise later. Without rules nobody
  /// has been deceived by then, and a super-segment is copied for nothing.
  public var keepsHistory = true
  /// Two for each flow: `flow * 2 + direction`.
  private var streams: [StreamCore] = []
  private var holds: [HeldStream] = []
  private var freeHolds: [UInt32] = []
  /// Large arenas that nobody needs just now, emptied.
  private var rooms: [[UInt8]] = []
  /// By stream: octets that are out of band and not yet passed, in no order. Few streams have any.
  private var outOfBand: [Int: [Int64]] = [:]
  /// Room for deciding overlaps, and for tidying arenas.
  private var scratch: [UInt8] = []
  private var spare: [UInt8] = []
  private var heldBytes = 0
  private var pooledBytes = 0

  /// The least that is lent: a super-segment.
  private static let roomBytes = 64 << 10
  /// What no window reaches (RFC 7323 section 2.3: at most 2^30 octets).
  private static let reachMax: Int64 = 1 << 30

  public init(settings: ReassemblySettings = ReassemblySettings()) { self.settings = settings }

  /// Takes a segment that TCP tracking has accepted, and delivers what has become ready: of the
  /// other direction through the acknowledgement, then of its own.
  ///
  /// - Parameter flow: the flow's place in its slab (`FlowIndex.rawValue`).
  /// - Parameter body: gets each chunk; its bytes are valid during the call only.
  public mutating func add(
    flow: UInt32, _ segment: StreamSegment, payload: RawSpan,
    _ body: (borrowing StreamChunk) -> Void
  ) -> ReassemblyResult {
    var result = ReassemblyResult()
    prepare(flow)
    let own = Self.stream(flow, segment.direction)
    let other = Self.stream(flow, segment.direction.opposite)
    counters.segments &+= 1
    begin(own, other, segment)
    if segment.deliversNow { streams[own].isOneSided = true }
    // Data of a SYN that a SYN/ACK acknowledges waits for what comes next, as in Suricata.
    if segment.hasAcknowledgement, !segment.isSyn || settings.delivery == .inline {
      acknowledge(other, segment.acknowledgement, segment, &result, body)
    }
    if payload.byteCount > 0 || segment.isFin { take(own, segment, payload, &result, body) }
    return result
  }

  /// Says where the data of both sides begins, once the handshake tells (the first octet after each
  /// SYN). Changes nothing where data has been seen already.
  public mutating func open(flow: UInt32, clientSequence: UInt32, serverSequence: UInt32) {
    prepare(flow)
    rebase(Self.stream(flow, .toServer), clientSequence)
    rebase(Self.stream(flow, .toClient), serverSequence)
  }

  /// Delivers what is contiguous without waiting for acknowledgements.
  public mutating func flush(
    flow: UInt32, direction: Direction, time: Timestamp, _ body: (borrowing StreamChunk) -> Void
  ) {
    guard has(flow) else { return }
    var result = ReassemblyResult()
    deliver(
      Self.stream(flow, direction), direction, upTo: .max, gapsUpTo: .min, time, &result, body)
  }

  /// Delivers all that is left of both directions, across gaps, acknowledged or not, and ends both:
  /// for the end of the session, its timeout, or a RST.
  public mutating func finish(
    flow: UInt32, time: Timestamp, _ body: (borrowing StreamChunk) -> Void
  ) {
    guard has(flow) else { return }
    for direction in Direction.allCases {
      finish(flow: flow, direction: direction, time: time, body)
    }
  }

  /// The same for one direction: what is contiguous, acknowledged or not; what lies behind a hole that
  /// nobody acknowledged comes after the end, for raw inspection alone.
  public mutating func finish(
    flow: UInt32, direction: Direction, time: Timestamp, _ body: (borrowing StreamChunk) -> Void
  ) {
    guard has(flow) else { return }
    let stream = Self.stream(flow, direction)
    var result = ReassemblyResult()
    let gapLimit = streams[stream].isOneSided ? Int64.max : streams[stream].acknowledged
    deliver(stream, direction, upTo: .max, gapsUpTo: gapLimit, time, &result, body)
    if streams[stream].isKnown, !streams[stream].isEndTold {
      emitEnd(stream, direction, time, body)
      deliverBeyond(stream, direction, time, body)
    }
    releaseHold(stream)
  }

  /// Hands out what is held behind the end of what counts.
  private mutating func deliverBeyond(
    _ stream: Int, _ direction: Direction, _ time: Timestamp, _ body: (borrowing StreamChunk) -> Void
  ) {
    guard streams[stream].hold != StreamCore.noHold else { return }
    let hold = Int(streams[stream].hold)
    let ceiling = streams[stream].clip(.max, depth: settings.depthBytes)
    var position = streams[stream].position
    while let piece = holds[hold].piece(after: position), piece.position < ceiling {
      let from = max(piece.position, position)
      let end = min(piece.end, ceiling)
      let start = piece.arenaOffset &+ Int(from &- piece.position)
      let arena = holds[hold].arena
      body(
        StreamChunk(
          bytes: arena.rawSpan.extracting(start..<(start &+ Int(end &- from))), direction: direction,
          offset: UInt64(max(0, from)), gapBefore: UInt64(max(0, from &- position)), isRawOnly: true,
          time: time))
      position = end
    }
  }

  /// Lets go of the octets of both directions: nothing of the flow passes any more.
  public mutating func forgetHeld(flow: UInt32) {
    guard has(flow) else { return }
    for direction in Direction.allCases { releaseHold(Self.stream(flow, direction)) }
  }

  /// Forgets both directions: the flow is gone, or its TCP session is a new one.
  public mutating func reset(flow: UInt32) {
    guard has(flow) else { return }
    for direction in Direction.allCases {
      let stream = Self.stream(flow, direction)
      releaseHold(stream)
      streams[stream] = StreamCore()
      outOfBand[stream] = nil
    }
  }

  /// Octets delivered of one direction, gaps counted.
  public func position(flow: UInt32, direction: Direction) -> UInt64 {
    has(flow) ? UInt64(max(0, streams[Self.stream(flow, direction)].position)) : 0
  }

  /// A copy of what is held and would come next: contiguous, but not yet acknowledged. For records.
  public func waiting(flow: UInt32, direction: Direction) -> [UInt8] {
    guard has(flow) else { return [] }
    let core = streams[Self.stream(flow, direction)]
    guard core.isKnown, core.hold != StreamCore.noHold else { return [] }
    var position = core.position
    var bytes: [UInt8] = []
    let arena = holds[Int(core.hold)].arena
    while let piece = holds[Int(core.hold)].piece(after: position), piece.position <= position {
      let start = piece.arenaOffset &+ Int(position &- piece.position)
      bytes += arena[start..<(start &+ Int(piece.end &- position))]
      position = piece.end
    }
    return bytes
  }

  /// Calls `body` with each stretch of bytes that is accepted and remembered within `count` octets
  /// from `sequence`, and its offset from there: with them an inline caller rewrites a segment whose
  /// data conflicts.
  public func forEachAccepted(
    flow: UInt32, direction: Direction, sequence: UInt32, count: Int,
    _ body: (_ offset: Int, _ bytes: RawSpan) -> Void
  ) {
    guard has(flow), count > 0 else { return }
    let core = streams[Self.stream(flow, direction)]
    guard core.isKnown, core.hold != StreamCore.noHold else { return }
    let start = core.position(of: sequence)
    let end = start &+ Int64(count)
    var cursor = start
    let arena = holds[Int(core.hold)].arena
    while cursor < end, let piece = holds[Int(core.hold)].piece(after: cursor), piece.position < end {
      let from = max(piece.position, cursor)
      let length = Int(min(piece.end, end) &- from)
      let offset = piece.arenaOffset &+ Int(from &- piece.position)
      body(Int(from &- start), arena.rawSpan.extracting(offset..<(offset &+ length)))
      cursor = from &+ Int64(length)
    }
  }
}

// MARK: - Beginnings

extension StreamReassembler {
  private static func stream(_ flow: UInt32, _ direction: Direction) -> Int {
    Int(flow) &* 2 &+ direction.index
  }

  private func has(_ flow: UInt32) -> Bool { Int(flow) &* 2 &+ 1 < streams.count }

  private mutating func prepare(_ flow: UInt32) {
    while !has(flow) { streams.append(StreamCore()) }
  }

  private mutating func begin(_ own: Int, _ other: Int, _ segment: StreamSegment) {
    if segment.isSyn {
      rebase(own, segment.sequence &+ 1)
    } else if !streams[own].isKnown {
      streams[own].begin(at: segment.sequence)
    }
    if segment.hasAcknowledgement, !streams[other].isKnown {
      streams[other].begin(at: segment.acknowledgement)
    }
  }

  private mutating func rebase(_ stream: Int, _ sequence: UInt32) {
    let core = streams[stream]
    if core.isKnown, core.hasData || core.isEnded { return }
    streams[stream].begin(at: sequence)
  }
}

// MARK: - Data

extension StreamReassembler {
  private mutating func take(
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
  private mutating func skipOutOfBand(_ stream: Int) {
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
  private mutating func nextOutOfBand(_ stream: Int) -> Int64 {
    guard !outOfBand.isEmpty, let waiting = outOfBand[stream] else { return .max }
    let position = streams[stream].position
    return waiting.lazy.filter { $0 >= position }.min() ?? .max
  }

  private mutating func place(
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

  private mutating func hold(
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

  private mutating func insert(
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

// MARK: - Acknowledgements and delivery

extension StreamReassembler {
  private mutating func acknowledge(
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
  private mutating func deliver(
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
  private mutating func advance(_ stream: Int, to end: Int64) -> Bool {
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

  private mutating func noteDepth(_ stream: Int, _ result: inout ReassemblyResult) {
    guard settings.depthBytes > 0, !streams[stream].isDepthReached,
      streams[stream].position >= Int64(clamping: settings.depthBytes)
    else { return }
    streams[stream].isDepthReached = true
    result.isDepthReached = true
    releaseHold(stream)
  }

  /// The first segment that reaches the depth is told of when it comes, delivered or not.
  private mutating func noteDepth(
    _ stream: Int, reachedBy position: Int64, _ result: inout ReassemblyResult
  ) {
    guard settings.depthBytes > 0, !streams[stream].isDepthTold,
      position >= Int64(clamping: settings.depthBytes)
    else { return }
    streams[stream].isDepthTold = true
    counters.streamsAtDepth &+= 1
    result.events.insert(.reassemblyDepthReached)
  }

  private mutating func endIfComplete(
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

  private mutating func emitEnd(
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

// MARK: - Held bytes

extension StreamReassembler {
  private mutating func holdIndex(_ stream: Int) -> Int {
    if streams[stream].hold != StreamCore.noHold { return Int(streams[stream].hold) }
    let index: UInt32
    if let free = freeHolds.popLast() {
      index = free
      notePooled(0 &- holds[Int(free)].arena.capacity)
    } else {
      index = UInt32(holds.count)
      holds.append(HeldStream())
    }
    streams[stream].hold = index
    return Int(index)
  }

  private mutating func releaseHold(_ stream: Int) {
    guard streams[stream].hold != StreamCore.noHold else { return }
    let hold = Int(streams[stream].hold)
    noteHeld(0 &- holds[hold].arena.count)
    let kept = min(HeldStream.arenaKeptBytes, settings.pooledBytesMax &- pooledBytes)
    if let room = holds[hold].clear(keeping: kept) { keep(room) }
    notePooled(holds[hold].arena.capacity)
    freeHolds.append(streams[stream].hold)
    streams[stream].hold = StreamCore.noHold
    streams[stream].historyStart = streams[stream].position
  }

  /// Lends a large arena to a stream that is about to hold so much.
  private mutating func lendRoom(_ hold: Int, for count: Int) {
    guard holds[hold].isTooSmall(for: count) else { return }
    var room = rooms.popLast() ?? []
    notePooled(0 &- room.capacity)
    // Twice as much each time: what exactly is needed would be too little for the next segment already.
    room.reserveCapacity(max(Self.roomBytes, 2 &* holds[hold].arena.capacity, holds[hold].arena.count &+ count))
    if let former = holds[hold].move(into: room) { keep(former) }
  }

  private mutating func keep(_ room: [UInt8]) {
    guard room.capacity > HeldStream.arenaKeptBytes, pooledBytes &+ room.capacity <= settings.pooledBytesMax else {
      return
    }
    notePooled(room.capacity)
    rooms.append(room)
  }

  private mutating func discard(_ stream: Int, before position: Int64) {
    streams[stream].historyStart = max(streams[stream].historyStart, position)
    guard streams[stream].hold != StreamCore.noHold else { return }
    let hold = Int(streams[stream].hold)
    let before = holds[hold].arena.count
    holds[hold].discard(before: position, spare: &spare)
    noteHeld(holds[hold].arena.count &- before)
    if holds[hold].isEmpty { releaseHold(stream) }
  }

  /// Delivered bytes are of no more use (or there is no room for them).
  private mutating func forgetHistory(_ stream: Int) {
    discard(stream, before: streams[stream].position)
  }

  /// Delivered and acknowledged: nobody can replace them now.
  private mutating func forgetAcknowledged(_ stream: Int) {
    let core = streams[stream]
    discard(stream, before: min(core.position, core.acknowledged))
  }

  private mutating func trimHistory(_ stream: Int) {
    let core = streams[stream]
    let kept = core.position &- core.historyStart
    guard kept > Int64(settings.historyBytesMax) else { return }
    counters.historyTrims &+= 1
    // Half at once, so that trimming is not paid for with each segment.
    discard(stream, before: core.position &- Int64(settings.historyBytesMax / 2))
  }

  private mutating func notePooled(_ change: Int) {
    pooledBytes &+= change
    counters.pooledBytes = UInt64(clamping: pooledBytes)
  }

  private mutating func noteHeld(_ change: Int) {
    heldBytes &+= change
    counters.heldBytes = UInt64(clamping: heldBytes)
    counters.heldBytesMax = max(counters.heldBytesMax, counters.heldBytes)
  }
}
