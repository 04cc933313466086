import AppLayer
import RuleLanguage

/// The protocol of a rule header.
///
/// - Source: Suricata "Rules Format", protocol.
enum HeaderProtocol {
  static func read(_ rule: RuleSyntax, _ reader: inout RuleReader) throws(RuleValueError) {
    switch rule.protocolName {
    case "ip": reader.draft.head.protocols = .anyIP
    case "ip4", "ipv4":
      reader.draft.head.protocols = .anyIP
      reader.draft.head.ipVersion = 4
    case "ip6", "ipv6":
      reader.draft.head.protocols = .anyIP
      reader.draft.head.ipVersion = 6
    case "tcp": reader.draft.head.protocols = .tcp
    case "tcp-pkt":
      reader.draft.head.protocols = .tcp
      reader.needsPacket = true
    case "tcp-stream":
      reader.draft.head.protocols = .tcp
      reader.needsStream = true
    case "udp": reader.draft.head.protocols = .udp
    case "icmp": reader.draft.head.protocols = .icmp
    case "icmpv4":
      reader.draft.head.protocols = .icmp
      reader.draft.head.ipVersion = 4
    case "icmpv6":
      reader.draft.head.protocols = .icmp
      reader.draft.head.ipVersion = 6
    case "sctp": reader.draft.head.protocols = .sctp
    case "pkthdr": reader.draft.head.protocols = [.anyIP, .noIP]
    case "http": application([.http, .http2, .doh2], &reader)
    case "http2": application([.http2, .doh2], &reader)
    case "dns": application([.dns, .doh2], &reader)
    case "http1": application([.http], &reader)
    case "ssl": application([.tls], &reader)
    case let name:
      guard let appProtocol = AppProtocol(name: name), appProtocol != .unknown, appProtocol != .failed
      else {
        throw RuleValueError(
          "the protocol \(name) is not known or not supported",
          hint: NearMatch.find(name, among: names).map { "did you mean \($0)?" })
      }
      application([appProtocol], &reader)
    }
    if let hook = rule.protocolHook { try RuleHook.read(hook, rule.protocolName, &reader) }
  }

  /// For suggestions.
  private static let names: [String] =
    AppProtocol.allCases.filter { $0 != .unknown && $0 != .failed }.map(\.name) + [
      "ip", "ipv4", "ipv6", "tcp", "tcp-pkt", "tcp-stream", "udp", "icmp", "icmpv4", "icmpv6", "sctp", "pkthdr",
      "http1",
    ]

  private static func application(_ protocols: [AppProtocol], _ reader: inout RuleReader) {
    reader.draft.head.protocols = [.tcp, .udp]
    reader.draft.head.appProtocols = .of(protocols)
  }
}
