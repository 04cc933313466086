import Traffic

/// Reads the elements of a DER encoding one after the other.
///
/// Tolerant where that is harmless: lengths need not be minimal. Lengths of more than four octets,
/// indefinite lengths and tags above 30 are malformed.
/// - Source: ITU-T X.690.
struct DERReader: ~Escapable {
  private var reader: ByteReader

  @_lifetime(copy bytes)
  init(_ bytes: RawSpan) { reader = ByteReader(bytes) }

  var isAtEnd: Bool { reader.isAtEnd }

  /// The tag of the next element, without going past it.
  var nextTag: UInt8? {
    let rest = reader.rest()
    return rest.byteCount > 0 ? rest.u8(at: 0) : nil
  }

  /// The next element; nil at the end or when it is malformed.
  @_lifetime(copy self)
  mutating func next() -> DERElement? {
    guard let tag = reader.u8(), tag & 0x1f != 0x1f, let first = reader.u8() else { return nil }
    var length = Int(first)
    if first & 0x80 != 0 {
      let octets = Int(first & 0x7f)
      guard octets >= 1, octets <= 4 else { return nil }
      length = 0
      // At most 4 octets: fits in Int.
      for _ in 0..<octets {
        guard let octet = reader.u8() else { return nil }
        length = length << 8 | Int(octet)
      }
    }
    guard let content = reader.take(length) else { return nil }
    return DERElement(tag: tag, content: content)
  }

  /// The content of the next element, which must have this tag.
  @_lifetime(copy self)
  mutating func next(_ tag: UInt8) -> RawSpan? {
    guard let element = next(), element.tag == tag else { return nil }
    return element.content
  }
}

struct DERElement: ~Escapable {
  let tag: UInt8
  let content: RawSpan

  @_lifetime(copy content)
  init(tag: UInt8, content: RawSpan) {
    self.tag = tag
    self.content = content
  }
}

enum DERTag {
  static let integer: UInt8 = 0x02
  static let bitString: UInt8 = 0x03
  static let octetString: UInt8 = 0x04
  static let objectIdentifier: UInt8 = 0x06
  static let utcTime: UInt8 = 0x17
  static let generalizedTime: UInt8 = 0x18
  static let bmpString: UInt8 = 0x1e
  static let sequence: UInt8 = 0x30
  static let set: UInt8 = 0x31
}
