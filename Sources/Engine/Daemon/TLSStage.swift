import Detection
import EventOutput
import Glibc
import Inspection
import Interception
import Synchronization
import Traffic

/// The workers of the TLS stage: listeners, certificates, and the shared path for what is inside.
final class TLSStage: Sendable {
  private let mailboxes: [InterceptionMailbox]
  private let threads: [WorkerThread]
  private let alerts: [AlertCount]
  private let costs: [StageCosts]
  private let decrypted: DecryptedOutput?
  private let proxy: ProxyListener?
  let policy: LearnedBypass
  let keeper: LearnedBypassKeeper?
  private let verifier: UpstreamVerifier
  private let termination: TerminationPublication?
  private let monitor: HealthMonitor?
  private let tickets: TicketKeys
  private let keyLog: KeyLog?
  private let places: [[InterceptionSettings.Destination]]
  let journal: StageJournal

  /// Binds the listeners and starts the workers.
  /// - Throws: what is missing or in use, before anything runs.
  init(
    _ settings: Settings, policy: TLSPolicy, publication: RulePublication, shared: SharedDetectionState,
    records: RecordQueue, authority: AuthorityProcess? = nil, failed: @escaping @Sendable (String) -> Void = { _ in }
  ) throws(SettingsError) {
    let stage = settings.interception
    let learned = LearnedBypass(base: policy, settings: stage.learning)
    keeper = settings.wantsLearningKept ? LearnedBypassKeeper(learned, stage) : nil
    var services = try Self.services(settings, learned, authority)
    services.signerIsGone = { failed("the process with the CA's key is gone; the daemon can't start another") }
    for warning in services.verifier.warnings { DaemonLog.write("warning: \(warning)") }
    let decrypted = try DecryptedOutput(stage.decrypted)
    self.decrypted = decrypted
    var mailboxes: [InterceptionMailbox] = []
    var threads: [WorkerThread] = []
    let alerts = (0..<stage.workerCount).map { _ in AlertCount() }
    let costs = alerts.map { _ in StageCosts() }
    let journal = StageJournal()
    self.journal = journal
    do throws(InterceptionError) {
      // Every listener is bound before the first thread runs: a port in use leaves nothing half set up.
      var listeners: [[ListenerSocket]] = []
      var workerSettings = stage.workerSettings
      if let file = stage.keyLogFile {
        workerSettings.keyLog = try KeyLog(path: file)
        DaemonLog.write("warning: the secrets of TLS connections are written to \(file)")
      }
      let relaySettings = workerSettings
      if !stage.terminate.listeners.isEmpty {
        services.termination = TerminationPublication(
          try Self.plan(stage.terminate, services.tickets, workerSettings.keyLog, previous: nil))
      }
      let ready = services
      var fronts: [[TerminationSocket]] = []
      for _ in 0..<stage.workerCount {
        listeners.append(
          settings.interceptsOthers
            ? [
              try ListenerSocket(.anyIPv4(port: stage.listenPort)),
              try ListenerSocket(.anyIPv6(port: stage.listenPort)),
            ] : [])
        fronts.append(try Self.fronts(stage.terminate))
      }
      for index in 0..<stage.workerCount {
        let mailbox = try InterceptionMailbox()
        let own = listeners[index]
        let ownFronts = fronts[index]
        let signer = authority.flatMap { index < $0.descriptors.count ? $0.descriptors[index] : nil }
        let processor = settings.capture.pinsWorkers ? Int32(index % Processors.count) : nil
        threads.append(
          try WorkerThread.start(processor: processor) {
            let observer = StageObserver(settings, publication, shared, records, alerts[index], costs[index], decrypted, journal)
            do throws(InterceptionError) {
              let worker = try InterceptionWorker(
                index: index, settings: relaySettings, services: ready, listeners: own, fronts: ownFronts,
                observer: observer, mailbox: mailbox, signer: signer)
              worker.run()
            } catch {
              DaemonLog.write("TLS worker \(index) ended: \(error.description)")
            }
            observer.flush()
          })
        mailboxes.append(mailbox)
      }
      proxy = stage.explicit.listen.isEmpty
        ? nil : try ProxyListener(stage.proxySettings, workers: mailboxes)
      monitor = try services.termination.map { (publication) throws(InterceptionError) in
        try HealthMonitor(publication) { DaemonLog.write($0) }
      }
      termination = services.termination
      tickets = services.tickets
      keyLog = workerSettings.keyLog
      places = TerminationPlan.places(stage.terminate)
    } catch {
      for mailbox in mailboxes { mailbox.stop() }
      for thread in threads { thread.join() }
      decrypted?.stop()
      let place = settings.interceptsOthers ? " on port \(stage.listenPort)" : ""
      throw SettingsError("the TLS stage cannot start\(place): \(error.description)")
    }
    self.mailboxes = mailboxes
    self.threads = threads
    self.alerts = alerts
    self.costs = costs
    self.policy = learned
    verifier = services.verifier
  }

  /// For workers that find TLS in connections of packets.
  var target: TakeoverTarget { TakeoverTarget(policy: policy, mailboxes: mailboxes) }

  /// For workers that find QUIC; nil where that is left alone.
  func quicRefusal(_ settings: TLSStageSettings) -> QUICRefusal? {
    guard settings.quic != .pass else { return nil }
    return QUICRefusal(
      policy: policy, handling: settings.quic, ports: settings.takeOver == .ports ? Set(settings.ports) : nil)
  }

  // MARK: Sites of our own

  private static func plan(
    _ settings: TerminationSettings, _ tickets: TicketKeys, _ keyLog: KeyLog?, previous: TerminationPlan?
  ) throws(InterceptionError) -> TerminationPlan {
    do throws(TerminationError) {
      return try TerminationPlan(settings, tickets: tickets, keyLog: keyLog, previous: previous)
    } catch {
      throw .settings(error.description)
    }
  }

  private static func fronts(_ settings: TerminationSettings) throws(InterceptionError) -> [TerminationSocket] {
    var fronts: [TerminationSocket] = []
    for (index, listener) in settings.listeners.enumerated() {
      for place in listener.places {
        var wanted = ListenerSettings(address: place.address, port: place.port)
        wanted.isTransparent = false
        wanted.mark = 0
        wanted.backlog = listener.backlog
        do throws(InterceptionError) {
          fronts.append(TerminationSocket(try ListenerSocket(wanted), listener: index))
        } catch {
          throw .settings("interception.terminate: \(place.address) port \(place.port): \(error.description)")
        }
      }
    }
    return fronts
  }

  private static func services(
    _ settings: Settings, _ policy: LearnedBypass, _ process: AuthorityProcess?
  ) throws(SettingsError) -> InterceptionServices {
    let stage = settings.interception
    let now = Timestamp(seconds: Int64(time(nil)))
    let authority: CertificateAuthority
    do throws(AuthorityError) {
      // Where no server of others is stood for, no certificate is minted, and none has to be there.
      if !settings.interceptsOthers {
        authority = try CertificateAuthority.generate(commonName: "Sluice (unused)", now: now)
      } else if let process {
        for descriptor in process.descriptors {
          try CertificateAuthority.awaitSigner(descriptor, milliseconds: AuthorityProcess.startMilliseconds)
        }
        authority = try CertificateAuthority.load(certificatePath: stage.caCertificate)
      } else {
        authority = try CertificateAuthority.load(keyPath: stage.caKey, certificatePath: stage.caCertificate)
      }
    } catch {
      throw SettingsError("the certificate authority cannot be used: \(error.description)")
    }
    do throws(TrustError) {
      let verifier = try UpstreamVerifier(stage.trust)
      do throws(AuthorityError) {
        let issuers = try LeafIssuers(trusted: authority, now: now)
        do throws(InterceptionError) {
          return try InterceptionServices(
            issuers: issuers, verifier: verifier, policy: policy)
        } catch {
          throw AuthorityError.library(error.description)
        }
      } catch {
        throw TrustError.library(error.description)
      }
    } catch {
      throw SettingsError("the TLS stage cannot start: \(error.description)")
    }
  }

  /// Takes roots, revocation lists, and the certificates, sites and backends of our own anew; connections there are keep
  /// theirs.
  /// - Throws: what can't be used; all stays as it was then.
  func reload(_ stage: TLSStageSettings) throws(SettingsError) {
    guard TerminationPlan.places(stage.terminate) == places else {
      throw SettingsError("interception.terminate listens elsewhere, which needs a restart")
    }
    var plan: TerminationPlan?
    if let termination {
      do throws(InterceptionError) {
        plan = try Self.plan(stage.terminate, tickets, keyLog, previous: termination.current)
      } catch {
        throw SettingsError(error.description)
      }
    }
    do throws(TrustError) {
      try verifier.replace(stage.trust)
      for warning in verifier.warnings { DaemonLog.write("warning: \(warning)") }
    } catch {
      throw SettingsError(error.description)
    }
    if let plan { termination?.publish(plan) }
  }

  /// Has every worker take the rules in force, also one without traffic: it would keep the set before in memory.
  func takeRules() {
    for mailbox in mailboxes { mailbox.wakeObserver() }
  }

  var counters: [InterceptionCounters] { mailboxes.map(\.counters) }

  func ruleCosts() -> [RuleCostSnapshot] { costs.compactMap { $0.take() } }

  var alertCount: UInt64 { alerts.reduce(0) { $0 &+ $1.value.load(ordering: .relaxed) } }

  /// Lets connections drain, then ends the workers.
  func stop() {
    proxy?.stop()
    monitor?.stop()
    for mailbox in mailboxes { mailbox.stop() }
    for thread in threads { thread.join() }
    decrypted?.stop()
  }
}

extension TLSStageSettings {
  /// In the terms of the stage.
  fileprivate var workerSettings: Interception.InterceptionSettings {
    var settings = Interception.InterceptionSettings()
    settings.untrustedUpstream = badCertificate
    settings.defectReactions = defects
    settings.versionMin = versionMin
    settings.versionMax = versionMax
    settings.namesBytesMax = namesBytesMax
    settings.mintingFailure = mintingFailure
    settings.handshakeTimeoutMilliseconds = Int64(handshakeTimeoutSeconds) * 1000
    settings.offersHTTP2 = offersHTTP2
    settings.layerCountMax = layerCountMax
    settings.layerLimit = layerLimit
    settings.serverFirstWaitMilliseconds = Int64(serverFirstMilliseconds)
    settings.helloTimeoutMilliseconds = Int64(helloTimeoutSeconds) * 1000
    settings.dialTimeoutMilliseconds = Int64(connectTimeoutSeconds) * 1000
    settings.drainTimeoutMilliseconds = Int64(drainTimeoutSeconds) * 1000
    settings.idleTimeoutMilliseconds = Int64(idleTimeoutSeconds) * 1000
    return settings
  }
}

extension TLSStageSettings {
  fileprivate var trust: TrustSettings {
    var trust = TrustSettings()
    trust.extraFiles = extraTrust
    trust.intermediateFiles = intermediates
    trust.revocationLists = revocationLists
    trust.staples = staples
    return trust
  }

  fileprivate var proxySettings: ProxySettings {
    var settings = ProxySettings()
    settings.listen = explicit.listen.map { .init(address: $0.address, port: $0.port) }
    settings.negotiationCountMax = explicit.negotiationCountMax
    settings.timeoutMilliseconds = Int64(connectTimeoutSeconds) * 1000
    settings.allowsLocal = explicit.allowsLocal
    if let clients = explicit.clients { settings.isClientAllowed = { clients.contains(high: $0.high, low: $0.low) } }
    return settings
  }
}

extension Settings {
  /// Connections that are meant for others are taken and opened.
  var interceptsOthers: Bool {
    guard interception.isEnabled else { return false }
    switch capture.mode {
    case .router, .bridge, .explicit: return true
    case .host, .tap, .terminate: return false
    }
  }

  /// Something can be learned that is to outlive a restart.
  var wantsLearningKept: Bool {
    interceptsOthers && interception.learning.mode != .off && interception.learningFile != nil
  }

  /// There is work for the TLS stage.
  var wantsStage: Bool { interceptsOthers || !interception.terminate.listeners.isEmpty }
}

enum Processors {
  /// At least 1.
  static var count: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
}

/// Lines of the daemon itself on standard error, which systemd keeps.
enum DaemonLog {
  static func write(_ text: String) {
    FileLineOutput(descriptor: 2).write(Array("sluice: \(text)\n".utf8).rawSpan)
  }
}

extension TLSStage {
  /// Counters over all workers, by dotted names.
  var statistics: [(name: String, value: UInt64)] {
    let all = counters
    let parts: [(String, KeyPath<InterceptionCounters, UInt64> & Sendable)] = [
      ("accepted", \.accepted), ("adopted", \.adopted), ("active", \.active), ("decrypted", \.relayedDecrypted),
      ("tunnelled", \.relayedTunnelled), ("plain", \.relayedPlain), ("minted", \.leavesMinted),
      ("upstream_untrusted", \.upstreamUntrusted), ("dial_failures", \.dialFailures),
      ("client_handshake_failures", \.clientHandshakeFailures),
      ("upstream_handshake_failures", \.upstreamHandshakeFailures), ("cuts", \.cuts),
      ("blocks", \.blocks), ("bytes_to_server", \.bytesToServer), ("bytes_to_client", \.bytesToClient),
      ("defects_passed_on", \.defectsPassedOn), ("defect_pages", \.defectPages), ("staples_good", \.staplesGood),
      ("staples_unusable", \.staplesUnusable), ("client_certificate_requests", \.clientCertificateRequests),
      ("client_certificates_unproven", \.clientCertificatesUnproven), ("tunnelled_anew", \.tunnelledAnew), ("renegotiations_refused", \.renegotiationsRefused),
      ("client_version_too_low", \.clientVersionTooLow), ("leaves_cut", \.leavesCut),
      ("leaf_cache_hits", \.leafCacheHits), ("leaf_evictions", \.leafEvictions),
      ("minting_failures", \.mintingFailures), ("signature_timeouts", \.signatureTimeouts), ("verification_cache_hits", \.verificationCacheHits),
      ("upstream_handshakes", \.upstreamHandshakes), ("upstream_resumptions", \.upstreamResumptions),
      ("client_handshakes", \.clientHandshakes), ("client_resumptions", \.clientResumptions),
      ("client_gone", \.clientGone), ("hello_malformed", \.helloMalformed), ("hello_too_large", \.helloTooLarge),
      ("hello_timeouts", \.helloTimeouts), ("dial_timeouts", \.dialTimeouts),
      ("handshake_timeouts", \.handshakeTimeouts), ("idle_timeouts", \.idleTimeouts), ("resets", \.resets),
      ("relay_failures", \.relayFailures), ("finished", \.finished), ("stopped", \.stoppedConnections),
      ("policy_blocked", \.policyBlocked), ("accept_pauses", \.acceptPauses),
      ("accept_failures", \.acceptFailures), ("backpressure", \.backpressure),
      ("streams_cut", \.streamCuts), ("layers", \.layers), ("layer_limit", \.layerLimits),
      ("terminated", \.terminated), ("listener_full", \.terminationLimits),
      ("listener_refused", \.terminationRefused), ("proxy_headers_malformed", \.proxyHeadersMalformed),
      ("unknown_names", \.unknownNames), ("backend_failures", \.backendFailures),
      ("without_backend", \.withoutBackend), ("requests_refused", \.requestsRefused),
      ("backends_reused", \.backendsReused), ("backend_retries", \.backendRetries),
      ("backends_unanswered", \.backendsUnanswered),
    ]
    let defects = UpstreamDefect.Kind.allCases.map { kind in
      ("sluice.interception.defects." + kind.rawValue.map { $0 == "-" ? "_" : String($0) }.joined(),
        all.reduce(0) { $0 &+ $1[kind] })
    }
    return parts.map { part in
      ("sluice.interception." + part.0, all.reduce(0) { $0 &+ $1[keyPath: part.1] })
    } + [
      // Each worker notices the same restart.
      ("sluice.interception.signer_restarts", all.map(\.signerRestarts).max() ?? 0)
    ] + defects + (keeper?.statistics ?? []) + (decrypted?.statistics ?? []) + (proxy?.statistics ?? [])
  }
}

extension ProxyListener {
  /// By dotted names.
  fileprivate var statistics: [(name: String, value: UInt64)] {
    let now = counters
    return [
      ("sluice.explicit.accepted", now.accepted), ("sluice.explicit.granted", now.granted),
      ("sluice.explicit.clients_refused", now.clientsRefused), ("sluice.explicit.malformed", now.malformed),
      ("sluice.explicit.timeouts", now.timeouts), ("sluice.explicit.forbidden", now.forbidden),
      ("sluice.explicit.unreachable", now.unreachable),
    ]
  }
}
