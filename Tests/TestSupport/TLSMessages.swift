/// TLS records around `bytes`, at most `recordSize` octets each (RFC 8446 section 5.1).
public func tlsRecords(
  contentType: UInt8 = 22, version: UInt16 = 0x0303, _ bytes: [UInt8], recordSize: Int = 16_384
) -> [UInt8] {
  var out: [UInt8] = []
  for start in stride(from: 0, to: max(1, bytes.count), by: max(1, recordSize)) {
    let slice = Array(bytes[start..<min(start + max(1, recordSize), bytes.count)])
    out.append(contentType)
    out.append16(Int(version))
    out += slice.prefixed(octets: 2)
  }
  return out
}

/// A handshake message: type, 24-bit length, body.
public func tlsHandshake(type: UInt8, _ body: [UInt8]) -> [UInt8] {
  [type] + body.prefixed(octets: 3)
}

/// A hello extension, written in the order given.
public struct TLSExtension: Sendable {
  public var type: UInt16
  public var body: [UInt8]
  public init(type: UInt16, body: [UInt8] = []) {
    self.type = type
    self.body = body
  }

  public static func serverName(_ name: String) -> Self {
    Self(type: 0, body: ([0] + Array(name.utf8).prefixed(octets: 2)).prefixed(octets: 2))
  }
  public static func supportedGroups(_ groups: [UInt16]) -> Self {
    Self(type: 10, body: list(groups).prefixed(octets: 2))
  }
  public static func pointFormats(_ formats: [UInt8] = [0]) -> Self {
    Self(type: 11, body: formats.prefixed(octets: 1))
  }
  public static func signatureAlgorithms(_ algorithms: [UInt16]) -> Self {
    Self(type: 13, body: list(algorithms).prefixed(octets: 2))
  }
  public static func alpn(_ protocols: [String]) -> Self {
    Self(
      type: 16,
      body: protocols.flatMap { Array($0.utf8).prefixed(octets: 1) }.prefixed(octets: 2))
  }
  /// As a client writes it, a list.
  public static func supportedVersions(_ versions: [UInt16]) -> Self {
    Self(type: 43, body: list(versions).prefixed(octets: 1))
  }
  /// As a server writes it, one value.
  public static func selectedVersion(_ version: UInt16) -> Self {
    Self(type: 43, body: list([version]))
  }
  /// One share of 32 zeros in group x25519, as a client writes it.
  public static let keyShareX25519 = Self(
    type: 51, body: [0, 36, 0, 29, 0, 32] + Array(repeating: 0, count: 32))

  static func list(_ values: [UInt16]) -> [UInt8] {
    values.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xff)] }
  }
  static func block(_ extensions: [TLSExtension]) -> [UInt8] {
    extensions.flatMap { list([$0.type]) + $0.body.prefixed(octets: 2) }.prefixed(octets: 2)
  }
}

/// A ClientHello (RFC 8446 section 4.1.2); by default what a TLS 1.3 browser might send.
public struct TLSClientHello: Sendable {
  public var version: UInt16 = 0x0303
  public var recordVersion: UInt16 = 0x0301
  public var random: [UInt8] = (0..<32).map { UInt8($0) }
  public var sessionID: [UInt8] = Array(repeating: 0xaa, count: 32)
  public var ciphers: [UInt16] = [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f]
  public var compressions: [UInt8] = [0]
  /// Written in this order; nil leaves the whole block out, as before TLS 1.2.
  public var extensions: [TLSExtension]?

  public init(
    serverName: String? = "example.com", alpn: [String] = ["h2", "http/1.1"],
    versions: [UInt16] = [0x0304, 0x0303], groups: [UInt16] = [29, 23, 24],
    extra: [TLSExtension] = []
  ) {
    var list: [TLSExtension] = []
    if let serverName { list.append(.serverName(serverName)) }
    if !groups.isEmpty { list += [.supportedGroups(groups), .pointFormats()] }
    list.append(.signatureAlgorithms([0x0403, 0x0804, 0x0401]))
    if !alpn.isEmpty { list.append(.alpn(alpn)) }
    if !versions.isEmpty { list.append(.supportedVersions(versions)) }
    if versions.contains(0x0304) { list.append(.keyShareX25519) }
    extensions = list + extra
  }

  /// The handshake message without a record.
  public var message: [UInt8] {
    var body: [UInt8] = []
    body.append16(Int(version))
    body += random + sessionID.prefixed(octets: 1)
    body += TLSExtension.list(ciphers).prefixed(octets: 2) + compressions.prefixed(octets: 1)
    if let extensions { body += TLSExtension.block(extensions) }
    return tlsHandshake(type: 1, body)
  }

  /// In records of at most `recordSize` octets.
  public func records(recordSize: Int = 16_384) -> [UInt8] {
    tlsRecords(version: recordVersion, message, recordSize: recordSize)
  }
}

/// A ServerHello (RFC 8446 section 4.1.3).
public struct TLSServerHello: Sendable {
  public var version: UInt16 = 0x0303
  public var random: [UInt8] = (0..<32).map { UInt8(255 - $0) }
  public var sessionID: [UInt8] = Array(repeating: 0xaa, count: 32)
  public var cipher: UInt16 = 0xc02f
  public var compression: UInt8 = 0
  public var extensions: [TLSExtension]?

  /// - Parameter selectedVersion: adds `supported_versions`, as TLS 1.3 does.
  public init(cipher: UInt16 = 0xc02f, selectedVersion: UInt16? = nil, alpn: String? = nil) {
    self.cipher = cipher
    var list: [TLSExtension] = []
    if let selectedVersion { list.append(.selectedVersion(selectedVersion)) }
    if let alpn { list.append(.alpn([alpn])) }
    extensions = list
  }

  public var message: [UInt8] {
    var body: [UInt8] = []
    body.append16(Int(version))
    body += random + sessionID.prefixed(octets: 1)
    body.append16(Int(cipher))
    body.append(compression)
    if let extensions { body += TLSExtension.block(extensions) }
    return tlsHandshake(type: 2, body)
  }

  public func records(recordSize: Int = 16_384) -> [UInt8] {
    tlsRecords(message, recordSize: recordSize)
  }
}

/// A Certificate message up to TLS 1.2 (RFC 5246 section 7.4.2), leaf first.
public func tlsCertificateMessage(_ certificates: [[UInt8]]) -> [UInt8] {
  tlsHandshake(
    type: 11, certificates.flatMap { $0.prefixed(octets: 3) }.prefixed(octets: 3))
}
