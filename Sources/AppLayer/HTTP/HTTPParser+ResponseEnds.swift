import Traffic

/// How responses end: by themselves, with the connection, in a gap.
extension HTTPParser {
  func completeResponse(isCut: Bool = false) {
    endResponseTransaction(isCut: isCut)
    response.state = .idle
    HTTPText.clear(&response.line)
    response.strayLine = nil
  }

  func failResponse(_ event: HTTPEvent) {
    responseTransaction?.raise(event)
    endResponseTransaction(isCut: true)
    response.line = []
    hasFailed.toClient = true
  }

  /// The server sends nothing more.
  func endResponse(_ time: Timestamp) {
    guard !hasFailed.toClient, successor == nil, let transaction = responseTransaction else { return }
    switch response.state {
    case .idle: return
    case .line:
      if let stray = response.strayLine {
        response.strayLine = nil
        takeStray(stray, next: nil)
      }
      let rest = response.line
      response.line = []
      if HTTPStatusLine.looksLikeStatusLine(rest) {
        response.line = rest
        endStatusLine()
        transaction.advance(.toClient, to: HTTPProgress.body)
      } else if !rest.isEmpty {
        transaction.addResponseBody(rest.rawSpan)
      }
      completeResponse()
    case .head, .trailer:
      let isTrailer = response.state == .trailer
      response.head.finish(into: &transaction.responseHead, settings)
      for event in response.head.events { transaction.raise(event) }
      if !isTrailer { transaction.advance(.toClient, to: HTTPProgress.body) }
      completeResponse()
    case .rest: completeResponse()
    case .chunkSize, .chunkData, .chunkEnd, .body: completeResponse(isCut: true)
    case .lost:
      let rest = response.line
      if !rest.isEmpty { transaction.addResponseBody(rest.rawSpan) }
      completeResponse(isCut: transaction.responseBody.hasGap)
    }
  }

  // MARK: Gaps

  func skipResponseGap(_ count: UInt64, _ time: Timestamp) {
    switch response.state {
    case .body, .chunkData:
      let within = min(count, response.left)
      guard count < response.left || response.state == .body else { break }
      responseTransaction?.addResponseGap(within)
      response.left -= within
      if response.left == 0 { endBody() }
      // What else was lost may have held whole messages.
      if count > within { response.state = .lost }
      return
    case .rest:
      responseTransaction?.addResponseGap(count)
      return
    case .idle, .line, .head, .chunkSize, .chunkEnd, .trailer, .lost: break
    }
    if let transaction = responseTransaction {
      if response.state == .head || response.state == .trailer {
        response.head.settle(into: &transaction.responseHead, settings)
        for event in response.head.events { transaction.raise(event) }
      }
      transaction.advance(.toClient, to: HTTPProgress.body)
      transaction.addResponseGap(count)
    }
    response.line = []
    response.strayLine = nil
    response.state = .lost
  }

  /// Everything up to the next status line belongs to the body that the gap tore.
  func findResponse(_ bytes: RawSpan, _ at: Int, _ time: Timestamp) -> Int {
    let end = HTTPScan.lineEnd(bytes, at)
    response.line.append(bytes.extracting(at..<(end ?? bytes.byteCount)))
    let isWhole = end != nil || response.line.count > settings.metaFieldLimitBytes
    guard isWhole else { return bytes.byteCount }
    let line = response.line
    response.line = []
    let status = HTTPStatusLine(Array(line.prefix(HTTPText.chompedCount(line))))
    if status.versionNumber >= .v10, status.number != nil {
      endResponseTransaction(isCut: responseTransaction?.responseBody.hasGap == true)
      _ = beginResponse(time)
      response.state = .line
      response.line = line
      endStatusLine()
    } else {
      let transaction = responseTransaction ?? beginResponse(time)
      transaction.advance(.toClient, to: HTTPProgress.body)
      transaction.addResponseBody(line.rawSpan)
    }
    return end ?? bytes.byteCount
  }
}
