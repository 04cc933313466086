/// Undoes Base64 as it comes (RFC 2045 section 6.8): what is outside of the alphabet is passed over.
struct MIMEBase64 {
  private var bits: UInt32 = 0
  private var count = 0
  private(set) var hasInvalid = false
  private var isPadded = false

  mutating func decode(_ bytes: ArraySlice<UInt8>, into out: inout [UInt8]) {
    // Room first, for all that this can yield with what is left of before: octet by octet it took half of reading mail.
    let first = out.count
    out.append(contentsOf: repeatElement(0, count: bytes.count / 4 &* 3 &+ 3))
    let end = decode(bytes.span, into: &out, from: first)
    out.removeLast(out.count &- end)
  }

  /// - Returns: the end of what was written.
  private mutating func decode(_ bytes: Span<UInt8>, into out: inout [UInt8], from first: Int) -> Int {
    var out = out.mutableSpan
    var end = first
    var next = 0
    while next < bytes.count {
      if count == 0, !isPadded {
        while next &+ 4 <= bytes.count {
          let (one, two) = (Self.value(bytes[next]), Self.value(bytes[next &+ 1]))
          let (three, four) = (Self.value(bytes[next &+ 2]), Self.value(bytes[next &+ 3]))
          guard one | two | three | four < 64 else { break }
          let group = UInt32(one) << 18 | UInt32(two) << 12 | UInt32(three) << 6 | UInt32(four)
          out[end] = UInt8(truncatingIfNeeded: group >> 16)
          out[end &+ 1] = UInt8(truncatingIfNeeded: group >> 8)
          out[end &+ 2] = UInt8(truncatingIfNeeded: group)
          end &+= 3
          next &+= 4
        }
        guard next < bytes.count else { break }
      }
      if let octet = take(bytes[next]) {
        out[end] = octet
        end &+= 1
      }
      next &+= 1
    }
    return end
  }

  /// - Returns: the octet that this one completes.
  private mutating func take(_ byte: UInt8) -> UInt8? {
    let value = Self.value(byte)
    guard value < 64 else {
      if byte == 61 { isPadded = true } else if !HTTPText.isSpace(byte) { hasInvalid = true }
      return nil
    }
    if isPadded {
      // Another piece of Base64 behind the padding: readers differ, most go on.
      isPadded = false
      bits = 0
      count = 0
    }
    bits = bits << 6 | UInt32(value)
    count += 6
    guard count >= 8 else { return nil }
    count -= 8
    return UInt8(truncatingIfNeeded: bits >> UInt32(count))
  }

  /// 64 for what is outside of the alphabet.
  @inline(__always)
  private static func value(_ byte: UInt8) -> UInt8 {
    switch byte {
    case 65...90: byte &- 65
    case 97...122: byte &- 71
    case 48...57: byte &+ 4
    case 43: 62
    case 47: 63
    default: 64
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
