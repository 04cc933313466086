import CSluiceLinux
import Glibc

/// Tells systemd how the service is doing.
/// - Source: sd_notify(3): a datagram to the socket that NOTIFY_SOCKET names.
enum ServiceManager {
  static func notify(_ state: String) {
    guard let raw = unsafe getenv("NOTIFY_SOCKET") else { return }
    let path = unsafe String(cString: raw)
    guard path.hasPrefix("/") || path.hasPrefix("@") else { return }
    let text = Array(state.utf8)
    // SAFETY: the C side reads `count` octets of the array and the terminated path.
    unsafe text.withUnsafeBytes { _ = unsafe sluice_notify_socket(path, $0.baseAddress, $0.count) }
  }

  /// What a daemon tells its supervisor.
  static let ready = UInt8(ascii: "R")
  static let alive = UInt8(ascii: ".")
  static let ending = UInt8(ascii: "E")

  /// Tells the supervisor, at the other end of standard input.
  static func tellSupervisor(_ octet: UInt8) {
    var octet = octet
    // SAFETY: sends one octet of a local.
    _ = unsafe send(0, &octet, 1, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
  }
}

/// The signals that the daemon takes one by one instead of being interrupted.
public enum DaemonSignals {
  static func fill(_ signals: inout sigset_t) {
    unsafe sigemptyset(&signals)
    for number in [SIGHUP, SIGTERM, SIGINT] { unsafe sigaddset(&signals, number) }
  }

  /// The next signal that waits; 0 when the time is over.
  static func next(milliseconds: Int, hearsChildren: Bool = false) -> Int32 {
    var signals = sigset_t()
    fill(&signals)
    if hearsChildren { unsafe sigaddset(&signals, SIGCHLD) }
    var timeout = timespec(tv_sec: milliseconds / 1000, tv_nsec: milliseconds % 1000 * 1_000_000)
    return max(0, unsafe sigtimedwait(&signals, nil, &timeout))
  }

  /// Call first, on the main thread: threads made later inherit it.
  public static func block() {
    var signals = sigset_t()
    fill(&signals)
    unsafe sigaddset(&signals, SIGCHLD)
    unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
  }
}
