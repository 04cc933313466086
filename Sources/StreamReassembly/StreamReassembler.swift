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
  public internal(set) var counters = ReassemblyCounters()
  /// What was delivered inline is remembered until it is acknowledged, so that nobody can say otherwise later. Without rules nobody
  /// has been deceived by then, and a super-segment is copied for nothing.
  public var keepsHistory = true
  /// Two for each flow: `flow * 2 + direction`.
  var streams: [StreamCore] = []
  var holds: [HeldStream] = []
  var freeHolds: [UInt32] = []
  /// Large arenas that nobody needs just now, emptied.
  var rooms: [[UInt8]] = []
  /// By stream: octets that are out of band and not yet passed, in no order. Few streams have any.
  var outOfBand: [Int: [Int64]] = [:]
  /// Room for deciding overlaps, and for tidying arenas.
  var scratch: [UInt8] = []
  var spare: [UInt8] = []
  var heldBytes = 0
  var pooledBytes = 0

  /// The least that is lent: a super-segment.
  static let roomBytes = 64 << 10
  /// What no window reaches (RFC 7323 section 2.3: at most 2^30 octets).
  static let reachMax: Int64 = 1 << 30

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
    // A FIN may have come that lies within a piece: at the ceiling the rest of that piece is the next one for ever.
    while position < ceiling, let piece = holds[hold].piece(after: position), piece.position < ceiling {
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
  static func stream(_ flow: UInt32, _ direction: Direction) -> Int {
    Int(flow) &* 2 &+ direction.index
  }

  func has(_ flow: UInt32) -> Bool { Int(flow) &* 2 &+ 1 < streams.count }

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
