/// Where one direction of a connection stands. Positions count octets from the first one seen, so
/// that they never wrap; sequence numbers are translated at the door.
///
/// - Invariant: historyStart <= position; pieces held by `hold` lie at or after historyStart.
struct StreamCore: Sendable, BitwiseCopyable {
  static let noHold = UInt32.max

  /// All before this position was delivered, or is missing for good.
  private(set) var position: Int64 = 0
  /// The sequence number at `position`.
  private var sequence: UInt32 = 0
  /// Up to where the receiver has acknowledged.
  var acknowledged: Int64 = 0
  var acknowledgedSequence: UInt32 = 0
  /// Inline: delivered bytes are remembered from here on.
  var historyStart: Int64 = 0
  /// The octet after the last one; valid where `hasFin`.
  private(set) var finPosition: Int64 = 0
  /// Missing octets that no chunk has told of yet.
  var pendingGap: UInt64 = 0
  var hold = StreamCore.noHold
  private(set) var isKnown = false
  private(set) var hasFin = false
  var hasData = false
  var isEnded = false
  /// That it has was said.
  var isEndTold = false
  var isDepthReached = false
  /// A segment has reached the depth, and that was told.
  var isDepthTold = false
  /// Octets that were out of band (urgent data).
  var outOfBandCount: UInt32 = 0
  /// Nobody acknowledges: only one side is seen.
  var isOneSided = false

  mutating func begin(at sequence: UInt32) {
    self = StreamCore()
    self.sequence = sequence
    acknowledgedSequence = sequence
    isKnown = true
  }

  /// A sequence number names the position nearest to where the stream is; with the receiver's
  /// acknowledgement ahead of what was seen, it is there.
  func position(of sequence: UInt32) -> Int64 {
    if acknowledged > position {
      return acknowledged &+ Int64(Int32(bitPattern: sequence &- acknowledgedSequence))
    }
    return position &+ Int64(Int32(bitPattern: sequence &- self.sequence))
  }

  /// The first FIN counts, unless it lies before what was delivered.
  mutating func noteFin(at position: Int64) {
    if hasFin || position < self.position { return }
    hasFin = true
    finPosition = position
  }

  /// `end`, but not beyond the FIN or the depth.
  func clip(_ end: Int64, depth: UInt64) -> Int64 {
    var end = end
    if hasFin { end = min(end, finPosition) }
    if depth > 0 { end = min(end, Int64(clamping: depth)) }
    return end
  }

  /// - Returns: whether the stream ends there.
  mutating func advance(to end: Int64) -> Bool {
    sequence = sequence &+ UInt32(truncatingIfNeeded: end &- position)
    position = end
    if hasFin, position >= finPosition { isEnded = true }
    return isEnded
  }

  mutating func takeGap() -> UInt64 {
    let gap = pendingGap
    pendingGap = 0
    return gap
  }
}
