import CSluiceVectorscan
import Glibc

/// How the C library keeps memory while rules are compiled, and afterwards.
enum LoadingHeap {
  /// What is freed while rules are compiled goes back to the system: left to itself the C library would keep twice the
  /// largest piece that was ever freed, in the memory of each thread.
  static func begin() {
    _ = mallopt(M_MMAP_THRESHOLD, 4 << 20)
    _ = mallopt(M_TRIM_THRESHOLD, 1 << 20)
  }

  static func end() {
    // What traffic frees from here on is for the traffic that follows: to give it back and have it cleared
    // again by the kernel was a fiftieth of the time of large bodies.
    _ = mallopt(M_MMAP_THRESHOLD, 16 << 20)
    _ = mallopt(M_TRIM_THRESHOLD, 64 << 20)
  }
}
