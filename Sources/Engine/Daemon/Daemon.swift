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
    /// Who holds the authority's key; nil for this process itself.
    public var authority: AuthorityProcess?
    /// Times that the supervisor had to start it again.
    public var restarts: UInt64 = 0

    public init(configuration: String?, overrides: [String], rules: [String]) {
      self.configuration = configuration
      self.overrides = overrides
      self.rules = rules
    }
  }

  let sources: Sources
  let settings: Settings
  let shared = SharedDetectionState()
  let publication: RulePublication
  let policy: TLSPolicy
  let records: RecordQueue
  /// The event file; `O_APPEND`, so that rotation by copy and truncate works.
  let output: Int32
  let workers: [QueueWorker]
  let taps: [TapWorker]
  let stage: TLSStage?
  private let queueThreads: Mutex<[WorkerThread]>
  let reloading = Mutex(ReloadState())
  let reloadTurn = Mutex(())
  let loading = BackgroundWork()
  let kernel: KernelConnections?
  private let failure = FailureNote()
  private let lastBeats = Mutex<[UInt64]>([])
  let started = MonotonicClock.seconds()
  /// Rules past their budget that the log has told of.
  let excessesLogged = Atomic<UInt64>(0)

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
    var queues = SourceList<NFQueue>()
    let plans = Self.plans(settings)
    for plan in plans {
      try queues.open { () throws(CaptureError) in
        let queue = try NFQueue(number: plan.queue, options: plan.options)
        for refusal in queue.refusals { DaemonLog.write("queue \(plan.queue): \(refusal)") }
        return queue
      }
    }
    var rings = SourceList<PacketRing>()
    let interfaces = settings.capture.mode == .tap ? settings.capture.interfaces : []
    let ringsEach = Int(settings.capture.queueCount)
    for (place, interface) in interfaces.enumerated() {
      // A group for each interface, told apart from those of other programs by the process.
      let group = ringsEach > 1 ? (Int(getpid()) &+ 2 * place) & 0x7fff | 1 : 0
      for _ in 0..<ringsEach {
        try rings.open { () throws(CaptureError) in try PacketRing(interface: interface, group: group) }
      }
    }
    try rings.change { (ring: inout PacketRing) throws(CaptureError) in try ring.begin() }
    let (publication, records) = (publication, records)
    let failure = failure
    let failed: @Sendable (String) -> Void = { message in
      failure.note(message)
      kill(getpid(), SIGTERM)
    }
    let stage: TLSStage?
    if settings.wantsStage {
      let (settings, policy) = (settings, policy)
      stage = try Self.environment { () throws(SettingsError) in
        try TLSStage(
          settings, policy: policy, publication: publication, shared: shared, records: records,
          authority: sources.authority, failed: failed)
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
    let threads =
      try queues.start(workers.map(\.work), pins: settings.capture.pinsWorkers, failed: failed)
      + rings.start(taps.map(\.work), pins: settings.capture.pinsWorkers, failed: failed)
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
    stage?.keeper?.save()
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
      logExcesses()
      stage?.keeper?.save()
      publication.dropFormer()
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
}

/// Why the daemon stops by itself; the first reason counts.
private final class FailureNote: Sendable {
  private let text = Mutex<String?>(nil)
  func note(_ message: String) { text.withLock { if $0 == nil { $0 = message } } }
  var message: String? { text.withLock { $0 } }
}
