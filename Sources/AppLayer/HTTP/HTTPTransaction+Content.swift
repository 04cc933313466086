import Traffic

/// Takes body content in: decoding, files, limits.
extension HTTPTransaction {
  /// The request head is complete: what its body will be is known.
  func beginRequestBody() {
    guard looksAtContent else { return }
    if let coding = requestHead.field(.contentEncoding) {
      var found: [HTTPEvent] = []
      requestDecoder = HTTPDecoder(
        requestHead.text, coding.value, layerLimit: settings.responseBodyDecompressLayerLimit,
        events: &found)
      for event in found { raise(event) }
    }
    // Suricata takes the body of an HTTP/2 request for one file, whatever its type.
    guard appProtocol == .http else { return }
    switch requestLine.methodKind {
    case .post:
      if let type = requestHead.field(.contentType) {
        multipart = HTTPMultipart(contentType: requestHead.text, type.value)
      }
    case .unknown, .get, .head, .put, .connect, .other: break
    }
  }

  func addRequestBody(_ span: RawSpan) {
    requestWireCount &+= UInt64(span.byteCount)
    guard span.byteCount > 0 else { return }
    guard looksAtContent else { return requestBody.pass(span.byteCount) }
    if requestDecoder.isIdentity {
      addRequestContent(span)
    } else {
      requestDecoder.write(span, settings) { addRequestContent($0) }
      if requestDecoder.hasFailed { raise(.gzipDecompressionFailed) }
      if requestDecoder.isBomb { raise(.compressionBomb) }
    }
  }

  private func addRequestContent(_ span: RawSpan) {
    let before = requestBody.end
    requestBody.append(span, limitBytes: requestLimitBytes)
    let kept = span.extracting(0..<min(span.byteCount, Int(truncatingIfNeeded: requestBody.end &- before)))
    if var parts = multipart {
      multipart = nil
      parts.write(kept, event: { take($0) }, content: { addUpload($0) })
      note(parts)
      multipart = parts
    } else if requestLine.methodKind == .post || requestLine.methodKind == .put || appProtocol != .http {
      let file = filesToServer.first ?? addFile(clippedName(defaultFileName), .toServer)
      file.append(kept)
      if requestBody.isCut { file.close(isCut: true) }
    }
  }

  private var requestLimitBytes: UInt64? {
    limit(settings.requestBodyLimitBytes)
  }

  private var responseLimitBytes: UInt64? {
    limit(settings.responseBodyLimitBytes)
  }

  private func limit(_ ownBytes: UInt64?) -> UInt64? {
    flowFiles.map { $0.examiner.bodyLimitBytes(ownBytes) } ?? ownBytes
  }

  private func note(_ parts: HTTPMultipart) {
    if parts.hasInvalidHeader { raise(.multipartInvalidHeader) }
    if parts.hasEmptyFile { raise(.multipartNoFileData) }
  }

  private func take(_ output: HTTPMultipart.Output) {
    switch output {
    case .open(let name): addFile(clippedName(name), .toServer, content: HTTPBody())
    case .close:
      filesToServer.last?.content?.complete()
      filesToServer.last?.close()
    }
  }

  private func addUpload(_ span: RawSpan) {
    guard let file = filesToServer.last else { return }
    file.content?.append(span, limitBytes: nil)
    file.append(span)
  }

  /// Octets of a request body were lost.
  func addRequestGap(_ count: UInt64) {
    requestWireCount &+= count
    var isKept = requestBody.appendGap(count, keepsUninspected: true)
    for file in filesToServer where file.state == .open {
      file.appendGap(count)
      if file.content?.appendGap(count, keepsUninspected: true) == false { isKept = false }
    }
    if !isKept { raise(.bodyHolesLimit) }
  }

  /// Line ends that follow the body: clients of old sent one more, and Suricata counts it in.
  func addBlanksAfterRequest(_ span: RawSpan) {
    guard requestBody.hasContent, multipart == nil, span.byteCount > 0 else { return }
    requestBody.append(span, limitBytes: requestLimitBytes)
    if filesToServer.count == 1, filesToServer[0].content == nil {
      filesToServer[0].addTrailing(span.byteCount)
    }
  }

  /// - Parameter isCut: the connection ended before the body did.
  func finishRequest(isCut: Bool = false) {
    guard !isComplete(.toServer) else { return }
    if !requestDecoder.isIdentity {
      requestDecoder.finish { addRequestContent($0) }
      requestDecoder = HTTPDecoder()
    }
    if var parts = multipart {
      multipart = nil
      parts.finish(
        event: { output in
          // The end of a body that was cut is not the end of the file in it.
          if case .close = output, isCut { filesToServer.last?.close(isCut: true) }
          take(output)
        }, content: { addUpload($0) })
      note(parts)
    }
    requestBody.complete()
    for file in filesToServer { file.close(isCut: isCut) }
    advance(.toServer, to: HTTPProgress.complete)
  }

  // MARK: Response

  /// The response head is complete.
  ///
  /// - Parameter decodes: false where decompression has been given up for this flow.
  func beginResponseBody(decodes: Bool) {
    guard decodes, looksAtContent, let coding = responseHead.field(.contentEncoding) else { return }
    var found: [HTTPEvent] = []
    responseDecoder = HTTPDecoder(
      responseHead.text, coding.value, layerLimit: settings.responseBodyDecompressLayerLimit,
      events: &found)
    for event in found { raise(event) }
  }

  func addResponseBody(_ span: RawSpan) {
    responseWireCount &+= UInt64(span.byteCount)
    guard span.byteCount > 0 else { return }
    guard looksAtContent else { return responseBody.pass(span.byteCount) }
    if responseDecoder.isIdentity {
      addResponseContent(span)
    } else {
      responseDecoder.write(span, settings) { addResponseContent($0) }
      if responseDecoder.hasFailed { raise(.gzipDecompressionFailed) }
      if responseDecoder.isBomb { raise(.compressionBomb) }
    }
  }

  private func addResponseContent(_ span: RawSpan) {
    let before = responseBody.end
    responseBody.append(span, limitBytes: responseLimitBytes)
    let kept = min(span.byteCount, Int(truncatingIfNeeded: responseBody.end &- before))
    let file = responseFile
    file.append(span.extracting(0..<kept))
    if responseBody.isCut { file.close(isCut: true) }
  }

  private var responseFileName: [UInt8] {
    if let field = responseHead.field(.contentDisposition),
      let name = HTTPDisposition.fileName(responseHead.text, field.value)
    {
      return name
    }
    return defaultFileName
  }

  /// The path, but for HTTP/2, where Suricata names no file by it.
  private var defaultFileName: [UInt8] { appProtocol == .http ? target.path ?? [] : [] }

  func addResponseGap(_ count: UInt64) {
    responseWireCount &+= count
    // Compressed data cannot be understood beyond a gap.
    if !responseDecoder.isIdentity {
      responseDecoder.finish { addResponseContent($0) }
      responseDecoder = HTTPDecoder()
    }
    if !responseBody.appendGap(count, keepsUninspected: true) { raise(.bodyHolesLimit) }
    if looksAtContent { responseFile.appendGap(count) }
  }

  /// Line ends that follow a body beyond its length, as for requests.
  func addBlanksAfterResponse(_ span: RawSpan) {
    guard responseBody.hasContent, responseHead.field(.contentEncoding) == nil, span.byteCount > 0
    else { return }
    responseWireCount &+= UInt64(span.byteCount)
    responseBody.append(span, limitBytes: responseLimitBytes)
    filesToClient.first?.addTrailing(span.byteCount)
  }

  /// The one file of the response, begun with its first octet.
  private var responseFile: TransferFile {
    if let known = filesToClient.first { return known }
    let file = addFile(clippedName(responseFileName), .toClient)
    if let field = responseHead.field(.contentRange) {
      file.part = HTTPContentRange.parse(responseHead.text, field.value)
    }
    return file
  }

  func finishResponse(isCut: Bool = false) {
    guard !isComplete(.toClient) else { return }
    if !responseDecoder.isIdentity {
      responseDecoder.finish { addResponseContent($0) }
      if responseDecoder.hasFailed { raise(.gzipDecompressionFailed) }
      responseDecoder = HTTPDecoder()
    }
    responseBody.complete()
    for file in filesToClient { file.close(isCut: isCut) }
    advance(.toClient, to: HTTPProgress.complete)
  }

  private func clippedName(_ name: [UInt8]) -> [UInt8] {
    guard name.count > settings.fileNameLimitBytes else { return name }
    raise(.fileNameTooLong)
    return Array(name.prefix(settings.fileNameLimitBytes))
  }
}

/// RFC 6266 as browsers and Suricata read it: the first `filename=` outside of quotes.
enum HTTPDisposition {
  static func fileName(_ bytes: [UInt8], _ range: Range<Int>) -> [UInt8]? {
    var start = range.lowerBound
    var isQuoted = false
    for i in range.lowerBound...range.upperBound {
      if i < range.upperBound {
        if bytes[i] == 34, i == range.lowerBound || bytes[i - 1] != 92 { isQuoted.toggle() }
        guard bytes[i] == 59, !isQuoted else { continue }
      }
      let token = HTTPText.trimmed(bytes, start..<i)
      start = i + 1
      guard token.count > 9, HTTPText.hasPrefix(bytes, token, "filename=") else { continue }
      var value = token.lowerBound + 9..<token.upperBound
      if bytes[value.lowerBound] == 34 { value = value.lowerBound + 1..<value.upperBound }
      if !value.isEmpty, bytes[value.upperBound - 1] == 34 {
        value = value.lowerBound..<value.upperBound - 1
      }
      return Array(bytes[value])
    }
    return nil
  }
}
