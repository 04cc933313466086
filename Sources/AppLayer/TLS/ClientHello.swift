import Traffic

/// What a client offers at the start of a TLS connection.
/// - Source: RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2.
public struct ClientHello: Sendable {
  /// The version field of the message itself (TLS 1.3 always writes 1.2 there).
  public var legacyVersion: TLSVersion
  /// 32 octets; for an SSLv2 hello its challenge, as long as it is.
  public var random: [UInt8] = []
  public var sessionID: [UInt8] = []
  public var cipherSuites: [UInt16] = []
  public var compressionMethods: [UInt8] = []
  /// Types in the order sent, GREASE included.
  public var extensions: [UInt16] = []
  /// The first host name of the server name extension; bytes as sent.
  public var serverName: [UInt8]?
  public var alpn: [[UInt8]] = []
  public var groups: [UInt16] = []
  public var pointFormats: [UInt8] = []
  public var signatureAlgorithms: [UInt16] = []
  /// Empty when the extension is absent.
  public var supportedVersions: [UInt16] = []
  public var keyShareGroups: [UInt16] = []
  /// Encrypted ClientHello: the server name may be only the outer one.
  public var hasECH = false
  /// Came in SSLv2 framing.
  public var isSSL2 = false
  public var hasEarlyData = false
  public var hasPreSharedKey = false
  /// Octets of the ticket that is offered; 0 when one is only asked for, nil without the extension.
  public var sessionTicketLength: Int?
  /// What was odd, by the names of events.
  public internal(set) var oddities: [String] = []

  public init(legacyVersion: TLSVersion) { self.legacyVersion = legacyVersion }

  /// The highest version that the client offers, GREASE left aside.
  public var version: TLSVersion {
    let offered = supportedVersions.filter { !TLSVersion.isGREASE($0) }
    // A draft counts as below the final version, though its number is higher.
    if offered.contains(TLSVersion.tls13.rawValue) { return .tls13 }
    return offered.max().map { TLSVersion(rawValue: $0) } ?? legacyVersion
  }

  /// Reads a message without its header of four octets.
  ///
  /// The fixed part must be whole; extensions that are cut short end the reading, and what came
  /// before them is kept (`oddities` tells).
  public init?(parsing body: RawSpan) {
    var reader = ByteReader(body)
    guard let version = reader.u16(), let random = reader.take(32),
      let sessionIDLength = reader.u8(), let sessionID = reader.take(Int(sessionIDLength)),
      let suiteOctets = reader.u16(), let suites = reader.take(Int(suiteOctets)),
      let methodCount = reader.u8(), let methods = reader.take(Int(methodCount))
    else { return nil }
    legacyVersion = TLSVersion(rawValue: version)
    self.random = random.copied()
    self.sessionID = sessionID.copied()
    cipherSuites = TLSLists.numbers(suites)
    compressionMethods = methods.copied()
    // Browsers send some 18.
    if !reader.isAtEnd { extensions.reserveCapacity(24) }
    if suiteOctets & 1 != 0 || sessionIDLength > 32 { oddities.append("invalid_handshake_message") }
    let isConsistent = TLSLists.eachExtension(&reader) { type, content in
      take(type, content)
    }
    if !isConsistent { oddities.append("handshake_invalid_length") }
  }

  private mutating func take(_ type: UInt16, _ content: RawSpan) {
    let isRepeated = extensions.contains(type)
    extensions.append(type)
    var reader = ByteReader(content)
    switch type {
    case TLSExtensionType.serverName:
      if isRepeated { oddities.append("multiple_sni_extensions") } else { takeServerName(&reader) }
    case TLSExtensionType.alpn where !isRepeated: alpn = TLSLists.protocols(&reader)
    case TLSExtensionType.groups where !isRepeated: groups = TLSLists.numbers(&reader)
    case TLSExtensionType.pointFormats where !isRepeated:
      if let count = reader.u8(), let formats = reader.take(Int(count)) {
        pointFormats = formats.copied()
      }
    case TLSExtensionType.signatureAlgorithms where !isRepeated:
      signatureAlgorithms = TLSLists.numbers(&reader)
    case TLSExtensionType.supportedVersions where !isRepeated:
      if let octets = reader.u8(), let list = reader.take(Int(octets)) {
        supportedVersions = TLSLists.numbers(list)
      }
    case TLSExtensionType.keyShare where !isRepeated: takeKeyShares(&reader)
    case TLSExtensionType.sessionTicket: sessionTicketLength = content.byteCount
    case TLSExtensionType.preSharedKey: hasPreSharedKey = true
    case TLSExtensionType.earlyData: hasEarlyData = true
    case TLSExtensionType.encryptedClientHello, TLSExtensionType.encryptedServerName: hasECH = true
    default: break
    }
  }

  /// RFC 6066 section 3. An empty extension is legal only in a server's answer, yet harmless.
  private mutating func takeServerName(_ reader: inout ByteReader) {
    guard !reader.isAtEnd else { return }
    guard let octets = reader.u16(), Int(octets) == reader.remaining, let type = reader.u8() else {
      oddities.append("invalid_sni_length")
      return
    }
    guard type == 0 else {
      oddities.append("invalid_sni_type")
      return
    }
    guard let length = reader.u16(), length > 0, let name = reader.take(Int(length)) else {
      oddities.append("invalid_sni_length")
      return
    }
    serverName = name.copied()
    // One name of each type is allowed, and there is one type.
    if !reader.isAtEnd { oddities.append("invalid_sni_length") }
  }

  private mutating func takeKeyShares(_ reader: inout ByteReader) {
    guard reader.skip(2) else { return }
    while let group = reader.u16(), let octets = reader.u16(), reader.skip(Int(octets)) {
      keyShareGroups.append(group)
    }
  }
}

/// Extension types that are looked into.
/// - Source: IANA "TLS ExtensionType Values".
enum TLSExtensionType {
  static let serverName: UInt16 = 0
  static let groups: UInt16 = 10
  static let pointFormats: UInt16 = 11
  static let signatureAlgorithms: UInt16 = 13
  static let alpn: UInt16 = 16
  static let sessionTicket: UInt16 = 35
  static let preSharedKey: UInt16 = 41
  static let earlyData: UInt16 = 42
  static let supportedVersions: UInt16 = 43
  static let keyShare: UInt16 = 51
  static let encryptedClientHello: UInt16 = 0xfe0d
  static let encryptedServerName: UInt16 = 0xffce
}

/// The list shapes that hellos are made of.
enum TLSLists {
  /// Calls `body` with each extension.
  /// - Returns: false when the block, or an extension in it, has another length than it says.
  static func eachExtension(
    _ reader: inout ByteReader, _ body: (UInt16, RawSpan) -> Void
  ) -> Bool {
    if reader.isAtEnd { return true }
    guard let octets = reader.u16() else { return false }
    let isConsistent = Int(octets) == reader.remaining
    guard let block = reader.take(min(Int(octets), reader.remaining)) else { return false }
    var inner = ByteReader(block)
    while !inner.isAtEnd {
      guard let type = inner.u16(), let length = inner.u16(),
        let content = inner.take(Int(length))
      else { return false }
      body(type, content)
    }
    return isConsistent
  }

  /// Two-octet numbers; an odd octet at the end is left out.
  static func numbers(_ list: RawSpan) -> [UInt16] {
    var out: [UInt16] = []
    out.reserveCapacity(list.byteCount / 2)
    var reader = ByteReader(list)
    while let number = reader.u16() { out.append(number) }
    return out
  }

  /// Two-octet numbers behind their length of two octets.
  static func numbers(_ reader: inout ByteReader) -> [UInt16] {
    guard let octets = reader.u16(), let list = reader.take(Int(octets)) else { return [] }
    return numbers(list)
  }

  /// RFC 7301 section 3.1.
  static func protocols(_ reader: inout ByteReader) -> [[UInt8]] {
    var out: [[UInt8]] = []
    guard reader.skip(2) else { return out }
    while let octets = reader.u8(), octets > 0, let name = reader.take(Int(octets)) {
      out.append(name.copied())
    }
    return out
  }
}
