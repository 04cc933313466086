/// A bound of inclusive ranges over all values from `least` to `greatest`.
protocol RangeBound: Comparable, Sendable {
  static var least: Self { get }
  static var greatest: Self { get }
  /// Only asked of values other than `greatest`.
  var next: Self { get }
  /// Only asked of values other than `least`.
  var previous: Self { get }
}

extension UInt16: RangeBound {
  static var least: UInt16 { .min }
  static var greatest: UInt16 { .max }
  var next: UInt16 { self &+ 1 }
  var previous: UInt16 { self &- 1 }
}

extension RuleAddress: RangeBound {
  static var least: RuleAddress { RuleAddress(high: 0, low: 0) }
  static var greatest: RuleAddress { RuleAddress(high: .max, low: .max) }
  var next: RuleAddress { RuleAddress(high: low == .max ? high &+ 1 : high, low: low &+ 1) }
  var previous: RuleAddress { RuleAddress(high: low == 0 ? high &- 1 : high, low: low &- 1) }
}

/// Set arithmetic on sorted, disjoint, inclusive ranges that do not touch.
enum RangeSet {
  /// The ranges sorted, with those that overlap or touch made one.
  static func union<Bound: RangeBound>(_ ranges: [ClosedRange<Bound>]) -> [ClosedRange<Bound>] {
    var result: [ClosedRange<Bound>] = []
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      guard let last = result.last else {
        result.append(range)
        continue
      }
      if last.upperBound == Bound.greatest { break }
      if range.lowerBound <= last.upperBound.next {
        result[result.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
      } else {
        result.append(range)
      }
    }
    return result
  }

  /// What of `ranges` is not in `others`; both as ``union(_:)`` gives them.
  static func subtract<Bound: RangeBound>(
    _ others: [ClosedRange<Bound>], from ranges: [ClosedRange<Bound>]
  ) -> [ClosedRange<Bound>] {
    var result: [ClosedRange<Bound>] = []
    var next = 0
    for range in ranges {
      while next < others.count, others[next].upperBound < range.lowerBound { next &+= 1 }
      var low = range.lowerBound
      var isCovered = false
      var at = next
      while at < others.count, others[at].lowerBound <= range.upperBound {
        if others[at].lowerBound > low { result.append(low...others[at].lowerBound.previous) }
        if others[at].upperBound >= range.upperBound {
          isCovered = true
          break
        }
        low = others[at].upperBound.next
        at &+= 1
      }
      if !isCovered { result.append(low...range.upperBound) }
    }
    return result
  }
}
