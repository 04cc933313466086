import Traffic

/// Writes the DNS messages that tests stand for.
///
/// - Source: RFC 1035 section 4, without compression.
struct TestDNSMessage {
  private let name: [UInt8]
  private let type: RecordType

  enum RecordType: String {
    case a = "A"
    case ns = "NS"
    case cname = "CNAME"
    case null = "NULL"
    case ptr = "PTR"
    case mx = "MX"
    case txt = "TXT"
    case aaaa = "AAAA"
    case srv = "SRV"
    case axfr = "AXFR"
    case any = "ANY"

    var number: UInt16 {
      switch self {
      case .a: 1
      case .ns: 2
      case .cname: 5
      case .null: 10
      case .ptr: 12
      case .mx: 15
      case .txt: 16
      case .aaaa: 28
      case .srv: 33
      case .axfr: 252
      case .any: 255
      }
    }
  }

  init(name: [UInt8], type: [UInt8]) throws(RuleTestProblem) {
    let typeName = String(decoding: type, as: UTF8.self)
    guard let type = RecordType(rawValue: typeName) else {
      throw RuleTestProblem("type= is no record type that tests know: \(typeName)")
    }
    self.type = type
    self.name = try Self.labels(name)
  }

  /// A recursive query.
  func query(identifier: UInt16) -> [UInt8] {
    message(identifier, flags: 0x0100, answerCount: 0) + question
  }

  /// The answer to it, with one record of the same name and type.
  func response(identifier: UInt16, data: [UInt8]) throws(RuleTestProblem) -> [UInt8] {
    var record = name
    record.append(word: type.number)
    record += [0, 1, 0, 0, 1, 44]  // class IN; 300 seconds
    record += try recordData(data).prefixed(octets: 2)
    return message(identifier, flags: 0x8180, answerCount: 1) + question + record
  }

  private var question: [UInt8] {
    var out = name
    out.append(word: type.number)
    return out + [0, 1]
  }

  private func message(_ identifier: UInt16, flags: UInt16, answerCount: UInt16) -> [UInt8] {
    var out: [UInt8] = []
    for word in [identifier, flags, 1, answerCount, 0, 0] { out.append(word: word) }
    return out
  }

  private func recordData(_ data: [UInt8]) throws(RuleTestProblem) -> [UInt8] {
    switch type {
    case .a, .aaaa:
      let text = String(decoding: data, as: UTF8.self)
      guard let address = IPAddress(text), address.isIPv4 == (type == .a) else {
        throw RuleTestProblem("data= is no address for this type: \(text)")
      }
      return address.networkBytes
    case .ns, .cname, .ptr: return try Self.labels(data)
    case .mx: return [0, 10] + (try Self.labels(data))
    case .srv: return [0, 0, 0, 0, 0, 80] + (try Self.labels(data))
    case .txt:
      // A character-string holds 255 octets.
      var rest = data[...], out: [UInt8] = []
      repeat {
        out += Array(rest.prefix(255)).prefixed(octets: 1)
        rest = rest.dropFirst(255)
      } while !rest.isEmpty
      return out
    case .null, .axfr, .any: return data
    }
  }

  private static func labels(_ name: [UInt8]) throws(RuleTestProblem) -> [UInt8] {
    var out: [UInt8] = []
    for label in name.split(separator: UInt8(ascii: ".")) {
      guard label.count < 64 else {
        throw RuleTestProblem("a label of a name has more than 63 octets: \(RuleTestText.view(label))")
      }
      out += Array(label).prefixed(octets: 1)
    }
    return out + [0]
  }
}
