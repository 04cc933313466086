/// The text that identifies a TLS implementation by its hello.
/// - Source: salesforce/ja3; FoxIO JA4 technical details (JA4 alone, which is BSD-licensed).
public enum TLSFingerprint {
  /// Version, ciphers, extensions, groups, point formats, all decimal; GREASE left out.
  public static func ja3(_ hello: ClientHello) -> [UInt8] {
    var out: [UInt8] = []
    // Five digits and a dash for each number.
    out.reserveCapacity(
      16 + 6 * (hello.cipherSuites.count + hello.extensions.count + hello.groups.count + hello.pointFormats.count))
    append(hello.legacyVersion.rawValue, to: &out)
    appendList(hello.cipherSuites, to: &out)
    appendList(hello.extensions, to: &out)
    appendList(hello.groups, to: &out)
    out.append(UInt8(ascii: ","))
    for (index, format) in hello.pointFormats.enumerated() {
      if index > 0 { out.append(UInt8(ascii: "-")) }
      append(UInt16(format), to: &out)
    }
    return out
  }

  /// Version, cipher, extensions of the server.
  public static func ja3s(_ hello: ServerHello) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(16 + 6 * hello.extensions.count)
    append(hello.legacyVersion.rawValue, to: &out)
    out.append(UInt8(ascii: ","))
    append(hello.cipherSuite, to: &out)
    appendList(hello.extensions, to: &out)
    return out
  }

  /// The JA4 of a hello.
  ///
  /// As Suricata makes it, which differs from FoxIO where lists are empty: the underscore before the
  /// signature algorithms always stands, and nothing hashes as nothing instead of showing zeros.
  /// - Parameter transport: "t" for TCP, "q" for QUIC.
  public static func ja4(_ hello: ClientHello, transport: UInt8 = UInt8(ascii: "t")) -> [UInt8] {
    let suites = hello.cipherSuites.filter { !TLSVersion.isGREASE($0) }
    let extensions = hello.extensions.filter { !TLSVersion.isGREASE($0) }
    var out: [UInt8] = [transport]
    out += versionCode(hello.version)
    out.append(UInt8(ascii: extensions.contains(TLSExtensionType.serverName) ? "d" : "i"))
    appendCount(suites.count, to: &out)
    appendCount(extensions.count, to: &out)
    out += alpnCode(hello.alpn.first)
    out.append(UInt8(ascii: "_"))
    out += truncatedHash(hexList(suites.sorted()))
    out.append(UInt8(ascii: "_"))
    // Server name and ALPN are told above and differ from site to site.
    let stable = extensions.filter { $0 != TLSExtensionType.serverName && $0 != TLSExtensionType.alpn }
    var last = hexList(stable.sorted())
    last.append(UInt8(ascii: "_"))
    last += hexList(hello.signatureAlgorithms.filter { !TLSVersion.isGREASE($0) })
    out += truncatedHash(last)
    return out
  }

  private static func appendList(_ numbers: [UInt16], to out: inout [UInt8]) {
    out.append(UInt8(ascii: ","))
    var isFirst = true
    for number in numbers where !TLSVersion.isGREASE(number) {
      if !isFirst { out.append(UInt8(ascii: "-")) }
      append(number, to: &out)
      isFirst = false
    }
  }

  /// A number in decimal.
  private static func append(_ number: UInt16, to out: inout [UInt8]) {
    var unit: UInt16 = 10_000
    while unit > 1, number < unit { unit /= 10 }
    while unit > 0 {
      out.append(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: number / unit % 10))
      unit /= 10
    }
  }

  private static func versionCode(_ version: TLSVersion) -> [UInt8] {
    switch version {
    case .tls13: Array("13".utf8)
    case .tls12: Array("12".utf8)
    case .tls11: Array("11".utf8)
    case .tls10: Array("10".utf8)
    case .ssl3: Array("s3".utf8)
    case .ssl2: Array("s2".utf8)
    default: Array("00".utf8)
    }
  }

  /// Two digits, 99 at most.
  private static func appendCount(_ count: Int, to out: inout [UInt8]) {
    let shown = UInt8(min(count, 99))
    out.append(UInt8(ascii: "0") + shown / 10)
    out.append(UInt8(ascii: "0") + shown % 10)
  }

  /// First and last character, or when one of them is no letter or digit, the outermost hex digits.
  private static func alpnCode(_ name: [UInt8]?) -> [UInt8] {
    guard let name, let first = name.first, let last = name.last else { return Array("00".utf8) }
    if isAlphanumeric(first), isAlphanumeric(last) { return [first, last] }
    let hex = Hex.lower([first, last])
    return [hex[0], hex[3]]
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "A")...UInt8(ascii: "Z"):
      true
    default: false
    }
  }

  private static func hexList(_ numbers: [UInt16]) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(numbers.count * 5)
    for number in numbers {
      if !out.isEmpty { out.append(UInt8(ascii: ",")) }
      Hex.appendLower(UInt8(truncatingIfNeeded: number >> 8), to: &out)
      Hex.appendLower(UInt8(truncatingIfNeeded: number), to: &out)
    }
    return out
  }

  private static func truncatedHash(_ text: [UInt8]) -> [UInt8] {
    Array(Digest.sha256.hex(text).prefix(12))
  }
}
