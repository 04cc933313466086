import CSluiceCompression
import RuleLanguage
import Traffic

/// Makes another buffer out of one before the steps of a rule see it.
///
/// - Source: Suricata "Transformations".
public enum BufferTransform: Sendable, Hashable {
  case dotPrefix
  case stripWhitespace
  case compressWhitespace
  case toLowercase
  case toUppercase
  case headerLowercase
  case stripPseudoHeaders
  case urlDecode
  case domain
  case topLevelDomain
  case xor(key: [UInt8])
  case digest(DigestKind)
  case fromBase64(byteCount: Int, offset: Int, mode: Base64Mode)
  case inflate(InflateKind, outputMax: Int)
  /// Its index is the expression's identity, so that equal transforms share their result.
  case expression(ExpressionTransform)

  public enum DigestKind: String, Sendable, Hashable { case md5, sha1, sha256 }
  public enum Base64Mode: Sendable, Hashable { case rfc2045, rfc4648, strict }
  public enum InflateKind: Sendable, Hashable { case gzip, zlib }

  static let keywords: Set<String> = [
    "dotprefix", "strip_whitespace", "compress_whitespace", "to_lowercase", "to_uppercase",
    "header_lowercase", "strip_pseudo_headers", "url_decode", "domain", "tld", "xor", "to_md5",
    "to_sha1", "to_sha256", "from_base64", "gunzip", "zlib_deflate", "pcrexform",
  ]

  /// Larger results of decompression are cut there (Suricata's default of `max-size`).
  static let inflatedMax = 1024

  static func parse(_ name: String, _ value: [UInt8]) throws(RuleValueError) -> BufferTransform? {
    switch name {
    case "dotprefix": return .dotPrefix
    case "strip_whitespace": return .stripWhitespace
    case "compress_whitespace": return .compressWhitespace
    case "to_lowercase": return .toLowercase
    case "to_uppercase": return .toUppercase
    case "header_lowercase": return .headerLowercase
    case "strip_pseudo_headers": return .stripPseudoHeaders
    case "url_decode": return .urlDecode
    case "domain": return .domain
    case "tld": return .topLevelDomain
    case "to_md5": return .digest(.md5)
    case "to_sha1": return .digest(.sha1)
    case "to_sha256": return .digest(.sha256)
    case "xor": return .xor(key: try xorKey(value))
    case "from_base64": return try base64(value)
    case "gunzip": return .inflate(.gzip, outputMax: try inflatedSize(value))
    case "zlib_deflate": return .inflate(.zlib, outputMax: try inflatedSize(value))
    case "pcrexform": return .expression(try ExpressionTransform(try QuotedString.parseRaw(value)))
    default: return nil
    }
  }

  private static func xorKey(_ value: [UInt8]) throws(RuleValueError) -> [UInt8] {
    let digits = value.filter { $0 != 0x22 && $0 != 0x20 }
    var key: [UInt8] = []
    var index = 0
    while index + 1 < digits.count {
      let pair = String(decoding: digits[index...index + 1], as: UTF8.self)
      guard let byte = UInt8(pair, radix: 16) else {
        throw RuleValueError("the key must be hexadecimal digits", columnOffset: index)
      }
      key.append(byte)
      index += 2
    }
    guard !key.isEmpty, digits.count % 2 == 0, key.count <= 255 else {
      throw RuleValueError("the key must be 1 to 255 octets in hexadecimal digits", hint: "xor:\"0d0ac8ff\"")
    }
    return key
  }

  private static func base64(_ value: [UInt8]) throws(RuleValueError) -> BufferTransform {
    var count = 0
    var offset = 0
    var mode = Base64Mode.rfc4648
    for item in KeywordValue(value).list where !item.isEmpty {
      let words = item.split(separator: " ").map(String.init)
      switch words.first {
      case "bytes" where words.count == 2 && UInt16(words[1]) != nil: count = Int(UInt16(words[1]) ?? 0)
      case "offset" where words.count == 2 && UInt16(words[1]) != nil: offset = Int(UInt16(words[1]) ?? 0)
      case "mode" where words.count == 2 && words[1] == "rfc2045": mode = .rfc2045
      case "mode" where words.count == 2 && words[1] == "rfc4648": mode = .rfc4648
      case "mode" where words.count == 2 && words[1] == "strict": mode = .strict
      default: throw RuleValueError("from_base64 has no option \(item)")
      }
    }
    return .fromBase64(byteCount: count, offset: offset, mode: mode)
  }

  private static func inflatedSize(_ value: [UInt8]) throws(RuleValueError) -> Int {
    let text = KeywordValue(value).text
    if text.isEmpty { return inflatedMax }
    let words = text.split(separator: " ").map(String.init)
    guard words.count == 2, words[0] == "max-size", let size = UInt32(words[1]), size > 0 else {
      throw RuleValueError("takes max-size and a number of octets", hint: "gunzip: max-size 4096")
    }
    return Int(size)
  }
}

/// A `pcrexform`: the first group of the expression becomes the buffer.
public struct ExpressionTransform: Sendable, Hashable {
  let pattern: [UInt8]
  let expression: RegularExpression

  init(_ pattern: [UInt8]) throws(RuleValueError) {
    self.pattern = pattern
    expression = try RegularExpression(pattern: pattern, options: 0)
    guard expression.groupCount == 1 else {
      throw RuleValueError("pcrexform takes an expression with exactly one group, which becomes the buffer")
    }
  }

  public static func == (left: Self, right: Self) -> Bool { left.pattern == right.pattern }
  public func hash(into hasher: inout Hasher) { hasher.combine(pattern) }
}
