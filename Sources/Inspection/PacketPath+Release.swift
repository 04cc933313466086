import AppLayer
import FlowTracking
import Traffic

/// Flows that are decided are given to the kernel and, when rules change, called back.
extension PacketPath {
  /// Turns an accepted packet's verdict into a release where nothing more is to be found in its flow.
  mutating func releaseWhereDecided(
    _ inspection: FlowInspection, _ lookup: FlowLookup, _ verdict: inout PacketVerdict
  ) {
    guard verdict.verdict == .accept, verdict.replacements.isEmpty else { return }
    if inspection.isRecalled {
      inspection.directionsSinceRecall |= lookup.direction == .toServer ? 1 : 2
    }
    guard let reason = releaseReason(inspection, lookup.index) else { return }
    noteRelease(lookup.index, reason)
    flows.bypass(lookup.index)
    verdict.verdict = .release
  }

  private mutating func releaseReason(_ inspection: FlowInspection, _ index: FlowIndex) -> ReleaseReason? {
    if let wanted = inspection.isReleaseWanted, wanted != .tunnel { return wanted }
    if settings.bypassesEncryptedSSH, (inspection.appLayer?.parser as? SSHParser)?.isEncrypted == true {
      return .encrypted
    }
    let wanted = settings.releases
    guard !wanted.isEmpty else { return nil }
    if flows[index].disposition == .pass || inspection.detection.isPassed {
      return wanted.contains(.pass) ? .pass : nil
    }
    if inspection.isRecalled {
      // What is inside is still out of reach; rules on the packets themselves have been tried anew.
      guard let former = inspection.releaseReason, !former.isUpToRules else { return nil }
      return inspection.directionsSinceRecall == 3 ? former : nil
    }
    if let parser = inspection.appLayer?.parser as? TLSParser, parser.isEncrypted {
      if inspection.isReleaseWanted == .tunnel, wanted.contains(.tunnel) { return .tunnel }
      return wanted.contains(.encrypted) ? .encrypted : nil
    }
    if inspection.isReleaseWanted == .tunnel, wanted.contains(.tunnel), inspection.appLayer?.parser is QUICParser {
      return .tunnel
    }
    let depth = settings.reassembly.depthBytes
    if depth > 0, wanted.contains(.depth),
      reassembler.position(flow: index.rawValue, direction: .toServer) >= depth,
      reassembler.position(flow: index.rawValue, direction: .toClient) >= depth
    {
      return .depth
    }
    return nil
  }

  mutating func noteRelease(_ index: FlowIndex, _ reason: ReleaseReason) {
    counters.released &+= 1
    guard inspections.indices.contains(index.index) else { return }
    let time = flows[index].lastTime
    inspections[index.index]?.journal.note("released to the kernel: \(reason.rawValue)", at: time)
    inspections[index.index]?.releaseReason = reason
    inspections[index.index]?.isReleaseWanted = nil
    inspections[index.index]?.isRecalled = false
  }

  // MARK: From outside

  /// Writes what the interception stage would have written, had it seen the flow.
  public mutating func note(decision record: InterceptionRecord, _ index: FlowIndex, at time: Timestamp) {
    guard flows.isLive(index), inspections.indices.contains(index.index) else { return }
    let context = endContext(index, flows[index], inspections[index.index], .toServer)
    inspections[index.index]?.journal.note("TLS policy: \(record.reason)", at: time)
    sink.emit(.interception(record), context, bytes: RawSpan())
  }

  public func flow(_ index: FlowIndex) -> Flow? { flows.isLive(index) ? flows[index] : nil }
  public func session(_ index: FlowIndex) -> TCPSession { flows.session(index) }

  /// The flow is released with its next packet, or once it is encrypted (`tunnel`).
  public mutating func wantRelease(_ index: FlowIndex, _ reason: ReleaseReason) {
    guard flows.isLive(index), inspections.indices.contains(index.index) else { return }
    inspections[index.index]?.isReleaseWanted = reason
  }

  /// Looks at released flows again, from their next packet on, with the rules of now.
  /// - Parameter index: nil for all.
  /// - Returns: how many there were.
  public mutating func recall(_ index: FlowIndex? = nil) -> Int {
    var count = 0
    for index in index.map({ [$0] }) ?? flows.liveIndices where flows.isLive(index) {
      guard flows[index].state == .bypassed else { continue }
      count += 1
      flows.resume(index)
      reassembler.reset(flow: index.rawValue)
      guard inspections.indices.contains(index.index), let old = inspections[index.index] else { continue }
      let fresh = FlowInspection(spare: stream.spare)
      fresh.isRecalled = true
      fresh.releaseReason = old.releaseReason
      fresh.kernelCounts = old.kernelCounts
      fresh.journal = old.journal
      fresh.journal.note("called back", at: flows[index].lastTime)
      fresh.hasAlerted = old.hasAlerted
      fresh.exceptionPolicies = old.exceptionPolicies
      inspections[index.index] = fresh
    }
    counters.recalled &+= UInt64(count)
    return count
  }

  /// What the kernel counted of a released flow.
  /// - Parameters:
  ///   - tuple: as the connection's first packet had it.
  ///   - isOver: the kernel has forgotten the connection.
  /// - Returns: whether the flow is of this path.
  @discardableResult
  public mutating func noteKernelCounts(
    _ tuple: FlowTuple, original: (packets: UInt64, bytes: UInt64), reply: (packets: UInt64, bytes: UInt64),
    isOver: Bool, at time: Timestamp
  ) -> Bool {
    guard let (index, direction) = flows.lookup(tuple) else { return false }
    guard flows[index].state == .bypassed, let inspection = inspections[index.index] else { return true }
    let counts = KernelCounts(
      toServer: direction == .toServer ? original : reply, toClient: direction == .toServer ? reply : original)
    if let old = inspection.kernelCounts, old.packets != counts.packets { flows.touch(index, at: time) }
    // Accounting switched off counts nothing.
    if counts.packets > 0 { inspection.kernelCounts = counts }
    if isOver, let flow = flows.remove(index, reason: .timeout) { endFlow(index, flow, reason: .timeout) }
    return true
  }

  /// Ends released flows that the kernel does not know any more.
  public mutating func endReleased(except known: Set<FlowTuple>, before: Timestamp) {
    for index in flows.liveIndices where flows[index].state == .bypassed && flows[index].lastTime < before {
      let tuple = flows[index].tuple
      if known.contains(tuple) || known.contains(tuple.reversed) { continue }
      if let flow = flows.remove(index, reason: .timeout) { endFlow(index, flow, reason: .timeout) }
    }
  }

  /// Released flows there are now.

}

extension KernelCounts {
  var packets: UInt64 { toServer.packets &+ toClient.packets }
}
