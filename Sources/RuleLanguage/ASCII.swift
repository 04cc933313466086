/// The bytes that rule syntax is made of, by name.
enum ASCII {
  static let tab: UInt8 = 0x09
  static let newline: UInt8 = 0x0a
  static let carriageReturn: UInt8 = 0x0d
  static let space: UInt8 = 0x20
  static let exclamation: UInt8 = 0x21
  static let quote: UInt8 = 0x22
  static let hash: UInt8 = 0x23
  static let dollar: UInt8 = 0x24
  static let ampersand: UInt8 = 0x26
  static let openParenthesis: UInt8 = 0x28
  static let closeParenthesis: UInt8 = 0x29
  static let plus: UInt8 = 0x2b
  static let comma: UInt8 = 0x2c
  static let minus: UInt8 = 0x2d
  static let dot: UInt8 = 0x2e
  static let slash: UInt8 = 0x2f
  static let zero: UInt8 = 0x30
  static let colon: UInt8 = 0x3a
  static let semicolon: UInt8 = 0x3b
  static let less: UInt8 = 0x3c
  static let equals: UInt8 = 0x3d
  static let greater: UInt8 = 0x3e
  static let openBracket: UInt8 = 0x5b
  static let backslash: UInt8 = 0x5c
  static let closeBracket: UInt8 = 0x5d
  static let x: UInt8 = 0x78
  static let pipe: UInt8 = 0x7c

  static func isBlank(_ byte: UInt8) -> Bool { byte == space || byte == tab }

  /// Blank, or one of the bytes that end lines.
  static func isSpace(_ byte: UInt8) -> Bool { byte == space || (byte >= tab && byte <= carriageReturn) }

  static func isDigit(_ byte: UInt8) -> Bool { byte &- zero < 10 }

  static func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) &- 0x61 < 26 }

  static func lowercased(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

  static func hexValue(_ byte: UInt8) -> UInt8? {
    if isDigit(byte) { return byte &- zero }
    let letter = lowercased(byte) &- 0x61
    return letter < 6 ? letter &+ 10 : nil
  }

  static func lowercased(_ bytes: some Sequence<UInt8>) -> [UInt8] { bytes.map { lowercased($0) } }
}

extension Collection<UInt8> {
  /// The bytes as text; a byte that is not UTF-8 becomes U+FFFD. For messages and names, not for matching.
  var text: String { String(decoding: self, as: UTF8.self) }
}

extension [UInt8] {
  /// `range` without blanks and line ends at both ends.
  func trimmed(_ range: Range<Int>) -> Range<Int> {
    var low = range.lowerBound
    var high = range.upperBound
    while low < high, ASCII.isSpace(self[low]) { low &+= 1 }
    while high > low, ASCII.isSpace(self[high &- 1]) { high &-= 1 }
    return low..<high
  }

  func trimmed() -> Range<Int> { trimmed(0..<count) }

  /// Whether `range` spells `word` (given in lower case), ignoring case.
  func spells(_ word: StaticString, in range: Range<Int>) -> Bool {
    guard range.count == word.utf8CodeUnitCount else { return false }
    return self[range].lazy.map { ASCII.lowercased($0) }.elementsEqual("\(word)".utf8)
  }
}
