import CSluiceCompression
import CSluiceOpenSSL
import Traffic

extension BufferTransform {
  /// The transformed bytes; a transform that cannot apply leaves the buffer as it is, or empty where
  /// Suricata's does.
  ///
  /// - Parameter result: what is in it is overwritten; its room is used again, so that nothing is allocated.
  public func apply(_ bytes: RawSpan, into result: inout [UInt8], scratch: borrowing PayloadScratch) {
    result.removeAll(keepingCapacity: true)
    switch self {
    case .dotPrefix:
      result.append(0x2e)
      result.append(bytes)
    case .stripWhitespace:
      for index in 0..<bytes.byteCount where !Self.isSpace(bytes.u8(at: index)) { result.append(bytes.u8(at: index)) }
    case .compressWhitespace: Self.compress(bytes, into: &result)
    case .toLowercase:
      for index in 0..<bytes.byteCount { result.append(ByteSearch.lower(bytes.u8(at: index))) }
    case .toUppercase:
      for index in 0..<bytes.byteCount {
        let byte = bytes.u8(at: index)
        result.append(byte &- 0x61 < 26 ? byte & 0xdf : byte)
      }
    case .headerLowercase: Self.lowercaseNames(bytes, into: &result)
    case .stripPseudoHeaders: Self.stripPseudoHeaders(bytes, into: &result)
    case .urlDecode: Self.percentDecode(bytes, into: &result)
    case .domain: result = PublicSuffix.registeredDomain(bytes)
    case .topLevelDomain: result = PublicSuffix.topLevelDomain(bytes)
    case .xor(let key):
      for index in 0..<bytes.byteCount { result.append(bytes.u8(at: index) ^ key[index % key.count]) }
    case .digest(let kind): result = Self.digest(kind, bytes)
    case .fromBase64(let count, let offset, let mode):
      result = Self.decoded(bytes, count: count, offset: offset, mode)
    case .inflate(let kind, let outputMax): result = Self.inflated(bytes, kind, outputMax)
    case .expression(let transform):
      guard case .match = transform.expression.match(bytes, from: 0, scratch: scratch.matchData) else {
        return result.append(bytes)
      }
      result = transform.expression.group(1, of: bytes, scratch: scratch.matchData) ?? bytes.copied()
    }
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }

  private static func compress(_ bytes: RawSpan, into result: inout [UInt8]) {
    var previous = false
    for index in 0..<bytes.byteCount {
      let byte = bytes.u8(at: index)
      let space = isSpace(byte)
      if !space || !previous { result.append(byte) }
      previous = space
    }
  }

  /// Names before the first colon of each line in lower case.
  private static func lowercaseNames(_ bytes: RawSpan, into result: inout [UInt8]) {
    result.append(bytes)
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
  }

  /// Lines that start with a colon (HTTP/2 pseudo headers) are taken out.
  private static func stripPseudoHeaders(_ bytes: RawSpan, into result: inout [UInt8]) {
    var isAtStart = true
    var isPseudo = false
    for index in 0..<bytes.byteCount {
      let byte = bytes.u8(at: index)
      if isAtStart { isPseudo = byte == 0x3a }
      if !isPseudo { result.append(byte) }
      isAtStart = byte == 0x0a
    }
  }

  private static func percentDecode(_ bytes: RawSpan, into result: inout [UInt8]) {
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
