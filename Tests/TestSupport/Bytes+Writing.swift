import Traffic

/// The address that `text` spells. For literals in tests: text that is no address stops the test.
public func ip(_ text: String) -> IPAddress {
  guard let address = IPAddress(text) else { preconditionFailure("not an IP address: \(text)") }
  return address
}

extension Array where Element == UInt8 {
  /// The octets of an ASCII or UTF-8 text; "\r\n" is written as it stands.
  public init(text: String) { self = Array(text.utf8) }

  /// Octets from hexadecimal digits; blanks and newlines between them are ignored.
  public init(hex: String) {
    let digits = hex.compactMap(\.hexDigitValue)
    self = stride(from: 0, to: digits.count - 1, by: 2).map {
      UInt8(digits[$0] << 4 | digits[$0 + 1])
    }
  }

  public mutating func append16(_ value: Int) { appendBigEndian(value, octets: 2) }
  public mutating func append24(_ value: Int) { appendBigEndian(value, octets: 3) }
  public mutating func append32(_ value: Int) { appendBigEndian(value, octets: 4) }

  /// The lowest `octets` octets of `value`, most significant first.
  public mutating func appendBigEndian(_ value: Int, octets: Int) {
    for i in (0..<octets).reversed() { append(UInt8(truncatingIfNeeded: value >> (8 * i))) }
  }

  /// Overwrites two octets at `index`.
  public mutating func set16(_ value: Int, at index: Int) {
    self[index] = UInt8(truncatingIfNeeded: value >> 8)
    self[index + 1] = UInt8(truncatingIfNeeded: value)
  }

  /// `self` after its own length, in `octets` octets: the vector notation of TLS.
  public func prefixed(octets: Int) -> [UInt8] {
    var out: [UInt8] = []
    out.appendBigEndian(count, octets: octets)
    return out + self
  }
}

/// The Internet checksum (RFC 1071) over `bytes`, ready to be stored.
public func internetChecksum(_ bytes: [UInt8]) -> Int {
  var sum = 0
  for i in stride(from: 0, to: bytes.count, by: 2) {
    sum += Int(bytes[i]) << 8 | (i + 1 < bytes.count ? Int(bytes[i + 1]) : 0)
  }
  while sum >> 16 != 0 { sum = (sum & 0xffff) + (sum >> 16) }
  return ~sum & 0xffff
}

/// CRC-32C (RFC 9260 appendix A), as SCTP carries it.
public func crc32c(_ bytes: [UInt8]) -> UInt32 {
  var crc: UInt32 = 0xffff_ffff
  for byte in bytes {
    crc ^= UInt32(byte)
    for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82f6_3b78 : crc >> 1 }
  }
  return ~crc
}
