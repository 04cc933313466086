/// The parameters of a Content-Type or Content-Disposition value.
///
/// - Source: RFC 2045 section 5.1; RFC 2231 sections 3 and 4 (`filename*0*=utf-8''a%20b`).
enum MIMEParameters {
  /// The value of parameter `name`, its sections put together and their percent-codes undone.
  static func value(_ name: StaticString, in bytes: [UInt8]) -> [UInt8]? {
    var sections: [Int: [UInt8]] = [:]
    var plain: [UInt8]?
    var i = next(bytes, bytes.startIndex)
    while i < bytes.count {
      while i < bytes.count, HTTPText.isSpace(bytes[i]) { i += 1 }
      let start = i
      while i < bytes.count, bytes[i] != 61, bytes[i] != 59 { i += 1 }
      let key = HTTPText.trimmed(bytes, start..<i)
      guard i < bytes.count, bytes[i] == 61 else {
        i += 1
        continue
      }
      let (found, end) = text(bytes, i + 1)
      i = next(bytes, end)
      guard HTTPText.hasPrefix(bytes, key, name) else { continue }
      let rest = Array(bytes[key.lowerBound + name.utf8CodeUnitCount..<key.upperBound])
      if rest.isEmpty {
        if plain == nil { plain = found }
      } else if let (number, isCoded) = section(rest), number < sectionsMax {
        sections[number] = isCoded ? decoded(found, isFirst: number == 0) : found
      }
    }
    if sections.isEmpty { return plain }
    var whole: [UInt8] = []
    var number = 0
    while let part = sections[number] {
      whole.append(contentsOf: part)
      number += 1
    }
    return number > 0 ? whole : plain
  }

  private static var sectionsMax: Int { 256 }

  /// Behind the next semicolon that is not quoted.
  private static func next(_ bytes: [UInt8], _ start: Int) -> Int {
    var i = start
    var isQuoted = false
    while i < bytes.count {
      if bytes[i] == 34 { isQuoted.toggle() }
      if bytes[i] == 59, !isQuoted { return i + 1 }
      i += 1
    }
    return i
  }

  private static func text(_ bytes: [UInt8], _ start: Int) -> ([UInt8], Int) {
    var i = start
    while i < bytes.count, HTTPText.isBlank(bytes[i]) { i += 1 }
    var out: [UInt8] = []
    if i < bytes.count, bytes[i] == 34 {
      i += 1
      while i < bytes.count, bytes[i] != 34 {
        if bytes[i] == 92, i + 1 < bytes.count { i += 1 }
        out.append(bytes[i])
        i += 1
      }
      return (out, min(i + 1, bytes.count))
    }
    while i < bytes.count, bytes[i] != 59 {
      out.append(bytes[i])
      i += 1
    }
    while let last = out.last, HTTPText.isSpace(last) { out.removeLast() }
    return (out, i)
  }

  /// `*`, `*0`, `*0*`.
  private static func section(_ text: [UInt8]) -> (number: Int, isCoded: Bool)? {
    guard text.first == 42 else { return nil }
    if text.count == 1 { return (0, true) }
    let isCoded = text.last == 42
    let digits = text[1..<(isCoded ? text.count - 1 : text.count)]
    guard !digits.isEmpty, digits.count <= 4, digits.allSatisfy(HTTPText.isDigit) else { return nil }
    return (digits.reduce(0) { $0 * 10 + Int($1 - 48) }, isCoded)
  }

  private static func decoded(_ text: [UInt8], isFirst: Bool) -> [UInt8] {
    var i = 0
    if isFirst, let first = text.firstIndex(of: 39), let second = text[(first + 1)...].firstIndex(of: 39) {
      i = second + 1
    }
    var out: [UInt8] = []
    while i < text.count {
      if text[i] == 37, i + 2 < text.count, let high = HTTPText.hex(text[i + 1]), let low = HTTPText.hex(text[i + 2]) {
        out.append(high << 4 | low)
        i += 3
      } else {
        out.append(text[i])
        i += 1
      }
    }
    return out
  }
}
