/// Reads the parts of an option's value from left to right.
///
/// For values with a grammar of their own; lists, numbers, patterns and conditions have ready parsers.
public struct RuleValueReader: Sendable {
  public let bytes: [UInt8]
  /// The byte that is read next, at most `bytes.count`; the offset that errors name.
  public private(set) var index: Int = 0

  public init(_ bytes: [UInt8]) { self.bytes = bytes }

  public var isAtEnd: Bool { index >= bytes.count }

  public func peek() -> UInt8? { index < bytes.count ? bytes[index] : nil }

  public mutating func skipBlanks() {
    while index < bytes.count, ASCII.isSpace(bytes[index]) { index &+= 1 }
  }

  /// Takes `text` if it comes next.
  public mutating func take(_ text: StaticString) -> Bool {
    let end = index &+ text.utf8CodeUnitCount
    guard end <= bytes.count, bytes.spells(text, in: index..<end) else { return false }
    index = end
    return true
  }

  /// Takes the bytes as long as they satisfy `condition`.
  public mutating func takeWhile(_ condition: (UInt8) -> Bool) -> [UInt8] {
    let start = index
    while index < bytes.count, condition(bytes[index]) { index &+= 1 }
    return Array(bytes[start..<index])
  }

  /// Requires that nothing but blanks is left.
  public mutating func finish() throws(RuleValueError) {
    skipBlanks()
    guard isAtEnd else {
      throw RuleValueError("'\(bytes[index...].text)' is left over", columnOffset: index)
    }
  }

  /// Takes a decimal number, or after `0x` a hexadecimal one.
  ///
  /// - Parameter hasUnit: also take one of the units kb, kib (1,024), mb, mib, gb, gib after it, in any case.
  public mutating func number(
    in range: ClosedRange<UInt64> = 0...UInt64.max, hasUnit: Bool = false
  ) throws(RuleValueError) -> UInt64 {
    let start = index
    var value = try take("0x") ? hexadecimal() : decimal()
    if hasUnit, let shift = takeUnitShift() {
      guard value.leadingZeroBitCount >= shift else {
        throw RuleValueError("the number does not fit 64 bits", columnOffset: start)
      }
      value <<= UInt64(shift)
    }
    guard range.contains(value) else {
      throw RuleValueError(
        "\(value) is not between \(range.lowerBound) and \(range.upperBound)", columnOffset: start)
    }
    return value
  }

  private mutating func decimal() throws(RuleValueError) -> UInt64 {
    let start = index
    let digits = takeWhile { ASCII.isDigit($0) }
    guard !digits.isEmpty else { throw RuleValueError("a number is missing", columnOffset: start) }
    guard let value = DecimalNumber.parse(digits) else {
      throw RuleValueError("the number does not fit 64 bits", columnOffset: start)
    }
    return value
  }

  private mutating func hexadecimal() throws(RuleValueError) -> UInt64 {
    let start = index
    var value: UInt64 = 0
    while let byte = peek(), let digit = ASCII.hexValue(byte) {
      guard value >> 60 == 0 else {
        throw RuleValueError("the number does not fit 64 bits", columnOffset: start)
      }
      value = value << 4 | UInt64(digit)
      index &+= 1
    }
    guard index > start else { throw RuleValueError("digits are missing after 0x", columnOffset: start) }
    return value
  }

  private mutating func takeUnitShift() -> Int? {
    if take("kib") || take("kb") { return 10 }
    if take("mib") || take("mb") { return 20 }
    if take("gib") || take("gb") { return 30 }
    return nil
  }
}

/// Values that are one number.
public enum RuleNumber {
  /// A decimal or, after `0x`, hexadecimal number.
  public static func unsigned(
    _ value: [UInt8], in range: ClosedRange<UInt64> = 0...UInt64.max
  ) throws(RuleValueError) -> UInt64 {
    try whole(value, range, hasUnit: false)
  }

  /// A number that may carry a unit: `10`, `64kb`, `1GiB`.
  public static func size(
    _ value: [UInt8], in range: ClosedRange<UInt64> = 0...UInt64.max
  ) throws(RuleValueError) -> UInt64 {
    try whole(value, range, hasUnit: true)
  }

  /// A number with an optional sign.
  public static func signed(
    _ value: [UInt8], in range: ClosedRange<Int64> = Int64.min...Int64.max
  ) throws(RuleValueError) -> Int64 {
    var reader = RuleValueReader(value)
    reader.skipBlanks()
    let isNegative = reader.take("-")
    if !isNegative { _ = reader.take("+") }
    let magnitude = try reader.number()
    try reader.finish()
    let limit = isNegative ? Int64.min.magnitude : Int64.max.magnitude
    guard magnitude <= limit else { throw RuleValueError("the number does not fit 64 bits") }
    // 0 &- keeps Int64.min, whose magnitude has no positive form.
    let result = isNegative ? 0 &- Int64(truncatingIfNeeded: magnitude) : Int64(magnitude)
    guard range.contains(result) else {
      throw RuleValueError("\(result) is not between \(range.lowerBound) and \(range.upperBound)")
    }
    return result
  }

  private static func whole(
    _ value: [UInt8], _ range: ClosedRange<UInt64>, hasUnit: Bool
  ) throws(RuleValueError) -> UInt64 {
    var reader = RuleValueReader(value)
    reader.skipBlanks()
    let number = try reader.number(in: range, hasUnit: hasUnit)
    try reader.finish()
    return number
  }
}
