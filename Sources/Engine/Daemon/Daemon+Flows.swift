import Glibc
import Inspection
import Interception
import Traffic

/// What others ask of the flows of all workers.
extension Daemon {
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

  func ask<Answer: Sendable>(
    milliseconds: Int = 2_000, _ question: @escaping @Sendable (inout PacketPath) -> Answer
  ) -> [Answer] {
    let answers = Answers<Answer>()
    let mailboxes = workers.map(\.mailbox) + taps.map(\.mailbox)
    for mailbox in mailboxes { mailbox.post { answers.add(question(&$0)) } }
    return answers.wait(count: mailboxes.count, milliseconds: milliseconds)
  }
}
