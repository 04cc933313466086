import Traffic

/// A flow's place in the lists of the table: the free list, or a bucket of the timeout wheel.
struct FlowLink: Sendable, BitwiseCopyable {
  var next = FlowIndex.none
  var previous = FlowIndex.none
  /// The bucket it hangs in; meaningful while it is live.
  var bucket: UInt32 = 0
  var isLive: Bool

  init(isLive: Bool) { self.isLive = isLive }
}

/// Buckets of one second each, each a list of flows that may be due then.
///
/// - Invariant: what hangs in the wheel is due in one of the `bucketCount` seconds from `cursor`;
///   what is due later hangs in the last of them and is moved on from there.
struct FlowWheel {
  static let bucketCount = 2048
  /// The second that is looked at next.
  private(set) var cursor: Int64 = 0
  private var isStarted = false
  private var heads = [FlowIndex](repeating: .none, count: FlowWheel.bucketCount)

  mutating func start(at time: Timestamp) {
    if isStarted { return }
    isStarted = true
    cursor = time.seconds
  }

  mutating func link(_ index: FlowIndex, _ links: inout [FlowLink], dueSecond: Int64) {
    let second = min(max(dueSecond, cursor), cursor &+ Int64(Self.bucketCount - 1))
    let bucket = Self.bucket(of: second)
    links[index.index].bucket = UInt32(bucket)
    links[index.index].previous = .none
    links[index.index].next = heads[bucket]
    if heads[bucket] != .none { links[heads[bucket].index].previous = index }
    heads[bucket] = index
  }

  mutating func unlink(_ index: FlowIndex, _ links: inout [FlowLink]) {
    let link = links[index.index]
    if link.previous != .none {
      links[link.previous.index].next = link.next
    } else {
      heads[Int(link.bucket)] = link.next
    }
    if link.next != .none { links[link.next.index].previous = link.previous }
  }

  func head(second: Int64) -> FlowIndex { heads[Self.bucket(of: second)] }

  mutating func advance() { cursor &+= 1 }

  /// After a jump in time each bucket is looked at once, not once for each second.
  mutating func skip(toReach now: Int64) {
    if now &- cursor >= Int64(Self.bucketCount) { cursor = now &- Int64(Self.bucketCount - 1) }
  }

  private static func bucket(of second: Int64) -> Int {
    Int(truncatingIfNeeded: second) & (bucketCount - 1)
  }
}
