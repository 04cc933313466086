/// What HTTP/1 parsers in the field take for white space, tokens and digits.
///
/// Wider than RFC 9110 section 5.6: servers and browsers are, and so is Suricata.
enum HTTPText {
  static let lf: UInt8 = 10
  static let cr: UInt8 = 13
  static let space: UInt8 = 32
  static let tab: UInt8 = 9
  static let colon: UInt8 = 58

  /// C's `isspace`: blank, tab, line ends, vertical tab, form feed.
  @inline(__always)
  static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (byte >= 9 && byte <= 13) }

  @inline(__always)
  static func isBlank(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 }

  @inline(__always)
  static func isDigit(_ byte: UInt8) -> Bool { byte >= 48 && byte <= 57 }

  @inline(__always)
  static func lower(_ byte: UInt8) -> UInt8 { byte >= 65 && byte <= 90 ? byte | 32 : byte }

  /// The value of a hexadecimal digit.
  @inline(__always)
  static func hex(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 48...57: byte &- 48
    case 65...70: byte &- 55
    case 97...102: byte &- 87
    default: nil
    }
  }

  /// RFC 2616 section 2.2 `token`, as that is what the checks of fields were written against.
  @inline(__always)
  static func isToken(_ byte: UInt8) -> Bool {
    // A bit for each octet: all that are visible but for ()<>@,;:\"/[]?={}.
    let bits: UInt64 = byte < 64 ? 0x03ff_6cfa_0000_0000 : 0x57ff_ffff_c7ff_fffe
    return byte < 128 && bits >> UInt64(byte & 63) & 1 != 0
  }

  /// Room that what is read again and again may keep; a connection may stay open for long.
  static let roomBytesMax = 4096

  /// Empties `bytes`, keeping its room where that is not large.
  @inline(__always)
  static func clear(_ bytes: inout [UInt8]) {
    if bytes.capacity <= roomBytesMax { bytes.clear() } else { bytes = [] }
  }

  /// `range` without white space at its ends.
  static func trimmed(_ bytes: [UInt8], _ range: Range<Int>) -> Range<Int> {
    var low = range.lowerBound
    var high = range.upperBound
    while low < high, isSpace(bytes[low]) { low += 1 }
    while high > low, isSpace(bytes[high - 1]) { high -= 1 }
    return low..<high
  }

  /// `count` less the CR and LF at the end of `bytes`.
  static func chompedCount(_ bytes: [UInt8]) -> Int {
    var count = bytes.count
    while count > 0, bytes[count - 1] == lf || bytes[count - 1] == cr { count -= 1 }
    return count
  }

  /// Whether `range` spells `text` (lower case), whatever its case.
  static func equals(_ bytes: [UInt8], _ range: Range<Int>, _ text: StaticString) -> Bool {
    guard range.count == text.utf8CodeUnitCount else { return false }
    return hasPrefix(bytes, range, text)
  }

  /// Whether `range` spells `text`, case included.
  static func isExactly(_ bytes: [UInt8], _ range: Range<Int>, _ text: StaticString) -> Bool {
    guard range.count == text.utf8CodeUnitCount else { return false }
    return text.withUTF8Buffer { wanted in
      for i in 0..<wanted.count where bytes[range.lowerBound + i] != (unsafe wanted[i]) {
        return false
      }
      return true
    }
  }

  /// Whether `range` begins with `text` (lower case), whatever its case.
  static func hasPrefix(_ bytes: [UInt8], _ range: Range<Int>, _ text: StaticString) -> Bool {
    guard range.count >= text.utf8CodeUnitCount else { return false }
    return text.withUTF8Buffer { wanted in
      for i in 0..<wanted.count where lower(bytes[range.lowerBound + i]) != (unsafe wanted[i]) {
        return false
      }
      return true
    }
  }

  /// Whether `range` spells `text` (lower case) when NULs in it are passed over: some peers do so.
  static func equalsIgnoringNUL(
    _ bytes: [UInt8], _ range: Range<Int>, _ text: StaticString
  ) -> Bool {
    var at = 0
    return text.withUTF8Buffer { wanted in
      for i in range where bytes[i] != 0 {
        guard at < wanted.count, lower(bytes[i]) == (unsafe wanted[at]) else { return false }
        at += 1
      }
      return at == wanted.count
    }
  }

  /// Whether `text` (lower case) stands in `range`, NULs passed over.
  static func containsIgnoringNUL(
    _ bytes: [UInt8], _ range: Range<Int>, _ text: StaticString
  ) -> Bool {
    text.withUTF8Buffer { wanted in
      var start = range.lowerBound
      while start < range.upperBound {
        var at = 0
        var i = start
        while i < range.upperBound, at < wanted.count {
          if bytes[i] != 0 {
            guard lower(bytes[i]) == (unsafe wanted[at]) else { break }
            at += 1
          }
          i += 1
        }
        if at == wanted.count { return true }
        start += 1
      }
      return false
    }
  }

  /// The first place of `byte` in `range`.
  static func firstIndex(of byte: UInt8, in bytes: [UInt8], _ range: Range<Int>) -> Int? {
    var i = range.lowerBound
    while i < range.upperBound {
      if bytes[i] == byte { return i }
      i += 1
    }
    return nil
  }

  /// The first run of digits in `range`, with blanks around and junk before or behind it.
  ///
  /// - Returns: nil where there is none or it exceeds 64 bits.
  static func contentLength(_ bytes: [UInt8], _ range: Range<Int>) -> UInt64? {
    var i = range.lowerBound
    while i < range.upperBound, !isDigit(bytes[i]) { i += 1 }
    guard i < range.upperBound else { return nil }
    var value: UInt64 = 0
    while i < range.upperBound, isDigit(bytes[i]) {
      let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = scaled.addingReportingOverflow(UInt64(bytes[i] &- 48))
      if overflow || carry { return nil }
      value = sum
      i += 1
    }
    return value
  }

  /// A port number that is nothing but digits and in 1…65535.
  static func port(_ bytes: [UInt8], _ range: Range<Int>) -> Int? {
    guard !range.isEmpty else { return nil }
    var value = 0
    for i in range {
      guard isDigit(bytes[i]) else { return nil }
      value = value * 10 + Int(bytes[i] &- 48)
      if value > 65_535 { return nil }
    }
    return value == 0 ? nil : value
  }
}
