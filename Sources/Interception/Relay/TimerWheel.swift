/// One entry a connection in slots of equal time; far deadlines go round more than once.
///
/// Deadlines that move later cost nothing: the entry fires early, and who owns it schedules anew.
/// - Complexity: O(1) to schedule; expiry visits the slots that passed.
struct TimerWheel {
  struct Entry {
    var slot: Int
    var generation: UInt32
    var tick: Int64
  }

  let tickNanoseconds: Int64
  private var wheel: [[Entry]]
  private var current: Int64
  private var count = 0

  init(tickMilliseconds: Int64 = 25, slotCount: Int = 2_048, now: Int64) {
    tickNanoseconds = tickMilliseconds * 1_000_000
    wheel = Array(repeating: [], count: slotCount)
    current = now / tickNanoseconds
  }

  /// The tick at which an entry for `deadline` fires: never before it, at most one round ahead.
  mutating func schedule(slot: Int, generation: UInt32, deadline: Int64) -> Int64 {
    let tick = tick(for: deadline)
    wheel[Int(tick) % wheel.count].append(Entry(slot: slot, generation: generation, tick: tick))
    count += 1
    return tick
  }

  func tick(for deadline: Int64) -> Int64 {
    min(max(deadline / tickNanoseconds + 1, current + 1), current + Int64(wheel.count) - 1)
  }

  /// The entries whose tick has come.
  mutating func expire(now: Int64) -> [Entry] {
    let target = now / tickNanoseconds
    if count == 0 || target <= current {
      current = max(current, target)
      return []
    }
    var due: [Entry] = []
    let passed = min(target - current, Int64(wheel.count))
    for step in 0..<passed {
      let place = Int(target - step) % wheel.count
      guard !wheel[place].isEmpty else { continue }
      due += wheel[place].filter { $0.tick <= target }
      wheel[place].removeAll { $0.tick <= target }
    }
    current = target
    count -= due.count
    return due
  }

  /// Milliseconds until the next entry fires, at most a second; -1 without any.
  func wait(now: Int64) -> Int32 {
    guard count > 0 else { return -1 }
    for step in 1...min(Int64(wheel.count), 1_000_000_000 / tickNanoseconds) where !wheel[Int(current + step) % wheel.count].isEmpty {
      let left = (current + step) * tickNanoseconds - now
      return Int32(clamping: max(0, (left + 999_999) / 1_000_000))
    }
    return 1_000
  }
}
