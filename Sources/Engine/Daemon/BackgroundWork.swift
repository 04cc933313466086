import CSluiceLinux
import Interception
import Synchronization

/// Work that the daemon does not wait for when it ends: compiling rules.
final class BackgroundWork: Sendable {
  private let running = Atomic(0)
  private let ending = Atomic(false)

  var isBusy: Bool { running.load(ordering: .acquiring) > 0 }
  var isEnding: Bool { ending.load(ordering: .acquiring) }
  func end() { ending.store(true, ordering: .releasing) }

  /// - Parameter lowersPriority: traffic comes first.
  func start(lowersPriority: Bool = true, _ body: @escaping @Sendable () -> Void) {
    running.add(1, ordering: .acquiringAndReleasing)
    let started = try? WorkerThread.start { [self] in
      if lowersPriority { sluice_lower_thread_priority() }
      body()
      running.subtract(1, ordering: .acquiringAndReleasing)
    }
    if started == nil { running.subtract(1, ordering: .acquiringAndReleasing) }
  }
}

/// How a reload went, once it is known.
final class ReloadBox: Sendable {
  private let value = Mutex<ReloadResult?>(nil)
  func set(_ result: ReloadResult) { value.withLock { $0 = result } }
  var result: ReloadResult? { value.withLock { $0 } }
}

/// What loading came to, once it is known.
final class LoadBox: Sendable {
  private let value = Mutex<Result<LoadedRules, DaemonError>?>(nil)
  func set(_ result: Result<LoadedRules, DaemonError>) { value.withLock { $0 = result } }
  var result: Result<LoadedRules, DaemonError>? { value.withLock { $0 } }
}
