import RuleLanguage

/// The text of an option's value, with the shapes that payload keywords use.
struct KeywordValue {
  let text: String

  init(_ bytes: [UInt8]) {
    text = String(decoding: bytes, as: UTF8.self).trimmed
  }

  init(text: String) { self.text = text.trimmed }

  /// The items between commas, trimmed.
  var list: [String] {
    text.split(separator: ",", omittingEmptySubsequences: false).map { String($0).trimmed }
  }

  /// A decimal or 0x number.
  static func number(_ text: String) -> Int64? {
    let isNegative = text.hasPrefix("-")
    let digits = text.hasPrefix("-") || text.hasPrefix("+") ? String(text.dropFirst()) : text
    let magnitude =
      digits.lowercased().hasPrefix("0x") ? Int64(digits.dropFirst(2), radix: 16) : Int64(digits)
    guard let magnitude else { return nil }
    return isNegative ? -magnitude : magnitude
  }

  static func unsigned(_ text: String) -> UInt64? {
    text.lowercased().hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
  }

  /// A number in `range`, or a variable that an earlier step fills.
  func operand(
    _ variables: PayloadVariables, range: ClosedRange<Int64>
  ) throws(RuleValueError) -> Operand {
    try Self.operand(text, variables, range: range)
  }

  static func operand(
    _ text: String, _ variables: PayloadVariables, range: ClosedRange<Int64>
  ) throws(RuleValueError) -> Operand {
    if let number = number(text) {
      guard range.contains(number) else {
        throw RuleValueError("\(number) is outside \(range.lowerBound) to \(range.upperBound)")
      }
      return .constant(number)
    }
    guard let variable = variables.index(of: text) else {
      throw RuleValueError(
        "\(text.isEmpty ? "nothing" : text) is neither a number nor a variable of an earlier byte_extract or byte_math"
      )
    }
    return .variable(variable)
  }
}

extension String {
  /// Without blanks at both ends.
  var trimmed: String {
    func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }
    var low = utf8.startIndex
    var high = utf8.endIndex
    while low < high, isBlank(utf8[low]) { low = utf8.index(after: low) }
    while low < high, isBlank(utf8[utf8.index(before: high)]) { high = utf8.index(before: high) }
    guard low < high else { return "" }
    // Beyond ASCII there are other blanks, and marks that make one character with a blank.
    if utf8[low] < 0x80, utf8[utf8.index(before: high)] < 0x80 {
      return low == utf8.startIndex && high == utf8.endIndex ? self : String(self[low..<high])
    }
    var view = self[...]
    while let first = view.first, first.isWhitespace { view.removeFirst() }
    while let last = view.last, last.isWhitespace { view.removeLast() }
    return String(view)
  }
}
