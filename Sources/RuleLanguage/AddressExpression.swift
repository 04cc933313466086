/// The address part of a rule header or of an address variable.
public typealias AddressExpression = HeaderExpression<AddressLeaf>

/// One address, block or range of an address expression.
public enum AddressLeaf: HeaderLeaf {
  case address(RuleAddress)
  /// A block in CIDR or netmask notation; `prefixLength` counts bits of the 128-bit form, so 96 more than
  /// written for IPv4. Bits past the prefix are cleared.
  case block(RuleAddress, prefixLength: Int)
  case range(RuleAddress, RuleAddress)

  public var bounds: ClosedRange<RuleAddress> {
    switch self {
    case .address(let address):
      return address...address
    case .block(let address, let prefixLength):
      let mask = Self.mask(prefixLength)
      return address...RuleAddress(high: address.high | ~mask.high, low: address.low | ~mask.low)
    case .range(let low, let high):
      // The parser and nobody else makes ranges, with low <= high; `min` keeps that true of any other.
      return min(low, high)...max(low, high)
    }
  }

  public static func parse(_ bytes: [UInt8], _ range: Range<Int>) throws(RuleValueError) -> Self {
    let text = bytes[range]
    if let slash = text.firstIndex(of: ASCII.slash) {
      return try block(bytes, range.lowerBound..<slash, (slash &+ 1)..<range.upperBound)
    }
    if let dash = text.firstIndex(of: ASCII.minus) {
      let low = try address(bytes, bytes.trimmed(range.lowerBound..<dash))
      let high = try address(bytes, bytes.trimmed((dash &+ 1)..<range.upperBound))
      guard low.isIPv4 == high.isIPv4 else {
        throw RuleValueError("a range from IPv4 to IPv6 or back", columnOffset: range.lowerBound)
      }
      guard low <= high else {
        throw RuleValueError(
          "the range ends before it starts", columnOffset: range.lowerBound, hint: "swap its ends")
      }
      return .range(low, high)
    }
    return .address(try address(bytes, range))
  }

  private static func address(_ bytes: [UInt8], _ range: Range<Int>) throws(RuleValueError) -> RuleAddress {
    guard let address = RuleAddress(bytes[range]) else {
      throw RuleValueError(
        "'\(bytes[range].text)' is not an address", columnOffset: range.lowerBound,
        hint: hint(for: bytes[range]))
    }
    return address
  }

  private static func hint(for text: ArraySlice<UInt8>) -> String? {
    if text.contains(where: { ASCII.isLetter($0) }), !text.contains(ASCII.colon), !text.contains(ASCII.dot) {
      return "a variable needs a '$' before its name"
    }
    return nil
  }

  private static func block(
    _ bytes: [UInt8], _ addressRange: Range<Int>, _ lengthRange: Range<Int>
  ) throws(RuleValueError) -> AddressLeaf {
    let address = try address(bytes, bytes.trimmed(addressRange))
    let isIPv4 = !bytes[addressRange].contains(ASCII.colon)
    let lengthRange = bytes.trimmed(lengthRange)
    let written: Int
    if isIPv4, let netmask = RuleAddress.ipv4(bytes[lengthRange]) {
      written = (~netmask).leadingZeroBitCount
      guard netmask.nonzeroBitCount == written else {
        throw RuleValueError("the netmask has gaps", columnOffset: lengthRange.lowerBound)
      }
    } else {
      let text = bytes[lengthRange]
      guard let length = DecimalNumber.parse(text), length <= (isIPv4 ? 32 : 128) else {
        throw RuleValueError(
          "'\(text.text)' is not a prefix length between 0 and \(isIPv4 ? 32 : 128)",
          columnOffset: lengthRange.lowerBound)
      }
      written = Int(length)
    }
    let prefixLength = isIPv4 ? written &+ 96 : written
    let mask = mask(prefixLength)
    return .block(
      RuleAddress(high: address.high & mask.high, low: address.low & mask.low), prefixLength: prefixLength)
  }

  /// Shifts by 64 or more give 0 in Swift, so 0 and 128 need no case of their own.
  private static func mask(_ prefixLength: Int) -> RuleAddress {
    let high = prefixLength >= 64 ? UInt64.max : ~(UInt64.max >> UInt64(max(prefixLength, 0)))
    let low = prefixLength <= 64 ? 0 : ~(UInt64.max >> UInt64(prefixLength &- 64))
    return RuleAddress(high: high, low: low)
  }
}
