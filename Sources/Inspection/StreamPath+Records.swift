import AppLayer
import Detection
import PacketDecoding
import Traffic

// The records of what a flow's transactions were.

extension StreamPath {
  /// Whether ``logTransactions(_:isEnd:context:bytes:)`` would find something to do.
  mutating func hasRecords(_ flow: FlowInspection, isEnd: Bool) -> Bool {
    guard isEnd || flow.mayHaveRecords, let appLayer = flow.appLayer else { return false }
    flow.mayHaveRecords = false
    if appLayer.events.count > flow.reportedEventCount { return true }
    // A loop: a closure over this structure would be allocated for each packet.
    for transaction in appLayer.transactions {
      let isWritten = transaction.loggedBits & Self.recordWritten != 0
      if isEnd || !isWritten && isReady(transaction) || isWritten && isDone(transaction, flow)
        || transaction.events.count > Int(transaction.loggedBits >> Self.eventCountShift)
        || transaction.hasFiles && hasFileNews(transaction, flow)
      {
        return true
      }
    }
    return false
  }

  /// Whether ``logTransactions(_:isEnd:context:bytes:)`` may write something, beside letting go of what is done with.
  mutating func tellsOfTransactions(_ flow: FlowInspection) -> Bool {
    guard let appLayer = flow.appLayer else { return false }
    if settings.logs.anomalies || settings.logs.transactions.contains(appLayer.appProtocol) { return true }
    for transaction in appLayer.transactions
    where settings.logs.transactions.contains(transaction.appProtocol) || hasFilesToTell(transaction) { return true }
    return false
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
    guard let newest = transactions.last else { return }
    flow.transactionCount = max(flow.transactionCount, newest.id &+ 1)
    for transaction in transactions {
      reportEvents(of: transaction, context, bytes)
      if transaction.hasFiles { reportFiles(of: transaction, flow, isEnd: isEnd, context, bytes) }
      if transaction.loggedBits & Self.recordWritten == 0, isReady(transaction) || isEnd {
        transaction.loggedBits |= Self.recordWritten
        counters.transactions &+= 1
        if settings.logs.transactions.contains(transaction.appProtocol), !flow.detection.silencesTransactions,
          !transaction.isRecordUnwanted
        {
          sink.emit(.transaction(transaction, nil), context, bytes: bytes)
        }
      }
    }
    appLayer.removeTransactions { transaction in
      guard transaction.loggedBits & Self.recordWritten != 0, isDone(transaction, flow) else { return false }
      detector.letGo(of: transaction)
      return true
    }
  }

  /// Nothing of the transaction is to come, and nothing is left to be inspected.
  private mutating func isDone(_ transaction: Transaction, _ flow: FlowInspection) -> Bool {
    transaction.isComplete && (flow.detection.isPassed || flow.isExempt || Detector.isInspected(transaction))
  }

  /// Nothing more of what the transaction's record holds will come.
  private mutating func isReady(_ transaction: Transaction) -> Bool {
    transaction.isReadyForRecord(
      waitsForHASSH: settings.appLayer.logsHASSH || detector.ruleSet.usesHASSH)
  }

  private static let recordWritten: UInt32 = 1
  static let guessMade: UInt32 = 8
  /// The number of events told already, in the upper bits.
  private static let eventCountShift: UInt32 = 8

  private mutating func reportEvents(of transaction: Transaction, _ context: borrowing EventContext, _ bytes: RawSpan) {
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

  private mutating func reportEvents(
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

extension Transaction {
  /// Its record can be written: nothing more of what the record holds will come.
  fileprivate func isReadyForRecord(waitsForHASSH: Bool) -> Bool {
    switch appProtocol {
    case .ssh:
      min(progress.toServer, progress.toClient) >= (waitsForHASSH ? SSHProgress.offer : SSHProgress.banner)
    case .tls:
      // The server has said what it has to say before keys change; nothing that the client still sends
      // but a certificate of its own, which the server has asked for by then, stands in the record.
      progress(.toServer) >= 3 && progress(.toClient) >= 4
        || progress(.toServer) >= 1 && progress(.toClient) == 3 && !awaitsClientCertificate || isComplete
    default: isComplete
    }
  }

  private var awaitsClientCertificate: Bool { (self as? TLSTransaction)?.asksForClientCertificate ?? false }
}
