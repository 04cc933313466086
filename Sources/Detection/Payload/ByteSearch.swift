import Glibc
import Traffic

// SAFETY: every pointer comes from `withUnsafeBytes` of a span and is used inside its closure. A literal
// is looked at only at positions where all of it lies before `to` (`last` below), its anchors lie inside
// it, and each load of sixteen octets, or search for an anchor, begins at such a position and ends at or before the last
// of them plus the anchor, hence inside the bytes.

/// Finds a literal in bytes.
enum ByteSearch {
  /// The first position in `from..<to` at which all of `literal` stands before `to`.
  ///
  /// - Parameters:
  ///   - literal: lower case where `ignoringCase`.
  ///   - anchors: two places in the literal whose octets are rare; the first and the last by default.
  /// - Complexity: O(n) where the anchors tell; O(n·m) at worst.
  static func find(
    _ literal: RawSpan, in bytes: RawSpan, from: Int, to: Int, ignoringCase: Bool,
    anchors: LiteralAnchors? = nil
  ) -> Int? {
    let count = literal.byteCount
    guard from >= 0, to <= bytes.byteCount, from <= to, count > 0, to - from >= count else { return nil }
    let anchors = anchors ?? LiteralAnchors(first: 0, second: UInt8(clamping: count - 1))
    guard Int(anchors.first) < count, Int(anchors.second) < count else { return nil }
    return unsafe bytes.withUnsafeBytes { haystack -> Int? in
      unsafe literal.withUnsafeBytes { needle -> Int? in
        unsafe search(needle, in: haystack, from: from, last: to - count, anchors, ignoringCase)
      }
    }
  }

  /// `literal` stands at `position`.
  static func matches(_ literal: RawSpan, in bytes: RawSpan, at position: Int, ignoringCase: Bool) -> Bool {
    guard position >= 0, position <= bytes.byteCount - literal.byteCount else { return false }
    for index in 0..<literal.byteCount {
      let byte = bytes.u8(at: position &+ index)
      if (ignoringCase ? lower(byte) : byte) != literal.u8(at: index) { return false }
    }
    return true
  }

  /// Fewer positions are not worth a call of the C library.
  private static let rareSearchMin = 256
  /// Octets that an anchor must lie apart on average, or both are looked for together.
  private static let rareGapMin = 128

  private static func search(
    _ needle: UnsafeRawBufferPointer, in haystack: UnsafeRawBufferPointer, from: Int, last: Int,
    _ anchors: LiteralAnchors, _ ignoringCase: Bool
  ) -> Int? {
    var from = from
    if last &- from >= rareSearchMin, let anchor = unsafe caselessAnchor(needle, anchors, ignoringCase) {
      switch unsafe searchRare(needle, haystack, &from, last, anchor, ignoringCase) {
      case .found(let place): return place
      case .missing: return nil
      case .frequent: break
      }
    }
    return unsafe searchPairs(needle, haystack, from, last, anchors, ignoringCase)
  }

  /// An anchor that is one octet and not a letter in either case.
  private static func caselessAnchor(
    _ needle: UnsafeRawBufferPointer, _ anchors: LiteralAnchors, _ ignoringCase: Bool
  ) -> Int? {
    guard ignoringCase else { return Int(anchors.first) }
    if unsafe !isLower(needle[Int(anchors.first)]) { return Int(anchors.first) }
    return unsafe isLower(needle[Int(anchors.second)]) ? nil : Int(anchors.second)
  }

  private enum RareSearch {
    case found(Int)
    case missing
    /// The anchor turns out to be frequent: the rest is to be searched in another way.
    case frequent
  }

  /// Looks for one anchor with `memchr`, which the C library has for the widest vectors of the processor: five times as
  /// fast as looking for two where the anchor is rare.
  ///
  /// - Parameter from: moved on to where another search must go on.
  private static func searchRare(
    _ needle: UnsafeRawBufferPointer, _ haystack: UnsafeRawBufferPointer, _ from: inout Int, _ last: Int, _ anchor: Int,
    _ ignoringCase: Bool
  ) -> RareSearch {
    guard let base = haystack.baseAddress else { return .missing }
    let start = from
    let octet = unsafe Int32(needle[anchor])
    var hits = 0
    while from <= last {
      guard let found = unsafe memchr(base + (from &+ anchor), octet, last &- from &+ 1) else { return .missing }
      let place = unsafe base.distance(to: UnsafeRawPointer(found)) &- anchor
      if unsafe isEqual(needle, haystack, place, ignoringCase) { return .found(place) }
      from = place &+ 1
      hits &+= 1
      if hits &* rareGapMin > from &- start &+ 8 &* rareGapMin { return .frequent }
    }
    return .missing
  }

  /// Looks at sixteen positions at a time for those where both anchors are right.
  private static func searchPairs(
    _ needle: UnsafeRawBufferPointer, _ haystack: UnsafeRawBufferPointer, _ from: Int, _ last: Int,
    _ anchors: LiteralAnchors, _ ignoringCase: Bool
  ) -> Int? {
    guard let base = haystack.baseAddress else { return nil }
    let first = Int(anchors.first)
    let second = Int(anchors.second)
    let wanted = unsafe (needle[first], needle[second])
    // Bit 5 tells the cases of a letter apart; of other octets it is a part.
    let firstFold = SIMD16<UInt8>(repeating: ignoringCase && isLower(wanted.0) ? 0x20 : 0)
    let secondFold = SIMD16<UInt8>(repeating: ignoringCase && isLower(wanted.1) ? 0x20 : 0)
    let firsts = SIMD16<UInt8>(repeating: wanted.0)
    let seconds = SIMD16<UInt8>(repeating: wanted.1)
    var position = from
    while position &+ 63 <= last {
      var any = SIMD2<UInt64>()
      for step in 0..<4 {
        let place = unsafe base + (position &+ step &* 16)
        any |= unsafe candidates(place, first, second, firsts, seconds, firstFold, secondFold)
      }
      if any[0] | any[1] != 0 {
        for step in 0..<4 {
          let place = position &+ step &* 16
          let lanes = unsafe candidates(base + place, first, second, firsts, seconds, firstFold, secondFold)
          if let hit = unsafe check(lanes, needle, haystack, place, ignoringCase) { return hit }
        }
      }
      position &+= 64
    }
    while position &+ 15 <= last {
      let lanes = unsafe candidates(
        base + position, first, second, firsts, seconds, firstFold, secondFold)
      if let hit = unsafe check(lanes, needle, haystack, position, ignoringCase) { return hit }
      position &+= 16
    }
    while position <= last {
      if unsafe isEqual(needle, haystack, position, ignoringCase) { return position }
      position &+= 1
    }
    return nil
  }

  /// An octet of ones for each of the sixteen positions from `place` at which both anchors are right.
  @inline(__always)
  private static func candidates(
    _ place: UnsafeRawPointer, _ first: Int, _ second: Int, _ firsts: SIMD16<UInt8>,
    _ seconds: SIMD16<UInt8>, _ firstFold: SIMD16<UInt8>, _ secondFold: SIMD16<UInt8>
  ) -> SIMD2<UInt64> {
    let heads = unsafe place.loadUnaligned(fromByteOffset: first, as: SIMD16<UInt8>.self)
    let tails = unsafe place.loadUnaligned(fromByteOffset: second, as: SIMD16<UInt8>.self)
    let hits = ((heads | firstFold) .== firsts) .& ((tails | secondFold) .== seconds)
    return unsafe unsafeBitCast(hits, to: SIMD2<UInt64>.self)
  }

  @inline(__always)
  private static func check(
    _ lanes: SIMD2<UInt64>, _ needle: UnsafeRawBufferPointer, _ haystack: UnsafeRawBufferPointer,
    _ position: Int, _ ignoringCase: Bool
  ) -> Int? {
    for half in 0..<2 {
      var bits = lanes[half]
      while bits != 0 {
        let lane = bits.trailingZeroBitCount >> 3
        let place = position &+ half &* 8 &+ lane
        if unsafe isEqual(needle, haystack, place, ignoringCase) { return place }
        bits &= ~(0xff << UInt64(lane &* 8))
      }
    }
    return nil
  }

  @inline(__always)
  private static func isEqual(
    _ needle: UnsafeRawBufferPointer, _ haystack: UnsafeRawBufferPointer, _ position: Int,
    _ ignoringCase: Bool
  ) -> Bool {
    let count = needle.count
    var index = 0
    if ignoringCase {
      while unsafe index < count && lower(haystack[position &+ index]) == needle[index] { index &+= 1 }
    } else {
      while unsafe index < count && haystack[position &+ index] == needle[index] { index &+= 1 }
    }
    return index == count
  }

  @inline(__always)
  private static func isLower(_ byte: UInt8) -> Bool { byte &- 0x61 < 26 }

  @inline(__always)
  static func lower(_ byte: UInt8) -> UInt8 {
    byte &- 0x41 < 26 ? byte | 0x20 : byte
  }

  /// - Returns: the octet itself where it is no letter.
  static func upper(_ byte: UInt8) -> UInt8 { isLower(byte) ? byte & ~0x20 : byte }
}

/// Two places in a literal whose octets are the rarest in traffic, so that few positions need a closer look.
struct LiteralAnchors: Sendable, BitwiseCopyable {
  var first: UInt8
  var second: UInt8

  init(first: UInt8, second: UInt8) {
    self.first = first
    self.second = second
  }

  init(_ literal: [UInt8]) {
    self.init(first: 0, second: 0)
    // Loops, since each content of each rule comes here.
    let count = min(literal.count, 256)
    guard count > 0 else { return }
    var rarest = 0
    var known = -1
    for place in 0..<count {
      let rarity = Self.rarity(literal[place])
      if rarity > known { (rarest, known) = (place, rarity) }
    }
    let octet = literal[rarest]
    var next = -1
    known = -1
    for place in 0..<count where literal[place] != octet {
      let rarity = Self.rarity(literal[place])
      if rarity > known { (next, known) = (place, rarity) }
    }
    if next < 0 { next = rarest == count - 1 ? max(0, count - 2) : count - 1 }
    first = UInt8(truncatingIfNeeded: rarest)
    second = UInt8(truncatingIfNeeded: next)
  }

  /// How seldom an octet is met in text and in binary data, 0…3.
  static func rarity(_ byte: UInt8) -> Int {
    switch byte {
    case 0, 0x20, UInt8(ascii: "a"), UInt8(ascii: "e"), UInt8(ascii: "i"), UInt8(ascii: "n"),
      UInt8(ascii: "o"), UInt8(ascii: "r"), UInt8(ascii: "s"), UInt8(ascii: "t"):
      0
    case 0x61...0x7a, 0x30...0x32, 0x0a, 0x0d, 0xff, UInt8(ascii: "/"), UInt8(ascii: "."),
      UInt8(ascii: "="), UInt8(ascii: "\""), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "-"),
      UInt8(ascii: ":"):
      1
    case 0x21...0x7e, 0x01, 0x80: 2
    default: 3
    }
  }

  /// How well a literal tells one buffer from another; more is better.
  static func strength(_ literal: ArraySlice<UInt8>) -> Int {
    var sum = 0
    for byte in literal.prefix(32) { sum += 2 + rarity(byte) }
    return sum
  }
}
