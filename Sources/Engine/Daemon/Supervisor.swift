import CSluiceLinux
import Diversion
import Glibc

/// Runs the daemon as a process of its own, and starts it again when it crashes or hangs.
///
/// Traffic meanwhile follows the fail policy in the kernel: with fail-open it passes, without it waits for the
/// next daemon or is dropped; released connections go on in any case.
/// - Source: sd_notify(3), sd_watchdog_enabled(3).
public struct Supervisor {
  /// The worker's words for itself, on the socket that is its standard input.
  private static let beatSecondsMax = 30.0
  /// Crashes within `crashSeconds` after which the next start waits.
  private static let quickRestarts = 5
  private static let crashSeconds = 60.0
  private static let delaySecondsMax = 30.0

  private let program: String
  private let arguments: [String]
  private var restarts = 0
  private var crashes: [Double] = []

  /// - Parameter arguments: those of `sluice run`, without the words for the supervisor.
  public init(arguments: [String]) {
    program = "/proc/self/exe"
    self.arguments = arguments
  }

  /// Works until the daemon ends as it should.
  /// - Returns: the exit status for the process.
  public mutating func run() -> Int32 {
    DaemonSignals.block()
    while true {
      let outcome = runOnce()
      switch outcome {
      case .ended(let status): return status
      case .crashed(let what):
        restarts += 1
        let delay = delayAfterCrash()
        DaemonLog.write("the daemon \(what); starting it again" + (delay > 0 ? " in \(Int(delay)) s" : ""))
        ServiceManager.notify("STATUS=restarted \(restarts) times; last: \(what)")
        if let status = wait(seconds: delay) { return status }
      }
    }
  }

  private enum Outcome {
    case ended(Int32)
    case crashed(String)
  }

  private mutating func delayAfterCrash() -> Double {
    let now = MonotonicClock.seconds()
    crashes = crashes.filter { now - $0 < Self.crashSeconds } + [now]
    let surplus = crashes.count - Self.quickRestarts
    return surplus <= 0 ? 0 : min(Self.delaySecondsMax, Double(1 << min(surplus, 5)))
  }

  /// - Returns: an exit status when it was told to end meanwhile.
  private func wait(seconds: Double) -> Int32? {
    let end = MonotonicClock.seconds() + seconds
    while MonotonicClock.seconds() < end {
      let number = DaemonSignals.next(milliseconds: 100)
      if number == SIGTERM || number == SIGINT { return 0 }
    }
    return nil
  }

  // MARK: One daemon

  private struct Watch {
    var isReady = false
    var isEnding = false
    var lastBeat = MonotonicClock.seconds()
    var isKilled = false
  }

  private func runOnce() -> Outcome {
    var ends: [Int32] = [-1, -1]
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    guard unsafe socketpair(AF_UNIX, kind, 0, &ends) == 0 else { return .ended(3) }
    defer { close(ends[0]) }
    let child: ChildProcess
    do throws(DiversionError) {
      let words = ["run", "--worker", "--restarts", String(restarts)] + arguments
      child = try ChildProcess(Command(program, words), input: ends[1], output: 1, errors: 2)
    } catch {
      close(ends[1])
      DaemonLog.write(error.description)
      return .ended(3)
    }
    close(ends[1])
    var watch = Watch()
    while true {
      if let status = child.poll() { return outcome(status, watch) }
      hear(ends[0], &watch)
      // A child that ends interrupts the wait.
      heed(DaemonSignals.next(milliseconds: 20, hearsChildren: true), child, &watch)
      beat(child, &watch)
    }
  }

  private func outcome(_ status: Int32, _ watch: Watch) -> Outcome {
    if watch.isEnding || status == 0 { return .ended(status >= 128 ? 3 : status) }
    // It could not even begin: that is for the operator to mend. After a crash it is tried again.
    if !watch.isReady, status < 128, restarts == 0 { return .ended(status) }
    if watch.isKilled { return .crashed("did not respond for \(Int(Self.beatSecondsMax)) s") }
    return .crashed(status >= 128 ? "was ended by signal \(status - 128)" : "ended with status \(status)")
  }

  private func heed(_ number: Int32, _ child: ChildProcess, _ watch: inout Watch) {
    switch number {
    case SIGTERM, SIGINT:
      watch.isEnding = true
      ServiceManager.notify("STOPPING=1")
      child.signal(SIGTERM)
    case SIGHUP: child.signal(SIGHUP)
    default: break
    }
  }

  /// Reads what the daemon says: a letter each.
  private func hear(_ descriptor: Int32, _ watch: inout Watch) {
    var octets = [UInt8](repeating: 0, count: 64)
    // SAFETY: the kernel writes at most the length it is told.
    let count = unsafe octets.withUnsafeMutableBytes {
      unsafe recv(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
    }
    guard count > 0 else { return }
    for octet in octets[..<count] {
      watch.lastBeat = MonotonicClock.seconds()
      if octet == ServiceManager.ready, !watch.isReady {
        watch.isReady = true
        ServiceManager.notify("READY=1")
      }
      if octet == ServiceManager.ending { watch.isEnding = true }
    }
    if watch.isReady { ServiceManager.notify("WATCHDOG=1") }
  }

  private func beat(_ child: ChildProcess, _ watch: inout Watch) {
    guard watch.isReady, !watch.isEnding, !watch.isKilled else { return }
    guard MonotonicClock.seconds() - watch.lastBeat > Self.beatSecondsMax else { return }
    watch.isKilled = true
    child.signal(SIGKILL)
  }
}
