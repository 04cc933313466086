/// One test beside a rule: some traffic, and whether the rule right below it must fire on it.
///
/// - Source: the grammar is in rules/README.md.
struct RuleTest: Sendable {
  enum Expectation: String, Sendable { case alert, quiet }

  var expectation: Expectation
  var kind: RuleTestKind
  /// Values as octets, for they may hold any.
  var keys: [String: [UInt8]] = [:]
  /// The texts as sent; two for `http-exchange`, as many as there are turns or packets for exchanges and `raw`, else one.
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
  case tcpExchange = "tcp-exchange"
  case udp
  case udpExchange = "udp-exchange"
  case dnsQuery = "dns-query"
  case dnsResponse = "dns-response"
  case tlsClientHello = "tls-client-hello"
  case tlsCertificate = "tls-certificate"
  case icmp
  case packet
  case raw

  var requiredKeys: Set<String> {
    switch self {
    case .httpRequest, .httpResponse, .httpExchange, .tlsClientHello, .packet, .raw: []
    case .tcp, .tcpResponse, .tcpExchange, .udp, .udpExchange: ["port"]
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
    case .tcpExchange, .udpExchange: common.union(["first"])
    case .raw: ["link", "gap"]
    }
  }

  var isHTTP: Bool { self == .httpRequest || self == .httpResponse || self == .httpExchange }
  var needsText: Bool { isHTTP || [.tcp, .tcpResponse, .tcpExchange, .udpExchange, .raw].contains(self) }

  /// How many texts there may be.
  var partCounts: ClosedRange<Int> {
    switch self {
    case .httpExchange: 2...2
    case .tcpExchange, .udpExchange, .raw: 1...Self.partsMax
    default: 1...1
    }
  }

  /// Turns of an exchange; more would only be a slip of the pen.
  private static let partsMax = 256
}

/// What is wrong with a test itself; its author mends it.
struct RuleTestProblem: Error, Equatable {
  var message: String
  init(_ message: String) { self.message = message }
}
