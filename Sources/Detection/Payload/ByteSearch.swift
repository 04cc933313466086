import CSluiceLinux
import Traffic

// SAFETY: every pointer comes from `withUnsafeBytes` of a span and is used inside its closure;
// `from + count(haystack) <= byteCount` is checked before any is advanced, and each load of sixteen
// octets stands behind a check that so many follow.

/// Finds a literal in bytes.
enum ByteSearch {
  /// The first position in `from..<to` at which all of `literal` stands before `to`.
  ///
  /// - Parameter literal: lower case where `ignoringCase`.
  /// - Complexity: O(n) with a case-sensitive literal (memmem); O(n·m) at worst ignoring case.
  static func find(
    _ literal: RawSpan, in bytes: RawSpan, from: Int, to: Int, ignoringCase: Bool
  ) -> Int? {
    guard from >= 0, to <= bytes.byteCount, from <= to, literal.byteCount > 0,
      to - from >= literal.byteCount
    else { return nil }
    return unsafe bytes.withUnsafeBytes { haystack -> Int? in
      unsafe literal.withUnsafeBytes { needle -> Int? in
        guard let start = haystack.baseAddress, let wanted = needle.baseAddress else { return nil }
        if !ignoringCase {
          guard let hit = unsafe sluice_memmem(start + from, to - from, wanted, needle.count) else { return nil }
          return unsafe UnsafeRawPointer(hit) - start
        }
        return unsafe findIgnoringCase(
          needle, in: UnsafeRawBufferPointer(start: start + from, count: to - from)
        ).map { $0 + from }
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

  /// Looks at sixteen positions at a time for those where the first and the last octet are right.
  private static func findIgnoringCase(
    _ needle: UnsafeRawBufferPointer, in haystack: UnsafeRawBufferPointer
  ) -> Int? {
    let count = needle.count
    let first = unsafe needle[0]
    let last = unsafe needle[count - 1]
    // Bit 5 tells the cases of a letter apart; of other octets it is a part.
    let firstFold = SIMD16<UInt8>(repeating: isLower(first) ? 0x20 : 0)
    let lastFold = SIMD16<UInt8>(repeating: isLower(last) ? 0x20 : 0)
    let firsts = SIMD16<UInt8>(repeating: first)
    let lasts = SIMD16<UInt8>(repeating: last)
    var position = 0
    let end = haystack.count - count
    while position + 15 <= end {
      let heads = unsafe haystack.loadUnaligned(fromByteOffset: position, as: SIMD16<UInt8>.self)
      let tails = unsafe haystack.loadUnaligned(
        fromByteOffset: position + count - 1, as: SIMD16<UInt8>.self)
      let hits = ((heads | firstFold) .== firsts) .& ((tails | lastFold) .== lasts)
      if any(hits) {
        for lane in 0..<16 where hits[lane] {
          if unsafe isEqual(needle, haystack, position + lane) { return position + lane }
        }
      }
      position += 16
    }
    while position <= end {
      if unsafe isEqual(needle, haystack, position) { return position }
      position += 1
    }
    return nil
  }

  @inline(__always)
  private static func isEqual(
    _ needle: UnsafeRawBufferPointer, _ haystack: UnsafeRawBufferPointer, _ position: Int
  ) -> Bool {
    var index = 0
    while unsafe index < needle.count && lower(haystack[position + index]) == needle[index] { index += 1 }
    return index == needle.count
  }

  @inline(__always)
  private static func isLower(_ byte: UInt8) -> Bool { byte &- 0x61 < 26 }

  @inline(__always)
  static func lower(_ byte: UInt8) -> UInt8 {
    byte &- 0x41 < 26 ? byte | 0x20 : byte
  }
}
