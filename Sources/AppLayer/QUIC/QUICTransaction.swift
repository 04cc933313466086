import Traffic

/// One packet of a QUIC handshake, and the hello that it completed.
///
/// - Source: Suricata 8, which tells of each packet with a long header until the hello of its direction.
public final class QUICTransaction: Transaction {
  public let version: UInt32
  public let direction: Direction
  public internal(set) var clientHello: ClientHello?
  public internal(set) var serverHello: ServerHello?
  /// Of Google's handshake.
  public internal(set) var google: GoogleHello?

  init(id: UInt64, version: UInt32, direction: Direction, start: Timestamp) {
    self.version = version
    self.direction = direction
    super.init(id: id, appProtocol: .quic, progressComplete: 1, start: start)
    progress = (1, 1)
  }

  override public var soleDirection: Direction? { direction }

  func raise(_ name: String) { raise(AppEvent(.quic, name)) }

  public var sni: [UInt8]? { clientHello?.serverName ?? google?.sni }

  /// As in TLS, but values of GREASE count: so Suricata has it for QUIC.
  public private(set) lazy var ja3: [UInt8]? = clientHello.map { hello in
    let lists: [[UInt16]] = [
      hello.cipherSuites, hello.extensions, hello.groups, hello.pointFormats.map { UInt16($0) },
    ]
    return Array(
      ([String(hello.legacyVersion.rawValue)] + lists.map { $0.map(String.init).joined(separator: "-") })
        .joined(separator: ",").utf8)
  }
  public private(set) lazy var ja3Hash: [UInt8]? = ja3.map { Digest.md5.hex($0) }
  public private(set) lazy var ja3s: [UInt8]? = serverHello.map { TLSFingerprint.ja3s($0) }
  public private(set) lazy var ja3sHash: [UInt8]? = ja3s.map { Digest.md5.hex($0) }
  public private(set) lazy var ja4: [UInt8]? = clientHello.map { hello in
    // The highest number counts, that of a draft too.
    var copy = hello
    copy.supportedVersions = hello.supportedVersions.filter { !TLSVersion.isGREASE($0) }.max().map { [$0] } ?? []
    return TLSFingerprint.ja4(copy, transport: UInt8(ascii: "q"))
  }

  override public func buffer(_ id: BufferID, _ direction: Direction, index: Int) -> BufferView? {
    guard direction == self.direction, index == 0 else { return nil }
    let bytes: [UInt8]? =
      switch id {
      case .quicVersion: (0..<4).map { UInt8(truncatingIfNeeded: version >> (24 - UInt32($0) * 8)) }
      case .quicSNI: sni
      case .quicUserAgent: google?.userAgent
      case .quicCYUString: google?.fingerprint
      case .quicCYUHash: google.map { Digest.md5.hex($0.fingerprint) }
      case .ja3String: ja3
      case .ja3Hash: ja3Hash
      case .ja3sString: ja3s
      case .ja3sHash: ja3sHash
      case .ja4Hash: ja4
      default: nil
      }
    return bytes.map { BufferView($0) }
  }
}

/// What a client of Google's QUIC offers: tags with values.
///
/// - Source: "QUIC Crypto" (Google, 2016), CHLO; the fingerprint CYU (salesforce).
public struct GoogleHello: Sendable {
  public private(set) var tags: [[UInt8]] = []
  public private(set) var sni: [UInt8]?
  public private(set) var userAgent: [UInt8]?
  private let version: UInt32

  private static let tagCountMax = 128

  /// - Parameter bytes: from the tag CHLO on.
  init?(_ bytes: RawSpan, version: UInt32) {
    self.version = version
    var reader = ByteReader(bytes)
    guard let name = reader.take(4), name.copied().elementsEqual("CHLO".utf8), let low = reader.u8(),
      let high = reader.u8(), reader.skip(2)
    else { return nil }
    let count = min(Int(high) << 8 | Int(low), Self.tagCountMax)
    var ends: [Int] = []
    for _ in 0..<count {
      guard let tag = reader.take(4), let end = reader.take(4) else { return nil }
      tags.append(tag.copied())
      ends.append(Int(end.u8(at: 0)) | Int(end.u8(at: 1)) << 8 | Int(end.u8(at: 2)) << 16 | Int(end.u8(at: 3)) << 24)
    }
    var start = 0
    let values = reader.rest()
    for (tag, end) in zip(tags, ends) {
      guard end >= start, end <= values.byteCount else { break }
      let value = values.extracting(start..<end).copied()
      if tag.elementsEqual("SNI\0".utf8) { sni = value }
      if tag.elementsEqual("UAID".utf8) { userAgent = value }
      start = end
    }
  }

  /// "46,PAD-SNI-…"
  public var fingerprint: [UInt8] {
    let number = [UInt8(version >> 8 & 255), UInt8(version & 255)]
    return number + [44]
      + Array(tags.map { tag in Array(tag.prefix { $0 != 0 }) }.joined(separator: [45]))
  }
}

extension BufferTable {
  private static let quicBoth: [BufferDeclaration.Source] = Direction.allCases.map { .init(.quic, $0, progress: 1) }
  private static let quicClient: [BufferDeclaration.Source] = [.init(.quic, .toServer, progress: 1)]

  /// - Source: Suricata 8, "Quic Keywords".
  static let quic: [BufferDeclaration] = [
    BufferDeclaration(.quicVersion, ["quic.version"], quicBoth, summary: "Version of the long header, four octets."),
    BufferDeclaration(.quicSNI, ["quic.sni"], quicClient, summary: "Server name that the client asks for."),
    BufferDeclaration(.quicUserAgent, ["quic.ua"], quicClient, summary: "User agent that a client of Google's QUIC names."),
    BufferDeclaration(.quicCYUString, ["quic.cyu.string"], quicClient, summary: "Tags of a Google client's hello, \"46,PAD-SNI\"."),
    BufferDeclaration(.quicCYUHash, ["quic.cyu.hash"], quicClient, summary: "MD5 of the CYU string, hex."),
  ]

  /// Fingerprints of TLS that a handshake within QUIC has too.
  static func sharedWithQUIC(_ declarations: [BufferDeclaration]) -> [BufferDeclaration] {
    declarations.map { declaration in
      var copy = declaration
      switch declaration.id {
      case .ja3Hash, .ja3String, .ja4Hash: copy.sources += quicClient
      case .ja3sHash, .ja3sString: copy.sources.append(.init(.quic, .toClient, progress: 1))
      default: break
      }
      return copy
    }
  }
}
