/// Undoes Base64 as it comes (RFC 2045 section 6.8): what is outside of the alphabet is passed over.
struct MIMEBase64 {
  private var bits: UInt32 = 0
  private var count = 0
  private(set) var hasInvalid = false
  private var isPadded = false

  mutating func decode(_ bytes: ArraySlice<UInt8>, into out: inout [UInt8]) {
    for byte in bytes {
      let value: UInt8
      switch byte {
      case 65...90: value = byte &- 65
      case 97...122: value = byte &- 71
      case 48...57: value = byte &+ 4
      case 43: value = 62
      case 47: value = 63
      case 61:
        isPadded = true
        continue
      default:
        if !HTTPText.isSpace(byte) { hasInvalid = true }
        continue
      }
      if isPadded {
        // Another piece of Base64 behind the padding: readers differ, most go on.
        isPadded = false
        bits = 0
        count = 0
      }
      bits = bits << 6 | UInt32(value)
      count += 6
      if count >= 8 {
        count -= 8
        out.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
      }
    }
  }
}

/// Undoes quoted-printable a line at a time (RFC 2045 section 6.7).
enum MIMEQuotedPrintable {
  /// - Returns: whether the line goes on in the next one, and whether something in it was no such code.
  static func decode(_ line: ArraySlice<UInt8>, into out: inout [UInt8]) -> (continues: Bool, isInvalid: Bool) {
    var line = line
    // Blanks at the end of a line were added on the way.
    while let last = line.last, HTTPText.isBlank(last) { line.removeLast() }
    var isInvalid = false
    var i = line.startIndex
    while i < line.endIndex {
      let byte = line[i]
      guard byte == 61 else {
        out.append(byte)
        i += 1
        continue
      }
      if i + 1 == line.endIndex { return (true, isInvalid) }
      if i + 2 < line.endIndex, let high = HTTPText.hex(line[i + 1]), let low = HTTPText.hex(line[i + 2]) {
        out.append(high << 4 | low)
        i += 3
      } else {
        isInvalid = true
        out.append(byte)
        i += 1
      }
    }
    return (false, isInvalid)
  }
}
