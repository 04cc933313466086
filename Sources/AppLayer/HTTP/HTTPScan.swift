import Traffic

/// Searches in bytes that are only lent.
enum HTTPScan {
  static func isLineEnd(_ byte: UInt8) -> Bool { byte == HTTPText.lf || byte == HTTPText.cr }

  /// Behind the first LF from `start` on.
  static func lineEnd(_ bytes: RawSpan, _ start: Int) -> Int? {
    let end = firstLineEnd(bytes, start, stopsAtCR: false)
    return end < bytes.byteCount ? end + 1 : nil
  }

  /// The first LF or CR from `start` on.
  static func anyLineEnd(_ bytes: RawSpan, _ start: Int) -> Int? {
    let end = firstLineEnd(bytes, start, stopsAtCR: true)
    return end < bytes.byteCount ? end : nil
  }

  /// The first LF from `start` on, or CR where that is asked for; where there is none, the end.
  static func firstLineEnd(_ bytes: RawSpan, _ start: Int, stopsAtCR: Bool) -> Int {
    var i = start
    // Eight octets at a time, as long as none of them is one.
    while i + 8 <= bytes.byteCount {
      let octets = bytes.u64(at: i)
      if holds(octets, HTTPText.lf) || stopsAtCR && holds(octets, HTTPText.cr) { break }
      i += 8
    }
    while i < bytes.byteCount {
      let octet = bytes.u8(at: i)
      if octet == HTTPText.lf || stopsAtCR && octet == HTTPText.cr { return i }
      i += 1
    }
    return bytes.byteCount
  }

  /// Whether one of eight octets is `octet`: less one it borrows from its uppermost bit.
  @inline(__always)
  private static func holds(_ octets: UInt64, _ octet: UInt8) -> Bool {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let different = octets ^ (ones &* UInt64(octet))
    return (different &- ones) & ~different & (ones << 7) != 0
  }
}

/// The line before a chunk, as far as it is there.
///
/// - Source: RFC 9112 section 7.1; control characters and blanks before the number, and anything
///   behind it, are put up with.
enum HTTPChunkSize: Equatable {
  /// Nothing but blanks and line ends.
  case blank
  case invalid
  /// More than 31 bits: servers refuse it, Suricata reads on at the next line.
  case tooLarge
  case size(UInt64, hasExtension: Bool)

  init(_ line: [UInt8]) {
    var i = 0
    while i < line.count, HTTPText.isSpace(line[i]) { i += 1 }
    guard i < line.count else {
      self = .blank
      return
    }
    guard HTTPText.hex(line[i]) != nil else {
      self = .invalid
      return
    }
    var value: UInt64 = 0
    while i < line.count, let digit = HTTPText.hex(line[i]) {
      guard value >> 60 == 0 else {
        self = .invalid
        return
      }
      value = value << 4 | UInt64(digit)
      i += 1
    }
    guard value <= UInt64(Int32.max) else {
      self = .tooLarge
      return
    }
    self = .size(value, hasExtension: line[i...].contains(UInt8(ascii: ";")))
  }
}
