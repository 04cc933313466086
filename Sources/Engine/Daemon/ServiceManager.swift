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
}

/// The signals that the daemon takes one by one instead of being interrupted.
public enum DaemonSignals {
  static func fill(_ signals: inout sigset_t) {
    unsafe sigemptyset(&signals)
    for number in [SIGHUP, SIGTERM, SIGINT] { unsafe sigaddset(&signals, number) }
  }

  /// Call first, on the main thread: threads made later inherit it.
  public static func block() {
    var signals = sigset_t()
    fill(&signals)
    unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
  }
}
