import Traffic

/// What the relay must know of a ClientHello to decide; the full parser lives above.
public struct ClientHelloSketch: Sendable, Equatable {
  /// Lower case; nil where the extension is missing or holds no plain host name.
  public var sni: String?
  public var alpn: [String] = []
  /// As in supported_versions, else the legacy version alone.
  public var versions: [UInt16] = []
  /// Tells client software apart: the first 8 octets of SHA-256 over the cipher suites as offered
  /// and the extension types in ascending order, both without GREASE (RFC 8701) and without what
  /// varies from visit to visit: server name, padding, resumption.
  public var shape: [UInt8] = []
  /// As in supported_groups; nil without.
  public var groups: [UInt16]?
  /// Whether a leaf with a P-256 key is of use to the client.
  public var acceptsECDSA = true
  /// Octets of the records up to the end of the hello.
  public var recordBytes = 0

  /// The highest version offered that is a version at all (GREASE values are not).
  public var highestVersion: UInt16 { versions.filter { (0x0300...0x0304).contains($0) }.max() ?? 0 }

  /// The lowest such version; 0 without one.
  public var lowestVersion: UInt16 { versions.filter { (0x0300...0x0304).contains($0) }.min() ?? 0 }

  /// What of the client's offer (RFC 7301) the server is offered, in the client's order.
  ///
  /// A client that speaks HTTP is held to the versions that the inspection reads, so that no other
  /// choice of the server leads round it; clients of other protocols keep theirs.
  func protocolsToOffer(withHTTP2: Bool) -> [String] {
    let readable = alpn.filter { $0 == "http/1.1" || (withHTTP2 && $0 == "h2") }
    return readable.isEmpty ? alpn.filter { $0 != "h2" } : readable
  }
}

/// Gathers the first bytes of a client until it is clear whether they are a ClientHello.
///
/// Each byte is looked at once, however the stream is cut into segments or records.
/// - Source: RFC 8446 sections 4.1.2 and 5.1; RFC 6066 section 3; RFC 7301.
/// - Limits: `bytesMax` octets of records; beyond it `.tooLarge`.
public struct ClientHelloPeek {
  public enum Outcome: Equatable, Sendable {
    case needMore
    /// The first bytes can't be TLS.
    case notTLS
    /// TLS by its first bytes, yet no ClientHello that can be read.
    case malformed(String)
    case tooLarge
    case hello(ClientHelloSketch)
  }

  /// All that was fed, records and what followed them.
  public private(set) var bytes: [UInt8] = []
  let bytesMax: Int
  /// Where the next record header starts in `bytes`; every record before it is in `message`.
  var scanned = 0
  /// The handshake message without record headers.
  var message: [UInt8] = []

  public init(bytesMax: Int = 65_536) { self.bytesMax = bytesMax }

  /// Drops what was gathered; for when it has been handed on.
  public mutating func takeBytes() -> [UInt8] {
    defer {
      bytes = []
      message = []
      scanned = 0
    }
    return bytes
  }

  public mutating func feed(_ more: RawSpan) -> Outcome {
    bytes.append(more)
    guard let first = bytes.first else { return .needMore }
    guard first == 22 else { return version2(first) }
    while let body = nextRecord() {
      switch body {
      case .failure(let outcome): return outcome
      case .success(let range):
        message.append(contentsOf: bytes[range])
        scanned = range.upperBound
      }
      if let outcome = finished() { return outcome }
    }
    return bytes.count > bytesMax ? .tooLarge : .needMore
  }

  enum Step {
    case success(Range<Int>)
    case failure(Outcome)
  }

  /// The body of the record at `scanned`; nil while it is incomplete.
  private func nextRecord() -> Step? {
    let have = bytes.count - scanned
    if have >= 1, bytes[scanned] != 22 { return .failure(.malformed("another record within the ClientHello")) }
    if have >= 2, bytes[scanned + 1] != 3 {
      return .failure(scanned == 0 ? .notTLS : .malformed("record version"))
    }
    guard have >= 5 else { return nil }
    let length = Int(bytes[scanned + 3]) << 8 | Int(bytes[scanned + 4])
    // RFC 8446 section 5.1: no empty handshake fragments, at most 2^14 octets.
    guard (1...16_384).contains(length) else { return .failure(.malformed("record of \(length) octets")) }
    if scanned == 0, have >= 6, bytes[5] != 1 { return .failure(.malformed("not a ClientHello")) }
    guard have >= 5 + length else { return nil }
    return .success(scanned + 5..<scanned + 5 + length)
  }

  /// The outcome as soon as `message` holds the whole hello.
  private func finished() -> Outcome? {
    guard message.count >= 4 else { return nil }
    guard message[0] == 1 else { return .malformed("not a ClientHello") }
    let length = Int(message[1]) << 16 | Int(message[2]) << 8 | Int(message[3])
    if length > bytesMax { return .tooLarge }
    guard message.count >= 4 + length else { return nil }
    guard var sketch = unsafe Self.sketch(message.span.bytes.extracting(4..<4 + length)) else {
      return .malformed("ClientHello lengths do not fit")
    }
    sketch.recordBytes = scanned
    return .hello(sketch)
  }

  /// SSL 2.0 framing, which servers took for a TLS hello long after: never let it by as plain bytes.
  private func version2(_ first: UInt8) -> Outcome {
    guard first & 0x80 != 0 else { return .notTLS }
    if bytes.count >= 3, bytes[2] != 1 { return .notTLS }
    if bytes.count >= 4 { return bytes[3] == 3 ? .malformed("SSL 2.0 ClientHello") : .notTLS }
    return .needMore
  }

  private static func sketch(_ body: RawSpan) -> ClientHelloSketch? {
    var reader = ByteReader(body)
    guard let legacy = reader.u16(), reader.skip(32),
      let session = reader.u8(), session <= 32, reader.skip(Int(session)),
      let suitesLength = reader.u16(), suitesLength >= 2, suitesLength % 2 == 0,
      let suites = reader.take(Int(suitesLength)),
      let compressions = reader.u8(), compressions >= 1, reader.skip(Int(compressions))
    else { return nil }
    var sketch = ClientHelloSketch(versions: [legacy])
    var types: [UInt16] = []
    var signatures: [UInt16]?
    if !reader.isAtEnd {
      guard let length = reader.u16(), Int(length) == reader.remaining else { return nil }
    }
    while !reader.isAtEnd {
      guard let type = reader.u16(), let size = reader.u16(), let content = reader.take(Int(size)) else { return nil }
      types.append(type)
      switch type {
      case 0: sketch.sni = serverName(content)
      case 10: sketch.groups = numbers(content)
      case 13: signatures = numbers(content)
      case 16: sketch.alpn = protocols(content)
      case 43: sketch.versions = supportedVersions(content) ?? sketch.versions
      default: break
      }
    }
    sketch.shape = shape(suites, types)
    sketch.acceptsECDSA = acceptsECDSA(suites, signatures, sketch)
    return sketch
  }

  private static func shape(_ suites: RawSpan, _ types: [UInt16]) -> [UInt8] {
    var numbers: [UInt16] = []
    for index in 0..<suites.byteCount / 2 { numbers.append(suites.u16(at: index * 2)) }
    numbers.append(0)
    numbers += types.filter { ![0, 21, 41, 42, 44].contains($0) }.sorted()
    let bytes = numbers.filter { $0 & 0x0f0f != 0x0a0a || $0 >> 8 != $0 & 0xff }
      .flatMap { [UInt8($0 >> 8), UInt8($0 & 0xff)] }
    return Array(sha256(bytes).prefix(8))
  }

  /// RFC 8446 section 4.2.3 and RFC 8422 section 5.1: a suite, the signature and, before TLS 1.3, the curve.
  private static func acceptsECDSA(_ suites: RawSpan, _ signatures: [UInt16]?, _ sketch: ClientHelloSketch) -> Bool {
    // ecdsa_secp256r1_sha256
    if let signatures, !signatures.contains(0x0403) { return false }
    let isTLS13 = sketch.versions.contains(0x0304)
    if !isTLS13, let groups = sketch.groups, !groups.contains(23) { return false }
    for index in 0..<suites.byteCount / 2 {
      switch suites.u16(at: index * 2) {
      case 0x1301...0x1305: if isTLS13 { return true }
      // ECDHE_ECDSA with RC4, 3DES, AES, GCM, CCM, ChaCha20.
      case 0xc007...0xc00a, 0xc023, 0xc024, 0xc02b, 0xc02c, 0xc0ac...0xc0af, 0xcca9: return true
      default: continue
      }
    }
    return false
  }

  /// A list of 16-bit numbers behind its length in octets; nil where that does not fit.
  private static func numbers(_ content: RawSpan) -> [UInt16]? {
    var reader = ByteReader(content)
    guard let size = reader.u16(), Int(size) == reader.remaining, size % 2 == 0 else { return nil }
    var found: [UInt16] = []
    while let number = reader.u16() { found.append(number) }
    return found
  }

  private static func serverName(_ content: RawSpan) -> String? {
    var reader = ByteReader(content)
    guard let list = reader.u16(), Int(list) == reader.remaining, reader.u8() == 0,
      let size = reader.u16(), (1...255).contains(size), let name = reader.take(Int(size)), reader.isAtEnd
    else { return nil }
    return hostName(name)
  }

  /// Letters, digits, dot, hyphen, underscore: what can be a host name; nil for anything else.
  private static func hostName(_ name: RawSpan) -> String? {
    var lower: [UInt8] = []
    for index in 0..<name.byteCount {
      let byte = name.u8(at: index)
      switch byte {
      case 0x41...0x5a: lower.append(byte | 0x20)
      case 0x61...0x7a, 0x30...0x39, 0x2d, 0x2e, 0x5f: lower.append(byte)
      default: return nil
      }
    }
    return String(decoding: lower, as: UTF8.self)
  }

  private static func protocols(_ content: RawSpan) -> [String] {
    var reader = ByteReader(content)
    guard reader.u16() != nil else { return [] }
    var names: [String] = []
    while let size = reader.u8(), let name = reader.take(Int(size)) {
      names.append(String(decoding: name.copied(), as: UTF8.self))
    }
    return names
  }

  private static func supportedVersions(_ content: RawSpan) -> [UInt16]? {
    var reader = ByteReader(content)
    guard let size = reader.u8(), Int(size) == reader.remaining, size % 2 == 0 else { return nil }
    var versions: [UInt16] = []
    while let version = reader.u16() { versions.append(version) }
    return versions
  }
}
