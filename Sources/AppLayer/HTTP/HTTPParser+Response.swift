import Traffic

/// Where reading the responses stands.
struct HTTPResponseSide {
  enum State {
    case idle
    case line
    case head
    /// A body of known length.
    case body
    /// A body that ends with the connection.
    case rest
    case chunkSize, chunkData, chunkEnd
    case trailer
    /// After a gap: looking for a status line; what comes before belongs to the body.
    case lost
  }

  var state = State.idle
  /// The unfinished line.
  var line: [UInt8] = []
  /// A line where the status line should be, until the next byte tells what to do with it.
  var strayLine: [UInt8]?
  var strayCount = 0
  var head = HTTPHeadReader(isResponse: true)
  var left: UInt64 = 0
  /// The length was given in a form that readers take differently: what follows it may belong to it.
  var isLengthDoubtful = false
  /// The server has ended, or is looked at no further.
  var isOver = false
}

extension HTTPParser {
  /// Octets before a status line after which there will be none.
  private static var strayCountMax: Int { 16_384 }

  func consumeResponse(_ chunk: borrowing StreamChunk) {
    if chunk.gapBefore > 0 { skipResponseGap(chunk.gapBefore, chunk.time) }
    feedResponse(chunk.bytes, chunk.time)
    guard chunk.isEnd else { return }
    response.isOver = true
    if successor == nil { endResponse(chunk.time) }
  }

  func feedResponse(_ bytes: RawSpan, _ time: Timestamp) {
    var at = 0
    while at < bytes.byteCount, !hasFailed.toClient {
      if successor != nil {
        holdForSuccessor(bytes.extracting(at..<bytes.byteCount), .toClient)
        return
      }
      let (start, wasIdle) = (at, response.state == .idle)
      at = stepResponse(bytes, at, time)
      if !wasIdle { frames?.feed(bytes.extracting(start..<max(start, at)), .toClient) }
    }
  }

  private func stepResponse(_ bytes: RawSpan, _ at: Int, _ time: Timestamp) -> Int {
    switch response.state {
    case .idle: return startResponse(bytes, at, time)
    case .line: return readStatusLine(bytes, at)
    case .head, .trailer: return readResponseHead(bytes, at, time)
    case .body, .chunkData: return readResponseBody(bytes, at)
    case .rest:
      responseTransaction?.addResponseBody(bytes.extracting(at..<bytes.byteCount))
      return bytes.byteCount
    case .chunkSize: return readResponseChunkSize(bytes, at)
    case .chunkEnd:
      let end = HTTPScan.lineEnd(bytes, at)
      responseTransaction?.responseWireCount &+= UInt64((end ?? bytes.byteCount) - at)
      if end != nil { response.state = .chunkSize }
      return end ?? bytes.byteCount
    case .lost: return findResponse(bytes, at, time)
    }
  }

  private func startResponse(_ bytes: RawSpan, _ at: Int, _ time: Timestamp) -> Int {
    HTTPText.clear(&response.line)
    response.strayLine = nil
    response.strayCount = 0
    if let expected = expectedTransaction, expected === requestTransaction { settleShortRequest() }
    if let expected = expectedTransaction, expected.isShort {
      // HTTP/0.9 has no status line.
      beginRest(beginResponse(time))
      return at
    }
    var i = at
    while i < bytes.byteCount, HTTPScan.isLineEnd(bytes.u8(at: i)) { i += 1 }
    if i > at { lastResponse?.addBlanksAfterResponse(bytes.extracting(at..<i)) }
    guard i < bytes.byteCount else { return i }
    let transaction = beginResponse(time)
    if transaction === requestTransaction, request.state == .line {
      transaction.raise(.requestLineIncomplete)
    }
    response.state = .line
    return i
  }

  private func beginRest(_ transaction: HTTPTransaction) {
    transaction.advance(.toClient, to: HTTPProgress.body)
    response.state = .rest
  }

  // MARK: Status line

  private func readStatusLine(_ bytes: RawSpan, _ at: Int) -> Int {
    if let stray = response.strayLine {
      response.strayLine = nil
      takeStray(stray, next: bytes.u8(at: at))
    }
    // A CR is the end of a line, but a LF behind it belongs to it.
    if response.line.last == HTTPText.cr {
      let isLF = bytes.u8(at: at) == HTTPText.lf
      if isLF { response.line.append(HTTPText.lf) }
      endStatusLine()
      return isLF ? at + 1 : at
    }
    guard let end = HTTPScan.anyLineEnd(bytes, at) else {
      response.line.append(bytes.extracting(at..<bytes.byteCount))
      checkStatusLineLength()
      return bytes.byteCount
    }
    response.line.append(bytes.extracting(at..<end + 1))
    if bytes.u8(at: end) == HTTPText.lf { endStatusLine() }
    return end + 1
  }

  private func checkStatusLineLength() {
    guard response.line.count > settings.metaFieldLimitBytes, let transaction = responseTransaction
    else { return }
    if HTTPStatusLine.looksLikeStatusLine(response.line) {
      failResponse(.responseFieldTooLong)
      return
    }
    let stray = response.line
    response.line = []
    transaction.addResponseBody(stray.rawSpan)
    beginRest(transaction)
  }

  func endStatusLine() {
    guard let transaction = responseTransaction else { return }
    let count = HTTPText.chompedCount(response.line)
    if count == 0 { return HTTPText.clear(&response.line) }
    if !HTTPStatusLine.looksLikeStatusLine(response.line) {
      response.strayLine = response.line
      response.line = []
      return
    }
    // Moved, and its room taken in turn, as that of a request is.
    response.line.removeLast(response.line.count - count)
    transaction.statusLine.reset()
    swap(&transaction.statusLine.bytes, &response.line)
    HTTPText.clear(&response.line)
    transaction.statusLine.read()
    if transaction.statusLine.versionNumber == .invalid { transaction.raise(.responseInvalidProtocol) }
    if transaction.statusLine.number == nil { transaction.raise(.responseInvalidStatus) }
    transaction.advance(.toClient, to: HTTPProgress.headers)
    response.head.restart()
    response.state = .head
  }

  /// A line that is no status line: browsers show it, unless the next line could be one.
  func takeStray(_ line: [UInt8], next: UInt8?) {
    guard let transaction = responseTransaction else { return }
    if next == UInt8(ascii: "H") || (next != nil && HTTPText.chompedCount(line) <= 2) { return }
    transaction.addResponseBody(line.rawSpan)
    response.strayCount += line.count
    if response.strayCount > Self.strayCountMax { beginRest(transaction) }
  }

  // MARK: Head

  private func readResponseHead(_ bytes: RawSpan, _ at: Int, _ time: Timestamp) -> Int {
    guard let transaction = responseTransaction else { return bytes.byteCount }
    let outcome = response.head.take(bytes, from: at, into: &transaction.responseHead, settings)
    for event in response.head.events { transaction.raise(event) }
    switch outcome {
    case .needMore: return bytes.byteCount
    case .tooLong:
      failResponse(.responseFieldTooLong)
      return bytes.byteCount
    case .ended(let next, let carry):
      if response.state == .trailer {
        completeResponse()
      } else {
        endResponseHead(transaction)
      }
      if !carry.isEmpty { feedResponse(carry.rawSpan, time) }
      return next
    }
  }

  private func endResponseHead(_ transaction: HTTPTransaction) {
    let head = transaction.responseHead
    let status = transaction.statusLine.number ?? 0
    let coding = head.field(.transferEncoding)
    let length = head.field(.contentLength)
    let hasFraming = coding != nil || length != nil
    if transaction.requestLine.methodKind == .connect, !transaction.isUnmatched {
      if (200...299).contains(status) { return openTunnel(transaction) }
      refuseTunnel(transaction)
    }
    if status == 101, !hasFraming { return upgrade(transaction) }
    if (100...199).contains(status), status != 101, coding == nil,
      (length.flatMap { HTTPText.contentLength(head.text, $0.value) } ?? 0) == 0
    {
      return passInterim(transaction)
    }
    if (400...499).contains(status) { abandonExpectedBody(transaction) }
    transaction.beginResponseBody(decodes: decompresses)
    transaction.advance(.toClient, to: HTTPProgress.body)
    if transaction.requestLine.methodKind == .head { return completeResponse() }
    if [101, 204, 304].contains(status) || (100...199).contains(status) {
      // Such responses have no body, but browsers read what is announced.
      if !hasFraming { return completeResponse() }
      transaction.raise(.responseBodyUnexpected)
    }
    frameResponseBody(transaction, coding, length)
  }

  private func frameResponseBody(
    _ transaction: HTTPTransaction, _ coding: HTTPField?, _ length: HTTPField?
  ) {
    let text = transaction.responseHead.text
    if let coding, HTTPText.containsIgnoringNUL(text, coding.value, "chunked") {
      if !HTTPText.equals(text, coding.value, "chunked") {
        transaction.raise(.responseAbnormalTransferEncoding)
      }
      if transaction.statusLine.versionNumber < .v11 { transaction.raise(.responseChunkedOldProtocol) }
      response.state = .chunkSize
    } else if let length {
      guard let count = HTTPText.contentLength(text, length.value) else {
        transaction.raise(.invalidResponseContentLength)
        response.state = .rest
        return
      }
      response.left = count
      response.isLengthDoubtful = !length.value.allSatisfy { HTTPText.isDigit(text[$0]) }
      response.state = .body
      if count == 0 { endBody() }
    } else {
      if let type = transaction.responseHead.field(.contentType),
        HTTPText.containsIgnoringNUL(text, type.value, "multipart/byteranges")
      {
        transaction.raise(.responseByteRanges)
      }
      response.state = .rest
    }
  }

  /// 100 Continue and its kin: the real response follows.
  private func passInterim(_ transaction: HTTPTransaction) {
    if transaction.statusLine.number == 100 {
      if transaction.hasSeenContinue { transaction.raise(.continueAlreadySeen) }
      transaction.hasSeenContinue = true
    }
    transaction.responseHead.removeAll()
    response.state = .line
    response.strayCount = 0
  }

  /// The server refuses before the client has sent the body it announced with Expect.
  private func abandonExpectedBody(_ transaction: HTTPTransaction) {
    guard transaction === requestTransaction, request.state == .body,
      transaction.requestBody.seenCount == 0, let field = transaction.requestHead.field(.expect),
      HTTPText.equals(transaction.requestHead.text, field.value, "100-continue")
    else { return }
    completeRequest()
  }

  private func upgrade(_ transaction: HTTPTransaction) {
    transaction.advance(.toClient, to: HTTPProgress.body)
    var next = ProtocolChange.recognise
    if let field = transaction.responseHead.field(.upgrade) {
      let text = transaction.responseHead.text
      if HTTPText.containsIgnoringNUL(text, field.value, "h2c") {
        next = .to(.http2)
        upgraded = transaction
      } else if HTTPText.equals(text, field.value, "websocket") {
        next = .to(.websocket)
        upgraded = transaction
      }
    }
    completeResponse()
    change(to: next)
  }

  private func openTunnel(_ transaction: HTTPTransaction) {
    transaction.advance(.toClient, to: HTTPProgress.body)
    let early = transaction === requestTransaction && request.state == .connect ? request.line : []
    request.line = []
    transaction.finishRequest()
    completeResponse()
    change(to: .recognise)
    holdForSuccessor(early.rawSpan, .toServer)
  }

  /// The proxy said no: the connection goes on with the next request.
  private func refuseTunnel(_ transaction: HTTPTransaction) {
    guard transaction === requestTransaction, request.state == .connect else { return }
    let early = request.line
    completeRequest()
    feedRequest(early.rawSpan, transaction.start)
  }

  // MARK: Body

  private func readResponseBody(_ bytes: RawSpan, _ at: Int) -> Int {
    let count = Int(min(UInt64(bytes.byteCount - at), response.left))
    responseTransaction?.addResponseBody(bytes.extracting(at..<at + count))
    response.left -= UInt64(count)
    if response.left == 0 {
      if response.state == .chunkData { response.state = .chunkEnd } else { endBody() }
    }
    return at + count
  }

  func endBody() {
    if response.isLengthDoubtful {
      response.line = []
      response.state = .lost
    } else {
      completeResponse()
    }
  }

  private func readResponseChunkSize(_ bytes: RawSpan, _ at: Int) -> Int {
    let end = HTTPScan.lineEnd(bytes, at)
    response.line.append(bytes.extracting(at..<(end ?? bytes.byteCount)))
    let size = HTTPChunkSize(response.line)
    if size == .invalid || response.line.count > settings.metaFieldLimitBytes {
      // Not chunked after all: browsers show what there is.
      let line = response.line
      response.line = []
      responseTransaction?.raise(.invalidResponseChunkLength)
      responseTransaction?.addResponseBody(line.rawSpan)
      response.state = .rest
      return end ?? bytes.byteCount
    }
    guard end != nil else { return bytes.byteCount }
    responseTransaction?.responseWireCount &+= UInt64(response.line.count)
    HTTPText.clear(&response.line)
    if case .size(let count, let hasExtension) = size {
      if hasExtension { responseTransaction?.raise(.responseChunkExtension) }
      response.left = count
      response.state = .chunkData
      if count == 0 {
        response.state = .trailer
        response.head.restart()
        responseTransaction?.advance(.toClient, to: HTTPProgress.trailer)
      }
    }
    return end ?? bytes.byteCount
  }
}
