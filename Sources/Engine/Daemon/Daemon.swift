import Capture
import CSluiceLinux
import Detection
import Diversion
import EventOutput
import Glibc
import Inspection
import Interception
import RuleLanguage
import Synchronization
import Traffic

/// The running gateway: queues with a worker each, the TLS stage, one output thread.
///
/// Everything that can be missing or in use is taken hold of in `init`, so that a failure leaves
/// nothing half set up; `run` then works until told to stop.
public final class Daemon: Sendable {
  public struct Sources: Sendable {
    public var configuration: String?
    public var overrides: [String]
    public var rules: [String]
    /// A supervisor started this process and listens at its standard input.
    public var isSupervised = false
    /// Times that the supervisor had to start it again.
    public var restarts: UInt64 = 0

    public init(configuration: String?, overrides: [String], rules: [String]) {
      self.configuration = configuration
      self.overrides = overrides
      self.rules = rules
    }
  }

  private let sources: Sources
  private let settings: Settings
  private let shared = SharedDetectionState()
  private let publication: RulePublication
  private let policy: TLSPolicy
  private let records: RecordQueue
  /// The event file; `O_APPEND`, so that rotation by copy and truncate works.
  private let output: Int32
  private let workers: [QueueWorker]
  private let taps: [TapWorker]
  private let stage: TLSStage?
  private let queueThreads: Mutex<[WorkerThread]>
  private let reloading = Mutex(ReloadState())
  private let reloadTurn = Mutex(())
  private let loading = BackgroundWork()
  private let kernel: KernelConnections?
  private let failure = FailureNote()
  private let lastBeats = Mutex<[UInt64]>([])
  private let started = MonotonicClock.seconds()

  struct ReloadState {
    /// Rules that were refused when the set in force was loaded.
    var refused: Set<String> = []
    /// Files that it came from.
    var files: Set<String> = []
    var total = 0
    var loaded = 0
    var count = 0
  }

  /// - Throws: `DaemonError` with what is missing or wrong, and whose it is to mend.
  public init(_ sources: Sources) throws(DaemonError) {
    self.sources = sources
    settings = try Self.settings(sources)
    let files = try Self.fileStore(settings)
    records = try Self.environment { () throws(SettingsError) in try RecordQueue(files: files) }
    output = try Self.openOutput(settings)
    switch settings.capture.mode {
    case .router, .bridge, .host: break
    case .tap:
      if settings.capture.interfaces.isEmpty {
        throw .input("capture.mode tap needs capture.interfaces: the names of those to listen to")
      }
    case .explicit:
      guard settings.interception.isEnabled, !settings.interception.explicit.listen.isEmpty else {
        throw .input("capture.mode explicit needs interception.enabled and interception.explicit.listen")
      }
    case .terminate:
      guard !settings.interception.terminate.listeners.isEmpty else {
        throw .input("capture.mode terminate needs interception.terminate: where to listen, certificates, backends")
      }
    }
    if settings.capture.mode == .tap, !settings.interception.terminate.listeners.isEmpty {
      throw .input("interception.terminate stops attacks, capture.mode tap cannot: run them apart")
    }
    // With fail-open the queues are bound before rules are compiled: nothing waits for them.
    let shared = shared
    var loaded: LoadedRules?
    if !settings.capture.failsOpen { loaded = try Self.loadUnlessStopped(settings, sources, shared, loading) }
    publication = RulePublication(loaded?.ruleSet ?? .empty)
    policy = TLSPolicy(settings.policy)
    var queues = QueueList()
    let plans = Self.plans(settings)
    for plan in plans { try queues.open(plan) }
    var rings = RingList()
    let interfaces = settings.capture.mode == .tap ? settings.capture.interfaces : []
    let ringsEach = Int(settings.capture.queueCount)
    for (place, interface) in interfaces.enumerated() {
      // A group for each interface, told apart from those of other programs by the process.
      let group = ringsEach > 1 ? (Int(getpid()) &+ place) & 0x7fff | 1 : 0
      for _ in 0..<ringsEach { try rings.open(interface: interface, group: group) }
    }
    let (publication, records) = (publication, records)
    let stage: TLSStage?
    if settings.wantsStage {
      let (settings, policy) = (settings, policy)
      stage = try Self.environment { () throws(SettingsError) in
        try TLSStage(settings, policy: policy, publication: publication, shared: shared, records: records)
      }
    } else {
      stage = nil
    }
    self.stage = stage
    let takesOver = settings.interceptsOthers && settings.interception.takeOver != .ports
    let target = takesOver ? stage?.target : nil
    let quic = settings.interceptsOthers ? stage?.quicRefusal(settings.interception) : nil
    let workers = plans.map {
      QueueWorker(
        plan: $0, publication: publication, shared: shared, records: records, takeoverTarget: target, quic: quic)
    }
    self.workers = workers
    taps = Self.taps(settings, publication, shared, records)
    kernel = workers.isEmpty ? nil : Self.kernelConnections(settings, workers)
    queueThreads = Mutex([])
    let failure = failure
    let failed: @Sendable (String) -> Void = { message in
      failure.note(message)
      kill(getpid(), SIGTERM)
    }
    let threads =
      try queues.start(workers, pins: settings.capture.pinsWorkers, failed: failed)
      + rings.start(taps, pins: settings.capture.pinsWorkers, failed: failed)
    queueThreads.withLock { $0 = threads }
    if loaded == nil {
      do throws(DaemonError) {
        loaded = try Self.loadUnlessStopped(settings, sources, shared, loading)
      } catch {
        stopAll()
        throw error
      }
    }
    if let loaded { publish(loaded) }
    kernel?.start()
  }

  /// nil where nothing is ever released, or the kernel cannot be asked about it.
  private static func kernelConnections(_ settings: Settings, _ workers: [QueueWorker]) -> KernelConnections? {
    guard !settings.capture.releases.isEmpty else { return nil }
    do throws(CaptureError) {
      return try KernelConnections(workers: workers, marks: .standard)
    } catch {
      DaemonLog.write("released connections are not counted: \(error.description)")
      return nil
    }
  }

  // MARK: Running

  /// Writes records until stopped; the caller's thread waits for signals meanwhile.
  ///
  /// - Throws: where a queue failed.
  public func run() throws(DaemonError) {
    let (records, output) = (records, output)
    let writer: WorkerThread
    do throws(InterceptionError) {
      writer = try WorkerThread.start { records.run(FileLineOutput(descriptor: output)) }
    } catch {
      stopAll()
      throw .environment(error.description)
    }
    DaemonLog.write("running: \(summaryLine)")
    if sources.isSupervised { ServiceManager.tellSupervisor(ServiceManager.ready) } else { ServiceManager.notify("READY=1") }
    let statisticsWriter = EVEWriter(settings: settings.outputs.eve, output: QueuedLineOutput(records))
    waitForSignals(statisticsWriter)
    if sources.isSupervised {
      // An end for want of something is for the supervisor to mend.
      if failure.message == nil { ServiceManager.tellSupervisor(ServiceManager.ending) }
    } else {
      ServiceManager.notify("STOPPING=1")
    }
    stopAll()
    for path in shared.names.datasets.save() {
      DaemonLog.write("\(path): the set of values could not be saved: \(TextFile.lastError())")
    }
    writeStatistics(statisticsWriter)
    records.close()
    writer.join()
    if let message = failure.message { throw .environment(message) }
  }

  /// Returns when the daemon is to end; writes counters every now and then meanwhile.
  private func waitForSignals(_ writer: EVEWriter) {
    var signals = sigset_t()
    DaemonSignals.fill(&signals)
    let interval = Double(settings.outputs.statsIntervalSeconds)
    var next = MonotonicClock.seconds() + interval
    while true {
      beat()
      let rest = min(1, max(0, next - MonotonicClock.seconds()))
      var timeout = timespec(tv_sec: Int(rest), tv_nsec: Int((rest - rest.rounded(.down)) * 1e9))
      switch unsafe sigtimedwait(&signals, nil, &timeout) {
      case SIGHUP: startReload { DaemonLog.write($0.message) }
      case SIGTERM, SIGINT: return
      default: break
      }
      if MonotonicClock.seconds() >= next {
        writeStatistics(writer)
        next += interval
        // A reload may have taken longer than that.
        if next < MonotonicClock.seconds() { next = MonotonicClock.seconds() + interval }
      }
    }
  }

  /// Tells whoever watches that all workers are at work.
  private func beat() {
    let beats = workers.map { $0.beats } + taps.map { $0.beats }
    let isAlive = lastBeats.withLock { last in
      defer { last = beats }
      return last.count != beats.count || zip(last, beats).allSatisfy { $0 != $1 } || beats.isEmpty
    }
    guard isAlive else { return }
    if sources.isSupervised {
      ServiceManager.tellSupervisor(ServiceManager.alive)
    } else {
      ServiceManager.notify("WATCHDOG=1")
    }
  }

  /// Lets go of everything before `run`.
  public func abandon() { stopAll() }

  /// Asks the daemon to stop, as SIGTERM does.
  public func requestStop() { kill(getpid(), SIGTERM) }

  /// Rules are being compiled on another thread, which nobody waits for.
  public var isBusy: Bool { loading.isBusy }

  /// Queues stay open until the TLS stage has drained: other traffic goes on being inspected meanwhile,
  /// and what is still queued of the stage's connections reaches it.
  private func stopAll() {
    loading.end()
    for worker in workers { worker.drain() }
    stage?.stop()
    kernel?.lookNow()
    for worker in workers { worker.stop() }
    for tap in taps { tap.stop() }
    let threads = queueThreads.withLock { threads in
      defer { threads = [] }
      return threads
    }
    for thread in threads { thread.join() }
    kernel?.stop()
  }

  // MARK: Rules

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
  private func startReload(_ done: @escaping @Sendable (ReloadResult) -> Void) {
    loading.start { [self] in
      // One after the other; who only reads the counts does not wait for it.
      let result = reloadTurn.withLock { _ in reloadNow() }
      if result.isDone, settings.capture.recallsOnReload { recall { _ in true } }
      done(result)
    }
  }

  private func reloadNow() -> ReloadResult {
    let fresh: Settings
    let rules: LoadedRules
    do throws(DaemonError) {
      fresh = try Self.settings(sources)
      rules = try Self.load(fresh, sources, shared)
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
    publication.publish(rules.ruleSet)
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

  private func publish(_ rules: LoadedRules) {
    for diagnostic in rules.diagnostics.prefix(Self.diagnosticsShown) {
      DaemonLog.write(diagnostic.description)
    }
    publication.publish(rules.ruleSet)
    reloading.withLock { state in
      state.refused = Self.refused(rules)
      state.files = Set(rules.files)
      state.total = rules.total
      state.loaded = rules.loaded
    }
  }

  /// More refused rules than this are only counted on start; `sluice check` lists all.
  private static let diagnosticsShown = 20

  private static func refused(_ rules: LoadedRules) -> Set<String> {
    Set(rules.diagnostics.filter { $0.severity == .error }.map(key))
  }

  private static func key(_ diagnostic: RuleDiagnostic) -> String {
    diagnostic.sid.map { "\($0) \(diagnostic.message)" } ?? diagnostic.description
  }

  /// Loads on another thread, so that a signal to end is heeded at once.
  private static func loadUnlessStopped(
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

  private static func load(
    _ settings: Settings, _ sources: Sources, _ shared: SharedDetectionState
  ) throws(DaemonError) -> LoadedRules {
    let rules: LoadedRules
    do throws(SettingsError) {
      rules = try RuleLoader.load(settings, paths: sources.rules, shared: shared)
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

  // MARK: Settings

  private static func settings(_ sources: Sources) throws(DaemonError) -> Settings {
    do throws(SettingsError) {
      var settings = try Settings.load(
        file: sources.configuration, overrides: sources.overrides, flowSeed: .random(in: 1 ... .max))
      settings.prepareForTraffic(isInline: settings.capture.mode != .tap)
      return settings
    } catch {
      throw .input(error.message)
    }
  }

  private static func environment<Value>(
    _ body: () throws(SettingsError) -> Value
  ) throws(DaemonError) -> Value {
    do throws(SettingsError) {
      return try body()
    } catch {
      throw .environment(error.message)
    }
  }

  private static func fileStore(_ settings: Settings) throws(DaemonError) -> FileDirectory? {
    do throws(SettingsError) {
      return try settings.outputs.openFileStore(in: settings.outputs.directory)
    } catch {
      throw .environment(error.message)
    }
  }

  private static func openOutput(_ settings: Settings) throws(DaemonError) -> Int32 {
    do throws(SettingsError) {
      let path =
        settings.outputs.isEVEEnabled
        ? try TextFile.path(settings.outputs.fileName, in: settings.outputs.directory) : "/dev/null"
      let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
      guard descriptor >= 0 else {
        throw SettingsError("\(path): cannot be written: \(TextFile.lastError())")
      }
      return descriptor
    } catch {
      throw .environment(error.message)
    }
  }

  private static func plans(_ settings: Settings) -> [QueueWorkerPlan] {
    var options = NFQueueOptions()
    options.failsOpen = settings.capture.failsOpen
    options.packetCountMax = settings.capture.queueLength
    switch settings.capture.mode {
    case .router, .bridge, .host: break
    case .tap, .explicit, .terminate: return []
    }
    return (0..<settings.capture.queueCount).map { index in
      var inspection = settings.inspection
      // Workers give identifiers of their own.
      inspection.flows.seed &+= UInt64(index) &* 0x9e37_79b9_7f4a_7c15
      settings.prepareForRelease(&inspection)
      return QueueWorkerPlan(
        queue: settings.capture.firstQueue &+ index, options: options, inspection: inspection,
        eve: settings.outputs.eve, inspects: settings.capture.inspects, marks: .standard,
        divertedPorts: settings.interception.synPorts, marksRefusals: settings.capture.mode != .router)
    }
  }

  // MARK: Flows

  /// Flows of all workers that fit, at most so many of each.
  public func flows(countMax: Int, where fits: @escaping @Sendable (FlowRecord) -> Bool) -> [FlowRecord] {
    ask { $0.flowRecords(where: fits, countMax: countMax) }.flatMap { $0 }
  }

  /// Flows of now and of late, with what was decided about them.
  public func explain(
    countMax: Int, where fits: @escaping @Sendable (FlowRecord) -> Bool
  ) -> [ExplainedFlow] {
    ask { $0.explain(where: fits, countMax: countMax) }.flatMap { $0 }
  }

  /// What has been learned of TLS connections that can't be opened; the latest refusal first.
  public var learnedBypasses: [BypassEntry] {
    (stage?.policy.entries ?? []).sorted { $0.lastRefusal > $1.lastRefusal }
  }

  /// - Returns: whether there is such an entry.
  public func approveBypass(id: String) -> Bool {
    stage?.policy.approve(id: id, at: Timestamp(seconds: Int64(time(nil)))) ?? false
  }

  /// - Parameter id: of one entry, or `all`. - Returns: how many there were.
  public func forgetBypass(id: String) -> Int { stage?.policy.forget(id: id) ?? 0 }

  /// What the TLS stage did of late with connections that fit.
  public func stageJournal(where fits: (FlowRecord) -> Bool) -> [String] { stage?.journal.lines(where: fits) ?? [] }

  /// Gives flows to the kernel, each with its next packet. - Returns: how many.
  public func release(where fits: @escaping @Sendable (FlowRecord) -> Bool) -> Int {
    ask { $0.wantRelease(where: fits) }.reduce(0, +)
  }

  /// Calls flows back from the kernel. - Returns: how many.
  @discardableResult
  public func recall(where fits: @escaping @Sendable (FlowRecord) -> Bool) -> Int {
    // The workers first: a packet of a flow that they took for released would be released again.
    kernel?.lookNow()
    let tuples = Set(ask { $0.recall(where: fits) }.flatMap { $0 })
    guard !tuples.isEmpty else { return 0 }
    _ = kernel?.recall { tuples.contains($0) || tuples.contains($0.reversed) }
    return tuples.count
  }

  private func ask<Answer: Sendable>(
    _ question: @escaping @Sendable (inout PacketPath) -> Answer
  ) -> [Answer] {
    let answers = Answers<Answer>()
    let mailboxes = workers.map(\.mailbox) + taps.map(\.mailbox)
    for mailbox in mailboxes { mailbox.post { answers.add(question(&$0)) } }
    return answers.wait(count: mailboxes.count)
  }

  private static func taps(
    _ settings: Settings, _ publication: RulePublication, _ shared: SharedDetectionState, _ records: RecordQueue
  ) -> [TapWorker] {
    guard settings.capture.mode == .tap else { return [] }
    var workers: [TapWorker] = []
    for interface in settings.capture.interfaces {
      for _ in 0..<settings.capture.queueCount {
        var inspection = settings.inspection
        inspection.flows.seed &+= UInt64(workers.count) &* 0x9e37_79b9_7f4a_7c15
        workers.append(
          TapWorker(
            name: interface, inspection: inspection, eve: settings.outputs.eve, publication: publication,
            shared: shared, records: records))
      }
    }
    return workers
  }

  // MARK: Telling

  private var summaryLine: String {
    let rules = reloading.withLock { "\($0.loaded) of \($0.total) rules" }
    let queues = workers.map { String($0.plan.queue) }.joined(separator: ", ")
    let places = settings.interception.terminate.listeners.flatMap(\.places).map { "\($0.address) port \($0.port)" }
    if settings.capture.mode == .terminate { return "terminate on \(places.joined(separator: ", ")), \(rules)" }
    let tls = !settings.interceptsOthers ? "no TLS stage" : "TLS stage on port \(settings.interception.listenPort)"
    if !taps.isEmpty { return "listening to \(settings.capture.interfaces.joined(separator: ", ")), \(rules)" }
    return "\(settings.capture.mode.rawValue), queue \(queues), \(rules), \(tls)"
  }

  /// Counters by dotted names, as of now.
  public func statistics() -> [(name: String, value: UInt64)] {
    [("uptime", uptimeSeconds)] + counters()
  }

  private var uptimeSeconds: UInt64 { UInt64(max(0, MonotonicClock.seconds() - started)) }

  private func counters() -> [(name: String, value: UInt64)] {
    var all = QueueWorkerStatistics()
    for worker in workers { all += worker.latestStatistics }
    for tap in taps {
      let latest = tap.latest
      all.traffic += latest.traffic
      all.queue.packetCount &+= latest.ring.packetCount
      all.queue.overrunCount &+= latest.ring.lostCount
    }
    if let stage { all.traffic.alerts &+= stage.alertCount }
    let rules = reloading.withLock { ($0.total, $0.loaded, $0.count) }
    return all.counters + [
      ("sluice.rules.total", UInt64(rules.0)), ("sluice.rules.loaded", UInt64(rules.1)),
      ("sluice.rules.reloads", UInt64(rules.2)), ("sluice.output.lost_bytes", records.lostBytes),
      ("sluice.output.write_errors", records.writeErrors), ("sluice.supervisor.restarts", sources.restarts),
    ] + kernelCounters + (stage?.statistics ?? [])
  }

  private var kernelCounters: [(name: String, value: UInt64)] {
    guard let kernel else { return [] }
    return [
      ("sluice.release.active", kernel.activeCount), ("sluice.release.lost_events", kernel.lostEventCount),
    ]
  }

  private func writeStatistics(_ writer: EVEWriter) {
    writer.writeStats(counters(), uptimeSeconds: uptimeSeconds, at: .now())
    writer.flush()
  }
}

/// Why the daemon stops by itself; the first reason counts.
private final class FailureNote: Sendable {
  private let text = Mutex<String?>(nil)
  func note(_ message: String) { text.withLock { if $0 == nil { $0 = message } } }
  var message: String? { text.withLock { $0 } }
}

/// How a reload went.
public struct ReloadResult: Sendable {
  public var isDone: Bool
  public var message: String
}

/// Why the daemon cannot run.
public enum DaemonError: Error, Sendable {
  /// Configuration or rules are wrong.
  case input(String)
  /// Kernel, privileges, ports, files of the system.
  case environment(String)
  /// It was told to end before it began.
  case stopped

  public var message: String {
    switch self {
    case .input(let text), .environment(let text): text
    case .stopped: "told to end"
    }
  }
}
