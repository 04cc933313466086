/// An inclusive range of ports.
public struct PortRange: Sendable, Hashable {
  public var low: UInt16
  public var high: UInt16

  @inlinable
  public init(low: UInt16, high: UInt16) {
    self.low = low
    self.high = high
  }
}

/// The ports an expression stands for, flattened.
///
/// Ranges of 4 bytes and a binary search: sets in use have a few dozen ranges at most, so a bitmap of 8 kB
/// would be larger and touch more cache lines.
/// - Invariant: `ranges` are sorted, disjoint, do not touch, and are not empty.
public struct PortSet: Sendable, Hashable {
  public let ranges: [PortRange]
  public let isAny: Bool

  public static let any = PortSet([UInt16.min...UInt16.max])

  init(_ ranges: [ClosedRange<UInt16>]) {
    self.ranges = ranges.map { PortRange(low: $0.lowerBound, high: $0.upperBound) }
    isAny = ranges == [UInt16.min...UInt16.max]
  }

  /// - Complexity: O(log n) in ranges; no allocation.
  @inlinable
  public func contains(_ port: UInt16) -> Bool {
    if isAny { return true }
    var first = 0
    var end = ranges.count
    while first < end {
      let middle = first &+ (end &- first) / 2
      if ranges[middle].high < port { first = middle &+ 1 } else { end = middle }
    }
    return first < ranges.count && port >= ranges[first].low
  }
}
