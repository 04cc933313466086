import Traffic

/// Base64 as rules decode it: what can be decoded counts, the first impossible character ends it.
enum Base64 {
  /// - Parameter skippingBlanks: RFC 2045: characters outside the alphabet are passed over; otherwise
  ///   (RFC 4648) they end the text.
  static func decode(_ bytes: RawSpan, skippingBlanks: Bool, into output: inout [UInt8]) {
    var word: UInt32 = 0
    var digits = 0
    for index in 0..<bytes.byteCount {
      guard let digit = value(bytes.u8(at: index)) else {
        if skippingBlanks, bytes.u8(at: index) != 0x3d { continue }
        break
      }
      word = word << 6 | UInt32(digit)
      digits += 1
      if digits == 4 {
        output.append(UInt8(truncatingIfNeeded: word >> 16))
        output.append(UInt8(truncatingIfNeeded: word >> 8))
        output.append(UInt8(truncatingIfNeeded: word))
        word = 0
        digits = 0
      }
    }
    if digits >= 2 { output.append(UInt8(truncatingIfNeeded: (word << UInt32(6 * (4 - digits))) >> 16)) }
    if digits == 3 { output.append(UInt8(truncatingIfNeeded: (word << 6) >> 8)) }
  }

  static func encoded(_ bytes: [UInt8]) -> [UInt8] {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var result: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      var word: UInt32 = 0
      for byte in group { word = word << 8 | UInt32(byte) }
      word <<= UInt32(8 * (3 - group.count))
      for place in 0...3 {
        let digit = Int(word >> UInt32(18 - 6 * place) & 63)
        result.append(place <= group.count ? alphabet[digit] : UInt8(ascii: "="))
      }
    }
    return result
  }

  private static func value(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x41...0x5a: byte - 0x41
    case 0x61...0x7a: byte - 0x61 + 26
    case 0x30...0x39: byte - 0x30 + 52
    case 0x2b: 62
    case 0x2f: 63
    default: nil
    }
  }
}
