/// The texts and values of tests: escapes, lengths that are filled in, and short views for people.
enum RuleTestText {
  /// Octets of a text: `\xHH`, `\\` and `\n` are escapes, all else stands for itself.
  static func unescape(_ text: some Collection<UInt8>) throws(RuleTestProblem) -> [UInt8] {
    var out: [UInt8] = []
    var rest = Array(text)[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "\\") else {
        out.append(byte)
        continue
      }
      switch rest.popFirst() {
      case UInt8(ascii: "\\")?: out.append(byte)
      case UInt8(ascii: "n")?: out.append(10)
      case UInt8(ascii: "x")?:
        guard let high = rest.popFirst().flatMap(hexDigit), let low = rest.popFirst().flatMap(hexDigit)
        else { throw RuleTestProblem("\\x in a test takes two hexadecimal digits") }
        out.append(high << 4 | low)
      case let other:
        let shown = other.map { view([$0]) } ?? ""
        throw RuleTestProblem("unknown escape in a test: \\\(shown)")
      }
    }
    return out
  }

  private static func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte &- UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte &- UInt8(ascii: "a") &+ 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte &- UInt8(ascii: "A") &+ 10
    default: nil
    }
  }

  /// Puts the number of octets behind the headers in place of each `Content-Length: @`.
  /// - Returns: nil when no empty line ends the headers.
  static func fillContentLength(_ text: [UInt8]) -> [UInt8]? {
    let ends = Array("\r\n\r\n".utf8)
    guard let headEnd = firstIndex(of: ends, in: text) else { return nil }
    let length = Array(String(text.count - headEnd - ends.count).utf8)
    let placeholder = Array("content-length: @".utf8)
    var out: [UInt8] = []
    for line in text[..<headEnd].split(separator: 10, omittingEmptySubsequences: false) {
      if line.startIndex > 0 { out.append(10) }
      let bare = line.last == 13 ? line.dropLast() : line
      if bare.elementsEqual(placeholder, by: { lower($0) == $1 }) {
        out += bare.dropLast() + length + (line.last == 13 ? [13] : [])
      } else {
        out += line
      }
    }
    return out + text[headEnd...]
  }

  private static func lower(_ byte: UInt8) -> UInt8 { (65...90).contains(byte) ? byte | 32 : byte }

  static func firstIndex(of pattern: [UInt8], in bytes: [UInt8]) -> Int? {
    guard !pattern.isEmpty, bytes.count >= pattern.count else { return nil }
    return (0...(bytes.count - pattern.count)).first {
      bytes[$0..<($0 + pattern.count)].elementsEqual(pattern)
    }
  }

  /// One line for a person: line ends as `\n`, other control and non-ASCII octets as `\xHH`, cut short.
  static func view(_ bytes: some Collection<UInt8>, countMax: Int = 96) -> String {
    var out = ""
    for byte in bytes.prefix(countMax) {
      switch byte {
      case 13: continue
      case 10: out += "\\n"
      case UInt8(ascii: "\\"): out += "\\\\"
      case 32...126: out.unicodeScalars.append(Unicode.Scalar(byte))
      default:
        let digits = String(byte, radix: 16)
        out += "\\x" + (digits.utf8.count < 2 ? "0" : "") + digits
      }
    }
    return bytes.count > countMax ? out + "…" : out
  }
}
