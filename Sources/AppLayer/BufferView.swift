import Traffic

/// One inspection buffer: a stretch of stored bytes, lent without a copy (the array is shared).
public struct BufferView: Sendable {
  public var storage: [UInt8]
  public var range: Range<Int>
  /// Where the first byte of `range` lies in the whole buffer (a body keeps only its tail).
  public var offset: UInt64
  /// Octets at the end of `range` that were added since the last inspection; all of them at first.
  public var newCount: Int
  /// Nothing will be added any more (`bsize`, `endswith` may decide).
  public var isComplete: Bool

  @inlinable
  public init(
    _ storage: [UInt8], range: Range<Int>? = nil, offset: UInt64 = 0, newCount: Int? = nil,
    isComplete: Bool = true
  ) {
    let range = range ?? 0..<storage.count
    self.storage = storage
    self.range = range
    self.offset = offset
    self.newCount = newCount ?? range.count
    self.isComplete = isComplete
  }

  @inlinable
  public var count: Int { range.count }

  @inlinable
  public func withBytes<Result>(_ body: (RawSpan) -> Result) -> Result {
    body(storage.rawSpan.extracting(range))
  }
}
