/// An IPv4 or IPv6 address as two host-order words; IPv4 is held as ::ffff:a.b.c.d.
///
/// Ordering and equality follow the 128-bit value, so that address sets are plain ranges.
public struct IPAddress: Sendable, Hashable, Comparable, BitwiseCopyable {
  /// The upper 64 bits, host order.
  public var high: UInt64
  /// The lower 64 bits, host order.
  public var low: UInt64

  @inlinable
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// - Parameter ipv4: the address in host order, 0x7f000001 for 127.0.0.1.
  @inlinable
  public init(ipv4: UInt32) {
    high = 0
    low = 0xffff_0000_0000 | UInt64(ipv4)
  }

  @inlinable
  public var isIPv4: Bool { high == 0 && low >> 32 == 0xffff }

  /// The IPv4 address in host order; meaningful only where `isIPv4`.
  @inlinable
  public var ipv4: UInt32 { UInt32(truncatingIfNeeded: low) }

  @inlinable
  public static func < (left: IPAddress, right: IPAddress) -> Bool {
    left.high != right.high ? left.high < right.high : left.low < right.low
  }

  /// The bytes in network order: 4 for IPv4, 16 for IPv6.
  public var networkBytes: [UInt8] {
    if isIPv4 { return (0..<4).map { UInt8(truncatingIfNeeded: ipv4 >> (24 - 8 * $0)) } }
    return (0..<16).map { i in
      let word = i < 8 ? high : low
      return UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * (i % 8)))
    }
  }
}

extension IPAddress: CustomStringConvertible {
  /// Dotted quad, or eight full hextets as Suricata's EVE writes them ("2001:0db8:0000:…").
  public var description: String {
    if isIPv4 {
      let a = ipv4
      return "\(a >> 24).\(a >> 16 & 255).\(a >> 8 & 255).\(a & 255)"
    }
    return (0..<8).map { i in
      let word = i < 4 ? high : low
      let hextet = String(word >> UInt64(48 - 16 * (i % 4)) & 0xffff, radix: 16)
      return String(repeating: "0", count: 4 - hextet.count) + hextet
    }.joined(separator: ":")
  }

  /// Parses a dotted quad or any RFC 4291 section 2.2 text form (no zone, no prefix length).
  public init?<Text: StringProtocol>(_ text: Text) {
    if text.contains(":") {
      guard let words = Self.parseIPv6(Substring(text)) else { return nil }
      self = words
    } else {
      guard let value = Self.parseIPv4(Substring(text)) else { return nil }
      self.init(ipv4: value)
    }
  }

  private static func parseIPv4(_ text: Substring) -> UInt32? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var value: UInt32 = 0
    for part in parts {
      guard (1...3).contains(part.count), part.allSatisfy({ $0.isASCII && $0.isNumber }),
        let octet = UInt8(part)
      else { return nil }
      value = value << 8 | UInt32(octet)
    }
    return value
  }

  private static func parseIPv6(_ text: Substring) -> IPAddress? {
    guard let split = text.firstRange(ofPair: ":") else {
      guard let all = hextets(text), all.count == 8 else { return nil }
      return join(all)
    }
    let head = text[..<split.lowerBound]
    let tail = text[split.upperBound...]
    guard let left = hextets(head, mayEndInQuad: false), let right = hextets(tail), left.count + right.count <= 7,
      tail.firstRange(ofPair: ":") == nil
    else { return nil }
    return join(left + Array(repeating: 0, count: 8 - left.count - right.count) + right)
  }

  /// Colon-separated hextets, the last of which may be a dotted quad; nil when malformed.
  private static func hextets(_ text: Substring, mayEndInQuad: Bool = true) -> [UInt16]? {
    if text.isEmpty { return [] }
    var out: [UInt16] = []
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    for (index, part) in parts.enumerated() {
      if mayEndInQuad, index == parts.count - 1, part.contains(".") {
        guard let quad = parseIPv4(part) else { return nil }
        out += [UInt16(quad >> 16), UInt16(truncatingIfNeeded: quad)]
      } else {
        guard (1...4).contains(part.count), part.allSatisfy(\.isHexDigit),
          let value = UInt16(part, radix: 16)
        else { return nil }
        out.append(value)
      }
    }
    return out
  }

  private static func join(_ words: [UInt16]) -> IPAddress {
    func pack(_ slice: ArraySlice<UInt16>) -> UInt64 { slice.reduce(0) { $0 << 16 | UInt64($1) } }
    return IPAddress(high: pack(words[0..<4]), low: pack(words[4..<8]))
  }
}

extension Substring {
  /// The first place where `character` stands twice in a row.
  fileprivate func firstRange(ofPair character: Character) -> Range<Index>? {
    var index = startIndex
    while index < endIndex {
      let next = self.index(after: index)
      if next < endIndex, self[index] == character, self[next] == character {
        return index..<self.index(after: next)
      }
      index = next
    }
    return nil
  }
}
