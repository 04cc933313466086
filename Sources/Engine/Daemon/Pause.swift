import Glibc

/// Sleeping, for threads that have nothing to do with traffic.
enum Pause {
  static func milliseconds(_ count: Int) {
    var time = timespec(tv_sec: count / 1000, tv_nsec: count % 1000 * 1_000_000)
    // SAFETY: both may be the same place, or nil.
    unsafe nanosleep(&time, nil)
  }
}
