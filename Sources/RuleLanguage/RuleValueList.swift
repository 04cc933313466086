/// One item of a value that is a list.
public struct RuleValueItem: Sendable, Hashable {
  /// The item without blanks at its ends.
  public var bytes: [UInt8]
  /// Bytes from the start of the value to the item.
  public var offset: Int

  public init(bytes: [UInt8], offset: Int) {
    self.bytes = bytes
    self.offset = offset
  }

  public var text: String { bytes.text }
  /// The item in lower case, for words.
  public var word: String { ASCII.lowercased(bytes).text }

  /// An error about this item.
  public func error(_ message: String, hint: String? = nil) -> RuleValueError {
    RuleValueError(message, columnOffset: offset, hint: hint)
  }
}

/// An item made of a key and perhaps a value, as `type limit` or `offset:4`.
public struct RuleKeyValue: Sendable, Hashable {
  /// The key in lower case.
  public var key: String
  public var keyOffset: Int
  /// What follows the key; nil if nothing does.
  public var value: RuleValueItem?
}

/// Values that are lists.
public enum RuleValueList {
  /// Splits at every comma that is not in brackets. Every item must hold something.
  public static func parse(
    _ value: [UInt8], separator: UInt8 = UInt8(ascii: ",")
  ) throws(RuleValueError) -> [RuleValueItem] {
    var items: [RuleValueItem] = []
    var start = 0
    var depth = 0
    for (index, byte) in value.enumerated() {
      if byte == ASCII.openBracket { depth &+= 1 }
      if byte == ASCII.closeBracket { depth = max(0, depth &- 1) }
      guard byte == separator, depth == 0 else { continue }
      items.append(try item(value, start..<index))
      start = index &+ 1
    }
    items.append(try item(value, start..<value.count))
    return items
  }

  /// Splits at commas, and each item at its first `separator`, or at the first blanks if that is nil.
  public static func parseKeyValues(
    _ value: [UInt8], separator: UInt8? = nil
  ) throws(RuleValueError) -> [RuleKeyValue] {
    try parse(value).map { (item) throws(RuleValueError) in try keyValue(item, separator) }
  }

  private static func item(_ value: [UInt8], _ range: Range<Int>) throws(RuleValueError) -> RuleValueItem {
    let range = value.trimmed(range)
    guard !range.isEmpty else {
      throw RuleValueError(
        value.isEmpty ? "the value is empty" : "an item of the list is empty",
        columnOffset: range.lowerBound)
    }
    return RuleValueItem(bytes: Array(value[range]), offset: range.lowerBound)
  }

  private static func keyValue(
    _ item: RuleValueItem, _ separator: UInt8?
  ) throws(RuleValueError) -> RuleKeyValue {
    let bytes = item.bytes
    let split = bytes.firstIndex { byte in separator.map { $0 == byte } ?? ASCII.isSpace(byte) }
    let keyRange = bytes.trimmed(0..<(split ?? bytes.count))
    guard !keyRange.isEmpty else { throw item.error("a key is missing") }
    var result = RuleKeyValue(
      key: ASCII.lowercased(bytes[keyRange]).text, keyOffset: item.offset &+ keyRange.lowerBound, value: nil)
    guard let split else { return result }
    let valueRange = bytes.trimmed((split &+ 1)..<bytes.count)
    guard !valueRange.isEmpty else { throw item.error("'\(result.key)' has no value") }
    result.value = RuleValueItem(
      bytes: Array(bytes[valueRange]), offset: item.offset &+ valueRange.lowerBound)
    return result
  }
}
