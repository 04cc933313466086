import Traffic

/// When a flow counts as an elephant: so many octets within so many seconds (`flow.rate-tracking`).
public struct FlowRateLimit: Sendable, Hashable {
  /// Seconds at most; a number is kept for each of them and each direction.
  public static let secondsMax = 3600

  public var bytes: UInt64
  public var seconds: Int

  public init(bytes: UInt64, seconds: Int) {
    self.bytes = bytes
    self.seconds = min(max(1, seconds), Self.secondsMax)
  }
}

/// How many octets went by within the last seconds, for each direction of a flow.
///
/// Made only where a limit is set. A direction that has reached it stays an elephant, and is counted no more.
/// - Source: Suricata 8 "Flow Keywords", flow.elephant; whole packets count, as in `flow.bytes`.
/// - Limits: ``FlowRateLimit/secondsMax`` numbers a direction.
/// - Invariant: `sum` is what the slots hold together.
struct FlowRate {
  private struct Side {
    var slots: [UInt64] = []
    var sum: UInt64 = 0
    /// The second that the newest slot is for.
    var newest: Int64 = .min
  }

  private var toServer = Side()
  private var toClient = Side()
  private(set) var isElephant: (toServer: Bool, toClient: Bool) = (false, false)

  mutating func note(_ direction: Direction, octets: Int, at time: Timestamp, _ limit: FlowRateLimit) {
    if direction == .toServer {
      guard !isElephant.toServer else { return }
      isElephant.toServer = Self.reaches(&toServer, octets, time.seconds, limit)
    } else {
      guard !isElephant.toClient else { return }
      isElephant.toClient = Self.reaches(&toClient, octets, time.seconds, limit)
    }
  }

  private static func reaches(_ side: inout Side, _ octets: Int, _ second: Int64, _ limit: FlowRateLimit) -> Bool {
    if side.slots.isEmpty { side.slots = Array(repeating: 0, count: limit.seconds) }
    let count = Int64(side.slots.count)
    // Packets that are late count for the newest second.
    if second > side.newest {
      let passed = side.newest == .min ? count : min(count, second &- side.newest)
      // At most as many as there are slots; each is another one.
      for step in 0..<passed {
        let slot = place(second &- step, count)
        side.sum &-= side.slots[slot]
        side.slots[slot] = 0
      }
      side.newest = second
    }
    // The size of a packet; a sum of them does not come near the end of 64 bits within an hour.
    let added = UInt64(max(0, octets))
    side.slots[place(side.newest, count)] &+= added
    side.sum &+= added
    guard side.sum >= limit.bytes else { return false }
    side.slots = []
    return true
  }

  /// Times before 1970 have places, too.
  private static func place(_ second: Int64, _ count: Int64) -> Int {
    let rest = second % count
    return Int(rest < 0 ? rest &+ count : rest)
  }
}
