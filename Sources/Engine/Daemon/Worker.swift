import Glibc
import Interception
import Traffic

/// Threads for the work on traffic.
enum Workers {
  /// Runs `body` on `count` threads at once and waits for all; the caller's is one of them.
  static func runAll(count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let others = (1..<max(1, count)).compactMap { index in try? WorkerThread.start { body(index) } }
    body(0)
    for other in others { other.join() }
  }
}

extension Timestamp {
  /// The clock's time.
  static func now() -> Timestamp {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(seconds: Int64(time.tv_sec), nanoseconds: Int64(time.tv_nsec))
  }
}

/// Seconds that only run forward, for durations.
public enum MonotonicClock {
  public static func seconds() -> Double {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
