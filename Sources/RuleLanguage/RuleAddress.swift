/// An IPv4 or IPv6 address as a 128-bit number; IPv4 stands at ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2).
public struct RuleAddress: Sendable, Hashable, Comparable {
  /// The first eight octets of the IPv6 form, in network order.
  public var high: UInt64
  /// The last eight octets.
  public var low: UInt64

  @inlinable
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// The address at which an IPv4 address stands.
  @inlinable
  public init(ipv4: UInt32) { self.init(high: 0, low: 0xffff_0000_0000 | UInt64(ipv4)) }

  @inlinable
  public static func < (left: Self, right: Self) -> Bool {
    left.high != right.high ? left.high < right.high : left.low < right.low
  }

  public var isIPv4: Bool { high == 0 && low >> 32 == 0xffff }

  static let ipv4Block = RuleAddress(ipv4: 0)...RuleAddress(ipv4: .max)
}

extension RuleAddress {
  /// Parses `a.b.c.d` or an IPv6 address (RFC 4291 section 2.2); nil if it is neither.
  public init?(_ text: String) { self.init(Array(text.utf8)[...]) }

  init?(_ bytes: ArraySlice<UInt8>) {
    if bytes.contains(ASCII.colon) {
      guard let address = Self.ipv6(bytes) else { return nil }
      self = address
    } else {
      guard let value = Self.ipv4(bytes) else { return nil }
      self.init(ipv4: value)
    }
  }

  /// Four decimal octets without leading zeros, as inet_pton(3) takes them.
  static func ipv4(_ bytes: ArraySlice<UInt8>) -> UInt32? {
    let parts = bytes.split(separator: ASCII.dot, omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var value: UInt32 = 0
    for part in parts {
      guard let octet = decimalOctet(part) else { return nil }
      value = value << 8 | octet
    }
    return value
  }

  private static func decimalOctet(_ bytes: ArraySlice<UInt8>) -> UInt32? {
    guard (1...3).contains(bytes.count), bytes.count == 1 || bytes.first != ASCII.zero else { return nil }
    var value: UInt32 = 0
    for byte in bytes {
      guard ASCII.isDigit(byte) else { return nil }
      // At most three digits: below 1,000.
      value = value &* 10 &+ UInt32(byte &- ASCII.zero)
    }
    return value <= 255 ? value : nil
  }

  private static func ipv6(_ bytes: ArraySlice<UInt8>) -> RuleAddress? {
    var before: [UInt16] = []
    var after: [UInt16] = []
    var hasGap = false
    var index = bytes.startIndex
    if bytes.starts(with: [ASCII.colon, ASCII.colon]) {
      hasGap = true
      index &+= 2
    }
    while index < bytes.endIndex {
      let end = bytes[index...].firstIndex(of: ASCII.colon) ?? bytes.endIndex
      guard let words = words(bytes[index..<end], isLast: end == bytes.endIndex) else { return nil }
      if hasGap { after += words } else { before += words }
      guard before.count + after.count <= 8 else { return nil }
      guard end < bytes.endIndex else { break }
      index = end &+ 1
      guard index < bytes.endIndex else { return nil }
      if bytes[index] == ASCII.colon {
        guard !hasGap else { return nil }
        hasGap = true
        index &+= 1
      }
    }
    let count = before.count + after.count
    guard hasGap ? count < 8 : count == 8 else { return nil }
    return RuleAddress(words: before + Array(repeating: 0, count: 8 - count) + after)
  }

  /// One group of up to four hex digits, or at the end an IPv4 address as two groups.
  private static func words(_ bytes: ArraySlice<UInt8>, isLast: Bool) -> [UInt16]? {
    if isLast, bytes.contains(ASCII.dot) {
      guard let value = ipv4(bytes) else { return nil }
      return [UInt16(truncatingIfNeeded: value >> 16), UInt16(truncatingIfNeeded: value)]
    }
    guard (1...4).contains(bytes.count) else { return nil }
    var value: UInt16 = 0
    for byte in bytes {
      guard let digit = ASCII.hexValue(byte) else { return nil }
      value = value << 4 | UInt16(digit)
    }
    return [value]
  }

  private init(words: [UInt16]) {
    self.init(
      high: words.prefix(4).reduce(0) { $0 << 16 | UInt64($1) },
      low: words.suffix(4).reduce(0) { $0 << 16 | UInt64($1) })
  }
}
