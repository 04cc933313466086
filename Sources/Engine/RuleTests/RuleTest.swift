/// One test beside a rule: some traffic, and whether the rule right below it must fire on it.
///
/// - Source: the grammar is in rules/README.md.
struct RuleTest: Sendable {
  enum Expectation: String, Sendable { case alert, quiet }

  var expectation: Expectation
  var kind: RuleTestKind
  /// Values as octets, for they may hold any.
  var keys: [String: [UInt8]] = [:]
  /// The texts as sent; two for `http-exchange`, else one.
  var parts: [[UInt8]] = [[]]
  /// Of the `# test:` line, from 1.
  var line: Int

  var text: [UInt8] { parts.first ?? [] }
}

/// What a test sends.
enum RuleTestKind: String, CaseIterable, Sendable {
  case httpRequest = "http-request"
  case httpResponse = "http-response"
  case httpExchange = "http-exchange"
  case tcp
  case tcpResponse = "tcp-response"
  case udp
  case dnsQuery = "dns-query"
  case dnsResponse = "dns-response"
  case tlsClientHello = "tls-client-hello"
  case tlsCertificate = "tls-certificate"
  case icmp
  case packet

  var requiredKeys: Set<String> {
    switch self {
    case .httpRequest, .httpResponse, .httpExchange, .tlsClientHello, .packet: []
    case .tcp, .tcpResponse, .udp: ["port"]
    case .dnsQuery: ["name", "type"]
    case .dnsResponse: ["name", "type", "data"]
    case .tlsCertificate: ["subject", "issuer"]
    case .icmp: ["type", "code"]
    }
  }

  var optionalKeys: Set<String> {
    let common: Set = ["client", "server", "repeat"]
    return switch self {
    case .httpRequest, .httpResponse, .httpExchange, .tcp, .tcpResponse, .udp, .dnsQuery, .dnsResponse: common
    case .tlsClientHello:
      common.union(["sni", "version", "ciphers", "extensions", "groups", "formats"])
    case .tlsCertificate: common.union(["serial", "version"])
    case .icmp: common.union(["id"])
    case .packet: common.union(["flags", "port", "proto"])
    }
  }

  var isHTTP: Bool { self == .httpRequest || self == .httpResponse || self == .httpExchange }
  var needsText: Bool { isHTTP || self == .tcp || self == .tcpResponse }
  var partCount: Int { self == .httpExchange ? 2 : 1 }
}

/// What is wrong with a test itself; its author mends it.
struct RuleTestProblem: Error, Equatable {
  var message: String
  init(_ message: String) { self.message = message }
}
