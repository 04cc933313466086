import Traffic

extension NumberShape {
  /// The most digits that a number can have, with sign and prefix.
  static let textCountMax = 23

  /// The number in `count` octets at `position`, and where it ends; nil when they are not there or
  /// are no number. The bitmask is the caller's to apply.
  ///
  /// Text numbers are read as strtoull does: leading blanks, sign, up to the first character that
  /// is no digit; nothing readable is nil. A `count` of 0 takes as many digits as there are.
  func read(_ bytes: RawSpan, at position: Int, count: Int) -> (value: UInt64, end: Int)? {
    guard position >= 0, count >= 0, position <= bytes.byteCount,
      count <= bytes.byteCount - position
    else { return nil }
    guard isText else {
      guard let value = binary(bytes, at: position, count: count) else { return nil }
      return (value, position + count)
    }
    let most = count > 0 ? count : min(Self.textCountMax, bytes.byteCount - position)
    return text(bytes, at: position, count: most, radix: UInt64(radix))
  }

  /// What of `value` the mask leaves, moved down to bit 0.
  func masked(_ value: UInt64) -> UInt64 {
    guard hasBitmask, bitmask != 0 else { return value }
    return (value & bitmask) >> UInt64(bitmask.trailingZeroBitCount)
  }

  private func binary(_ bytes: RawSpan, at position: Int, count: Int) -> UInt64? {
    guard (1...8).contains(count) else { return nil }
    var value: UInt64 = 0
    for index in 0..<count {
      let octet = UInt64(bytes.u8(at: position + index))
      value |= octet << UInt64(8 * (isLittleEndian ? index : count - 1 - index))
    }
    return value
  }

  private func text(_ bytes: RawSpan, at position: Int, count: Int, radix: UInt64)
    -> (value: UInt64, end: Int)?
  {
    var index = position
    let end = position + count
    while index < end, Self.isBlank(bytes.u8(at: index)) { index += 1 }
    var isNegative = false
    if index < end, bytes.u8(at: index) == 0x2b || bytes.u8(at: index) == 0x2d {
      isNegative = bytes.u8(at: index) == 0x2d
      index += 1
    }
    if radix == 16, index + 2 < end, bytes.u8(at: index) == 0x30, bytes.u8(at: index + 1) | 0x20 == 0x78,
      Self.digit(bytes.u8(at: index + 2)) != nil
    {
      index += 2
    }
    var value: UInt64 = 0
    var digits = 0
    while index < end, let digit = Self.digit(bytes.u8(at: index)), digit < radix {
      let (product, over) = value.multipliedReportingOverflow(by: radix)
      let (sum, overflow) = product.addingReportingOverflow(digit)
      guard !over, !overflow else { return nil }
      value = sum
      digits += 1
      index += 1
    }
    guard digits > 0 else { return nil }
    return (isNegative ? 0 &- value : value, index)
  }

  private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }

  private static func digit(_ byte: UInt8) -> UInt64? {
    switch byte {
    case 0x30...0x39: UInt64(byte - 0x30)
    case 0x61...0x66: UInt64(byte - 0x61 + 10)
    case 0x41...0x46: UInt64(byte - 0x41 + 10)
    default: nil
    }
  }
}
