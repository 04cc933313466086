import Detection
import FlowTracking
import PacketDecoding
import Traffic

extension PacketPath {
  /// Puts what detection decided into the verdict and onto the flow.
  mutating func apply(_ decision: DetectionDecision, _ index: FlowIndex?, _ verdict: inout PacketVerdict) {
    if decision.verdict == .drop || decision.verdict == .reject {
      if settings.isInline || decision.verdict == .reject {
        verdict.rejectAction = decision.verdict == .reject ? decision.rejectAction : nil
      }
      if settings.isInline {
        verdict.verdict = decision.verdict
        verdict.reason = .rules
        verdict.rule = decision.decidingRule
        if let index, decision.dropScope == .flow { flows[index].disposition = .drop }
      }
    }
    if settings.isInline { verdict.replacements = decision.replacements }
    if let index, decision.bypassesFlow {
      flows.bypass(index)
      flows[index].disposition = .pass
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
    verdict.reason = reason
  }

  /// Sessions not seen from their start, and segments that break the rules of TCP.
  mutating func applyTrackingPolicies(
    _ lookup: FlowLookup, _ flow: FlowInspection, _ verdict: inout PacketVerdict
  ) {
    if lookup.tcp.flags.contains(.noSession) || lookup.tcp.flags.contains(.midstreamPickup) {
      guard settings.exceptionPolicies.midstream != .ignore else { return }
      applyFlowPolicy(
        settings.exceptionPolicies.midstream, "stream_midstream", .streamMidstream, lookup.index, flow,
        &verdict)
    } else if lookup.tcp.isInvalid, settings.isInline, settings.dropsInvalidSegments {
      verdict.verdict = .drop
      verdict.reason = .streamError
      counters.note(.streamError)
    }
  }

  /// The parser gave up: what follows cannot be understood.
  mutating func applyErrorPolicy(
    _ lookup: FlowLookup, _ flow: FlowInspection, _ verdict: inout PacketVerdict
  ) {
    guard settings.exceptionPolicies.appLayerError != .ignore, !flow.isErrorHandled,
      let parser = flow.appLayer?.parser, parser.hasFailed.toServer || parser.hasFailed.toClient
    else { return }
    flow.isErrorHandled = true
    applyFlowPolicy(
      settings.exceptionPolicies.appLayerError, "app_layer_error", .applicationError, lookup.index,
      flow, &verdict)
  }

  private mutating func applyFlowPolicy(
    _ policy: ExceptionPolicy, _ target: String, _ reason: DropReason, _ index: FlowIndex,
    _ flow: FlowInspection, _ verdict: inout PacketVerdict
  ) {
    if policy.isBlocking, !settings.isInline { return }
    let use = ExceptionPolicyUse(target: target, policy: policy.eveName)
    if !flow.exceptionPolicies.contains(use) { flow.exceptionPolicies.append(use) }
    counters.note(reason)
    switch policy {
    case .ignore, .passPacket: break
    case .passFlow: flows[index].disposition = .pass
    case .bypass:
      flows.bypass(index)
      flows[index].disposition = .pass
      verdict.verdict = .release
    case .dropPacket, .dropFlow, .reject:
      verdict.verdict = policy == .reject ? .reject : .drop
      verdict.reason = reason
      if policy != .dropPacket { flows[index].disposition = policy == .reject ? .reject : .drop }
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
  /// Times that something went wrong, by reason, whatever its policy.
  public private(set) var faults: [DropReason: UInt64] = [:]

  mutating func note(_ reason: DropReason) { faults[reason, default: 0] &+= 1 }
}
