/// The port part of a rule header or of a port variable.
public typealias PortExpression = HeaderExpression<PortLeaf>

/// One port or range of ports: `80`, `80:90`, `1024:`, `:1023`.
public struct PortLeaf: HeaderLeaf {
  public let low: UInt16
  public let high: UInt16

  public init(low: UInt16, high: UInt16) {
    self.low = min(low, high)
    self.high = max(low, high)
  }

  public static func parse(_ bytes: [UInt8], _ range: Range<Int>) throws(RuleValueError) -> Self {
    guard let colon = bytes[range].firstIndex(of: ASCII.colon) else {
      let port = try port(bytes, range)
      return PortLeaf(low: port, high: port)
    }
    let lowText = bytes.trimmed(range.lowerBound..<colon)
    let highText = bytes.trimmed((colon &+ 1)..<range.upperBound)
    guard !lowText.isEmpty || !highText.isEmpty else {
      throw RuleValueError("':' without a port", columnOffset: colon, hint: "write any")
    }
    let low = lowText.isEmpty ? 0 : try port(bytes, lowText)
    let high = highText.isEmpty ? UInt16.max : try port(bytes, highText)
    guard low <= high else {
      throw RuleValueError(
        "the range ends before it starts", columnOffset: range.lowerBound, hint: "swap its ends")
    }
    return PortLeaf(low: low, high: high)
  }

  private static func port(_ bytes: [UInt8], _ range: Range<Int>) throws(RuleValueError) -> UInt16 {
    guard let value = DecimalNumber.parse(bytes[range]), let port = UInt16(exactly: value) else {
      throw RuleValueError(
        "'\(bytes[range].text)' is not a port between 0 and 65535", columnOffset: range.lowerBound,
        hint: hint(for: bytes[range]))
    }
    return port
  }

  private static func hint(for text: ArraySlice<UInt8>) -> String? {
    if text.contains(ASCII.minus) { return "a range of ports is written with ':'" }
    if let first = text.first, ASCII.isLetter(first) { return "a variable needs a '$' before its name" }
    return nil
  }
}
