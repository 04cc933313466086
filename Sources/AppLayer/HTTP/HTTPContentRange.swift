/// The part of a whole that a response carries (RFC 9110 section 14.4): "bytes 500-1000/146515".
enum HTTPContentRange {
  /// - Returns: nil where the value is no range of octets.
  static func parse(_ bytes: [UInt8], _ range: Range<Int>) -> ClosedRange<UInt64>? {
    guard HTTPText.hasPrefix(bytes, range, "bytes ") else { return nil }
    let rest = range.lowerBound + 6..<range.upperBound
    guard let dash = HTTPText.firstIndex(of: 45, in: bytes, rest),
      let slash = HTTPText.firstIndex(of: 47, in: bytes, dash..<range.upperBound),
      let first = number(bytes, rest.lowerBound..<dash), let last = number(bytes, dash + 1..<slash),
      first <= last
    else { return nil }
    return first...last
  }

  private static func number(_ bytes: [UInt8], _ range: Range<Int>) -> UInt64? {
    let digits = HTTPText.trimmed(bytes, range)
    guard !digits.isEmpty, digits.count <= 18 else { return nil }
    var value: UInt64 = 0
    for byte in bytes[digits] {
      guard HTTPText.isDigit(byte) else { return nil }
      // At most 18 digits: no overflow.
      value = value &* 10 &+ UInt64(byte - 48)
    }
    return value
  }
}
