import CSluiceLinux
import Traffic

// SAFETY: every pointer comes from `withUnsafeBytes` of a span and is used inside its closure;
// `from + count(haystack) <= byteCount` is checked before any is advanced.

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
    return find(
      literal, in: bytes, from: position, to: position + literal.byteCount, ignoringCase: ignoringCase)
      != nil
  }

  private static func findIgnoringCase(
    _ needle: UnsafeRawBufferPointer, in haystack: UnsafeRawBufferPointer
  ) -> Int? {
    let count = needle.count
    let first = unsafe needle[0]
    let last = unsafe needle[count - 1]
    var position = 0
    let end = haystack.count - count
    while position <= end {
      if unsafe lower(haystack[position]) == first, unsafe lower(haystack[position + count - 1]) == last {
        var index = 1
        while unsafe index < count && lower(haystack[position + index]) == needle[index] { index += 1 }
        if index >= count { return position }
      }
      position += 1
    }
    return nil
  }

  @inline(__always)
  static func lower(_ byte: UInt8) -> UInt8 {
    byte &- 0x41 < 26 ? byte | 0x20 : byte
  }
}
