/// A condition on an unsigned number, as in `dsize`, `bsize`, `urilen`, `ttl`, `flow.age`.
///
/// Ranges leave out their ends: `1-4` holds for 2 and 3, `!1-4` for all others.
/// - Source: Suricata 8 "Integer Keywords".
public enum NumericCondition: Sendable, Hashable {
  case equal(UInt64)
  case notEqual(UInt64)
  case less(UInt64)
  case lessOrEqual(UInt64)
  case greater(UInt64)
  case greaterOrEqual(UInt64)
  /// `low < number < high`
  case between(low: UInt64, high: UInt64)
  /// `number <= low || number >= high`
  case notBetween(low: UInt64, high: UInt64)
  /// `number & mask == value`
  case bits(mask: UInt64, value: UInt64)
  /// `number & mask != value`
  case notBits(mask: UInt64, value: UInt64)

  @inlinable
  public func holds(for number: UInt64) -> Bool {
    switch self {
    case .equal(let other): number == other
    case .notEqual(let other): number != other
    case .less(let other): number < other
    case .lessOrEqual(let other): number <= other
    case .greater(let other): number > other
    case .greaterOrEqual(let other): number >= other
    case .between(let low, let high): number > low && number < high
    case .notBetween(let low, let high): number <= low || number >= high
    case .bits(let mask, let value): number & mask == value
    case .notBits(let mask, let value): number & mask != value
    }
  }

  /// Parses `5`, `=5`, `!5`, `!=5`, `>5`, `>=5`, `<5`, `<=5`, `1-5`, `1<>5`, `!1-5`, `&0xc0=0x80`, `&0xc0!=0`.
  ///
  /// Numbers are decimal or hexadecimal and may carry a unit (`10kb`).
  /// - Parameter max: the largest number there can be, e.g. 65,535 for 16 bits.
  /// - Throws: also for a condition that holds for no number or for every one, as Suricata does.
  public static func parse(_ value: [UInt8], max: UInt64 = .max) throws(RuleValueError) -> NumericCondition {
    var reader = RuleValueReader(value)
    reader.skipBlanks()
    let condition = try read(&reader, max)
    try reader.finish()
    return condition
  }

  private static func read(
    _ reader: inout RuleValueReader, _ max: UInt64
  ) throws(RuleValueError) -> NumericCondition {
    if reader.take("&") { return try readBits(&reader, max) }
    if reader.take(">=") { return .greaterOrEqual(try number(&reader, 0...max, not: 0)) }
    if reader.take("<=") { return .lessOrEqual(try number(&reader, 0...max, not: max)) }
    if reader.take(">") { return .greater(try number(&reader, 0...max, not: max)) }
    if reader.take("<") { return .less(try number(&reader, 0...max, not: 0)) }
    if reader.take("!=") { return .notEqual(try number(&reader, 0...max)) }
    if reader.take("=") { return .equal(try number(&reader, 0...max)) }
    let isNegated = reader.take("!")
    let first = try number(&reader, 0...max)
    reader.skipBlanks()
    guard reader.take("<>") || reader.take("-") else {
      return isNegated ? .notEqual(first) : .equal(first)
    }
    let offset = reader.index
    let second = try number(&reader, 0...max)
    guard second > first, second &- first > 1 else {
      throw RuleValueError(
        "no number lies between \(first) and \(second)", columnOffset: offset,
        hint: "ranges leave out their ends")
    }
    return isNegated ? .notBetween(low: first, high: second) : .between(low: first, high: second)
  }

  private static func readBits(
    _ reader: inout RuleValueReader, _ max: UInt64
  ) throws(RuleValueError) -> NumericCondition {
    let mask = try number(&reader, 0...max)
    reader.skipBlanks()
    let isNegated = reader.take("!")
    guard reader.take("=") else {
      throw RuleValueError("'=' or '!=' must follow the mask", columnOffset: reader.index)
    }
    let offset = reader.index
    let value = try number(&reader, 0...max)
    guard value & ~mask == 0 else {
      throw RuleValueError("the value has bits outside the mask", columnOffset: offset)
    }
    return isNegated ? .notBits(mask: mask, value: value) : .bits(mask: mask, value: value)
  }

  private static func number(
    _ reader: inout RuleValueReader, _ range: ClosedRange<UInt64>, not pointless: UInt64? = nil
  ) throws(RuleValueError) -> UInt64 {
    reader.skipBlanks()
    let offset = reader.index
    let number = try reader.number(in: range, hasUnit: true)
    if number == pointless {
      throw RuleValueError(
        "the condition holds for every number or for none", columnOffset: offset)
    }
    return number
  }
}
