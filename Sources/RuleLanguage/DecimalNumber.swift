/// Reads numbers out of bytes.
enum DecimalNumber {
  /// Digits only, all of them; nil if empty, not digits, or past 64 bits.
  static func parse(_ bytes: some Sequence<UInt8>) -> UInt64? {
    var value: UInt64 = 0
    var isEmpty = true
    for byte in bytes {
      guard ASCII.isDigit(byte) else { return nil }
      isEmpty = false
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(UInt64(byte &- ASCII.zero))
      guard !overflow, !carry else { return nil }
      value = sum
    }
    return isEmpty ? nil : value
  }
}
