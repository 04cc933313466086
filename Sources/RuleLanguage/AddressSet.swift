/// An inclusive range of addresses.
public struct AddressRange: Sendable, Hashable {
  public var low: RuleAddress
  public var high: RuleAddress

  @inlinable
  public init(low: RuleAddress, high: RuleAddress) {
    self.low = low
    self.high = high
  }
}

/// The addresses an expression stands for, flattened.
///
/// - Invariant: `ranges` are sorted, disjoint, do not touch, and are not empty.
public struct AddressSet: Sendable, Hashable {
  public let ranges: [AddressRange]
  /// Every IPv4 and IPv6 address.
  public let isAny: Bool

  public static let any = AddressSet([RuleAddress.least...RuleAddress.greatest])

  init(_ ranges: [ClosedRange<RuleAddress>]) {
    self.ranges = ranges.map { AddressRange(low: $0.lowerBound, high: $0.upperBound) }
    isAny = ranges == [RuleAddress.least...RuleAddress.greatest]
  }

  /// Whether the address with these halves (network order; IPv4 at ::ffff:a.b.c.d) is in the set.
  ///
  /// - Complexity: O(log n) in ranges; no allocation.
  @inlinable
  public func contains(high: UInt64, low: UInt64) -> Bool {
    isAny || contains(RuleAddress(high: high, low: low))
  }

  @inlinable
  public func contains(_ address: RuleAddress) -> Bool {
    // Find the first range that ends at or after the address.
    var first = 0
    var end = ranges.count
    while first < end {
      let middle = first &+ (end &- first) / 2
      if ranges[middle].high < address { first = middle &+ 1 } else { end = middle }
    }
    return first < ranges.count && !(address < ranges[first].low)
  }
}
