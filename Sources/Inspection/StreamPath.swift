import AppLayer
import Detection
import PacketDecoding
import RuleLanguage
import Traffic

/// The part of the path that packets and decrypted bytes share: protocols → detection → verdict.
///
/// One for each worker. The caller feeds a flow's chunks to its ``FlowInspection``, then calls
/// `inspect` for the direction in hand and `decide` once.
struct StreamPath: ~Copyable {
  var detector: Detector
  let settings: InspectionSettings
  let sink: any EventSink
  private var matches = MatchList()
  private var alerts: [Alert] = []
  private(set) var counters = StreamPathCounters()

  init(detector: consuming Detector, settings: InspectionSettings, sink: any EventSink) {
    self.detector = detector
    self.detector.isInline = settings.isInline
    self.settings = settings
    self.sink = sink
  }

  /// Rules have matched since the last decision.
  var hasMatches: Bool { !matches.isEmpty }

  /// Tries the rules on the packet itself.
  mutating func inspectPacket(
    _ packet: borrowing DecodedPacket, bytes: RawSpan, facts: FlowFacts?, flow: FlowInspection?,
    payloadIsInStream: Bool, streamEvents: StreamEventSet
  ) {
    detector.inspectPacket(
      packet, bytes: bytes, flow: facts, state: flow?.detection,
      payloadIsInStream: payloadIsInStream, streamEvents: streamEvents, into: &matches)
  }

  /// Tries the rules on what is new in one direction of a flow: raw stream, then transactions.
  mutating func inspect(
    _ flow: FlowInspection, direction: Direction, packet: borrowing DecodedPacket, bytes: RawSpan,
    facts: FlowFacts
  ) {
    let window = flow[direction]
    guard window.hasNews else { return }
    if isStreamDue(flow, window, direction) {
      detector.inspectStream(
        window.bytes.rawSpan, newFrom: window.newFrom, offset: window.offset, isEnd: window.isEnd,
        direction: direction, packet: packet, flow: facts, state: flow.detection, into: &matches)
      flow[direction].markInspected()
    }
    let transactions = flow.appLayer?.transactions ?? []
    if !transactions.isEmpty {
      let payload = packet.isUDP ? packet.payload(of: bytes) : window.bytes.rawSpan
      detector.inspectTransactions(
        transactions, direction: direction, payload: payload, packet: packet, bytes: bytes,
        flow: facts, state: flow.detection, into: &matches)
    }
    flow[direction].hasNews = false
  }

  /// Whether the raw stream is to be inspected now.
  ///
  /// Inline every octet is, before it passes. Otherwise a chunk is waited for, so that what is said
  /// twice within one is told once: until there are enough octets, the stream ends, or an exchange of
  /// the application layer is complete (Suricata `toserver-chunk-size`).
  private func isStreamDue(_ flow: FlowInspection, _ window: StreamWindow, _ direction: Direction) -> Bool {
    let newBytes = window.bytes.count - window.newFrom
    if window.isEnd { return true }
    guard newBytes > 0 else { return false }
    if settings.reassembly.delivery == .inline { return true }
    let wanted = direction == .toServer ? settings.chunkBytes.toServer : settings.chunkBytes.toClient
    if newBytes >= wanted { return true }
    let bit = direction == .toServer ? Self.requestEnded : Self.responseEnded
    var isEnded = false
    for transaction in flow.appLayer?.transactions ?? []
    where transaction.isComplete(direction) && transaction.loggedBits & bit == 0 {
      transaction.loggedBits |= bit
      isEnded = true
    }
    return isEnded
  }

  /// The end of a transaction in a direction has let the stream be inspected.
  private static let requestEnded: UInt32 = 2
  private static let responseEnded: UInt32 = 4

  /// Turns what matched into alerts and a decision, and writes the alerts.
  mutating func decide(
    _ flow: FlowInspection?, facts: FlowFacts?, context: borrowing EventContext, bytes: RawSpan
  ) -> DetectionDecision {
    guard hasMatches else { return DetectionDecision() }
    alerts.removeAll(keepingCapacity: true)
    let decision = detector.decide(
      &matches, packet: context.packet, flow: facts, state: flow?.detection, into: &alerts)
    for alert in alerts { emit(alert, decision, flow, context, bytes) }
    return decision
  }

  private mutating func emit(
    _ alert: Alert, _ decision: DetectionDecision, _ flow: FlowInspection?,
    _ context: borrowing EventContext, _ bytes: RawSpan
  ) {
    guard let rule = detector.ruleSet.info(alert.rule) else { return }
    counters.alerts &+= 1
    flow?.hasAlerted = true
    let transaction = alert.transactionID.flatMap { id in
      flow?.appLayer?.transactions.first { $0.id == id }
    }
    var event = AlertEvent(
      alert: alert, rule: rule, transaction: transaction,
      verdict: VerdictRecord(decision, isInline: settings.isInline, packet: context.packet))
    if settings.logs.payload {
      event.payload =
        alert.source == .packet || flow == nil
        ? context.packet.payload(of: bytes).copied() : flow?[alert.direction].bytes ?? []
    }
    sink.emit(.alert(event), context, bytes: bytes)
  }

  // MARK: Records

  /// Whether ``logTransactions(_:isEnd:context:bytes:)`` would find something to do.
  func hasRecords(_ flow: FlowInspection, isEnd: Bool) -> Bool {
    guard let appLayer = flow.appLayer else { return false }
    if appLayer.events.count > flow.reportedEventCount { return true }
    return appLayer.transactions.contains {
      isEnd || $0.isReadyForRecord || $0.events.count > Int($0.loggedBits >> Self.eventCountShift)
    }
  }

  /// Writes the transactions that are complete as far as their records go, and lets go of those done with.
  ///
  /// - Parameter isEnd: the flow is over; what is there is written.
  mutating func logTransactions(
    _ flow: FlowInspection, isEnd: Bool, context: borrowing EventContext, bytes: RawSpan
  ) {
    guard let appLayer = flow.appLayer else { return }
    reportEvents(flow, appLayer, context, bytes)
    let transactions = appLayer.transactions
    if transactions.isEmpty { return }
    for transaction in transactions {
      reportEvents(of: transaction, context, bytes)
      if transaction.loggedBits & Self.recordWritten == 0, transaction.isReadyForRecord || isEnd {
        transaction.loggedBits |= Self.recordWritten
        counters.transactions &+= 1
        if settings.logs.transactions.contains(transaction.appProtocol) {
          sink.emit(.transaction(transaction, nil), context, bytes: bytes)
        }
      }
    }
    appLayer.removeTransactions {
      $0.loggedBits & Self.recordWritten != 0 && $0.isComplete && Detector.isInspected($0)
    }
  }

  private static let recordWritten: UInt32 = 1
  /// The number of events told already, in the upper bits.
  private static let eventCountShift: UInt32 = 8

  private func reportEvents(of transaction: Transaction, _ context: borrowing EventContext, _ bytes: RawSpan) {
    let told = Int(transaction.loggedBits >> Self.eventCountShift)
    guard transaction.events.count > told else { return }
    if settings.logs.anomalies {
      for event in transaction.events[told...] {
        let anomaly = AnomalyEvent(
          kind: .applayer, name: event.name, layer: "proto_parser", appProtocol: transaction.appProtocol,
          transactionID: transaction.id)
        sink.emit(.anomaly(anomaly), context, bytes: bytes)
      }
    }
    let count = UInt32(truncatingIfNeeded: transaction.events.count) & 0xff_ffff
    transaction.loggedBits = transaction.loggedBits & 0xff | count << Self.eventCountShift
  }

  private func reportEvents(
    _ flow: FlowInspection, _ appLayer: AppLayerFlow, _ context: borrowing EventContext, _ bytes: RawSpan
  ) {
    guard appLayer.events.count > flow.reportedEventCount else { return }
    if settings.logs.anomalies {
      for event in appLayer.events[flow.reportedEventCount...] {
        let anomaly = AnomalyEvent(
          kind: .applayer, name: event.name.uppercased(), layer: "proto_detect",
          appProtocol: appLayer.appProtocol)
        sink.emit(.anomaly(anomaly), context, bytes: bytes)
      }
    }
    flow.reportedEventCount = appLayer.events.count
  }
}

/// What the shared path has done, for statistics.
public struct StreamPathCounters: Sendable {
  public var alerts: UInt64 = 0
  public var transactions: UInt64 = 0
}

extension Transaction {
  /// Its record can be written: nothing more of what the record holds will come.
  fileprivate var isReadyForRecord: Bool {
    switch appProtocol {
    case .tls:
      // Both handshakes are done; application data adds nothing to the record.
      progress(.toServer) >= 3 && progress(.toClient) >= 4 || isComplete
    default: isComplete
    }
  }
}

extension VerdictRecord {
  init(_ decision: DetectionDecision, isInline: Bool, packet: borrowing DecodedPacket) {
    let isStopped = isInline && (decision.verdict == .drop || decision.verdict == .reject)
    guard isStopped || decision.verdict == .reject else {
      self.init(action: decision.passScope == .none ? "alert" : "pass")
      return
    }
    var rejects: [String] = []
    var target: String?
    if decision.verdict == .reject {
      rejects = [packet.isTCP ? "tcp-reset" : "icmp-prohib"]
      target = decision.rejectTarget
    }
    self.init(action: isStopped ? "drop" : "alert", rejectTarget: target, rejects: rejects)
  }
}

extension DetectionDecision {
  /// EVE's word for whom a reject tells.
  fileprivate var rejectTarget: String {
    switch rejectAction {
    case .rejectdst: "to_client"
    case .rejectboth: "both"
    default: "to_client"
    }
  }
}
