import Detection
import Glibc
import RuleLanguage
import Traffic

/// Rules and policy, at the start and anew.
extension Daemon {
  struct ReloadState {
    /// Rules that were refused when the set in force was loaded.
    var refused: Set<String> = []
    /// Files that it came from.
    var files: Set<String> = []
    var total = 0
    var loaded = 0
    var count = 0
  }

  /// Compiles rules and policy anew beside those in force and publishes them; waits for it, unless the
  /// daemon is to end meanwhile.
  ///
  /// A configuration that does not load, or a rule that is refused now and was not before, keeps
  /// what is in force.
  public func reload() -> ReloadResult {
    let box = ReloadBox()
    startReload { box.set($0) }
    while true {
      if let result = box.result { return result }
      if loading.isEnding { return ReloadResult(isDone: false, message: "the daemon ends; the reload is given up") }
      Pause.milliseconds(5)
    }
  }

  /// Does the same on a thread of low priority.
  func startReload(_ done: @escaping @Sendable (ReloadResult) -> Void) {
    loading.start { [self] in
      // One after the other; who only reads the counts does not wait for it.
      let result = reloadTurn.withLock { _ in reloadNow() }
      if result.isDone, settings.capture.recallsOnReload { recall { _ in true } }
      done(result)
    }
  }

  func reloadNow() -> ReloadResult {
    let fresh: Settings
    let rules: LoadedRules
    do throws(DaemonError) {
      fresh = try Self.settings(sources)
      // On this thread alone, whose priority is low: traffic comes first.
      rules = try Self.load(fresh, sources, shared, threadCount: 1)
    } catch {
      return ReloadResult(isDone: false, message: "reload refused, the old rules stay: \(error.message)")
    }
    // A file that is not there yet is warned of at the start; one that is gone would take rules out of force.
    let files = reloading.withLock { $0.files }
    if let gone = rules.leftOut.first(where: { files.contains($0) }) {
      return ReloadResult(isDone: false, message: "reload refused, the old rules stay: \(gone) is not there any more")
    }
    let refused = Self.refused(rules)
    let known = reloading.withLock { $0.refused }
    let new = rules.diagnostics.filter { $0.severity == .error && !known.contains(Self.key($0)) }
    if let first = new.first {
      return ReloadResult(
        isDone: false,
        message: "reload refused, the old rules stay: \(new.count) rules are wrong, first \(first.description)")
    }
    do throws(SettingsError) {
      try stage?.reload(fresh.interception)
    } catch {
      return ReloadResult(isDone: false, message: "reload refused, the old rules stay: \(error.message)")
    }
    publish(rules.ruleSet)
    policy.replace(fresh.policy)
    let (inForce, total, loaded) = (Set(rules.files), rules.total, rules.loaded)
    reloading.withLock { state in
      state.refused = refused
      state.files = inForce
      state.total = total
      state.loaded = loaded
      state.count += 1
    }
    return ReloadResult(
      isDone: true, message: "reloaded: \(rules.loaded) of \(rules.total) rules in force")
  }

  func publish(_ rules: LoadedRules) {
    for diagnostic in rules.diagnostics.prefix(Self.diagnosticsShown) {
      DaemonLog.write(diagnostic.description)
    }
    publish(rules.ruleSet)
    reloading.withLock { state in
      state.refused = Self.refused(rules)
      state.files = Set(rules.files)
      state.total = rules.total
      state.loaded = rules.loaded
    }
    RulePublication.giveBackMemory()
  }

  /// Returns once every worker has the set: a worker that waits for packets looks at those that come first with the set that it
  /// knows, so that whoever is told that rules are in force could meet the ones before.
  private func publish(_ ruleSet: RuleSet) {
    publication.publish(ruleSet)
    stage?.takeRules()
    shared.excesses.forget()
    _ = ask(milliseconds: Self.publicationMilliseconds) { _ in true }
    publication.dropFormer()
  }

  /// On a machine with much else to do a worker may not get to run for long.
  private static let publicationMilliseconds = 10_000

  /// More refused rules than this are only counted on start; `sluice check` lists all.
  private static let diagnosticsShown = 20

  static func refused(_ rules: LoadedRules) -> Set<String> {
    Set(rules.diagnostics.filter { $0.severity == .error }.map(key))
  }

  static func key(_ diagnostic: RuleDiagnostic) -> String {
    diagnostic.sid.map { "\($0) \(diagnostic.message)" } ?? diagnostic.description
  }

  /// Loads on another thread, so that a signal to end is heeded at once.
  static func loadUnlessStopped(
    _ settings: Settings, _ sources: Sources, _ shared: SharedDetectionState, _ loading: BackgroundWork
  ) throws(DaemonError) -> LoadedRules {
    let box = LoadBox()
    loading.start(lowersPriority: false) {
      do throws(DaemonError) {
        box.set(.success(try load(settings, sources, shared)))
      } catch {
        box.set(.failure(error))
      }
    }
    var signals = sigset_t()
    DaemonSignals.fill(&signals)
    while true {
      if let result = box.result { return try result.get() }
      var timeout = timespec(tv_sec: 0, tv_nsec: 5_000_000)
      let number = unsafe sigtimedwait(&signals, nil, &timeout)
      if number == SIGTERM || number == SIGINT { throw .stopped }
    }
  }

  static func load(
    _ settings: Settings, _ sources: Sources, _ shared: SharedDetectionState, threadCount: Int = RuleLoader.threadCount
  ) throws(DaemonError) -> LoadedRules {
    let rules: LoadedRules
    do throws(SettingsError) {
      rules = try RuleLoader.load(settings, paths: sources.rules, shared: shared, threadCount: threadCount)
    } catch {
      throw .input(error.message)
    }
    // What is named and is not there is warned of; where it is all there was to be, nothing would be looked for.
    if rules.files.isEmpty, let missing = rules.leftOut.first {
      throw .input("\(missing): no rule file is there")
    }
    // Some rules are better than none; none at all where some were wanted is no protection.
    if rules.total > 0, rules.loaded == 0 {
      let first = rules.diagnostics.first { $0.severity == .error }
      throw .input("none of \(rules.total) rules can be used, first \(first?.description ?? "")")
    }
    return rules
  }
}

/// How a reload went.
public struct ReloadResult: Sendable {
  public var isDone: Bool
  public var message: String
}
