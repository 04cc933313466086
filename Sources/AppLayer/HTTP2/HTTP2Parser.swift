import Traffic

/// Reads both directions of an HTTP/2 connection into streams.
///
/// - Source: RFC 9113, RFC 7541; Suricata 8 for what is an event.
/// - Limits: ``HTTP2Settings``. Frames that exceed them are passed over with an event; the connection is
///   read on.
/// - Invariant: the result does not depend on how a direction is cut into chunks.
public final class HTTP2Parser: AppLayerParser {
  let settings: HTTP2Settings
  let http: HTTPSettings
  let client: HTTP2Leg
  let server: HTTP2Leg
  /// Streams under way.
  var streams: [UInt32: HTTP2Transaction] = [:]
  /// In the order opened; may hold identifiers of streams that are over.
  var openOrder: [UInt32] = []
  var openOrderStart = 0
  /// The highest identifier that each side has opened a stream with.
  var highest: (toServer: UInt32, toClient: UInt32) = (0, 0)
  /// Streams that were reset of late: what is still on its way is no reuse.
  var resetRecently: [UInt32] = []
  private var nextID: UInt64 = 0
  /// A request about DNS was seen.
  public private(set) var isDNS = false
  private var bombCount = 0
  /// Streams given up because too many were under way.
  public internal(set) var overflowCount: UInt64 = 0

  private let files: FlowFiles?

  /// - Parameter files: who looks at the files that bodies are; nil where nobody does.
  public init(settings: HTTP2Settings, http: HTTPSettings, files: FileExaminer? = nil) {
    self.settings = settings
    self.files = files.map(FlowFiles.init)
    self.http = http
    client = HTTP2Leg(direction: .toServer, settings)
    server = HTTP2Leg(direction: .toClient, settings)
    super.init(appProtocol: .http2)
  }

  override public func consume(_ chunk: borrowing StreamChunk) {
    switch chunk.direction {
    case .toServer:
      if !hasFailed.toServer { consume(chunk, client) }
    case .toClient:
      if !hasFailed.toClient { consume(chunk, server) }
    }
  }

  override public func finish(at time: Timestamp) {
    for transaction in transactions {
      guard let stream = transaction as? HTTP2Transaction else { continue }
      stream.end(.toServer, isCut: true)
      stream.end(.toClient, isCut: true)
      stream.webSocket?.finish(at: time)
    }
    streams = [:]
    openOrder = []
    openOrderStart = 0
  }

  /// Streams end in another order than they began.
  override public func removeTransactions(while isDone: (Transaction) -> Bool) {
    transactions.removeAll(where: isDone)
  }

  // MARK: Transactions

  /// A frame about the connection is a transaction of its own, over at once.
  func connectionTransaction(_ direction: Direction, _ time: Timestamp) -> HTTP2Transaction {
    add(streamID: 0, connectionSide: direction, time)
  }

  private func add(
    streamID: UInt32, connectionSide: Direction?, _ time: Timestamp
  ) -> HTTP2Transaction {
    let transaction = HTTP2Transaction(
      id: makeID(), streamID: streamID, connectionSide: connectionSide,
      appProtocol: isDNS ? .doh2 : .http2, settings: http, files: files, start: time)
    transactions.append(transaction)
    return transaction
  }

  func makeID() -> UInt64 {
    nextID &+= 1
    return nextID
  }

  func keep(_ more: [Transaction]) { transactions += more }

  func openStream(_ id: UInt32, _ time: Timestamp) -> HTTP2Transaction {
    if streams.count >= max(1, settings.streamCountMax) { giveUpOldest() }
    let stream = add(streamID: id, connectionSide: nil, time)
    streams[id] = stream
    openOrder.append(id)
    if id & 1 == 1 { highest.toServer = max(highest.toServer, id) } else { highest.toClient = max(highest.toClient, id) }
    return stream
  }

  private func giveUpOldest() {
    while openOrderStart < openOrder.count {
      let id = openOrder[openOrderStart]
      openOrderStart += 1
      guard let oldest = streams[id] else { continue }
      oldest.raise(HTTP2Event.tooManyStreams)
      overflowCount &+= 1
      close(oldest, isCut: true)
      return
    }
  }

  /// Both directions of a stream are over.
  func close(_ stream: HTTP2Transaction, isCut: Bool) {
    stream.end(.toServer, isCut: isCut)
    stream.end(.toClient, isCut: isCut)
    stream.webSocket?.finish(at: stream.start)
    if streams[stream.streamID] === stream { streams[stream.streamID] = nil }
    if stream.responseDecoder.isBomb { bombCount += 1 }
    if openOrder.count > 64, streams.count * 4 < openOrder.count - openOrderStart {
      openOrder = openOrder[openOrderStart...].filter { streams[$0] != nil }
      openOrderStart = 0
    }
  }

  var decompresses: Bool { bombCount < max(1, http.compressionBombCount) }

  /// Whether a stream of that number was opened before.
  func isUsed(_ id: UInt32) -> Bool {
    id <= (id & 1 == 1 ? highest.toServer : highest.toClient)
  }

  func noteDNS() { isDNS = true }

  /// Something is odd that belongs to no stream in particular.
  func raise(_ event: HTTP2Event, _ direction: Direction, _ time: Timestamp) {
    if let last = transactions.last as? HTTP2Transaction, last.soleDirection ?? direction == direction {
      last.raise(event)
      return
    }
    connectionTransaction(direction, time).raise(event)
  }

  func fail(_ direction: Direction) {
    if direction == .toServer { hasFailed.toServer = true } else { hasFailed.toClient = true }
  }

  // MARK: Upgrade from HTTP/1

  /// The connection came about by `Upgrade: h2c` (RFC 7540 section 3.2): the request is stream 1.
  func takeUpgrade(of request: HTTPTransaction) {
    if let settings = request.header("HTTP2-Settings", .toServer) {
      if let payload = Base64URL.decode(settings.storage, settings.range), payload.count % 6 == 0 {
        takeSettings(payload.rawSpan, .toServer, request.start)
      } else {
        raise(.invalidHTTP1Settings, .toServer, request.start)
      }
    }
    var fields = HTTP2FieldList()
    func add(_ name: StaticString, _ view: BufferView?) {
      guard let view else { return }
      fields.append(name: name.withUTF8Buffer { unsafe Array($0) }, value: Array(view.storage[view.range]))
    }
    add(":method", request.method)
    add(":path", request.url)
    add(":authority", request.header("host", .toServer))
    for field in request.headers(.toServer) {
      let name = Array(field.name.storage[field.name.range])
      if HTTPText.equals(name, 0..<name.count, "host") || HTTPText.equals(name, 0..<name.count, "http2-settings") {
        continue
      }
      fields.append(name: name, value: Array(field.value.storage[field.value.range]))
    }
    let stream = openStream(1, request.start)
    stream.isUpgraded = true
    stream.takeHead(fields, .toServer, decodes: false)
    stream.end(.toServer, isCut: false)
  }
}
