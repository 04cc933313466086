/// A point in time of the traffic, not of the wall clock: nanoseconds since 1970-01-01 UTC.
public struct Timestamp: Sendable, Hashable, Comparable, BitwiseCopyable {
  public var nanoseconds: Int64

  @inlinable
  public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// Wraps for years beyond 2262, which only a hostile capture holds.
  @inlinable
  public init(seconds: Int64, nanoseconds: Int64 = 0) {
    self.nanoseconds = seconds &* 1_000_000_000 &+ nanoseconds
  }

  @inlinable
  public var seconds: Int64 { nanoseconds / 1_000_000_000 }

  @inlinable
  public var microsecondsOfSecond: Int64 {
    let remainder = nanoseconds % 1_000_000_000
    return (remainder < 0 ? remainder &+ 1_000_000_000 : remainder) / 1000
  }

  /// Seconds from `earlier` to this, negative when the capture runs backwards.
  @inlinable
  public func seconds(since earlier: Timestamp) -> Int64 {
    (nanoseconds &- earlier.nanoseconds) / 1_000_000_000
  }

  @inlinable
  public static func < (left: Timestamp, right: Timestamp) -> Bool {
    left.nanoseconds < right.nanoseconds
  }
}
