import RuleLanguage
import Traffic

/// `asn1`: objects in Basic Encoding Rules that a decoder of old would stumble over.
///
/// - Source: Suricata "Payload Keywords", asn1; X.690 section 8.
/// - Limits: ``frameCountMax`` objects side by side and as many levels; an object counts only when all of it
///   is there. Only sequences and sets of the universal class are gone into.
struct ASN1Test: Sendable, BitwiseCopyable {
  /// A bit string says that more bits are unused than it has.
  var asksForBitStringOverflow = false
  /// A real number in digits takes more than 256 octets.
  var asksForDoubleOverflow = false
  /// An object is longer than this.
  var lengthMax: UInt32?
  /// Where the first object stands: from the start of the buffer, or behind the match before.
  var offset: Int32 = 0
  var isRelative = false

  /// Objects that are looked at (Suricata `asn1-max-frames`).
  static let frameCountMax = 256

  static func parse(_ value: [UInt8]) throws(RuleValueError) -> ASN1Test {
    var test = ASN1Test()
    var isEmpty = true
    let words = String(decoding: value, as: UTF8.self)
      .split(omittingEmptySubsequences: false) { $0 == "," }
    for part in words {
      let items = part.split { $0.isWhitespace }.map(String.init)
      guard !items.isEmpty else { throw RuleValueError("an option is missing", hint: Self.hint) }
      var index = 0
      while index < items.count {
        index += try test.take(items[index], items.indices.contains(index + 1) ? items[index + 1] : nil)
        isEmpty = false
      }
    }
    guard !isEmpty else { throw RuleValueError("an option is missing", hint: Self.hint) }
    return test
  }

  private static let hint = "asn1:bitstring_overflow, relative_offset 0"

  /// - Returns: how many words the option has.
  private mutating func take(_ name: String, _ value: String?) throws(RuleValueError) -> Int {
    switch name {
    case "bitstring_overflow": asksForBitStringOverflow = true
    case "double_overflow": asksForDoubleOverflow = true
    case "oversize_length":
      guard let value, let length = UInt32(value) else {
        throw RuleValueError("oversize_length takes a number", hint: "oversize_length 2048")
      }
      lengthMax = length
      return 2
    case "absolute_offset", "relative_offset":
      let least: Int32 = name == "relative_offset" ? -65_535 : 0
      guard let value, let number = Int32(value), (least...65_535).contains(number) else {
        throw RuleValueError("\(name) takes a number from \(least) to 65535")
      }
      // Of both the absolute one counts, as in Suricata.
      if name == "absolute_offset" || !hasAbsoluteOffset {
        offset = number
        isRelative = name == "relative_offset"
        hasAbsoluteOffset = name == "absolute_offset"
      }
      return 2
    default: throw RuleValueError("asn1 has no option \(name)", hint: Self.hint)
    }
    return 1
  }

  private var hasAbsoluteOffset = false

  // MARK: Evaluation

  /// Whether one of the objects is as the rule says.
  func holds(_ bytes: RawSpan, _ facts: BufferFacts, cursor: Int) -> Bool {
    let start = isRelative ? cursor + Int(offset) : Int(offset) - Int(clamping: facts.offset)
    guard start >= 0, start < bytes.byteCount else { return false }
    var reader = ByteReader(bytes.extracting(start..<bytes.byteCount))
    var isFound = false
    var count = 0
    while !reader.isAtEnd {
      // So many objects are taken for something else, whatever was found in them.
      if count >= Self.frameCountMax { return false }
      switch object(&reader, depth: 1) {
      case .malformed: return isFound
      case .plain: break
      case .odd: isFound = true
      }
      count += 1
    }
    return isFound
  }

  private enum Outcome {
    case plain, odd, malformed
  }

  /// One object with all that is in it; one malformed part makes it malformed as a whole.
  private func object(_ reader: inout ByteReader, depth: Int) -> Outcome {
    guard depth <= Self.frameCountMax, let header = BERHeader(&reader) else { return .malformed }
    guard let length = header.length else {
      return indefinite(&reader, header, depth: depth)
    }
    guard let content = reader.take(length) else { return .malformed }
    var isOdd = lengthMax.map { length > Int($0) } ?? false
    guard header.isUniversal else { return isOdd ? .odd : .plain }
    if header.isContainer {
      guard header.isConstructed else { return .malformed }
      var inner = ByteReader(content)
      while !inner.isAtEnd {
        switch object(&inner, depth: depth + 1) {
        case .malformed: return .malformed
        case .plain: break
        case .odd: isOdd = true
        }
      }
      return isOdd ? .odd : .plain
    }
    guard header.allows(content) else { return .malformed }
    return isOdd || isOverflow(header, content) ? .odd : .plain
  }

  /// A sequence or set that ends with two octets of zero.
  private func indefinite(_ reader: inout ByteReader, _ header: BERHeader, depth: Int) -> Outcome {
    guard header.isUniversal, header.isContainer, header.isConstructed else { return .malformed }
    var isOdd = false
    while reader.remaining >= 2 {
      if reader.rest().u16(at: 0) == 0 {
        _ = reader.u16()
        return isOdd ? .odd : .plain
      }
      switch object(&reader, depth: depth + 1) {
      case .malformed: return .malformed
      case .plain: break
      case .odd: isOdd = true
      }
    }
    return .malformed
  }

  private func isOverflow(_ header: BERHeader, _ content: RawSpan) -> Bool {
    guard !header.isConstructed, content.byteCount > 0 else { return false }
    switch header.tag {
    case BERHeader.bitString:
      return asksForBitStringOverflow && Int(content.u8(at: 0)) > content.byteCount &* 8
    case BERHeader.real:
      return asksForDoubleOverflow && content.u8(at: 0) & 0xc0 == 0 && content.byteCount > 256
    default: return false
    }
  }
}

/// Identifier and length of an object.
private struct BERHeader {
  static let boolean: UInt32 = 1, bitString: UInt32 = 3, octetString: UInt32 = 4, real: UInt32 = 9
  static let sequence: UInt32 = 16, set: UInt32 = 17

  var isUniversal: Bool
  var isConstructed: Bool
  var tag: UInt32
  /// nil where the end is marked instead.
  var length: Int?

  /// - Source: X.690 sections 8.1.2 and 8.1.3; tags and lengths of more than four octets are refused.
  init?(_ reader: inout ByteReader) {
    guard let first = reader.u8() else { return nil }
    isUniversal = first & 0xc0 == 0
    isConstructed = first & 0x20 != 0
    tag = UInt32(first & 0x1f)
    if tag == 0x1f {
      tag = 0
      var octetCount = 0
      while true {
        guard let next = reader.u8(), octetCount < 4 else { return nil }
        octetCount += 1
        tag = tag << 7 | UInt32(next & 0x7f)
        if next & 0x80 == 0 { break }
      }
    }
    guard let short = reader.u8() else { return nil }
    switch short {
    case 0..<0x80: length = Int(short)
    case 0x80: length = nil
    default:
      let octetCount = Int(short & 0x7f)
      guard octetCount <= 4 else { return nil }
      var value = 0
      for _ in 0..<octetCount {
        guard let octet = reader.u8() else { return nil }
        value = value << 8 | Int(octet)
      }
      length = value
    }
  }

  var isContainer: Bool { tag == Self.sequence || tag == Self.set }

  /// Whether a value of the universal class can have this content.
  func allows(_ content: RawSpan) -> Bool {
    switch tag {
    case Self.boolean: return content.byteCount == 1
    case Self.bitString: return !isConstructed && content.byteCount > 0
    case Self.octetString: return !isConstructed
    // Times: at least YYMMDDhhmmZ.
    case 23, 24: return content.byteCount >= 11 && content.isASCII
    // Strings of seven-bit characters; UTF-8; two octets a character.
    case 19, 20, 21, 22, 25, 26, 27: return content.isASCII
    case 12: return content.isUTF8
    case 30: return content.byteCount % 2 == 0
    default: return true
    }
  }
}

extension RawSpan {
  fileprivate var isASCII: Bool {
    for index in 0..<byteCount where u8(at: index) >= 0x80 { return false }
    return true
  }

  /// Leading octets are followed by as many others as they say.
  fileprivate var isUTF8: Bool {
    var wanted = 0
    for index in 0..<byteCount {
      let octet = u8(at: index)
      if wanted > 0 {
        guard octet & 0xc0 == 0x80 else { return false }
        wanted -= 1
      } else if octet >= 0x80 {
        switch octet {
        case 0xc2...0xdf: wanted = 1
        case 0xe0...0xef: wanted = 2
        case 0xf0...0xf4: wanted = 3
        default: return false
        }
      }
    }
    return wanted == 0
  }
}
