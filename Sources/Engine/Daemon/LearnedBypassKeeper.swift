import Glibc
import Interception
import Synchronization
import Traffic

/// Has what was learned of TLS connections outlive the daemon.
final class LearnedBypassKeeper: Sendable {
  private struct State {
    /// As of the last time that it was written, or could not be.
    var changes: UInt64
    var isFailing = false
  }

  private let policy: LearnedBypass
  private let file: LearnedBypassFile
  private let expired: Int
  private let badLines: Int
  private let failures = Atomic<UInt64>(0)
  private let state: Mutex<State>

  /// Takes up what the file holds, and tells of what it can't use.
  init?(_ policy: LearnedBypass, _ settings: TLSStageSettings) {
    guard let path = settings.learningFile else { return nil }
    self.policy = policy
    file = LearnedBypassFile(path: path, entryCountMax: settings.learning.entryCountMax)
    let contents = file.read()
    if let trouble = contents.trouble {
      DaemonLog.write("warning: \(path): what was learned before can't be read: \(trouble)")
    }
    if contents.badLines > 0 {
      DaemonLog.write("warning: \(path): \(contents.badLines) lines are no entries and are left out, line \(contents.firstBadLine) first")
    }
    expired = policy.restore(contents.entries, at: Timestamp(seconds: Int64(time(nil))))
    badLines = contents.badLines
    state = Mutex(State(changes: policy.changes))
  }

  /// Writes the file where something has changed; for a thread that may wait.
  func save() {
    state.withLock { state in
      let changes = policy.changes
      guard changes != state.changes else { return }
      state.changes = changes
      let reason = file.write(policy.kept)
      if let reason {
        failures.add(1, ordering: .relaxed)
        // Said once, not at each change.
        if !state.isFailing { DaemonLog.write("warning: \(file.path): what was learned can't be kept: \(reason)") }
      }
      state.isFailing = reason != nil
    }
  }

  var statistics: [(name: String, value: UInt64)] {
    [
      ("sluice.interception.learned_expired", UInt64(expired)), ("sluice.interception.learned_bad_lines", UInt64(badLines)),
      ("sluice.interception.learned_write_failures", failures.load(ordering: .relaxed)),
    ]
  }
}
