import Traffic

/// A stream of an HTTP/2 connection, or a frame that is about the connection as a whole.
///
/// Heads and bodies are those of an HTTP/1 exchange, so that rules see no difference; progress is
/// ``HTTPProgress``.
/// - Source: RFC 9113 section 8; Suricata 8 for what buffers hold of pseudo-header fields.
public final class HTTP2Transaction: HTTPTransaction {
  /// 0 for the connection.
  public let streamID: UInt32
  private let connectionSide: Direction?
  public internal(set) var fromClient = HTTP2Notes() { didSet { hasNews.toServer = true } }
  public internal(set) var fromServer = HTTP2Notes() { didSet { hasNews.toClient = true } }
  /// The DNS question that the request carries, and the answer (RFC 8484).
  public internal(set) var dnsRequest: DNSTransaction?
  public internal(set) var dnsResponse: DNSTransaction?
  var carriesDNS: (toServer: Bool, toClient: Bool) = (false, false)
  private var dnsBody: (toServer: [UInt8], toClient: [UInt8]) = ([], [])
  /// Something of that direction has changed since it was last inspected.
  var hasNews: (toServer: Bool, toClient: Bool) = (true, true)

  /// The request asks for a WebSocket in this stream (RFC 8441 section 5).
  var asksForWebSocket = false
  /// Reads its frames, once there are any.
  var webSocket: WebSocketParser?
  /// Its request was sent in HTTP/1 and has been looked at there; its fields have HTTP/1 names.
  var isUpgraded = false
  /// - Source: Suricata 8: of such a request rules find the method, the target and the host, but no field by
  ///   its name, so that what is asked of fields is told once.
  private static let upgradedBuffers: Set<BufferID> = [
    .httpUserAgent, .httpReferer, .httpCookie, .httpAccept, .httpAcceptEncoding, .httpAcceptLanguage,
    .httpConnection, .httpContentType, .httpContentLength,
  ]

  /// Octets that a DNS message may have.
  static let dnsBytesMax = 65_535
  private static let protocolText = Array("HTTP/2".utf8)

  /// - Parameter connectionSide: who sent the frame that is about the connection; nil for a stream.
  init(
    id: UInt64, streamID: UInt32, connectionSide: Direction?, appProtocol: AppProtocol,
    settings: HTTPSettings, files: FlowFiles?, start: Timestamp
  ) {
    self.streamID = streamID
    self.connectionSide = connectionSide
    super.init(id: id, settings: settings, files: files, start: start, appProtocol: appProtocol)
    if connectionSide != nil {
      progress = (HTTPProgress.complete, HTTPProgress.complete)
    }
  }

  override public var soleDirection: Direction? { connectionSide }

  public func notes(_ direction: Direction) -> HTTP2Notes {
    direction == .toServer ? fromClient : fromServer
  }

  override public func hasNews(_ direction: Direction) -> Bool {
    (direction == .toServer ? hasNews.toServer : hasNews.toClient) || showsPiece(direction)
  }

  override public func markInspected(_ direction: Direction) {
    super.markInspected(direction)
    if direction == .toServer { hasNews.toServer = false } else { hasNews.toClient = false }
  }

  override func advance(_ direction: Direction, to value: Int) {
    super.advance(direction, to: value)
    touch(direction)
  }

  func touch(_ direction: Direction) {
    if direction == .toServer { hasNews.toServer = true } else { hasNews.toClient = true }
  }

  func raise(_ event: HTTP2Event) {
    raise(event.appEvent)
    hasNews = (true, true)
  }

  /// Events of bodies have names of their own here.
  override func raise(_ event: HTTPEvent) {
    switch event {
    case .gzipDecompressionFailed: raise(HTTP2Event.failedDecompression)
    case .compressionBomb, .compressionBombLimit: raise(HTTP2Event.compressionBomb)
    case .rangeInvalid: raise(HTTP2Event.invalidRange)
    default: return
    }
  }

  // MARK: Buffers

  override public func buffer(_ id: BufferID, _ direction: Direction, index: Int) -> BufferView? {
    guard index >= 0 else { return nil }
    if isUpgraded, direction == .toServer, Self.upgradedBuffers.contains(id) { return nil }
    switch id {
    case .httpRequestHeader: return direction == .toServer ? field(direction, index, whole: true) : nil
    case .httpResponseHeader: return direction == .toClient ? field(direction, index, whole: true) : nil
    case .http2HeaderName: return field(direction, index, whole: false)
    case .httpProtocol: return index == 0 ? BufferView(Self.protocolText) : nil
    case .httpStatusMessage: return index == 0 && direction == .toClient ? BufferView([]) : nil
    case .dnsQueryName, .dnsQueriesName, .dnsAnswerName, .dnsAuthorityName, .dnsAdditionalName,
      .dnsResponseName:
      return dns(direction)?.buffer(id, direction, index: index)
    case .httpHeaderRaw:
      let fields = notes(direction).fields
      return index == 0 && fields.fieldCount > 0 ? super.buffer(.httpHeader, direction, index: 0) : nil
    default: return super.buffer(id, direction, index: index)
    }
  }

  private func field(_ direction: Direction, _ index: Int, whole: Bool) -> BufferView? {
    let fields = notes(direction).fields
    guard let entry = fields.field(index) else { return nil }
    let range = whole ? entry.name.lowerBound..<entry.value.upperBound : entry.name
    return BufferView(fields.bytes, range: range)
  }

  func dns(_ direction: Direction) -> DNSTransaction? {
    direction == .toServer ? dnsRequest : dnsResponse
  }

  override public func number(_ id: NumberID, _ direction: Direction, index: Int) -> UInt64? {
    guard index >= 0 else { return nil }
    func at<Value: BinaryInteger>(_ list: [Value]) -> UInt64? {
      index < list.count ? UInt64(truncatingIfNeeded: list[index]) : nil
    }
    switch id {
    case .http2FrameType: return at(notes(direction).types)
    case .http2ErrorCode:
      let notes = notes(direction)
      return index < notes.resetCodes.count
        ? at(notes.resetCodes)
        : index - notes.resetCodes.count < notes.goAwayCodes.count
          ? UInt64(notes.goAwayCodes[index - notes.resetCodes.count]) : nil
    case .http2Priority: return at(notes(direction).priorities)
    case .http2Window: return at(notes(direction).windows)
    case .http2SizeUpdate: return at(notes(direction).sizeUpdates)
    case .http2Setting:
      let settings = notes(direction).settings
      return index < settings.count
        ? UInt64(settings[index].id) << 32 | UInt64(settings[index].value) : nil
    case .dnsOpcode, .dnsRcode, .dnsQueryType: return dns(direction)?.number(id, direction, index: index)
    default: return super.number(id, direction, index: index)
    }
  }

  // MARK: DNS

  func addDNS(_ bytes: RawSpan, _ direction: Direction) {
    let isRequest = direction == .toServer
    guard isRequest ? carriesDNS.toServer : carriesDNS.toClient else { return }
    let count = (isRequest ? dnsBody.toServer.count : dnsBody.toClient.count) + bytes.byteCount
    guard count <= Self.dnsBytesMax else {
      if isRequest { dnsBody.toServer = [] } else { dnsBody.toClient = [] }
      if isRequest { carriesDNS.toServer = false } else { carriesDNS.toClient = false }
      raise(isRequest ? HTTP2Event.dnsRequestTooLong : .dnsResponseTooLong)
      return
    }
    if isRequest { dnsBody.toServer.append(bytes) } else { dnsBody.toClient.append(bytes) }
  }

  /// The message is there as a whole.
  func finishDNS(_ direction: Direction) {
    let body = direction == .toServer ? dnsBody.toServer : dnsBody.toClient
    guard !body.isEmpty else { return }
    if direction == .toServer { dnsBody.toServer = [] } else { dnsBody.toClient = [] }
    takeDNS(body, direction)
  }

  func takeDNS(_ message: [UInt8], _ direction: Direction) {
    let transaction = DNSTransaction(
      id: 0, message: message.rawSpan, direction: direction, appProtocol: .dns, start: start)
    if direction == .toServer { dnsRequest = transaction } else { dnsResponse = transaction }
    for event in transaction.events { raise(event) }
  }
}

/// What event records tell of a stream.
extension HTTP2Transaction {
  /// `:authority` as sent, else Host.
  public var authority: BufferView? { value(":authority", .toServer) ?? value("host", .toServer) }
  public var pathView: BufferView? { value(":path", .toServer) }
  public var methodView: BufferView? { value(":method", .toServer) }
  /// Of the response where it has one, else of the request.
  public var contentLength: UInt64? {
    (value("content-length", .toClient) ?? value("content-length", .toServer)).flatMap {
      HTTPText.contentLength($0.storage, $0.range)
    }
  }

  public func value(_ name: StaticString, _ direction: Direction) -> BufferView? {
    let fields = notes(direction).fields
    return fields.last(name).map { BufferView(fields.bytes, range: $0) }
  }
}
