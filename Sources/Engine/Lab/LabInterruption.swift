import CSluiceLinux
import Glibc

/// Ctrl-C and its kin, held back so that the lab can take itself away before it ends.
///
/// The signals are blocked in the calling thread and looked for where it waits. Make it before any other thread is
/// started, since threads inherit what is blocked.
struct LabInterruption: Sendable {
  private static let signals = [SIGINT, SIGTERM, SIGHUP]

  init() {
    // A reader that goes away must not keep us from cleaning up.
    _ = signal(SIGPIPE, SIG_IGN)
    var set = Self.set
    unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
  }

  /// Whether one of them has come.
  var isPending: Bool {
    var pending = sigset_t()
    unsafe sigemptyset(&pending)
    unsafe sigpending(&pending)
    return Self.signals.contains { unsafe sigismember(&pending, $0) == 1 }
  }

  /// Waits until one comes.
  func wait() {
    var set = Self.set
    var number: Int32 = 0
    unsafe sigwait(&set, &number)
  }

  private static var set: sigset_t {
    var set = sigset_t()
    unsafe sigemptyset(&set)
    for number in signals { unsafe sigaddset(&set, number) }
    return set
  }
}

/// Why the lab ended before its last step.
enum LabError: Error, CustomStringConvertible {
  case interrupted
  /// What the machine lacks, or did not do.
  case environment(String)

  var description: String {
    switch self {
    case .interrupted: "interrupted"
    case .environment(let reason): reason
    }
  }
}
