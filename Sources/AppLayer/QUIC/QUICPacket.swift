import Traffic

/// A packet with a long header, as far as anyone can read it.
///
/// - Source: RFC 9000 section 17.2, RFC 9369 section 3.2; Google's QUIC 46 wire layout.
struct QUICPacket {
  enum Kind { case initial, zeroRTT, handshake, retry, versionNegotiation }

  let kind: Kind
  let version: UInt32
  let destination: [UInt8]
  let source: [UInt8]
  /// Where the packet number begins, octets from the start of the packet.
  let numberAt: Int
  /// Octets of the whole packet.
  let byteCount: Int

  enum Outcome {
    /// A short header: nothing in it can be read.
    case short
    case packet(QUICPacket)
    case malformed
  }

  static func read(_ bytes: RawSpan) -> Outcome {
    var reader = ByteReader(bytes)
    guard let first = reader.u8() else { return .malformed }
    guard first & 0x80 != 0 else { return .short }
    guard let version = reader.u32() else { return .malformed }
    if version != 0, QUICVersion.isGoogle(version) { return readGoogle(bytes, first, version, &reader) }
    guard let destinationCount = reader.u8(), destinationCount <= 20 || version == 0,
      let destination = reader.take(Int(destinationCount)), let sourceCount = reader.u8(),
      sourceCount <= 20 || version == 0, let source = reader.take(Int(sourceCount))
    else { return .malformed }
    let kind = version == 0 ? .versionNegotiation : Self.kind(first, version)
    if kind == .initial {
      guard let tokenCount = varint(&reader), let count = Int(exactly: tokenCount), reader.skip(count) else {
        return .malformed
      }
    }
    var end = bytes.byteCount
    if kind != .retry, kind != .versionNegotiation {
      guard let length = varint(&reader), let count = Int(exactly: length), count <= reader.remaining else {
        return .malformed
      }
      end = reader.position + count
    }
    return .packet(
      QUICPacket(
        kind: kind, version: version, destination: destination.copied(), source: source.copied(),
        numberAt: reader.position, byteCount: end))
  }

  private static func kind(_ first: UInt8, _ version: UInt32) -> Kind {
    let kinds: [Kind] =
      version == QUICVersion.v2
      ? [.retry, .initial, .zeroRTT, .handshake] : [.initial, .zeroRTT, .handshake, .retry]
    return kinds[Int(first >> 4 & 3)]
  }

  /// Both lengths in one octet, each less three but for none; no length of the packet.
  private static func readGoogle(
    _ bytes: RawSpan, _ first: UInt8, _ version: UInt32, _ reader: inout ByteReader
  ) -> Outcome {
    guard let lengths = reader.u8() else { return .malformed }
    func count(_ half: UInt8) -> Int { half == 0 ? 0 : Int(half) + 3 }
    guard let destination = reader.take(count(lengths >> 4)), let source = reader.take(count(lengths & 15)) else {
      return .malformed
    }
    // 0x3f Initial, 0x3e Retry, 0x3d Handshake, 0x3c 0-RTT in the low bits of older ones; by type bits in 46.
    let kinds: [Kind] = [.initial, .zeroRTT, .handshake, .retry]
    return .packet(
      QUICPacket(
        kind: kinds[Int(first >> 4 & 3)], version: version, destination: destination.copied(), source: source.copied(),
        numberAt: reader.position, byteCount: bytes.byteCount))
  }

  /// RFC 9000 section 16.
  static func varint(_ reader: inout ByteReader) -> UInt64? {
    guard let first = reader.u8() else { return nil }
    var value = UInt64(first & 0x3f)
    let count = 1 << Int(first >> 6)
    for _ in 1..<max(1, count) {
      guard let next = reader.u8() else { return nil }
      value = value << 8 | UInt64(next)
    }
    return value
  }
}
