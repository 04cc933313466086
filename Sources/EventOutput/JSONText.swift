import Traffic

/// How bytes become JSON text.
public enum JSONText {
  /// Appends `text` escaped for a JSON string.
  ///
  /// Valid UTF-8 stays as it is. In text that is not UTF-8, every octet above 127 is shown as a
  /// backslash, "x" and two hex digits, as Suricata does it. Control characters get JSON's escapes.
  public static func appendEscaped(_ text: RawSpan, to out: inout [UInt8]) {
    var isASCIIOnly = true
    var start = 0
    var isUTF8 = true
    for index in 0..<text.byteCount {
      let byte = text.u8(at: index)
      if byte >= 0x80 {
        if isASCIIOnly {
          isASCIIOnly = false
          isUTF8 = isValidUTF8(text, from: index)
        }
        if isUTF8 { continue }
      } else if byte >= 0x20, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
        continue
      }
      if start < index { out.append(text.extracting(start..<index)) }
      start = index + 1
      appendEscape(byte, to: &out)
    }
    if start < text.byteCount { out.append(text.extracting(start..<text.byteCount)) }
  }

  private static func appendEscape(_ byte: UInt8, to out: inout [UInt8]) {
    out.append(UInt8(ascii: "\\"))
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"): out.append(byte)
    case 0x08: out.append(UInt8(ascii: "b"))
    case 0x09: out.append(UInt8(ascii: "t"))
    case 0x0a: out.append(UInt8(ascii: "n"))
    case 0x0c: out.append(UInt8(ascii: "f"))
    case 0x0d: out.append(UInt8(ascii: "r"))
    case 0x80...:
      out.append(UInt8(ascii: "\\"))
      out.append(UInt8(ascii: "x"))
      appendHex(byte, to: &out)
    default:
      out.append(UInt8(ascii: "u"))
      out.append(UInt8(ascii: "0"))
      out.append(UInt8(ascii: "0"))
      appendHex(byte, to: &out)
    }
  }

  /// - Source: RFC 3629 section 4: no overlong forms, no surrogates, nothing above U+10FFFF.
  static func isValidUTF8(_ text: RawSpan, from start: Int = 0) -> Bool {
    var index = start
    while index < text.byteCount {
      let lead = text.u8(at: index)
      let count: Int
      switch lead {
      case 0..<0x80:
        index += 1
        continue
      case 0xc2...0xdf: count = 1
      case 0xe0...0xef: count = 2
      case 0xf0...0xf4: count = 3
      default: return false
      }
      guard index + count < text.byteCount else { return false }
      for next in 1...count where text.u8(at: index + next) & 0xc0 != 0x80 { return false }
      let second = text.u8(at: index + 1)
      switch lead {
      case 0xe0 where second < 0xa0, 0xed where second > 0x9f, 0xf0 where second < 0x90,
        0xf4 where second > 0x8f:
        return false
      default: index += 1 + count
      }
    }
    return true
  }

  public static func appendDecimal(_ value: UInt64, to out: inout [UInt8]) {
    var width = 1
    var bound: UInt64 = 10
    // 19 digits at most are reached by multiplying; the twentieth by the width alone.
    while width < 20, value >= bound {
      width += 1
      bound = width < 20 ? bound &* 10 : .max
    }
    appendDecimal(value, width: width, to: &out)
  }

  /// With leading zeros; digits beyond `width` (at most 20) are cut off on the left.
  public static func appendDecimal(_ value: UInt64, width: Int, to out: inout [UInt8]) {
    var digits: [20 of UInt8] = .init(repeating: UInt8(ascii: "0"))
    var rest = value
    var index = min(20, width)
    while index > 0, rest > 0 {
      index -= 1
      digits[index] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest % 10)
      rest /= 10
    }
    // SAFETY: octets have no padding; the view lives in this expression only.
    unsafe out.append(digits.span.extracting(0..<min(20, width)).bytes)
  }

  public static func appendHex(_ byte: UInt8, to out: inout [UInt8]) {
    out.append(hexDigit(byte >> 4))
    out.append(hexDigit(byte & 15))
  }

  private static func hexDigit(_ nibble: UInt8) -> UInt8 {
    nibble < 10 ? UInt8(ascii: "0") &+ nibble : UInt8(ascii: "a") &+ (nibble &- 10)
  }

  /// Lower-case hex without leading zeros, as `%x` writes it.
  public static func appendShortHex(_ value: UInt64, to out: inout [UInt8]) {
    var shift = 60
    while shift > 0, value >> UInt64(shift) & 15 == 0 { shift -= 4 }
    while shift >= 0 {
      out.append(hexDigit(UInt8(value >> UInt64(shift) & 15)))
      shift -= 4
    }
  }

  /// - Source: RFC 4648 section 4.
  public static func appendBase64(_ bytes: RawSpan, to out: inout [UInt8]) {
    out.reserveCapacity(out.count + (bytes.byteCount + 2) / 3 * 4)
    var index = 0
    while index < bytes.byteCount {
      let count = min(3, bytes.byteCount - index)
      var group = UInt32(bytes.u8(at: index)) << 16
      if count > 1 { group |= UInt32(bytes.u8(at: index + 1)) << 8 }
      if count > 2 { group |= UInt32(bytes.u8(at: index + 2)) }
      out.append(base64Digit(group >> 18))
      out.append(base64Digit(group >> 12))
      out.append(count > 1 ? base64Digit(group >> 6) : UInt8(ascii: "="))
      out.append(count > 2 ? base64Digit(group) : UInt8(ascii: "="))
      index += 3
    }
  }

  private static func base64Digit(_ value: UInt32) -> UInt8 {
    let digit = UInt8(value & 63)
    switch digit {
    case 0..<26: return UInt8(ascii: "A") &+ digit
    case 26..<52: return UInt8(ascii: "a") &+ (digit &- 26)
    case 52..<62: return UInt8(ascii: "0") &+ (digit &- 52)
    case 62: return UInt8(ascii: "+")
    default: return UInt8(ascii: "/")
    }
  }

  /// Printable characters and line ends as they are, others as dots (`payload_printable`).
  public static func appendPrintable(_ bytes: RawSpan, to out: inout [UInt8]) {
    for index in 0..<bytes.byteCount {
      let byte = bytes.u8(at: index)
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), 0x0a, 0x0d: appendEscape(byte, to: &out)
      case 0x20..<0x7f: out.append(byte)
      default: out.append(UInt8(ascii: "."))
      }
    }
  }

  /// Eight full hextets, or a dotted quad, as Suricata writes the ends of a flow.
  /// - Parameter isIPv6: it stands in a packet of IPv6, whatever it looks like.
  public static func appendAddress(_ address: IPAddress, isIPv6: Bool = false, to out: inout [UInt8]) {
    if address.isIPv4, !isIPv6 {
      for shift in [24, 16, 8, 0] as [UInt32] {
        if shift < 24 { out.append(UInt8(ascii: ".")) }
        appendDecimal(UInt64(address.ipv4 >> shift & 255), to: &out)
      }
      return
    }
    for index in 0..<8 {
      if index > 0 { out.append(UInt8(ascii: ":")) }
      let hextet = hextet(address, index)
      appendHex(UInt8(hextet >> 8), to: &out)
      appendHex(UInt8(truncatingIfNeeded: hextet), to: &out)
    }
  }

  private static func hextet(_ address: IPAddress, _ index: Int) -> UInt16 {
    let word = index < 4 ? address.high : address.low
    return UInt16(truncatingIfNeeded: word >> UInt64(48 - 16 * (index % 4)))
  }
}
