/// Writes the TLS handshake messages that tests stand for, each in a record of its own.
///
/// - Source: RFC 5246 section 7.4.
struct TestTLSHandshake {
  let version: UInt16

  init(_ keys: TestKeys) throws(RuleTestProblem) {
    switch keys.text("version") ?? "1.2" {
    case "ssl3": version = 0x0300
    case "1.0": version = 0x0301
    case "1.1": version = 0x0302
    case "1.2": version = 0x0303
    case let other: throw RuleTestProblem("version= is ssl3, 1.0, 1.1 or 1.2, not \(other)")
    }
  }

  func clientHello(_ keys: TestKeys, serverName: [UInt8]?) throws(RuleTestProblem) -> [UInt8] {
    let ciphers = try keys.numbers("ciphers", default: "c02f,c030,9c,2f", UInt16.self)
    let groups = try keys.numbers("groups", default: "1d,17", UInt16.self)
    let formats = try keys.numbers("formats", default: "0", UInt8.self)
    var extensions: [UInt8] = []
    for number in try keys.numbers("extensions", default: "0,a,b,d", UInt16.self) {
      let content: [UInt8]
      switch number {
      case 0:
        guard let serverName else { continue }
        content = ([0] + serverName.prefixed(octets: 2)).prefixed(octets: 2)
      case 0x0a: content = Self.list(groups).prefixed(octets: 2)
      case 0x0b: content = formats.prefixed(octets: 1)
      case 0x0d: content = Self.list([0x0403, 0x0401]).prefixed(octets: 2)
      case 0xff01: content = [0]
      default: content = []
      }
      extensions.append(word: number)
      extensions += content.prefixed(octets: 2)
    }
    // No session to go on with, no compression.
    var body = hello(random: 0x11) + [0] + Self.list(ciphers).prefixed(octets: 2) + [1, 0]
    if !extensions.isEmpty { body += extensions.prefixed(octets: 2) }
    return record(type: 1, body)
  }

  /// ServerHello, the certificate, ServerHelloDone.
  func serverFlight(certificate: [UInt8]) -> [UInt8] {
    record(type: 2, hello(random: 0x22) + [0, 0xc0, 0x2f, 0])
      + record(type: 11, certificate.prefixed(octets: 3).prefixed(octets: 3))
      + record(type: 14, [])
  }

  private func hello(random: UInt8) -> [UInt8] {
    var out: [UInt8] = []
    out.append(word: version)
    return out + Array(repeating: random, count: 32)
  }

  private func record(type: UInt8, _ body: [UInt8]) -> [UInt8] {
    var out: [UInt8] = [22]
    out.append(word: version)
    return out + ([type] + body.prefixed(octets: 3)).prefixed(octets: 2)
  }

  private static func list(_ numbers: [UInt16]) -> [UInt8] {
    var out: [UInt8] = []
    for number in numbers { out.append(word: number) }
    return out
  }
}
