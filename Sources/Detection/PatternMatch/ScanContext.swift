import CSluiceVectorscan

/// What Vectorscan's callbacks are given: where hits go, and which count.
@unsafe
struct ScanContext {
  var stamps: UnsafeMutablePointer<UInt32>
  var hits: UnsafeMutablePointer<UInt32>
  var places: UnsafeMutablePointer<LiteralPlace>
  var constraints: UnsafePointer<HitConstraint>
  /// What the numbers of the part's literals begin with.
  var first: UInt32
  var hitCount: Int
  var generation: UInt32
  /// Where what is scanned begins in the whole buffer, as positions of rules count.
  var offset: UInt64 = 0
  /// The same, as places are told.
  var base: UInt32 = 0
  /// Where what is scanned begins in what is asked for.
  var shift: UInt64 = 0
  var newFrom: UInt64 = 0
  var length: UInt64
  /// Octets of the whole buffer.
  var size: UInt32 = 0
  var isComplete = false
  var firstMember: UInt8 = 0
  var lastMember: UInt8 = 0
  /// Where positions count from as well, in what is asked for; may lie before it. `max`: nowhere.
  var restart: Int64 = .max
  /// Where the packet begins whose payload this brings. `max`: none.
  var packet: Int64 = .max
  var packetSize: UInt32 = 0
  /// The buffers of a batch, and in which of them the last hit was.
  var segments: UnsafeBufferPointer<PatternBatch.Segment>?
  var segment = 0
}

/// Vectorscan's callback: id, start (unknown), end, flags, context.
let noteHit:
  @convention(c) (UInt32, UInt64, UInt64, UInt32, UnsafeMutableRawPointer?) -> Int32 = {
    id, _, to, _, raw in
    // SAFETY: `scan` passes its context, and ids are those given at compile time, below the count
    // of the part's literals, so that with `first` they lie below that of the table's.
    guard let context = unsafe raw?.assumingMemoryBound(to: ScanContext.self) else { return 0 }
    let id = unsafe id &+ context.pointee.first
    let pattern = Int(id)
    let to = unsafe to &+ context.pointee.shift
    // First of all: some literals are seen a hundred times in a buffer of zeros.
    guard unsafe context.pointee.stamps[pattern] != context.pointee.generation else {
      guard unsafe to <= context.pointee.length else { return 0 }
      // The end of a buffer may be looked at twice, so that this need not be behind the last one.
      unsafe context.pointee.places[pattern].add(context.pointee.base &+ UInt32(truncatingIfNeeded: to))
      return 0
    }
    guard unsafe to > context.pointee.newFrom, unsafe to <= context.pointee.length else { return 0 }
    guard unsafe counts(context.pointee.constraints[pattern], to, context) else { return 0 }
    unsafe context.pointee.stamps[pattern] = context.pointee.generation
    unsafe context.pointee.hits[context.pointee.hitCount] = id
    unsafe context.pointee.places[pattern] = LiteralPlace(end: context.pointee.base &+ UInt32(truncatingIfNeeded: to))
    unsafe context.pointee.hitCount += 1
    return 0
  }

/// Whether a literal that ends there is one of those meant, and where it must be.
@inline(__always)
@unsafe
private func counts(_ constraint: HitConstraint, _ to: UInt64, _ context: UnsafeMutablePointer<ScanContext>) -> Bool {
  // SAFETY: the context is that of the scan which calls back.
  guard unsafe constraint.member >= context.pointee.firstMember, unsafe constraint.member <= context.pointee.lastMember
  else { return false }
  if constraint.isAtEnd {
    guard unsafe to == context.pointee.length, unsafe context.pointee.isComplete else { return false }
  }
  let packet = unsafe context.pointee.packet
  guard constraint.member == TableMember.packets, packet != .max else {
    guard unsafe context.pointee.size <= constraint.sizeMax else { return false }
    if unsafe constraint.allows(context.pointee.offset &+ to) { return true }
    let restart = unsafe context.pointee.restart
    return Int64(to) > restart && constraint.allows(UInt64(Int64(to) &- restart))
  }
  // The packet may begin behind what is scanned first, never before it.
  let end = Int64(to) &- packet
  return unsafe end >= Int64(constraint.length) && context.pointee.packetSize <= constraint.sizeMax
    && constraint.allows(UInt64(end))
}

/// The callback for a batch: a hit counts that lies in one buffer, whose literal it is.
let noteHitInBatch:
  @convention(c) (UInt32, UInt64, UInt64, UInt32, UnsafeMutableRawPointer?) -> Int32 = {
    id, _, to, _, raw in
    // SAFETY: as in ``noteHit``; segments are looked at by indices below their count.
    guard let context = unsafe raw?.assumingMemoryBound(to: ScanContext.self) else { return 0 }
    let id = unsafe id &+ context.pointee.first
    let pattern = Int(id)
    guard unsafe context.pointee.stamps[pattern] != context.pointee.generation else { return 0 }
    let to = unsafe to &+ context.pointee.shift
    guard let segments = unsafe context.pointee.segments else { return 0 }
    var number = unsafe context.pointee.segment
    // Ends come in ascending order, but for an end that is looked at twice.
    if unsafe to <= UInt64(segments[number].start) { number = 0 }
    while number < segments.count, unsafe to > UInt64(segments[number].end) { number &+= 1 }
    guard number < segments.count else { return 0 }
    unsafe context.pointee.segment = number
    let segment = unsafe segments[number]
    let constraint = unsafe context.pointee.constraints[pattern]
    guard constraint.member == segment.member, to >= UInt64(segment.start) &+ UInt64(constraint.length),
      segment.end &- segment.start <= constraint.sizeMax,
      constraint.allows(segment.offset &+ to &- UInt64(segment.start))
    else { return 0 }
    if constraint.isAtEnd {
      guard to == UInt64(segment.end), segment.isComplete else { return 0 }
    }
    unsafe context.pointee.stamps[pattern] = context.pointee.generation
    unsafe context.pointee.hits[context.pointee.hitCount] = id
    unsafe context.pointee.hitCount += 1
    return 0
  }
