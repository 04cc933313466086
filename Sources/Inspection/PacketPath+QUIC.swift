import AppLayer
import FlowTracking
import Traffic

/// What is known of how a QUIC connection begins, for whoever decides about it.
public enum QUICOpening: Sendable, Equatable {
  /// No QUIC, or decided about.
  case none
  /// The hello has not come as a whole.
  case waiting
  /// The handshake message; empty where it cannot be read.
  case hello([UInt8])
}

extension PacketPath {
  /// Datagrams of a client that may go by before its hello is whole; a hello that takes more is one that cannot be
  /// read.
  private static var quicWaitCountMax: Int { 8 }

  /// Asked behind each datagram of a client.
  public mutating func quicOpening(_ index: FlowIndex) -> QUICOpening {
    guard flows.isLive(index), inspections.indices.contains(index.index), let flow = inspections[index.index],
      !flow.isQUICDecided, let parser = flow.appLayer?.parser as? QUICParser
    else { return .none }
    if let hello = parser.clientHello { return .hello(hello) }
    flow.quicWaitCount += 1
    return parser.isUnreadable || flow.quicWaitCount > Self.quicWaitCountMax ? .hello([]) : .waiting
  }

  /// What was decided about a QUIC connection.
  ///
  /// - Parameters:
  ///   - isStopped: this datagram and all that follow are dropped.
  ///   - isReleased: the kernel may pass the rest.
  public mutating func decideQUIC(
    _ index: FlowIndex, _ record: InterceptionRecord, isStopped: Bool, isReleased: Bool, at time: Timestamp
  ) {
    guard flows.isLive(index), inspections.indices.contains(index.index), let flow = inspections[index.index] else { return }
    flow.isQUICDecided = true
    (flow.appLayer?.parser as? QUICParser)?.forgetHello()
    note(decision: record, index, at: time)
    if isReleased { flow.isReleaseWanted = .tunnel }
    guard isStopped, settings.isInline else { return }
    flows[index].disposition = .drop
    counters.dropped &+= 1
    flow.isDropLogged.toServer = true
    guard settings.logs.drops else { return }
    let context = endContext(index, flows[index], flow, .toServer)
    let event = DropEvent(
      reason: DropReason.interceptionPolicy.rawValue, rule: nil, verdict: VerdictRecord(action: "drop"))
    sink.emit(.drop(event), context, bytes: RawSpan())
  }
}
