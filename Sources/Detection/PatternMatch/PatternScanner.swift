import CSluiceVectorscan
import Traffic

/// Runs databases over bytes and collects which literals were seen; one for each worker.
///
/// Duplicates are dropped in the callback by a stamp for each literal, so a scan costs nothing to
/// clear and never allocates.
@safe
struct PatternScanner: ~Copyable {
  // SAFETY: the three tables hold `capacity` elements each, and no database scanned has more
  // literals than that (`prepare` grows them first, and `scan` refuses larger ones); they are freed
  // once, in deinit.
  private var scratch: OpaquePointer?
  private var stamps: UnsafeMutablePointer<UInt32>
  private var ends: UnsafeMutablePointer<UInt32>
  private var hits: UnsafeMutablePointer<UInt32>
  private var capacity: Int
  private var generation: UInt32 = 0
  /// Literals seen by the last scan.
  private(set) var hitCount = 0
  /// Scans that Vectorscan refused; they count as if every literal had been seen.
  private(set) var failureCount: UInt64 = 0

  init() {
    unsafe stamps = .allocate(capacity: 1)
    unsafe ends = .allocate(capacity: 1)
    unsafe hits = .allocate(capacity: 1)
    capacity = 0
  }

  deinit {
    unsafe stamps.deallocate()
    unsafe ends.deallocate()
    unsafe hits.deallocate()
    if let scratch = unsafe scratch { unsafe hs_free_scratch(scratch) }
  }

  /// Makes room for all databases of a rule set.
  mutating func prepare(_ tables: [PatternTable]) {
    var needed = capacity
    for table in tables {
      needed = max(needed, table.constraints.count)
      for part in table.parts {
        if let database = part.database { unsafe hs_alloc_scratch(database.pointer, &scratch) }
      }
    }
    guard needed > capacity else { return }
    unsafe stamps.deallocate()
    unsafe ends.deallocate()
    unsafe hits.deallocate()
    unsafe stamps = .allocate(capacity: needed)
    unsafe stamps.initialize(repeating: 0, count: needed)
    unsafe ends = .allocate(capacity: needed)
    unsafe ends.initialize(repeating: 0, count: needed)
    unsafe hits = .allocate(capacity: needed)
    unsafe hits.initialize(repeating: 0, count: needed)
    capacity = needed
    generation = 0
  }

  /// Scans `bytes[from...]` for the literals of one part of `table`.
  ///
  /// - Parameters:
  ///   - newFrom: hits that end at or before it are left out.
  ///   - offset: where the first octet of `bytes` lies in the whole buffer.
  ///   - isComplete: the buffer ends here, so a literal that must stand at its end may count.
  /// - Returns: false when the scan could not be done and every literal must be taken as seen.
  mutating func scan(
    _ table: PatternTable, part number: Int = 0, _ bytes: RawSpan, newFrom: Int = 0, offset: UInt64 = 0,
    isComplete: Bool = true
  ) -> Bool {
    hitCount = 0
    let part = table.parts[number]
    let from = newFrom &- (part.longest &- 1)
    var end = bytes.byteCount
    if part.reach != .max {
      guard offset < UInt64(part.reach) else { return true }
      end = min(end, Int(UInt64(part.reach) &- offset))
    }
    let start = min(max(from, 0), end)
    guard start < end, newFrom < end else { return true }
    guard let database = part.database, table.constraints.count <= capacity, let scratch = unsafe scratch else { return false }
    advanceGeneration()
    let length = end &- start
    // SAFETY: the context and the pointers in it outlive the scan, which ends before this returns.
    let outcome: (status: Int32, count: Int) = unsafe table.constraints.withUnsafeBufferPointer { constraints in
      guard let rawConstraints = constraints.baseAddress else { return (HS_SUCCESS, 0) }
      var context = unsafe ScanContext(
        stamps: stamps, ends: ends, hits: hits, constraints: rawConstraints, first: UInt32(part.first),
        hitCount: 0,
        generation: generation, base: offset &+ UInt64(start), bufferBase: offset,
        newFrom: UInt64(max(0, newFrom &- start)), length: UInt64(length), isComplete: isComplete)
      let status = unsafe bytes.extracting(start..<end).withUnsafeBytes { raw in
        unsafe hs_scan(
          database.pointer, raw.baseAddress?.assumingMemoryBound(to: CChar.self),
          UInt32(truncatingIfNeeded: min(length, Int(UInt32.max))), 0, scratch, noteHit, &context)
      }
      return unsafe (status, context.hitCount)
    }
    hitCount = outcome.count
    guard outcome.status == HS_SUCCESS else {
      failureCount &+= 1
      return false
    }
    return true
  }

  /// The number of a literal seen, 0 <= index < hitCount.
  func hit(_ index: Int) -> Int {
    precondition(index < hitCount)
    return unsafe Int(hits[index])
  }

  /// Where the last hit of a literal ended, octets from the start of the scanned part.
  func lastEnd(ofPattern pattern: Int) -> Int {
    precondition(pattern < capacity)
    return unsafe Int(ends[pattern])
  }

  private mutating func advanceGeneration() {
    generation &+= 1
    guard generation == 0 else { return }
    unsafe stamps.update(repeating: 0, count: capacity)
    generation = 1
  }
}

@unsafe
private struct ScanContext {
  var stamps: UnsafeMutablePointer<UInt32>
  var ends: UnsafeMutablePointer<UInt32>
  var hits: UnsafeMutablePointer<UInt32>
  var constraints: UnsafePointer<HitConstraint>
  /// What the numbers of the part's literals begin with.
  var first: UInt32
  var hitCount: Int
  var generation: UInt32
  var base: UInt64
  var bufferBase: UInt64
  var newFrom: UInt64
  var length: UInt64
  var isComplete: Bool
}

/// Vectorscan's callback: id, start (unknown), end, flags, context.
private let noteHit:
  @convention(c) (UInt32, UInt64, UInt64, UInt32, UnsafeMutableRawPointer?) -> Int32 = {
    id, _, to, _, raw in
    // SAFETY: `scan` passes its context, and ids are those given at compile time, below the count
    // of the part's literals, so that with `first` they lie below that of the table's.
    guard let context = unsafe raw?.assumingMemoryBound(to: ScanContext.self) else { return 0 }
    let id = unsafe id &+ context.pointee.first
    let pattern = Int(id)
    guard unsafe to > context.pointee.newFrom else { return 0 }
    let constraint = unsafe context.pointee.constraints[pattern]
    let end = unsafe context.pointee.base &+ to
    guard end >= UInt64(constraint.endMin), constraint.endMax == .max || end <= UInt64(constraint.endMax) else {
      return 0
    }
    if constraint.isAtEnd {
      guard unsafe to == context.pointee.length, unsafe context.pointee.isComplete else { return 0 }
    }
    unsafe context.pointee.ends[pattern] = UInt32(truncatingIfNeeded: to)
    guard unsafe context.pointee.stamps[pattern] != context.pointee.generation else { return 0 }
    unsafe context.pointee.stamps[pattern] = context.pointee.generation
    unsafe context.pointee.hits[context.pointee.hitCount] = id
    unsafe context.pointee.hitCount += 1
    return 0
  }
