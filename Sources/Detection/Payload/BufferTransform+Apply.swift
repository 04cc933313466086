import CSluiceCompression
import CSluiceOpenSSL
import Traffic

extension BufferTransform {
  /// The transformed bytes; a transform that cannot apply leaves the buffer as it is, or empty where
  /// Suricata's does.
  public func apply(_ bytes: RawSpan, scratch: borrowing PayloadScratch) -> [UInt8] {
    switch self {
    case .dotPrefix: return [0x2e] + bytes.copied()
    case .stripWhitespace: return bytes.copied().filter { !Self.isSpace($0) }
    case .compressWhitespace: return Self.compressed(bytes)
    case .toLowercase: return bytes.copied().map(ByteSearch.lower)
    case .toUppercase: return bytes.copied().map { $0 &- 0x61 < 26 ? $0 & 0xdf : $0 }
    case .headerLowercase: return Self.lowercasedNames(bytes)
    case .stripPseudoHeaders: return Self.withoutPseudoHeaders(bytes)
    case .urlDecode: return Self.percentDecoded(bytes)
    case .domain: return PublicSuffix.registeredDomain(bytes)
    case .topLevelDomain: return PublicSuffix.topLevelDomain(bytes)
    case .xor(let key):
      return bytes.copied().enumerated().map { $1 ^ key[$0 % key.count] }
    case .digest(let kind): return Self.digest(kind, bytes)
    case .fromBase64(let count, let offset, let mode):
      return Self.decoded(bytes, count: count, offset: offset, mode)
    case .inflate(let kind, let outputMax): return Self.inflated(bytes, kind, outputMax)
    case .expression(let transform):
      guard case .match = transform.expression.match(bytes, from: 0, scratch: scratch.matchData) else {
        return bytes.copied()
      }
      return transform.expression.group(1, of: bytes, scratch: scratch.matchData) ?? bytes.copied()
    }
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }

  private static func compressed(_ bytes: RawSpan) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.byteCount)
    var previous = false
    for index in 0..<bytes.byteCount {
      let byte = bytes.u8(at: index)
      let space = isSpace(byte)
      if !space || !previous { result.append(byte) }
      previous = space
    }
    return result
  }

  /// Names before the first colon of each line in lower case.
  private static func lowercasedNames(_ bytes: RawSpan) -> [UInt8] {
    var result = bytes.copied()
    var inName = true
    for index in result.indices {
      if result[index] == 0x0a {
        inName = true
      } else if result[index] == 0x3a {
        inName = false
      } else if inName {
        result[index] = ByteSearch.lower(result[index])
      }
    }
    return result
  }

  /// Lines that start with a colon (HTTP/2 pseudo headers) are taken out.
  private static func withoutPseudoHeaders(_ bytes: RawSpan) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.byteCount)
    var isAtStart = true
    var isPseudo = false
    for index in 0..<bytes.byteCount {
      let byte = bytes.u8(at: index)
      if isAtStart { isPseudo = byte == 0x3a }
      if !isPseudo { result.append(byte) }
      isAtStart = byte == 0x0a
    }
    return result
  }

  private static func percentDecoded(_ bytes: RawSpan) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.byteCount)
    var index = 0
    while index < bytes.byteCount {
      let byte = bytes.u8(at: index)
      if byte == 0x25, index + 2 < bytes.byteCount,
        let high = hex(bytes.u8(at: index + 1)), let low = hex(bytes.u8(at: index + 2))
      {
        result.append(high << 4 | low)
        index += 3
      } else {
        result.append(byte == 0x2b ? 0x20 : byte)
        index += 1
      }
    }
    return result
  }

  private static func hex(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x61...0x66: byte - 0x61 + 10
    case 0x41...0x46: byte - 0x41 + 10
    default: nil
    }
  }

  private static func digest(_ kind: DigestKind, _ bytes: RawSpan) -> [UInt8] {
    // SAFETY: EVP_Digest writes at most EVP_MAX_MD_SIZE octets and reads `count` ones of the span.
    var result = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
    var length: UInt32 = 0
    let method =
      switch kind {
      case .md5: unsafe EVP_md5()
      case .sha1: unsafe EVP_sha1()
      case .sha256: unsafe EVP_sha256()
      }
    unsafe bytes.withUnsafeBytes { input in
      unsafe result.withUnsafeMutableBufferPointer { output in
        _ = unsafe EVP_Digest(input.baseAddress, input.count, output.baseAddress, &length, method, nil)
      }
    }
    return Array(result.prefix(Int(length)))
  }

  private static func decoded(_ bytes: RawSpan, count: Int, offset: Int, _ mode: Base64Mode) -> [UInt8] {
    guard offset < bytes.byteCount, count <= bytes.byteCount - offset else { return bytes.copied() }
    let part = bytes.extracting(offset..<(count > 0 ? offset + count : bytes.byteCount))
    var result: [UInt8] = []
    Base64.decode(part, skippingBlanks: mode == .rfc2045, into: &result)
    if mode == .strict, part.byteCount % 4 != 0 { return bytes.copied() }
    return result.isEmpty ? bytes.copied() : result
  }

  private static func inflated(_ bytes: RawSpan, _ kind: InflateKind, _ outputMax: Int) -> [UInt8] {
    // SAFETY: zlib reads `avail_in` octets of the span and writes `avail_out` of the array, both set here.
    var stream = unsafe z_stream()
    guard unsafe sluice_inflate_init(&stream, kind == .gzip ? 31 : 15) == Z_OK else { return [] }
    defer { unsafe inflateEnd(&stream) }
    var result = [UInt8](repeating: 0, count: outputMax)
    unsafe bytes.withUnsafeBytes { input in
      unsafe result.withUnsafeMutableBufferPointer { output in
        unsafe stream.next_in = UnsafeMutablePointer(
          mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
        unsafe stream.avail_in = UInt32(clamping: input.count)
        unsafe stream.next_out = output.baseAddress
        unsafe stream.avail_out = UInt32(clamping: output.count)
        _ = unsafe CSluiceCompression.inflate(&stream, Z_SYNC_FLUSH)
      }
    }
    return unsafe Array(result.prefix(Int(stream.total_out)))
  }
}
