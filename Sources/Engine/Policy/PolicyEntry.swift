import AppLayer
import Interception
import RuleLanguage
import Traffic

/// One entry of the TLS policy; the first that fits decides. All that is given has to fit.
public struct PolicyEntry: Sendable {
  public enum Action: String, Sendable, CaseIterable { case inspect, tunnel, block }

  public var action: Action
  /// Names from the entry itself and from files; nil where the entry asks for none.
  public var names: NameList?
  /// Names by category, in the order given; empty where the entry asks for none.
  public var categories: [(name: String, names: NameList)] = []
  public var servers: AddressSet?
  public var clients: AddressSet?
  public var ports: PortSet?
  /// MD5 in lower-case hex.
  public var ja3: Set<String> = []
  public var ja4: Set<String> = []
  /// One of these has to be offered.
  public var alpn: Set<String> = []
  /// Whether the hello carries Encrypted ClientHello; its name is then only the outer one.
  public var hasECH: Bool?
  /// Whether the hello names a server.
  public var hasSNI: Bool?
  /// What clients are shown of a bad certificate; nil: as `interception.bad-certificate` says.
  public var badCertificate: InterceptionSettings.UntrustedUpstream?
  /// Where it stands, for `explain`.
  public var origin: String

  public init(action: Action, origin: String) {
    self.action = action
    self.origin = origin
  }

  var needsHello: Bool { !ja3.isEmpty || !ja4.isEmpty || hasECH != nil }

  /// - Returns: where it stands and what fitted, or nil where it does not fit.
  func fit(_ facts: PolicyFacts, _ hello: HelloFacts?) -> String? {
    let server = facts.flow.destination
    let client = facts.flow.source
    if let hasSNI, hasSNI != (facts.sni != nil) { return nil }
    if let servers, !servers.contains(high: server.high, low: server.low) { return nil }
    if let clients, !clients.contains(high: client.high, low: client.low) { return nil }
    if let ports, !ports.contains(facts.flow.destinationPort) { return nil }
    if !alpn.isEmpty, alpn.isDisjoint(with: facts.alpn) { return nil }
    if needsHello {
      guard let hello else { return nil }
      if !ja3.isEmpty, !ja3.contains(hello.ja3) { return nil }
      if !ja4.isEmpty, !ja4.contains(hello.ja4) { return nil }
      if let hasECH, hasECH != hello.hasECH { return nil }
    }
    guard names != nil || !categories.isEmpty else { return origin }
    guard let sni = facts.sni else { return nil }
    if let name = names?.covering(sni) { return "\(origin) (\(name))" }
    for category in categories {
      if let name = category.names.covering(sni) { return "\(origin) (\(category.name): \(name))" }
    }
    return nil
  }
}

/// What only the whole hello tells.
struct HelloFacts {
  var ja3: String
  var ja4: String
  var hasECH: Bool

  /// - Parameter records: the TLS records up to the end of the ClientHello.
  init?(records: [UInt8]) {
    guard let hello = ClientHello(records: records) else { return nil }
    ja3 = String(decoding: Digest.md5.hex(TLSFingerprint.ja3(hello)), as: UTF8.self)
    ja4 = String(decoding: TLSFingerprint.ja4(hello), as: UTF8.self)
    hasECH = hello.hasECH
  }
}
