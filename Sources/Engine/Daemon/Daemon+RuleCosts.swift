import Detection
import Inspection
import Synchronization

/// What rules cost, and those that cost too much.
extension Daemon {
  /// Of all workers since the start. What rules cost on relayed bytes is as of the last bytes at the latest question but one.
  public func ruleCosts() -> RuleCosts {
    var costs = RuleCosts()
    for snapshot in ask(milliseconds: Self.costsMilliseconds, { $0.ruleCosts }) { costs.add(snapshot) }
    for snapshot in stage?.ruleCosts() ?? [] { costs.add(snapshot) }
    return costs
  }

  /// Who asks for counters does not wait long for a worker that is at work.
  private static let costsMilliseconds = 500

  /// Rules past their budget, the newest last.
  public var ruleExcesses: [RuleExcessRecord] { shared.excesses.records }

  /// Writes what has gone past its budget since.
  func logExcesses() {
    let count = shared.excesses.counts.told
    let known = excessesLogged.exchange(count, ordering: .relaxed)
    guard count > known else { return }
    for record in shared.excesses.records.suffix(Int(clamping: count - known)) {
      DaemonLog.write("rule \(record.gid):\(record.sid) \(record.outcome): \(record.reason) (\(record.message))")
    }
  }
}

/// What rules cost a worker of the TLS stage, handed over with the next bytes after it was asked for.
final class StageCosts: Sendable {
  private let asked = Atomic<UInt64>(0)
  private let latest = Mutex<RuleCostSnapshot?>(nil)

  /// Asks for it anew. - Returns: what was handed over last.
  func take() -> RuleCostSnapshot? {
    asked.add(1, ordering: .relaxed)
    return latest.withLock { $0 }
  }

  /// The worker's side: what was handed over keeps the rule set before in memory.
  func renew(_ make: () -> RuleCostSnapshot) {
    latest.withLock { latest in
      if latest != nil { latest = make() }
    }
  }

  /// The worker's side: one atomic load where nobody has asked.
  func answer(_ seen: inout UInt64, _ make: () -> RuleCostSnapshot) {
    let now = asked.load(ordering: .relaxed)
    guard now != seen else { return }
    seen = now
    let made = make()
    latest.withLock { $0 = made }
  }
}
