import Traffic

/// Literals that count in one place of a buffer, or in a few next to each other, found by looking there.
///
/// A scan would tell of each occurrence anywhere near: two zero octets, wanted at offset 2 alone, are seen
/// hundreds of times in a binary packet (measured: up to 140 callbacks a scan), and each is a call.
final class FixedLiterals: Sendable {
  /// Places of one literal, at most; with more it is scanned for.
  static let placesMax: UInt32 = 4
  /// The last place that is looked at.
  static let positionMax: UInt32 = 511

  /// One place in the buffer and the literals that may begin there. There are hundreds, looked at for each packet: small,
  /// so that they stay in the processor's nearest cache.
  private struct Place: Sendable, BitwiseCopyable {
    /// A bit for each octet that a literal here begins with, in either case, by its lower six bits.
    var begins: UInt64 = 0
    /// Its first entry; the last is the one before the next place's.
    var first: UInt32
    var position: UInt16
    /// Which of ``buckets`` it has, from 1; 0 where its entries are few.
    var buckets: UInt16 = 0
  }

  /// The entries of one place by the first two octets of their literals, in either case: hundreds may begin with a stream.
  private struct Buckets: Sendable {
    /// Where the entries of each begin, and where the last one's end; before the first stand literals of one octet.
    var starts: [UInt32]

    static let countMask: UInt64 = 1023
    /// As many entries are compared one by one as soon as they are looked for.
    static let entriesMin = 8

    /// - Parameter word: what a literal begins with, as of an ``Entry``.
    static func number(_ word: UInt64) -> Int {
      let folded = word >> 48 | 0x2020
      return Int(truncatingIfNeeded: (folded >> 6 ^ folded) & countMask)
    }

    /// Where literals of one octet end, and the entries of one number.
    func bounds(_ number: Int) -> (single: Int, first: Int, end: Int) {
      (Int(starts[0]), Int(starts[number]), Int(starts[number &+ 1]))
    }
  }

  /// The first eight octets of a literal, or all of a shorter one, as one number.
  private struct Entry: Sendable, BitwiseCopyable {
    var key: UInt64
    /// Ones where the literal has octets.
    var mask: UInt64
    /// Bit 5 of letters that may stand in either case.
    var fold: UInt64
    /// Index within the part.
    var pattern: UInt32
    var length: UInt32
  }

  /// By member, then by position.
  private let places: [Place]
  /// Where the places of each member begin, and where the last one's end.
  private let starts: [UInt32]
  private let entries: [Entry]
  private let buckets: [Buckets]
  private let patterns: [FastPattern]

  /// Whether the literal is to be found here.
  static func takes(_ pattern: FastPattern) -> Bool {
    let constraint = pattern.constraint
    let length = UInt32(clamping: pattern.bytes.count)
    guard length > 0, constraint.endMax <= positionMax, !constraint.isAtEnd else { return false }
    let first = max(constraint.endMin, length)
    return constraint.endMax < first || constraint.endMax &- first < placesMax
  }

  /// - Precondition: ``takes(_:)`` holds for each of them.
  init(_ patterns: [FastPattern]) {
    // Their octets are copied: those of a plan lie in memory that is to be given back.
    self.patterns = patterns.map { pattern in
      FastPattern(
        bytes: pattern.bytes.copied(), isCaseInsensitive: pattern.isCaseInsensitive, constraint: pattern.constraint)
    }
    var found: [UInt64: [Int]] = [:]
    for (index, pattern) in patterns.enumerated() {
      let length = UInt32(clamping: pattern.bytes.count)
      let first = max(pattern.constraint.endMin, length)
      // One that has no room in its place is never seen.
      guard pattern.constraint.endMax >= first else { continue }
      for end in first...pattern.constraint.endMax {
        found[UInt64(pattern.constraint.member) << 32 | UInt64(end &- length), default: []].append(index)
      }
    }
    var places: [Place] = []
    var starts: [UInt32] = []
    var entries: [Entry] = []
    var buckets: [Buckets] = []
    for (key, indices) in found.sorted(by: { $0.key < $1.key }) {
      var place = Place(
        first: UInt32(clamping: entries.count), position: UInt16(truncatingIfNeeded: key))
      let own = indices.map { Self.entry(patterns[$0], $0) }
      if own.count >= Buckets.entriesMin, buckets.count < Int(UInt16.max) {
        buckets.append(Self.fill(own, into: &entries))
        place.buckets = UInt16(clamping: buckets.count)
      } else {
        entries += own
      }
      for index in indices {
        let pattern = patterns[index]
        guard let first = pattern.bytes.first else { continue }
        for octet in pattern.isCaseInsensitive ? [first, ByteSearch.upper(first)] : [first] {
          place.begins |= 1 << UInt64(octet & 63)
        }
      }
      while starts.count <= Int(key >> 32) { starts.append(UInt32(clamping: places.count)) }
      places.append(place)
    }
    // One behind the last, for where its entries end.
    self.places = places + [Place(first: UInt32(clamping: entries.count), position: .max)]
    self.starts = starts + [UInt32(clamping: places.count)]
    self.entries = entries
    self.buckets = buckets
  }

  /// Adds the entries of one place by their first two octets.
  private static func fill(_ own: [Entry], into entries: inout [Entry]) -> Buckets {
    let first = UInt32(clamping: entries.count)
    let single = own.filter { $0.length == 1 }
    var byNumber = [[Entry]](repeating: [], count: Int(Buckets.countMask) + 1)
    for entry in own where entry.length > 1 { byNumber[Buckets.number(entry.key)].append(entry) }
    entries += single
    var starts = [first &+ UInt32(clamping: single.count)]
    for some in byNumber {
      entries += some
      starts.append(UInt32(clamping: entries.count))
    }
    return Buckets(starts: starts)
  }

  private static func entry(_ pattern: FastPattern, _ index: Int) -> Entry {
    var entry = Entry(
      key: 0, mask: 0, fold: 0, pattern: UInt32(clamping: index), length: UInt32(clamping: pattern.bytes.count))
    for (place, octet) in pattern.bytes.prefix(8).enumerated() {
      let shift = UInt64(56 &- 8 &* place)
      entry.key |= UInt64(octet) << shift
      entry.mask |= 0xff << shift
      if pattern.isCaseInsensitive, ByteSearch.upper(octet) != octet { entry.fold |= 0x20 << shift }
    }
    return entry
  }

  /// Tells of each literal that stands where it must.
  ///
  /// - Parameters:
  ///   - offset: where the first octet of `bytes` lies in the whole buffer.
  ///   - members: of those that share the table.
  ///   - note: given the index of the literal and where it ends in `bytes`.
  @inline(__always)
  func find(in bytes: RawSpan, offset: UInt64, members: ClosedRange<UInt8>, _ note: (Int, Int) -> Void) {
    var member = Int(members.lowerBound)
    let end = min(Int(members.upperBound) &+ 1, starts.count &- 1)
    while member < end {
      find(in: bytes, offset: offset, ofMember: member, note)
      member &+= 1
    }
  }

  @inline(__always)
  private func find(in bytes: RawSpan, offset: UInt64, ofMember member: Int, _ note: (Int, Int) -> Void) {
    let allPlaces = places
    let places = allPlaces.span
    let count = bytes.byteCount
    let last = Int(starts[member &+ 1])
    var next = offset == 0 ? Int(starts[member]) : firstPlace(from: offset, Int(starts[member]), last)
    let end = firstPlace(from: offset &+ UInt64(count), next, last)
    // Nearly no octet is one that a literal begins with: four are asked about at once.
    while next &+ 4 <= end {
      // SAFETY: `next` and the three behind it lie below `end`, whose places were seen to lie within `bytes`.
      let found = unsafe Self.mayBegin(places[unchecked: next], bytes, offset)
        | Self.mayBegin(places[unchecked: next &+ 1], bytes, offset)
        | Self.mayBegin(places[unchecked: next &+ 2], bytes, offset)
        | Self.mayBegin(places[unchecked: next &+ 3], bytes, offset)
      if found & 1 != 0 {
        for each in next..<next &+ 4 { look(each, in: bytes, offset, note) }
      }
      next &+= 4
    }
    while next < end {
      look(next, in: bytes, offset, note)
      next &+= 1
    }
  }

  /// The first of the places in `low..<high`, which ascend, that lies at `position` or behind it.
  private func firstPlace(from position: UInt64, _ low: Int, _ high: Int) -> Int {
    if position > UInt64(Self.positionMax) { return high }
    var (low, high) = (low, high)
    while low < high {
      let middle = (low &+ high) / 2
      if UInt64(places[middle].position) < position { low = middle &+ 1 } else { high = middle }
    }
    return low
  }

  /// In the lowest bit, whether a literal may begin there.
  /// - Precondition: the place lies within `bytes`.
  @inline(__always)
  @unsafe
  private static func mayBegin(_ place: Place, _ bytes: RawSpan, _ offset: UInt64) -> UInt64 {
    let at = Int(truncatingIfNeeded: UInt64(place.position) &- offset)
    // SAFETY: as the caller says.
    return place.begins &>> UInt64(unsafe bytes.unsafeLoad(fromUncheckedByteOffset: at, as: UInt8.self))
  }

  /// Compares what stands at a place with the literals that may begin there.
  private func look(_ number: Int, in bytes: RawSpan, _ offset: UInt64, _ note: (Int, Int) -> Void) {
    let place = places[number]
    let at = Int(UInt64(place.position) &- offset)
    guard at < bytes.byteCount, place.begins & 1 << UInt64(bytes.u8(at: at) & 63) != 0 else { return }
    let word = Self.word(bytes, at)
    guard place.buckets > 0 else {
      return compare(Int(place.first)..<Int(places[number &+ 1].first), word, in: bytes, at, note)
    }
    let bucket = Buckets.number(word)
    let (single, some, end) = buckets[Int(place.buckets) &- 1].bounds(bucket)
    compare(Int(place.first)..<single, word, in: bytes, at, note)
    compare(some..<end, word, in: bytes, at, note)
  }

  @inline(__always)
  private func compare(_ range: Range<Int>, _ word: UInt64, in bytes: RawSpan, _ at: Int, _ note: (Int, Int) -> Void) {
    let count = bytes.byteCount
    for index in range {
      let entry = entries[index]
      guard (word | entry.fold) & entry.mask == entry.key, at &+ Int(entry.length) <= count else { continue }
      if entry.length > 8, !isWhole(Int(entry.pattern), bytes, at) { continue }
      note(Int(entry.pattern), at &+ Int(entry.length))
    }
  }

  /// Eight octets as a number, zeros for those beyond the end.
  @inline(__always)
  private static func word(_ bytes: RawSpan, _ at: Int) -> UInt64 {
    if at &+ 8 <= bytes.byteCount { return UInt64(bytes.u32(at: at)) << 32 | UInt64(bytes.u32(at: at &+ 4)) }
    var word: UInt64 = 0
    var shift: UInt64 = 56
    for place in at..<bytes.byteCount {
      word |= UInt64(bytes.u8(at: place)) << shift
      shift &-= 8
    }
    return word
  }

  private func isWhole(_ index: Int, _ bytes: RawSpan, _ at: Int) -> Bool {
    let literal = patterns[index].bytes
    return ByteSearch.matches(
      literal.rawSpan, in: bytes, at: at, ignoringCase: patterns[index].isCaseInsensitive)
  }
}
