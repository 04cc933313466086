import Traffic

/// Who a connection is really from and to, told before its first octet.
///
/// - Source: HAProxy's "The PROXY protocol, versions 1 & 2", sections 2.1 and 2.2.
public struct ProxyHeader: Sendable, Equatable {
  public enum Version: String, Sendable, CaseIterable { case v1, v2 }

  public var source: InterceptionSettings.Destination
  public var destination: InterceptionSettings.Destination

  public init(source: InterceptionSettings.Destination, destination: InterceptionSettings.Destination) {
    self.source = source
    self.destination = destination
  }

  /// What version 2 tells of the client's TLS.
  public struct TLSFacts: Sendable {
    public var name: String?
    public var alpn: String?
    /// As OpenSSL names it; nil for none.
    public var version: String?
    public var hasVerifiedCertificate = false
    public var certificateName: String?

    public init() {}
  }

  /// - Parameter tls: nil where the client speaks in the clear.
  public func octets(_ version: Version, tls: TLSFacts? = nil) -> [UInt8] {
    version == .v1 ? first() : second(tls)
  }

  /// For connections that are this machine's own, such as checks.
  public static func ownOctets(_ version: Version) -> [UInt8] {
    version == .v1 ? Array("PROXY UNKNOWN\r\n".utf8) : signature + [0x20, 0, 0, 0]
  }

  static let signature: [UInt8] = [0x0d, 0x0a, 0x0d, 0x0a, 0, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]

  private var isIPv4: Bool { source.address.isIPv4 && destination.address.isIPv4 }

  private func first() -> [UInt8] {
    guard isIPv4 || (!source.address.isIPv4 && !destination.address.isIPv4) else { return Array("PROXY UNKNOWN\r\n".utf8) }
    let family = isIPv4 ? "TCP4" : "TCP6"
    return Array("PROXY \(family) \(source.address) \(destination.address) \(source.port) \(destination.port)\r\n".utf8)
  }

  private func second(_ tls: TLSFacts?) -> [UInt8] {
    var body: [UInt8] = []
    for end in [source, destination] {
      // IPv4 beside IPv6 is told as ::ffff:a.b.c.d.
      body += isIPv4 ? Array(end.address.octets16[12...]) : end.address.octets16
    }
    for end in [source, destination] { body += [UInt8(end.port >> 8), UInt8(end.port & 0xff)] }
    if let tls {
      if let alpn = tls.alpn { body += Self.field(0x01, Array(alpn.utf8)) }
      if let name = tls.name { body += Self.field(0x02, Array(name.utf8)) }
      // PP2_CLIENT_SSL, PP2_CLIENT_CERT_CONN; verify is 0 where a certificate was shown and found good.
      var inner: [UInt8] = [tls.hasVerifiedCertificate ? 0x03 : 0x01, 0, 0, 0, tls.hasVerifiedCertificate ? 0 : 1]
      if let version = tls.version { inner += Self.field(0x21, Array(version.utf8)) }
      if let name = tls.certificateName { inner += Self.field(0x22, Array(name.utf8)) }
      body += Self.field(0x20, inner)
    }
    return Self.signature + [0x21, isIPv4 ? 0x11 : 0x21, UInt8(body.count >> 8 & 0xff), UInt8(body.count & 0xff)] + body
  }

  /// Values are cut at 1,024 octets, so that the whole fits what receivers take.
  private static func field(_ type: UInt8, _ value: [UInt8]) -> [UInt8] {
    let value = value.prefix(1_024)
    return [type, UInt8(value.count >> 8 & 0xff), UInt8(value.count & 0xff)] + value
  }
}

/// Reads a PROXY header of either version, in any segmentation.
///
/// - Limits: 107 octets of version 1 (as its source says), 4,096 of version 2.
public struct ProxyHeaderReader: Sendable {
  public enum Step: Sendable, Equatable {
    case needMore
    /// nil for `UNKNOWN`, `LOCAL` and families that are none of ours: the connection's own ends count.
    case header(ProxyHeader?, rest: [UInt8])
    case malformed(String)
  }

  public static let bytesMax = 4_096
  private var bytes: [UInt8] = []

  public init() {}

  public mutating func feed(_ more: [UInt8]) -> Step {
    bytes += more
    if bytes.count < ProxyHeader.signature.count, ProxyHeader.signature.starts(with: bytes) { return .needMore }
    return bytes.starts(with: ProxyHeader.signature) ? second() : first()
  }

  private func first() -> Step {
    let start = Array("PROXY ".utf8)
    guard bytes.starts(with: start.prefix(bytes.count)) else { return .malformed("no PROXY header") }
    guard let end = bytes.prefix(107).firstIndex(of: 0x0a) else {
      return bytes.count >= 107 ? .malformed("a PROXY line without end") : .needMore
    }
    guard end > 0, bytes[end - 1] == 0x0d else { return .malformed("a PROXY line without CR") }
    let rest = Array(bytes[(end + 1)...])
    let words = String(decoding: bytes[..<(end - 1)], as: UTF8.self).split(separator: " ", omittingEmptySubsequences: false)
    if words.count >= 2, words[1] == "UNKNOWN" { return .header(nil, rest: rest) }
    guard words.count == 6, words[1] == "TCP4" || words[1] == "TCP6",
      let source = Self.end(words[2], words[4]), let destination = Self.end(words[3], words[5]),
      source.address.isIPv4 == (words[1] == "TCP4"), destination.address.isIPv4 == source.address.isIPv4
    else { return .malformed("a PROXY line that cannot be read") }
    return .header(ProxyHeader(source: source, destination: destination), rest: rest)
  }

  private static func end(_ address: Substring, _ port: Substring) -> InterceptionSettings.Destination? {
    guard let address = IPAddress(address), let port = UInt16(port) else { return nil }
    return InterceptionSettings.Destination(address: address, port: port)
  }

  private func second() -> Step {
    guard bytes.count >= 16 else { return .needMore }
    let length = Int(bytes[14]) << 8 | Int(bytes[15])
    guard bytes[12] >> 4 == 2, bytes[12] & 0xf <= 1 else { return .malformed("a PROXY header of another version") }
    guard 16 + length <= Self.bytesMax else { return .malformed("a PROXY header of \(length) octets") }
    guard bytes.count >= 16 + length else { return .needMore }
    let body = Array(bytes[16..<(16 + length)])
    let rest = Array(bytes[(16 + length)...])
    guard bytes[12] & 0xf == 1 else { return .header(nil, rest: rest) }
    switch bytes[13] {
    case 0x11:
      guard body.count >= 12 else { return .malformed("a PROXY header that is too short") }
      let mapped = [UInt8](repeating: 0, count: 10) + [0xff, 0xff]
      return .header(Self.header(mapped + body[0..<4], mapped + body[4..<8], Array(body[8..<12])), rest: rest)
    case 0x21:
      guard body.count >= 36 else { return .malformed("a PROXY header that is too short") }
      return .header(Self.header(Array(body[0..<16]), Array(body[16..<32]), Array(body[32..<36])), rest: rest)
    default: return .header(nil, rest: rest)
    }
  }

  private static func header(_ source: [UInt8], _ destination: [UInt8], _ ports: [UInt8]) -> ProxyHeader {
    ProxyHeader(
      source: .init(address: IPAddress(octets16: source), port: UInt16(ports[0]) << 8 | UInt16(ports[1])),
      destination: .init(address: IPAddress(octets16: destination), port: UInt16(ports[2]) << 8 | UInt16(ports[3])))
  }
}
