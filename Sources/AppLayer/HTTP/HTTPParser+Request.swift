import Traffic

/// Where reading the requests stands.
struct HTTPRequestSide {
  enum State {
    /// Between messages.
    case idle
    case line
    /// The line had no protocol field: what follows tells HTTP/0.9 from a sloppy client.
    case afterShortLine
    case head
    /// CONNECT: the response decides whether a tunnel follows.
    case connect
    case body
    case chunkSize, chunkData, chunkEnd
    case trailer
    /// After HTTP/0.9 nothing of meaning follows.
    case ignored
    /// After a gap: looking for the start of a request.
    case lost
  }

  var state = State.idle
  /// The unfinished line.
  var line: [UInt8] = []
  /// Octets of it that stand before a hole, 0 without one.
  var lineCountBeforeGap = 0
  var head = HTTPHeadReader(isResponse: false)
  /// Octets that are left of the body or chunk.
  var left: UInt64 = 0
}

extension HTTPParser {
  /// White space after a request line without protocol that still lets it be HTTP/0.9.
  private static var shortLineBlankCountMax: Int { 16 }
  /// Octets that a client may send behind CONNECT before the answer.
  private static var connectHeldCountMax: Int { 65_536 }

  func consumeRequest(_ chunk: borrowing StreamChunk) {
    if chunk.gapBefore > 0 { skipRequestGap(chunk.gapBefore) }
    feedRequest(chunk.bytes, chunk.time)
    if chunk.isEnd, successor == nil { endRequest(chunk.time) }
    if response.isOver { settleUnanswered() }
  }

  func feedRequest(_ bytes: RawSpan, _ time: Timestamp) {
    var at = 0
    while at < bytes.byteCount, !hasFailed.toServer {
      if successor != nil {
        holdForSuccessor(bytes.extracting(at..<bytes.byteCount), .toServer)
        return
      }
      let (start, wasIdle) = (at, request.state == .idle)
      at = stepRequest(bytes, at, time)
      if !wasIdle { frames?.feed(bytes.extracting(start..<max(start, at)), .toServer) }
    }
  }

  /// Takes in what belongs to the present state and returns where the next begins.
  private func stepRequest(_ bytes: RawSpan, _ at: Int, _ time: Timestamp) -> Int {
    switch request.state {
    case .idle: return skipBetweenRequests(bytes, at, time)
    case .line: return readRequestLine(bytes, at)
    case .afterShortLine: return readAfterShortLine(bytes, at, time)
    case .head, .trailer: return readRequestHead(bytes, at, time)
    case .connect:
      request.line.append(bytes.extracting(at..<bytes.byteCount))
      if request.line.count > Self.connectHeldCountMax { failRequest(.requestFieldTooLong) }
      return bytes.byteCount
    case .body: return readRequestBody(bytes, at)
    case .chunkSize: return readRequestChunkSize(bytes, at)
    case .chunkData: return readRequestBody(bytes, at)
    case .chunkEnd:
      let end = HTTPScan.lineEnd(bytes, at)
      requestTransaction?.requestWireCount &+= UInt64((end ?? bytes.byteCount) - at)
      if end != nil { request.state = .chunkSize }
      return end ?? bytes.byteCount
    case .ignored: return bytes.byteCount
    case .lost: return findRequest(bytes, at, time)
    }
  }

  private func skipBetweenRequests(_ bytes: RawSpan, _ at: Int, _ time: Timestamp) -> Int {
    var i = at
    while i < bytes.byteCount, HTTPScan.isLineEnd(bytes.u8(at: i)) { i += 1 }
    if i > at { lastRequest?.addBlanksAfterRequest(bytes.extracting(at..<i)) }
    if i < bytes.byteCount {
      _ = beginRequest(time)
      HTTPText.clear(&request.line)
      request.state = .line
    }
    return i
  }

  private func readRequestLine(_ bytes: RawSpan, _ at: Int) -> Int {
    let end = HTTPScan.lineEnd(bytes, at)
    request.line.append(bytes.extracting(at..<(end ?? bytes.byteCount)))
    if request.line.count > settings.metaFieldLimitBytes {
      failRequest(.requestFieldTooLong)
    } else if end != nil {
      parseRequestLine()
    }
    return end ?? bytes.byteCount
  }

  private func parseRequestLine() {
    guard let transaction = requestTransaction else { return }
    request.line.removeLast(request.line.count - HTTPText.chompedCount(request.line))
    if request.lineCountBeforeGap > 0, let restarted = restartBehindGap(transaction) {
      return parseRequestLine(restarted)
    }
    parseRequestLine(transaction)
  }

  /// Behind a hole in a request line another request may begin; otherwise what lies on both sides is one line.
  private func restartBehindGap(_ transaction: HTTPTransaction) -> HTTPTransaction? {
    let rest = Array(request.line.dropFirst(request.lineCountBeforeGap))
    request.lineCountBeforeGap = 0
    guard Self.isRequestLine(rest, settings) else { return nil }
    transaction.raise(.requestLineIncomplete)
    completeRequest(isCut: true)
    let next = beginRequest(transaction.start)
    request.line = rest
    request.state = .line
    return next
  }

  private func parseRequestLine(_ transaction: HTTPTransaction) {
    // Moved, and its room taken in turn; a transaction that was used before has some.
    transaction.requestLine.reset()
    swap(&transaction.requestLine.bytes, &request.line)
    HTTPText.clear(&request.line)
    transaction.requestLine.read(settings.personality)
    for event in transaction.requestLine.events { transaction.raise(event) }
    if let range = transaction.requestLine.target {
      transaction.target.reset()
      transaction.target.read(
        transaction.requestLine.bytes, range, isAuthority: transaction.requestLine.methodKind == .connect,
        settings: settings)
      if transaction.target.isHostInvalid { transaction.raise(.uriHostInvalid) }
      if transaction.target.isDoubleEncoded { transaction.raise(.doubleEncodedURI) }
    }
    transaction.advance(.toServer, to: HTTPProgress.headers)
    request.head.restart()
    request.state = transaction.requestLine.lacksVersion ? .afterShortLine : .head
  }

  /// More than a few blanks after a line without protocol mean that fields follow.
  private func readAfterShortLine(_ bytes: RawSpan, _ at: Int, _ time: Timestamp) -> Int {
    let old = request.line.count
    request.line.append(bytes.extracting(at..<bytes.byteCount))
    let isBlank = request.line[old...].allSatisfy(HTTPText.isSpace)
    if isBlank, request.line.count <= Self.shortLineBlankCountMax { return bytes.byteCount }
    let held = request.line
    request.line = []
    request.state = .head
    requestTransaction?.raise(.requestLineMissingProtocol)
    feedRequest(held.rawSpan, time)
    return bytes.byteCount
  }

  private func readRequestHead(_ bytes: RawSpan, _ at: Int, _ time: Timestamp) -> Int {
    guard let transaction = requestTransaction else { return bytes.byteCount }
    let outcome = request.head.take(bytes, from: at, into: &transaction.requestHead, settings)
    for event in request.head.events { transaction.raise(event) }
    switch outcome {
    case .needMore: return bytes.byteCount
    case .tooLong:
      failRequest(.requestFieldTooLong)
      return bytes.byteCount
    case .ended(let next, let carry):
      if request.state == .trailer {
        completeRequest()
      } else {
        endRequestHead(transaction)
      }
      if !carry.isEmpty { feedRequest(carry.rawSpan, time) }
      return next
    }
  }

  private func endRequestHead(_ transaction: HTTPTransaction) {
    resolveHost(transaction)
    transaction.beginRequestBody()
    transaction.advance(.toServer, to: HTTPProgress.body)
    let head = transaction.requestHead
    if transaction.requestLine.methodKind == .connect {
      request.state = .connect
      return
    }
    if let coding = head.field(.transferEncoding) {
      guard HTTPText.containsIgnoringNUL(head.text, coding.value, "chunked") else {
        failRequest(.invalidRequestTransferEncoding)
        return
      }
      if transaction.requestLine.versionNumber < .v11 {
        transaction.raise(.invalidRequestTransferEncoding)
      }
      request.state = .chunkSize
      return
    }
    guard let length = head.field(.contentLength) else { return completeRequest() }
    guard let count = HTTPText.contentLength(head.text, length.value) else {
      failRequest(.invalidRequestContentLength)
      return
    }
    request.left = count
    if count == 0 { completeRequest() } else { request.state = .body }
  }

  private func resolveHost(_ transaction: HTTPTransaction) {
    let head = transaction.requestHead
    if let hostname = transaction.target.hostname { transaction.host = hostname }
    transaction.port = transaction.target.port
    if let field = head.field(.host) {
      if let given = HTTPHost(head.text, field.value) {
        if !given.isValid { transaction.raise(.headerHostInvalid) }
        if !transaction.hasHost {
          transaction.take(given, in: head.text)
          if given.hasPort { transaction.port = given.port }
        } else if !given.isName(transaction.hostName, in: head.text)
          || (given.hasPort && transaction.port != nil && transaction.port != given.port)
        {
          transaction.raise(.ambiguousHost)
        }
      } else if transaction.hasHost {
        transaction.raise(.ambiguousHost)
      }
    } else if transaction.requestLine.versionNumber >= .v11 {
      transaction.raise(.missingHost)
    }
    if let field = head.field(.authorization),
      !(["basic", "digest", "bearer"] as [StaticString]).contains(where: {
        HTTPText.hasPrefix(head.text, field.value, $0)
      })
    {
      transaction.raise(.authorizationUnrecognized)
    }
  }

  // MARK: Body

  private func readRequestBody(_ bytes: RawSpan, _ at: Int) -> Int {
    let count = Int(min(UInt64(bytes.byteCount - at), request.left))
    requestTransaction?.addRequestBody(bytes.extracting(at..<at + count))
    request.left -= UInt64(count)
    if request.left == 0 {
      if request.state == .chunkData { request.state = .chunkEnd } else { completeRequest() }
    }
    return at + count
  }

  private func readRequestChunkSize(_ bytes: RawSpan, _ at: Int) -> Int {
    let end = HTTPScan.lineEnd(bytes, at)
    request.line.append(bytes.extracting(at..<(end ?? bytes.byteCount)))
    let size = HTTPChunkSize(request.line)
    if size == .invalid || request.line.count > settings.metaFieldLimitBytes {
      failRequest(.invalidRequestChunkLength)
      return bytes.byteCount
    }
    guard end != nil else { return bytes.byteCount }
    requestTransaction?.requestWireCount &+= UInt64(request.line.count)
    HTTPText.clear(&request.line)
    switch size {
    case .blank: break
    case .invalid, .tooLarge: failRequest(.invalidRequestChunkLength)
    case .size(let count, let hasExtension):
      if hasExtension { requestTransaction?.raise(.requestChunkExtension) }
      request.left = count
      request.state = .chunkData
      if count == 0 {
        request.state = .trailer
        request.head.restart()
        requestTransaction?.advance(.toServer, to: HTTPProgress.trailer)
      }
    }
    return end ?? bytes.byteCount
  }

  // MARK: Ends

  func completeRequest(isCut: Bool = false) {
    frames?.end("request", .toServer)
    requestTransaction?.finishRequest(isCut: isCut)
    lastRequest = requestTransaction
    request.state = requestTransaction?.requestLine.lacksVersion == true && isShort ? .ignored : .idle
    requestTransaction = nil
    HTTPText.clear(&request.line)
    request.lineCountBeforeGap = 0
  }

  /// The request is HTTP/0.9: there was nothing behind its line.
  private var isShort: Bool { request.state == .afterShortLine }

  private func failRequest(_ event: HTTPEvent) {
    requestTransaction?.raise(event)
    if event == .invalidRequestTransferEncoding || event == .invalidRequestContentLength {
      requestTransaction?.advance(.toServer, to: HTTPProgress.body)
    }
    requestTransaction?.finishRequest(isCut: true)
    requestTransaction = nil
    request.line = []
    hasFailed.toServer = true
  }

  /// The server answers, so a request line without protocol was all there was.
  func settleShortRequest() {
    if request.state == .afterShortLine { completeRequest() }
  }

  /// The client sends nothing more.
  func endRequest(_ time: Timestamp) {
    guard !hasFailed.toServer, successor == nil else { return }
    switch request.state {
    case .line:
      if !request.line.isEmpty { parseRequestLine() }
      completeRequest(isCut: request.state != .afterShortLine)
    case .head, .trailer:
      if let transaction = requestTransaction {
        let isTrailer = request.state == .trailer
        request.head.finish(into: &transaction.requestHead, settings)
        for event in request.head.events { transaction.raise(event) }
        if !isTrailer {
          resolveHost(transaction)
          transaction.advance(.toServer, to: HTTPProgress.body)
        }
      }
      completeRequest()
    case .body, .chunkData, .chunkSize, .chunkEnd: completeRequest(isCut: true)
    case .afterShortLine: completeRequest()
    case .idle, .connect, .ignored, .lost: break
    }
  }

  // MARK: Gaps

  /// Octets were lost: a body of known length goes on behind them, anything else is given up.
  private func skipRequestGap(_ count: UInt64) {
    switch request.state {
    case .body, .chunkData:
      let within = min(count, request.left)
      guard count < request.left || request.state == .body else { break }
      requestTransaction?.addRequestGap(within)
      request.left -= within
      if request.left == 0 { completeRequest() }
      // What else was lost may have held whole messages.
      if count > within { request.state = .lost }
      return
    case .ignored, .connect: return
    case .idle, .line, .afterShortLine, .head, .chunkSize, .chunkEnd, .trailer, .lost: break
    }
    if request.state == .line, !request.line.isEmpty {
      // Source: libhtp: what is missing in a line is left out of it, and told.
      requestTransaction?.raise(.invalidGap)
      frames?.cut(.toServer)
      request.lineCountBeforeGap = request.line.count
      return
    }
    requestTransaction?.addRequestGap(count)
    completeRequest(isCut: true)
    request.state = .lost
  }

  /// Passes over lines until one reads like a request.
  private func findRequest(_ bytes: RawSpan, _ at: Int, _ time: Timestamp) -> Int {
    let end = HTTPScan.lineEnd(bytes, at)
    request.line.append(bytes.extracting(at..<(end ?? bytes.byteCount)))
    if request.line.count > settings.metaFieldLimitBytes { request.line = [0] }
    guard end != nil else { return bytes.byteCount }
    let line = request.line
    request.line = []
    if Self.isRequestLine(Array(line.prefix(HTTPText.chompedCount(line))), settings) {
      _ = beginRequest(time)
      request.line = line
      request.state = .line
      parseRequestLine()
    }
    return end ?? bytes.byteCount
  }

  private static func isRequestLine(_ text: [UInt8], _ settings: HTTPSettings) -> Bool {
    let parsed = HTTPRequestLine(text, personality: settings.personality)
    return parsed.methodKind != .unknown && parsed.versionNumber != .invalid && !parsed.lacksVersion
  }
}
