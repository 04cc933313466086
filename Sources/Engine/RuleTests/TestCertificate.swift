/// Writes an X.509 certificate of given names and serial number; its key and signature are blanks.
///
/// - Source: RFC 5280 section 4.1, in DER.
enum TestCertificate {
  /// - Parameters:
  ///   - subject: `CN=a, O=b`, in that order.
  ///   - serial: the octets of the number, the high one first.
  static func make(
    subject: [UInt8], issuer: [UInt8], serial: [UInt8]
  ) throws(RuleTestProblem) -> [UInt8] {
    let algorithm = sequence(objectIdentifier([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b]) + null)
    let keyAlgorithm = sequence(objectIdentifier([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01]) + null)
    let validity = sequence(element(0x17, Array("240101000000Z".utf8)) + element(0x17, Array("340101000000Z".utf8)))
    let key = sequence(
      element(0x02, [0] + Array(repeating: 0xc5, count: 256)) + element(0x02, [1, 0, 1]))
    let version = element(0xa0, element(0x02, [2]))
    let names = (issuer: try name(issuer), subject: try name(subject))
    let toBeSigned = sequence(
      version + element(0x02, serial) + algorithm + names.issuer + validity + names.subject
        + sequence(keyAlgorithm + element(0x03, [0] + key)))
    return sequence(toBeSigned + algorithm + element(0x03, [0] + Array(repeating: 0x5c, count: 256)))
  }

  /// The type and the kind of string of each attribute that tests may name.
  private static let attributes: [String: (type: [UInt8], tag: UInt8)] = [
    "CN": ([0x55, 4, 3], 0x0c), "C": ([0x55, 4, 6], 0x13), "L": ([0x55, 4, 7], 0x0c),
    "ST": ([0x55, 4, 8], 0x0c), "O": ([0x55, 4, 10], 0x0c), "OU": ([0x55, 4, 11], 0x0c),
    "emailAddress": ([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], 0x16),
  ]

  private static func name(_ text: [UInt8]) throws(RuleTestProblem) -> [UInt8] {
    var parts: [(name: String, value: [UInt8])] = []
    for piece in pieces(text) {
      let name = String(decoding: piece.prefix { $0 != UInt8(ascii: "=") }, as: UTF8.self)
      if piece.count > name.utf8.count, attributes[name] != nil {
        parts.append((name, Array(piece.dropFirst(name.utf8.count + 1))))
      } else if let last = parts.indices.last {
        // The comma was part of the value.
        parts[last].value += Array(", ".utf8) + piece
      } else {
        throw RuleTestProblem("a name is written as CN=a, O=b: \(RuleTestText.view(text))")
      }
    }
    var out: [UInt8] = []
    for part in parts {
      guard let attribute = attributes[part.name] else { continue }
      let pair = sequence(objectIdentifier(attribute.type) + element(attribute.tag, part.value))
      out += element(0x31, pair)
    }
    return sequence(out)
  }

  /// What stands between commas with a blank behind them.
  private static func pieces(_ text: [UInt8]) -> [[UInt8]] {
    var pieces: [[UInt8]] = []
    var rest = text
    while let comma = RuleTestText.firstIndex(of: Array(", ".utf8), in: rest) {
      pieces.append(Array(rest[..<comma]))
      rest = Array(rest[(comma + 2)...])
    }
    return pieces + [rest]
  }

  private static let null: [UInt8] = [5, 0]
  private static func sequence(_ content: [UInt8]) -> [UInt8] { element(0x30, content) }
  private static func objectIdentifier(_ content: [UInt8]) -> [UInt8] { element(6, content) }

  private static func element(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
    switch content.count {
    case ..<128: [tag] + content.prefixed(octets: 1)
    case ..<256: [tag, 0x81] + content.prefixed(octets: 1)
    default: [tag, 0x82] + content.prefixed(octets: 2)
    }
  }
}
