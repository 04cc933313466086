import CSluiceVectorscan
import Traffic

/// Runs databases over bytes and collects which literals were seen; one for each worker.
///
/// Duplicates are dropped in the callback by a stamp for each literal, so a scan costs nothing to
/// clear and never allocates.
///
/// Vectorscan 5.4.9 overlooks literals that end in the last octets of what it is given when there are few of
/// them and AVX-512 is used, depending on the address (measured: 1.9 % of those in the last 32 octets
/// with two literals, none with six; docs/decisions/pattern-library.md). So small databases are given more
/// octets than are to be scanned, and hits beyond those are left out.
@safe
struct PatternScanner: ~Copyable {
  // SAFETY: `padded` holds `paddedCapacity` octets; the three tables hold `capacity` elements each, and no database scanned has more
  // literals than that (`prepare` grows them first, and `scan` refuses larger ones); they are freed
  // once, in deinit.
  private var scratch: OpaquePointer?
  private var stamps: UnsafeMutablePointer<UInt32>
  private var hits: UnsafeMutablePointer<UInt32>
  /// By literal, of those seen.
  private var places: UnsafeMutablePointer<LiteralPlace>
  private var capacity: Int
  /// Where what ends too soon is copied to, with octets behind it.
  private var padded: UnsafeMutableRawPointer
  private var paddedCapacity: Int
  private var generation: UInt32 = 0
  /// Literals seen by the last scan.
  private(set) var hitCount = 0

  init() {
    unsafe stamps = .allocate(capacity: 1)
    unsafe hits = .allocate(capacity: 1)
    unsafe places = .allocate(capacity: 1)
    capacity = 0
    paddedCapacity = Self.copiedMax + Self.paddingCount
    unsafe padded = .allocate(byteCount: paddedCapacity, alignment: 64)
  }

  deinit {
    unsafe stamps.deallocate()
    unsafe hits.deallocate()
    unsafe places.deallocate()
    unsafe padded.deallocate()
    if let scratch = unsafe scratch { unsafe hs_free_scratch(scratch) }
  }

  /// Makes room for all databases of a rule set.
  mutating func prepare(_ tables: [PatternTable]) {
    var needed = capacity
    for table in tables {
      needed = max(needed, table.constraints.count)
      growPadded(Self.tailCount(table.longest) + Self.paddingCount)
      for part in table.parts {
        if let database = part.database { unsafe hs_alloc_scratch(database.pointer, &scratch) }
      }
    }
    guard needed > capacity else { return }
    unsafe stamps.deallocate()
    unsafe hits.deallocate()
    unsafe places.deallocate()
    unsafe stamps = .allocate(capacity: needed)
    unsafe stamps.initialize(repeating: 0, count: needed)
    unsafe hits = .allocate(capacity: needed)
    unsafe hits.initialize(repeating: 0, count: needed)
    unsafe places = .allocate(capacity: needed)
    unsafe places.initialize(repeating: .unknown, count: needed)
    capacity = needed
    generation = 0
  }

  /// Scans `bytes[from...]` for the literals of one part of `table`.
  ///
  /// - Parameters:
  ///   - newFrom: hits that end at or before it are left out.
  ///   - offset: where the first octet of `bytes` lies in the whole buffer.
  ///   - restartsAt: from here on, too, the positions of rules count; nil where they count from the start alone.
  ///   - isComplete: the buffer ends here, so a literal that must stand at its end may count.
  ///   - members: which of those that share the table are meant.
  ///   - packetFrom: where the packet begins whose payload the rest of `bytes` is; literals of
  ///     ``TableMember/packets`` count in it, and from there. nil in other tables, and where those are not meant.
  /// - Returns: false when the scan could not be done and every literal must be taken as seen.
  mutating func scan(
    _ table: PatternTable, part number: Int = 0, _ bytes: RawSpan, newFrom: Int = 0, offset: UInt64 = 0,
    restartsAt: Int? = nil, isComplete: Bool = true, members: ClosedRange<UInt8> = 0...0, packetFrom: Int? = nil
  ) -> Bool {
    hitCount = 0
    let part = table.parts[number]
    guard part.members.overlaps(members) else { return true }
    guard let packetFrom, part.isOnPacketsAlone else {
      return scan(
        table, part, bytes, newFrom: newFrom, offset: offset, base: offset, restartsAt: restartsAt, isComplete: isComplete,
        members: members, packetFrom: packetFrom)
    }
    return scan(
      table, part, bytes.extracting(packetFrom...), newFrom: 0, offset: 0, base: offset &+ UInt64(packetFrom),
      restartsAt: nil, isComplete: isComplete, members: members, packetFrom: nil)
  }

  /// - Parameter base: where the first octet of `bytes` lies as ``place(_:)`` counts.
  private mutating func scan(
    _ table: PatternTable, _ part: PatternPart, _ bytes: RawSpan, newFrom: Int, offset: UInt64, base: UInt64,
    restartsAt: Int?, isComplete: Bool, members: ClosedRange<UInt8>, packetFrom: Int?
  ) -> Bool {
    if part.sizeMax != .max, bytes.byteCount &- (packetFrom ?? 0) > Int(part.sizeMax) { return true }
    if let fixed = part.fixed {
      guard table.constraints.count <= capacity else { return false }
      advanceGeneration()
      findFixed(
        fixed, table, part.first, bytes, newFrom: newFrom, offset: offset, base: base, restartsAt: restartsAt,
        members: members, packetFrom: packetFrom)
      return true
    }
    if let ending = part.ending {
      guard table.constraints.count <= capacity else { return false }
      guard isComplete, newFrom < bytes.byteCount else { return true }
      advanceGeneration()
      for member in members { findEnding(ending, table, part.first, bytes, offset: offset, base: base, member: member) }
      return true
    }
    let from = newFrom &- (part.longest &- 1)
    var end = bytes.byteCount
    if part.reach != .max {
      // Both sums stay far below the end of Int: a window is no longer than one, and a reach is of 32 bits.
      let reached = offset < UInt64(part.reach) ? Int(UInt64(part.reach) &- offset) : 0
      let restarted = (packetFrom ?? restartsAt).map { $0 &+ Int(part.reach) } ?? 0
      guard max(reached, restarted) > 0 else { return true }
      end = min(end, max(reached, restarted))
    }
    let start = min(max(from, 0), end)
    guard start < end, newFrom < end else { return true }
    guard let database = part.database, table.constraints.count <= capacity, let scratch = unsafe scratch else { return false }
    advanceGeneration()
    // SAFETY: the context and the pointers in it outlive the scans, which end before this returns.
    let outcome: (status: Int32, count: Int) = unsafe table.constraints.withUnsafeBufferPointer { constraints in
      guard let rawConstraints = constraints.baseAddress else { return (HS_SUCCESS, 0) }
      var context = unsafe ScanContext(
        stamps: stamps, hits: hits, places: places, constraints: rawConstraints, first: UInt32(part.first),
        hitCount: 0, generation: generation, offset: offset &+ UInt64(start),
        base: UInt32(truncatingIfNeeded: base &+ UInt64(start)), shift: 0,
        newFrom: UInt64(max(0, newFrom &- start)), length: UInt64(end &- start),
        size: UInt32(clamping: bytes.byteCount), isComplete: isComplete,
        firstMember: members.lowerBound, lastMember: members.upperBound,
        restart: restartsAt.map { Int64($0 &- start) } ?? .max,
        packet: packetFrom.map { Int64($0 &- start) } ?? .max,
        packetSize: UInt32(clamping: bytes.byteCount &- (packetFrom ?? 0)))
      let status = unsafe run(database, part, bytes, start..<end, scratch, &context, noteHit)
      return unsafe (status, context.hitCount)
    }
    return conclude(outcome)
  }

  private mutating func conclude(_ outcome: (status: Int32, count: Int)) -> Bool {
    hitCount = outcome.count
    return outcome.status == HS_SUCCESS
  }

  /// Scans several buffers at once, each for its own literals of the table that they share; ``place(_:)`` tells nothing then.
  ///
  /// - Returns: false when the scan could not be done and every literal must be taken as seen.
  mutating func scan(_ table: PatternTable, part number: Int, _ batch: borrowing PatternBatch) -> Bool {
    hitCount = 0
    let part = table.parts[number]
    guard table.constraints.count <= capacity else { return false }
    advanceGeneration()
    let all = batch.bytes
    if let fixed = part.fixed {
      for segment in batch.segments {
        findFixed(
          fixed, table, part.first, all.rawSpan.extracting(Int(segment.start)..<Int(segment.end)), newFrom: 0,
          offset: segment.offset, base: segment.offset, members: segment.member...segment.member)
      }
      return true
    }
    if let ending = part.ending {
      for segment in batch.segments where segment.isComplete {
        findEnding(
          ending, table, part.first, all.rawSpan.extracting(Int(segment.start)..<Int(segment.end)), offset: segment.offset,
          base: segment.offset, member: segment.member)
      }
      return true
    }
    guard let database = part.database, let scratch = unsafe scratch else { return false }
    // SAFETY: as above, and the segments outlive the scan.
    let outcome: (status: Int32, count: Int) = unsafe table.constraints.withUnsafeBufferPointer { constraints in
      unsafe batch.segments.withUnsafeBufferPointer { segments in
        guard let rawConstraints = constraints.baseAddress else { return (HS_SUCCESS, 0) }
        var context = unsafe ScanContext(
          stamps: stamps, hits: hits, places: places, constraints: rawConstraints,
          first: UInt32(part.first), hitCount: 0, generation: generation, length: UInt64(all.count), segments: segments)
        let status = unsafe run(
          database, part, all.rawSpan, 0..<all.count, scratch, &context, noteHitInBatch)
        return unsafe (status, context.hitCount)
      }
    }
    return conclude(outcome)
  }

  /// Adds a literal to what was seen.
  ///
  /// - Precondition: the literal is one of a table that has `capacity` of them at most.
  mutating func note(_ pattern: Int, _ place: UInt32) {
    // SAFETY: `pattern` is below `capacity`, as the caller has seen; each is noted once.
    guard unsafe stamps[pattern] != generation else {
      // Places count from two starts, so that they do not ascend.
      unsafe places[pattern].add(place)
      return
    }
    unsafe stamps[pattern] = generation
    unsafe hits[hitCount] = UInt32(truncatingIfNeeded: pattern)
    unsafe places[pattern] = LiteralPlace(end: place)
    hitCount &+= 1
  }

  /// Databases of more literals do not overlook any; of one there is another matcher.
  private static let paddedCountMax = 128
  /// Octets behind the end: one vector of AVX-512.
  private static let paddingCount = 64
  /// So much is copied as a whole; of more, the end alone is looked at twice.
  private static let copiedMax = 4096

  /// Octets at the end in which every literal lies whole that may have been overlooked.
  private static func tailCount(_ longest: Int) -> Int { max(1, longest) + paddingCount }

  private mutating func growPadded(_ needed: Int) {
    guard needed > paddedCapacity else { return }
    unsafe padded.deallocate()
    paddedCapacity = needed
    unsafe padded = .allocate(byteCount: needed, alignment: 64)
  }

  private func run(
    _ database: PatternDatabase, _ part: PatternPart, _ bytes: RawSpan, _ range: Range<Int>,
    _ scratch: OpaquePointer, _ context: inout ScanContext, _ note: match_event_handler
  ) -> Int32 {
    guard part.count > 1, part.count <= Self.paddedCountMax else {
      return unsafe Self.scan(database, bytes.extracting(range), scratch, &context, note)
    }
    // What follows in the buffer will do.
    if bytes.byteCount - range.upperBound >= Self.paddingCount {
      let longer = bytes.extracting(range.lowerBound..<range.upperBound &+ Self.paddingCount)
      return unsafe Self.scan(database, longer, scratch, &context, note)
    }
    guard range.count > Self.copiedMax else {
      return unsafe scanCopy(database, bytes.extracting(range), scratch, &context, note)
    }
    let status = unsafe Self.scan(database, bytes.extracting(range), scratch, &context, note)
    guard status == HS_SUCCESS else { return status }
    let tail = min(range.count, Self.tailCount(part.longest))
    unsafe context.shift = UInt64(range.count &- tail)
    return unsafe scanCopy(
      database, bytes.extracting(range.upperBound &- tail..<range.upperBound), scratch, &context, note)
  }

  /// - Precondition: `bytes` with the padding fit `padded`, or they are scanned where they are.
  private func scanCopy(
    _ database: PatternDatabase, _ bytes: RawSpan, _ scratch: OpaquePointer, _ context: inout ScanContext,
    _ note: match_event_handler
  ) -> Int32 {
    let count = bytes.byteCount
    guard count &+ Self.paddingCount <= paddedCapacity else {
      return unsafe Self.scan(database, bytes, scratch, &context, note)
    }
    // SAFETY: the guard has seen that both fit.
    unsafe bytes.withUnsafeBytes { raw in
      if let base = raw.baseAddress { unsafe padded.copyMemory(from: base, byteCount: count) }
    }
    unsafe padded.advanced(by: count).initializeMemory(as: UInt8.self, repeating: 0, count: Self.paddingCount)
    let copy = unsafe UnsafeRawBufferPointer(start: padded, count: count &+ Self.paddingCount)
    return unsafe Self.scan(database, copy.bytes, scratch, &context, note)
  }

  private static func scan(
    _ database: PatternDatabase, _ bytes: RawSpan, _ scratch: OpaquePointer, _ context: inout ScanContext,
    _ note: match_event_handler
  ) -> Int32 {
    unsafe bytes.withUnsafeBytes { raw in
      unsafe hs_scan(
        database.pointer, raw.baseAddress?.assumingMemoryBound(to: CChar.self),
        UInt32(truncatingIfNeeded: min(raw.count, Int(UInt32.max))), 0, scratch, note, &context)
    }
  }

  /// The number of a literal seen, 0 <= index < hitCount.
  func hit(_ index: Int) -> Int {
    precondition(index < hitCount)
    return unsafe Int(hits[index])
  }

  /// Where in the whole buffer a literal seen ends for the first time and for the last, as far as it counts there; it may
  /// count in none after the first.
  func place(_ index: Int) -> LiteralPlace {
    unsafe places[hit(index)]
  }

  private mutating func advanceGeneration() {
    generation &+= 1
    guard generation == 0 else { return }
    unsafe stamps.update(repeating: 0, count: capacity)
    generation = 1
  }
}
