import AppLayer
import Detection
import PacketDecoding
import RuleLanguage
import Traffic

/// The part of the path that packets and decrypted bytes share: protocols → detection → verdict.
///
/// One for each worker. The caller feeds a flow's chunks to its ``FlowInspection``, then calls
/// `inspect` for the direction in hand, `decide` once, and `tell` where there are alerts.
struct StreamPath: ~Copyable {
  var detector: Detector
  let settings: InspectionSettings
  let sink: any EventSink
  let files: FileExaminer
  let supply: AppLayerSupply
  let spare = SpareRoom()
  /// The packet in hand is stopped whatever the rules say of it.
  var isPacketStopped = false
  private var matches = MatchList()
  private var alerts: [Alert] = []
  var counters = StreamPathCounters()

  init(detector: consuming Detector, settings: InspectionSettings, sink: any EventSink) {
    self.detector = detector
    self.detector.isInline = settings.isInline
    self.detector.seesPiecesAlone = !settings.joinsPieces && !settings.isInline
    self.settings = settings
    self.sink = sink
    files = FileExaminer(settings: settings.appLayer.files)
    supply = AppLayerSupply(settings: settings.appLayer, files: files)
    noteFileNeeds()
    self.detector.alertsMax = settings.alertsPerPacketMax
    self.detector.meter.budget = settings.ruleBudget
  }

  /// Takes another rule set; flows keep their state.
  mutating func replace(ruleSet: RuleSet) {
    detector.replace(ruleSet: ruleSet)
    noteFileNeeds()
  }

  private mutating func noteFileNeeds() {
    files.ruleNeeds = detector.ruleSet.fileNeeds
    let logs = settings.logs
    files.looksAtContent =
      looksAtStreams || logs.files || logs.anomalies || logs.transactions.contains(.http)
      || logs.transactions.contains(.http2) || logs.transactions.contains(.doh2) || settings.appLayer.files.isStoreEnabled
      || !settings.appLayer.files.forced.isEmpty
  }

  /// There are rules, which may look at the raw stream and at what it said before.
  var looksAtStreams: Bool { detector.ruleSet.ruleCount > 0 }

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
    if let tracer = settings.tracer, facts == nil {
      detector.trace(tracer, packet, bytes: bytes, streamEvents: streamEvents, matches: matches)
    }
  }

  /// Whether no rule is to be tried on a packet of an established flow or on what it brought, which is passed over then.
  mutating func hasNothing(
    for packet: borrowing DecodedPacket, _ flow: FlowInspection, _ direction: Direction
  ) -> Bool {
    guard settings.tracer == nil, !settings.guessesTransaction, !hasMatches else { return false }
    let hasNews = direction == .toServer ? flow.toServer.hasNews : flow.toClient.hasNews
    if hasNews {
      let hasBytes = direction == .toServer ? flow.toServer.hasNewsToShow : flow.toClient.hasNewsToShow
      guard !hasBytes else { return false }
    }
    guard let appLayer = flow.appLayer else {
      guard !hasNews else { return false }
      return detector.hasNothing(for: packet, direction, flow.detection, .unknown)
    }
    guard appLayer.events.count <= flow.reportedEventCount,
      detector.hasNothing(for: packet, direction, flow.detection, appLayer.appProtocol)
    else { return false }
    guard hasNews else { return true }
    guard !detector.usesFrames || appLayer.parser?.frames == nil,
      detector.hasNothing(in: appLayer.transactions, direction)
    else { return false }
    if direction == .toServer { flow.toServer.hasNews = false } else { flow.toClient.hasNews = false }
    return true
  }

  /// Tries the rules on a packet of a flow and on what is new in its direction: packet and raw stream
  /// together, then transactions.
  mutating func inspect(
    _ flow: FlowInspection, packet: borrowing DecodedPacket, bytes: RawSpan, facts: FlowFacts,
    payloadIsInStream: Bool, streamEvents: StreamEventSet
  ) {
    let direction = facts.packetDirection
    // An ICMP error about the flow belongs to it, but must not use up what its streams have to show.
    let isOfStream = packet.isTCP ? true : packet.isUDP
    guard isOfStream, flow.hasNews(direction) else {
      return inspect(
        flow, StreamPiece(window: RawSpan(), newFrom: 0, offset: 0, isEnd: false), packet: packet, bytes: bytes,
        facts: facts, payloadIsInStream: payloadIsInStream, streamEvents: streamEvents)
    }
    flow.mayHaveRecords = true
    // Taken out while it is looked at, so that its bytes are not copied when it moves on.
    var window = StreamWindow()
    swap(&window, &flow[direction])
    defer { swap(&window, &flow[direction]) }
    // What TCP fast open brings is looked at once the flow is established, where nothing can be stopped.
    let isEarly = packet.isTCP && !facts.isEstablished && !window.isEnd
    let isPutOff = isEarly && settings.reassembly.delivery != .inline
    if isPutOff { window.hasNews = false }
    let isDue = window.hasNews && isStreamDue(flow, window, direction)
    if isDue { inspectCutOff(window, direction, packet, facts, flow) }
    inspect(
      flow,
      StreamPiece(
        window: window.bytes.rawSpan, newFrom: isDue ? window.newFrom : window.bytes.count, offset: window.offset,
        isEnd: isDue && window.isEnd, isAlone: detector.seesPiecesAlone),
      packet: packet, bytes: bytes, facts: facts, payloadIsInStream: payloadIsInStream, streamEvents: streamEvents)
    if window.hasNews { inspectTransactions(flow, direction, packet, bytes, facts, window) }
    window.hasNews = isPutOff
    if isDue { window.markInspected(spare: spare) }
  }

  private mutating func inspect(
    _ flow: FlowInspection, _ piece: borrowing StreamPiece, packet: borrowing DecodedPacket, bytes: RawSpan,
    facts: FlowFacts, payloadIsInStream: Bool, streamEvents: StreamEventSet
  ) {
    noteGuess(flow)
    detector.inspect(
      packet, bytes: bytes, stream: piece, flow: facts, state: flow.detection,
      payloadIsInStream: payloadIsInStream, streamEvents: streamEvents, into: &matches)
    if let tracer = settings.tracer {
      detector.trace(
        tracer, packet, bytes: bytes, stream: piece, flow: facts, state: flow.detection,
        payloadIsInStream: payloadIsInStream, streamEvents: streamEvents, matches: matches)
    }
  }

  /// Tries the rules on what is new in one direction of a flow, where no packet is at hand.
  mutating func inspect(
    _ flow: FlowInspection, direction: Direction, packet: borrowing DecodedPacket, bytes: RawSpan,
    facts: FlowFacts
  ) {
    var window = StreamWindow()
    swap(&window, &flow[direction])
    defer { swap(&window, &flow[direction]) }
    guard window.hasNews else { return }
    flow.mayHaveRecords = true
    let isDue = isStreamDue(flow, window, direction)
    if isDue {
      inspectCutOff(window, direction, packet, facts, flow)
      detector.inspectStream(
        window.bytes.rawSpan, newFrom: window.newFrom, offset: window.offset, isEnd: window.isEnd,
        direction: direction, packet: packet, flow: facts, state: flow.detection, into: &matches)
      if let tracer = settings.tracer {
        detector.traceStream(
          tracer, window.bytes.rawSpan, offset: window.offset, direction: direction, packet: packet,
          flow: facts, state: flow.detection, matches: matches)
      }
    }
    inspectTransactions(flow, direction, packet, bytes, facts, window)
    window.hasNews = false
    if isDue { window.markInspected(spare: spare) }
  }

  /// What lies before a hole and waited for more to come.
  private mutating func inspectCutOff(
    _ window: borrowing StreamWindow, _ direction: Direction, _ packet: borrowing DecodedPacket, _ facts: FlowFacts,
    _ flow: FlowInspection
  ) {
    for piece in window.cutOff {
      detector.inspectStream(
        piece.bytes.rawSpan, newFrom: piece.newFrom, offset: piece.offset, isEnd: false, direction: direction,
        packet: packet, flow: facts, state: flow.detection, into: &matches)
    }
  }

  private mutating func inspectTransactions(
    _ flow: FlowInspection, _ direction: Direction, _ packet: borrowing DecodedPacket, _ bytes: RawSpan,
    _ facts: FlowFacts, _ window: borrowing StreamWindow
  ) {
    if detector.usesFrames, let log = flow.appLayer?.parser?.frames {
      detector.inspectFrames(
        log, direction: direction, packet: packet, bytes: bytes, flow: facts, state: flow.detection,
        into: &matches)
    }
    let transactions = flow.appLayer?.transactions ?? []
    if !transactions.isEmpty {
      let payload = packet.isUDP ? packet.payload(of: bytes) : window.bytes.rawSpan
      detector.inspectTransactions(
        transactions, direction: direction, payload: payload, packet: packet, bytes: bytes,
        flow: facts, state: flow.detection, into: &matches)
      if let tracer = settings.tracer {
        detector.traceTransactions(
          tracer, transactions, direction: direction, payload: payload, packet: packet, bytes: bytes,
          flow: facts, state: flow.detection, matches: matches)
      }
    }
  }

  /// Tries the rules on the stream on a piece of it that is let through ahead of a hole, or once more.
  mutating func inspectAlone(
    _ piece: RawSpan, _ flow: FlowInspection, _ packet: borrowing DecodedPacket, facts: FlowFacts
  ) {
    let direction = facts.packetDirection
    detector.inspectStream(
      piece, newFrom: 0, offset: flow[direction].offset, isEnd: false, isAside: true,
      direction: direction, packet: packet, flow: facts, state: flow.detection, into: &matches)
  }

  /// The transaction that a match on packet or stream is told with, where there is but one
  /// (`detect.guess-applayer-tx`); on one packet for each transaction.
  private mutating func noteGuess(_ flow: FlowInspection) {
    guard settings.guessesTransaction else { return }
    let transactions = flow.appLayer?.transactions ?? []
    flow.guessed = transactions.count == 1 ? transactions[0] : nil
    if flow.guessed.map({ $0.loggedBits & Self.guessMade != 0 }) == true { flow.guessed = nil }
  }

  /// A match on a datagram by a rule about its protocol is told with the message that it carries, as in Suricata.
  private mutating func ofDatagram(
    _ flow: FlowInspection?, _ alert: Alert, _ context: borrowing EventContext
  ) -> Transaction? {
    guard context.packet.isUDP, alert.source == .packet, let flow,
      detector.ruleSet.isAboutApplication(alert.rule)
    else { return nil }
    return flow.appLayer?.transactions.last { ($0.soleDirection ?? alert.direction) == alert.direction }
  }

  private mutating func takeGuess(_ flow: FlowInspection?) -> Transaction? {
    guard let guessed = flow?.guessed else { return nil }
    guessed.loggedBits |= Self.guessMade
    return guessed
  }

  /// Whether the raw stream is to be inspected now.
  ///
  /// Inline every octet is, before it passes. Otherwise a chunk is waited for, so that what is said
  /// twice within one is told once: until there are enough octets, the stream ends, or a message of
  /// the application layer does (Suricata `toserver-chunk-size`).
  private mutating func isStreamDue(_ flow: FlowInspection, _ window: borrowing StreamWindow, _ direction: Direction) -> Bool {
    if window.isEnd { return true }
    guard window.hasNewBytes else { return false }
    if settings.reassembly.delivery == .inline || flow.hidesPayload { return true }
    let hasMessageEnded = hasMessageEnded(flow, direction)
    let wanted = direction == .toServer ? settings.chunkBytes.toServer : settings.chunkBytes.toClient
    return hasMessageEnded || flow.isClosing || window.newCount >= UInt64(max(0, wanted))
  }

  private mutating func hasMessageEnded(_ flow: FlowInspection, _ direction: Direction) -> Bool {
    guard let appLayer = flow.appLayer else { return false }
    var hasEnded = appLayer.takeMessageEnd(direction)
    guard appLayer.endsMessagesWithTransactions else { return hasEnded }
    let bit = direction == .toServer ? Self.requestEnded : Self.responseEnded
    for transaction in appLayer.transactions
    where transaction.isComplete(direction) && transaction.loggedBits & bit == 0 {
      transaction.loggedBits |= bit
      hasEnded = true
    }
    return hasEnded
  }

  /// The end of a transaction in a direction has let the stream be inspected.
  private static let requestEnded: UInt32 = 2
  private static let responseEnded: UInt32 = 4

  /// Turns what matched into a decision and alerts, which are to be told then.
  mutating func decide(
    _ flow: FlowInspection?, facts: FlowFacts?, packet: borrowing DecodedPacket
  ) -> DetectionDecision {
    guard hasMatches else { return DetectionDecision() }
    flow?.mayHaveRecords = true
    let decision = detector.decide(&matches, packet: packet, flow: facts, state: flow?.detection, into: &alerts)
    if alerts.isEmpty { flow?.guessed = nil }
    return decision
  }

  /// The last decision has alerts that were not told yet: most rules that match on ordinary traffic only note something.
  var hasAlerts: Bool { !alerts.isEmpty }

  /// Writes the alerts of a decision.
  mutating func tell(
    _ decision: DetectionDecision, _ flow: FlowInspection?, context: borrowing EventContext, bytes: RawSpan
  ) {
    for alert in alerts { emit(alert, decision, flow, context, bytes) }
    alerts.removeAll(keepingCapacity: true)
    flow?.guessed = nil
  }

  private mutating func emit(
    _ alert: Alert, _ decision: DetectionDecision, _ flow: FlowInspection?,
    _ context: borrowing EventContext, _ bytes: RawSpan
  ) {
    guard let rule = detector.ruleSet.info(alert.rule) else { return }
    counters.alerts &+= 1
    var alert = alert
    // Source: Suricata: a drop that cannot take effect blocks nothing; a reject is sent all the same.
    if alert.action == .drop, !settings.isInline { alert.isBlocked = false }
    flow?.hasAlerted = true
    flow?.journal.note("\(alert.isBlocked ? "blocked by" : "matched") sid \(rule.sid) \(rule.message)", at: context.time)
    let transaction =
      alert.transactionID.flatMap { id in flow?.appLayer?.transactions.first { $0.id == id } }
      ?? takeGuess(flow) ?? ofDatagram(flow, alert, context)
    if let transaction { alert.transactionID = transaction.id }
    var event = AlertEvent(
      alert: alert, rule: rule, transaction: transaction,
      verdict: isPacketStopped
        ? VerdictRecord(action: "drop")
        : VerdictRecord(decision, isInline: settings.isInline, packet: context.packet))
    if settings.logs.payload {
      event.payload =
        alert.source == .packet || flow == nil
        ? context.packet.payload(of: bytes).copied() : flow.map { $0[alert.direction].shown } ?? []
    }
    sink.emit(.alert(event), context, bytes: bytes)
  }

  /// Tells of rules that have gone past their budget with the bytes in hand.
  mutating func reportExcesses(_ context: borrowing EventContext, _ bytes: RawSpan) {
    for record in detector.takeExcesses() { sink.emit(.ruleExcess(record), context, bytes: bytes) }
  }

  /// What rules have noted of a flow, for its records.
  mutating func noteVariables(_ state: FlowDetection, in record: inout FlowRecord) {
    guard state.hasVariables else { return }
    record.flowBits = state.bitNames(detector.names)
    record.flowIntegers = state.integerValues(detector.names)
    record.variables = state.variables
  }
}

/// What the shared path has done, for statistics.
public struct StreamPathCounters: Sendable {
  public var alerts: UInt64 = 0
  public var transactions: UInt64 = 0
}

extension VerdictRecord {
  init(_ decision: DetectionDecision, isInline: Bool, packet: borrowing DecodedPacket) {
    let isStopped = isInline && (decision.verdict == .drop || decision.verdict == .reject)
    guard isStopped || decision.verdict == .reject else {
      self.init(action: decision.passScope == .none ? "alert" : "pass")
      return
    }
    let action = decision.verdict == .reject ? decision.rejectAction : nil
    self.init(action: isStopped ? "drop" : "alert", rejecting: action, packet)
  }

  /// - Parameter action: whom a reject tells; nil where nobody is told.
  init(action: String, rejecting reject: RuleAction?, _ packet: borrowing DecodedPacket) {
    guard let reject else {
      self.init(action: action)
      return
    }
    // The sender of the packet stands for the client, whichever way it goes.
    let target =
      switch reject {
      case .rejectdst: "to_server"
      case .rejectboth: "both"
      default: "to_client"
      }
    var means: [String] = []
    if packet.isTCP { means = ["tcp-reset"] }
    if packet.isUDP { means = ["icmp-prohib"] }
    if packet.isICMP { means = ["icmp-prohib"] }
    self.init(action: action, rejectTarget: target, rejects: means)
  }
}
