import Detection
import FlowTracking
import PacketDecoding
import Traffic

extension PacketPath {
  /// Puts what detection decided into the verdict and onto the flow. What a flow was given first
  /// stands; where nothing can be stopped it is told all the same.
  mutating func apply(
    _ decision: DetectionDecision, _ index: FlowIndex?, _ packet: borrowing DecodedPacket,
    _ verdict: inout PacketVerdict
  ) {
    if decision.verdict == .drop || decision.verdict == .reject {
      verdict.rejectAction = decision.verdict == .reject ? decision.rejectAction : nil
      if settings.isInline, !verdict.isStopped {
        verdict.verdict = decision.verdict
        verdict.reason = decision.isRateFiltered ? .thresholdDetectionFilter : .rules
        verdict.rule = decision.decidingRule
        verdict.transactionID = decision.decidingTransaction
      }
    }
    if settings.isInline {
      verdict.replacements += decision.replacements
      if let mark = decision.mark { verdict.mark = verdict.mark?.followed(by: mark) ?? mark }
    }
    guard let index else { return }
    if flows[index].disposition == .inspect {
      if decision.dropScope == .flow {
        flows[index].disposition = decision.verdict == .reject ? .reject : .drop
      } else if decision.passScope == .flow {
        flows[index].disposition = .pass
      }
    }
    if decision.bypassesFlow {
      noteRelease(index, .rule)
      flows.bypass(index)
      if verdict.verdict == .accept { verdict.verdict = .release }
    }
  }

  /// A packet that no flow could be found for.
  mutating func applyPacketPolicy(
    _ policy: ExceptionPolicy, _ reason: DropReason, _ verdict: inout PacketVerdict
  ) {
    counters.note(reason)
    guard policy.isBlocking, settings.isInline, !verdict.isStopped else { return }
    verdict.verdict = policy == .reject ? .reject : .drop
    if policy == .reject { verdict.rejectAction = .reject }
    verdict.reason = reason
  }

  /// Sessions not seen from their start, and segments that break the rules of TCP.
  mutating func applyTrackingPolicies(
    _ packet: borrowing DecodedPacket, _ flow: FlowInspection, _ work: inout PacketWork,
    _ verdict: inout PacketVerdict
  ) {
    let tcp = work.lookup.tcp
    if tcp.flags.contains(.noRoom) {
      applyFlowPolicy(
        settings.exceptionPolicies.streamMemcap, "stream_memcap", .streamMemcap, flow, &work, &verdict)
    }
    // A reset without a session ends nothing and begins nothing, and a packet that says nothing neither.
    let flags = packet.tcp.flags
    let says = flags & (TCPFields.ack | TCPFields.fin) != 0 && flags & TCPFields.rst == 0
    if tcp.flags.contains(.noSession) || tcp.flags.contains(.midstreamPickup), says, !flow.isRecalled {
      applyFlowPolicy(
        settings.exceptionPolicies.midstream, "stream_midstream", .streamMidstream, flow, &work, &verdict)
    }
    if tcp.isInvalid, settings.isInline, settings.dropsInvalidSegments, !verdict.isStopped {
      verdict.verdict = .drop
      verdict.reason = .streamError
      counters.note(.streamError)
    }
  }

  /// Urgent data that a policy refuses.
  mutating func applyUrgentPolicy(_ work: borrowing PacketWork, _ verdict: inout PacketVerdict) {
    guard work.isUrgentRefused else { return }
    counters.note(.streamUrgent)
    guard settings.isInline, !verdict.isStopped else { return }
    verdict.verdict = .drop
    verdict.reason = .streamUrgent
  }

  /// Data that would have to wait and cannot: let through, it would complete at the other end what was never seen here.
  mutating func applyReassemblyPolicy(
    _ flow: FlowInspection, _ work: inout PacketWork, _ verdict: inout PacketVerdict
  ) {
    guard work.isOverLimit, !verdict.isStopped else { return }
    applyFlowPolicy(
      settings.exceptionPolicies.reassemblyMemcap, "stream_reassembly_memcap", .streamReassembly, flow, &work, &verdict)
  }

  /// The parser gave up in a direction: what follows there cannot be understood.
  mutating func applyErrorPolicy(
    _ flow: FlowInspection, _ work: inout PacketWork, _ verdict: inout PacketVerdict
  ) {
    guard flow.mayHaveFailed else { return }
    flow.mayHaveFailed = false
    guard let failed = flow.appLayer?.parser?.hasFailed, failed != flow.errorsHandled else { return }
    flow.errorsHandled = failed
    guard failed.toServer || failed.toClient else { return }
    applyFlowPolicy(
      settings.exceptionPolicies.appLayerError, "app_layer_error", .applicationError, flow, &work,
      &verdict)
  }

  private mutating func packetTime(_ index: FlowIndex) -> Timestamp { flows[index].lastTime }

  /// - Source: Suricata "Exception Policies". That one was met is told of the flow whatever it says.
  private mutating func applyFlowPolicy(
    _ policy: ExceptionPolicy, _ target: String, _ reason: DropReason, _ flow: FlowInspection,
    _ work: inout PacketWork, _ verdict: inout PacketVerdict
  ) {
    let index = work.lookup.index
    let use = ExceptionPolicyUse(target: target, policy: policy.eveName)
    if !flow.exceptionPolicies.contains(use) {
      flow.exceptionPolicies.append(use)
      flow.journal.note("exception policy \(target): \(policy.eveName)", at: packetTime(index))
    }
    counters.note(reason)
    flow.mayHaveRecords = true
    if policy == .reject, !verdict.isStopped { verdict.rejectAction = .reject }
    if policy == .ignore || policy.isBlocking && !settings.isInline { return }
    work.isExempt = true
    switch policy {
    case .ignore, .passPacket: break
    case .passFlow, .bypass:
      flow.isExempt = true
      if flows[index].disposition == .inspect { flows[index].disposition = .pass }
      if policy == .bypass {
        noteRelease(index, .policy)
        flows.bypass(index)
        verdict.verdict = .release
      }
    case .dropPacket, .dropFlow, .reject:
      verdict.verdict = policy == .reject ? .reject : .drop
      verdict.reason = reason
      if policy != .dropPacket {
        flows[index].disposition = policy == .reject ? .reject : .drop
        flow.isDroppedByPolicy = true
      }
    }
  }
}

/// What a worker's path has done, for statistics.
public struct PacketPathCounters: Sendable {
  public var packets: UInt64 = 0
  public var bytes: UInt64 = 0
  public var fragments: UInt64 = 0
  public var reassembledDatagrams: UInt64 = 0
  public var tunnelled: UInt64 = 0
  /// Packets without an IP header that could be read.
  public var undecoded: UInt64 = 0
  public var dropped: UInt64 = 0
  public var rejected: UInt64 = 0
  /// Flows given to the kernel, and called back.
  public var released: UInt64 = 0
  public var recalled: UInt64 = 0
  /// Times that something went wrong, by reason, whatever its policy.
  public private(set) var faults: [DropReason: UInt64] = [:]

  mutating func note(_ reason: DropReason) { faults[reason, default: 0] &+= 1 }
}

/// Times that there was no memory, by what it was needed for (`flow.memcap`, `defrag.memcap`,
/// `stream.memcap`, `stream.reassembly.memcap`).
public struct MemcapHits: Sendable, Hashable {
  public var flows: UInt64 = 0
  public var fragments: UInt64 = 0
  public var sessions: UInt64 = 0
  public var segments: UInt64 = 0

  public init() {}

  init(flows: UInt64, fragments: UInt64, sessions: UInt64, segments: UInt64) {
    self.flows = flows
    self.fragments = fragments
    self.sessions = sessions
    self.segments = segments
  }

  public static func += (left: inout Self, right: Self) {
    left.flows &+= right.flows
    left.fragments &+= right.fragments
    left.sessions &+= right.sessions
    left.segments &+= right.segments
  }
}
