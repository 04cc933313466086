import EventOutput
import Traffic

/// What the daemon tells of itself.
extension Daemon {
  var summaryLine: String {
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

  var uptimeSeconds: UInt64 { UInt64(max(0, MonotonicClock.seconds() - started)) }

  func counters() -> [(name: String, value: UInt64)] {
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
      ("sluice.rules.reloads", UInt64(rules.2)), ("sluice.rule_budget.exceeded", shared.excesses.counts.told),
      ("sluice.rule_budget.quarantined", shared.excesses.counts.held), ("sluice.output.lost_bytes", records.lostBytes),
      ("sluice.output.write_errors", records.writeErrors), ("sluice.supervisor.restarts", sources.restarts),
    ] + kernelCounters + (stage?.statistics ?? [])
  }

  var kernelCounters: [(name: String, value: UInt64)] {
    guard let kernel else { return [] }
    return [
      ("sluice.release.active", kernel.activeCount), ("sluice.release.lost_events", kernel.lostEventCount),
    ]
  }

  func writeStatistics(_ writer: EVEWriter) {
    writer.writeStats(counters(), uptimeSeconds: uptimeSeconds, at: .now())
    writer.flush()
  }
}
