import Traffic

/// The first line and the header fields of a SIP message.
///
/// - Source: RFC 3261 section 7 (messages), 7.3.3 (compact names), 20 (fields).
/// - Limits: ``fieldCountMax`` fields are kept.
struct SIPHead {
  struct Field {
    /// Lower case, never compact.
    var name: [UInt8]
    /// Without blanks around it; folded lines joined by one.
    var value: [UInt8]
  }

  /// The first line without its end.
  private(set) var line: [UInt8]
  /// Method, target, version of a request; version, code, reason of a response.
  private(set) var parts: (first: [UInt8], second: [UInt8], third: [UInt8])
  private(set) var isResponse: Bool
  private(set) var fields: [Field] = []
  /// Octets of the first line with its end.
  private(set) var lineCount: Int

  static let fieldCountMax = 256

  /// - Parameter bytes: all up to the empty line.
  /// - Returns: nil for what is no SIP.
  init?(_ bytes: [UInt8]) {
    guard let end = bytes.firstIndex(of: HTTPText.lf) else { return nil }
    lineCount = end + 1
    line = Array(bytes[..<end])
    if line.last == HTTPText.cr { line.removeLast() }
    let words = line.split(separator: HTTPText.space, maxSplits: 2, omittingEmptySubsequences: false)
    guard words.count >= 2 else { return nil }
    isResponse = Self.isVersion(words[0])
    guard isResponse || words.count == 3 && Self.isVersion(words[2]) else { return nil }
    guard !words[0].isEmpty, words[0].allSatisfy(HTTPText.isToken) || isResponse else { return nil }
    guard !isResponse || words[1].count == 3 && words[1].allSatisfy(HTTPText.isDigit) else { return nil }
    parts = (Array(words[0]), Array(words[1]), words.count > 2 ? Array(words[2]) : [])
    readFields(bytes, from: lineCount)
  }

  /// `SIP/2.0`, or another version.
  private static func isVersion(_ word: ArraySlice<UInt8>) -> Bool {
    word.count > 4 && word.prefix(4).lazy.map(HTTPText.lower).elementsEqual("sip/".utf8)
      && word.dropFirst(4).allSatisfy { HTTPText.isDigit($0) || $0 == UInt8(ascii: ".") }
  }

  private mutating func readFields(_ bytes: [UInt8], from start: Int) {
    for part in bytes[start...].split(separator: HTTPText.lf) {
      let range = HTTPText.trimmed(bytes, part.startIndex..<part.endIndex)
      guard let first = part.first, !range.isEmpty else { continue }
      let text = Array(bytes[range])
      if HTTPText.isBlank(first) {
        // RFC 3261 section 7.3.1: a line that begins with a blank goes on with the one before.
        if let last = fields.indices.last { fields[last].value += [HTTPText.space] + text }
        continue
      }
      guard fields.count < Self.fieldCountMax, let colon = text.firstIndex(of: HTTPText.colon) else { continue }
      let name = text[..<colon].filter { !HTTPText.isBlank($0) }.map(HTTPText.lower)
      let value = HTTPText.trimmed(text, colon + 1..<text.count)
      fields.append(Field(name: Self.full(name), value: Array(text[value])))
    }
  }

  /// RFC 3261 section 7.3.3, and what later documents added.
  private static func full(_ name: [UInt8]) -> [UInt8] {
    guard name.count == 1 else { return name }
    let known: StaticString? =
      switch name[0] {
      case UInt8(ascii: "b"): "referred-by"
      case UInt8(ascii: "c"): "content-type"
      case UInt8(ascii: "e"): "content-encoding"
      case UInt8(ascii: "f"): "from"
      case UInt8(ascii: "i"): "call-id"
      case UInt8(ascii: "k"): "supported"
      case UInt8(ascii: "l"): "content-length"
      case UInt8(ascii: "m"): "contact"
      case UInt8(ascii: "o"): "event"
      case UInt8(ascii: "r"): "refer-to"
      case UInt8(ascii: "s"): "subject"
      case UInt8(ascii: "t"): "to"
      case UInt8(ascii: "u"): "allow-events"
      case UInt8(ascii: "v"): "via"
      default: nil
      }
    guard let known else { return name }
    return known.withUTF8Buffer { text in unsafe [UInt8](text) }
  }

  /// The value of a field, counted among those of its name.
  func value(_ name: StaticString, _ index: Int) -> [UInt8]? {
    var left = index
    for field in fields where HTTPText.equals(field.name, 0..<field.name.count, name) {
      if left == 0 { return field.value }
      left -= 1
    }
    return nil
  }

  /// Nil where there is none or it is no number.
  var contentLength: UInt64? {
    guard let text = value("content-length", 0), (1...18).contains(text.count), text.allSatisfy(HTTPText.isDigit)
    else { return nil }
    // At most 18 digits: no overflow.
    return text.reduce(0) { $0 &* 10 &+ UInt64($1 &- 48) }
  }
}
