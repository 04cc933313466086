import Traffic

/// Searches in bytes that are only lent.
enum HTTPScan {
  static func isLineEnd(_ byte: UInt8) -> Bool { byte == HTTPText.lf || byte == HTTPText.cr }

  /// Behind the first LF from `start` on.
  static func lineEnd(_ bytes: RawSpan, _ start: Int) -> Int? {
    var i = start
    while i < bytes.byteCount {
      if bytes.u8(at: i) == HTTPText.lf { return i + 1 }
      i += 1
    }
    return nil
  }

  /// The first LF or CR from `start` on.
  static func anyLineEnd(_ bytes: RawSpan, _ start: Int) -> Int? {
    var i = start
    while i < bytes.byteCount {
      if isLineEnd(bytes.u8(at: i)) { return i }
      i += 1
    }
    return nil
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
