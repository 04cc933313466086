import Traffic

/// Reads both directions of an HTTP/0.9 to 1.1 connection into exchanges.
///
/// - Source: RFC 9112; RFC 9110 sections 9.3.6 (CONNECT) and 7.8 (Upgrade); libhtp's leniency as in
///   Suricata 8.
/// - Limits: `HTTPSettings`. A line or field beyond its limit ends the parsing of its direction with
///   an event; fields beyond their number are passed over; of more than `transactionCountMax`
///   unanswered requests the oldest is completed without its response.
/// - Invariant: the result does not depend on how a direction is cut into chunks, only on the order
///   in which messages of the two directions come.
public final class HTTPParser: AppLayerParser {
  let settings: HTTPSettings
  var request = HTTPRequestSide()
  var response = HTTPResponseSide()
  /// The exchange whose request is being read.
  var requestTransaction: HTTPTransaction?
  /// The exchange whose response is being read.
  var responseTransaction: HTTPTransaction?
  /// Line ends behind a body count as its content. Not weak, since every count of references to an object that is referred to
  /// weakly takes a detour.
  var lastRequest: HTTPTransaction?
  var lastResponse: HTTPTransaction?
  /// Requests without a response, oldest first; `awaitingStart` of them are done.
  private var awaiting: [HTTPTransaction] = []
  private var awaitingStart = 0
  /// Responses that are still to come for exchanges given up for the limit.
  private var orphanCount = 0
  private var nextID: UInt64 = 0
  /// The exchange that made the connection another protocol's.
  var upgraded: HTTPTransaction?
  /// The flow was to become another protocol's and goes on as HTTP: told with the first exchange.
  var followsFailedChange = false
  private var bombCount = 0
  /// Exchanges that were given up because too many were unanswered.
  public private(set) var overflowCount: UInt64 = 0

  private let files: FlowFiles?
  private let supply: AppLayerSupply?

  /// - Parameters:
  ///   - files: who looks at the files that bodies are; nil where nobody does.
  ///   - supply: of the worker, for exchanges that are done with; its settings are these. Nil to make each anew.
  public init(settings: HTTPSettings, files: FileExaminer? = nil, supply: AppLayerSupply? = nil) {
    self.settings = settings
    self.files = files.map(FlowFiles.init)
    self.supply = supply
    super.init(appProtocol: .http)
  }

  override public func consume(_ chunk: borrowing StreamChunk) {
    guard successor == nil else {
      holdForSuccessor(chunk.bytes, chunk.direction)
      return
    }
    switch chunk.direction {
    case .toServer:
      if !hasFailed.toServer { consumeRequest(chunk) }
    case .toClient:
      if !hasFailed.toClient { consumeResponse(chunk) }
    }
  }

  override public func finish(at time: Timestamp) {
    endRequest(time)
    endResponse(time)
    for transaction in transactions {
      guard let exchange = transaction as? HTTPTransaction else { continue }
      exchange.isUnanswered = exchange.progress(.toClient) == HTTPProgress.notStarted
      exchange.finishRequest(isCut: true)
      exchange.finishResponse(isCut: true)
    }
    awaiting = []
    awaitingStart = 0
    lastRequest = nil
    lastResponse = nil
  }

  // MARK: Exchanges

  func newTransaction(_ time: Timestamp) -> HTTPTransaction {
    let transaction: HTTPTransaction
    if let spare = supply?.exchanges.take() {
      spare.renew(id: nextID, files: files, start: time)
      transaction = spare
    } else {
      transaction = HTTPTransaction(id: nextID, settings: settings, files: files, start: time)
    }
    nextID &+= 1
    if followsFailedChange {
      followsFailedChange = false
      transaction.raise(.failedProtocolChange)
    }
    transactions.append(transaction)
    return transaction
  }

  override func letGo(_ transaction: Transaction) {
    guard let supply, let exchange = transaction as? HTTPTransaction else { return }
    // What still comes of it nobody looks at.
    if lastRequest === exchange { lastRequest = nil }
    if lastResponse === exchange { lastResponse = nil }
    if exchange !== upgraded, exchange.isSmall { supply.exchanges.put(exchange) }
  }

  func beginRequest(_ time: Timestamp) -> HTTPTransaction {
    if response.isOver { settleUnanswered() }
    let transaction = newTransaction(time)
    transaction.advance(.toServer, to: HTTPProgress.line)
    frames?.begin("request", .toServer, transaction: transaction.id)
    lastRequest = nil
    requestTransaction = transaction
    awaiting.append(transaction)
    if awaiting.count - awaitingStart > max(1, settings.transactionCountMax) {
      let oldest = awaiting[awaitingStart]
      if oldest === responseTransaction {
        responseTransaction = nil
      } else {
        orphanCount += 1
      }
      overflowCount &+= 1
      oldest.finishResponse(isCut: true)
      dropAwaiting()
    }
    return transaction
  }

  /// The exchange that the next response belongs to.
  func beginResponse(_ time: Timestamp) -> HTTPTransaction {
    let transaction: HTTPTransaction
    if orphanCount > 0 {
      orphanCount -= 1
      transaction = unmatched(time)
    } else if awaitingStart < awaiting.count {
      transaction = awaiting[awaitingStart]
    } else {
      transaction = unmatched(time)
      transaction.raise(.unmatchedResponse)
    }
    transaction.advance(.toClient, to: HTTPProgress.line)
    frames?.begin("response", .toClient, transaction: transaction.id)
    lastResponse = nil
    responseTransaction = transaction
    return transaction
  }

  private func unmatched(_ time: Timestamp) -> HTTPTransaction {
    let transaction = newTransaction(time)
    transaction.isUnmatched = true
    // The name that Suricata gives to what it did not see.
    let name = Array("/libhtp::request_uri_not_seen".utf8)
    transaction.requestLine.bytes = name
    transaction.requestLine.target = 0..<name.count
    transaction.target = HTTPTarget(path: name)
    transaction.finishRequest()
    return transaction
  }

  func endResponseTransaction(isCut: Bool = false) {
    guard let transaction = responseTransaction else { return }
    frames?.end("response", .toClient)
    if transaction.responseDecoder.isBomb {
      bombCount += 1
      if bombCount == settings.compressionBombCount { transaction.raise(.compressionBombLimit) }
    }
    transaction.finishResponse(isCut: isCut)
    responseTransaction = nil
    lastResponse = transaction
    if awaitingStart < awaiting.count, awaiting[awaitingStart] === transaction { dropAwaiting() }
  }

  private func dropAwaiting() {
    awaitingStart += 1
    if awaitingStart == awaiting.count {
      // Nothing else is unanswered: what is done with is let go of at once.
      awaiting.removeAll(keepingCapacity: true)
      awaitingStart = 0
    } else if awaitingStart > 64, awaitingStart * 2 > awaiting.count {
      awaiting.removeFirst(awaitingStart)
      awaitingStart = 0
    }
  }

  /// Requests whose answers will not be seen are done with as they are: a client that goes on asking behind the depth of
  /// its server's stream would have each of them wait, and be looked at, until the flow ends.
  func settleUnanswered() {
    while awaitingStart < awaiting.count, awaiting[awaitingStart].isComplete(.toServer) {
      let transaction = awaiting[awaitingStart]
      transaction.isUnanswered = transaction.progress(.toClient) == HTTPProgress.notStarted
      transaction.isAnswerUnseen = true
      transaction.finishResponse(isCut: true)
      dropAwaiting()
    }
  }

  var decompresses: Bool { bombCount < max(1, settings.compressionBombCount) }

  /// The exchange whose response comes next, without beginning it.
  var expectedTransaction: HTTPTransaction? {
    if let responseTransaction { return responseTransaction }
    return orphanCount == 0 && awaitingStart < awaiting.count ? awaiting[awaitingStart] : nil
  }

  // MARK: Change of protocol

  /// Bytes behind a change of protocol, by direction; the flow feeds them to the next parser.
  private(set) var heldForSuccessor: (toServer: [UInt8], toClient: [UInt8]) = ([], [])

  func change(to next: ProtocolChange) {
    successor = next
    if let transaction = requestTransaction { transaction.finishRequest() }
    requestTransaction = nil
  }

  /// Line ends that stand behind the last message are still part of it.
  func holdForSuccessor(_ bytes: RawSpan, _ direction: Direction) {
    let isFirst = direction == .toServer ? heldForSuccessor.toServer.isEmpty : heldForSuccessor.toClient.isEmpty
    var start = 0
    while isFirst, start < bytes.byteCount, HTTPScan.isLineEnd(bytes.u8(at: start)) { start += 1 }
    let bytes = bytes.extracting(start..<bytes.byteCount)
    switch direction {
    case .toServer: heldForSuccessor.toServer.append(bytes)
    case .toClient: heldForSuccessor.toClient.append(bytes)
    }
  }
}
