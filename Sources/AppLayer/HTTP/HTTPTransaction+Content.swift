import Traffic

/// Takes body content in: decoding, files, limits.
extension HTTPTransaction {
  /// The request head is complete: what its body will be is known.
  func beginRequestBody() {
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
    requestBody.append(span, limitBytes: settings.requestBodyLimitBytes)
    let kept = span.extracting(0..<min(span.byteCount, Int(truncatingIfNeeded: requestBody.end &- before)))
    if var parts = multipart {
      multipart = nil
      parts.write(kept, event: { take($0) }, content: { addUpload($0) })
      note(parts)
      multipart = parts
    } else if requestLine.methodKind == .post || requestLine.methodKind == .put || appProtocol != .http {
      if uploads.isEmpty {
        let name = clippedName(defaultFileName)
        uploads = [HTTPUpload(record: FileRecord(name: name, direction: .toServer), content: nil)]
      }
      uploads[0].record.sizeBytes = requestBody.end
      if requestBody.isCut { uploads[0].record.state = .truncated }
    }
  }

  private func note(_ parts: HTTPMultipart) {
    if parts.hasInvalidHeader { raise(.multipartInvalidHeader) }
    if parts.hasEmptyFile { raise(.multipartNoFileData) }
  }

  private func take(_ output: HTTPMultipart.Output) {
    switch output {
    case .open(let name):
      uploads.append(
        HTTPUpload(
          record: FileRecord(name: clippedName(name), direction: .toServer), content: HTTPBody()))
    case .close:
      guard let last = uploads.indices.last else { return }
      uploads[last].content?.complete()
      uploads[last].record.state = .closed
    }
  }

  private func addUpload(_ span: RawSpan) {
    guard let last = uploads.indices.last else { return }
    uploads[last].content?.append(span, limitBytes: nil)
    uploads[last].record.sizeBytes &+= UInt64(span.byteCount)
  }

  /// Octets of a request body were lost.
  func addRequestGap(_ count: UInt64) {
    requestWireCount &+= count
    requestBody.appendGap(count)
    for i in uploads.indices where uploads[i].record.state == .open {
      uploads[i].record.hasGap = true
      uploads[i].record.sizeBytes &+= count
      uploads[i].content?.appendGap(count)
    }
  }

  /// Line ends that follow the body: clients of old sent one more, and Suricata counts it in.
  func addBlanksAfterRequest(_ span: RawSpan) {
    guard requestBody.hasContent, multipart == nil, span.byteCount > 0 else { return }
    requestBody.append(span, limitBytes: settings.requestBodyLimitBytes)
    if uploads.count == 1, uploads[0].content == nil { uploads[0].record.sizeBytes = requestBody.end }
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
      parts.finish(event: { take($0) }, content: { addUpload($0) })
      note(parts)
      if isCut, let last = uploads.indices.last { uploads[last].record.state = .truncated }
    }
    requestBody.complete()
    for i in uploads.indices where uploads[i].record.state == .open {
      uploads[i].record.state = isCut || uploads[i].record.hasGap ? .truncated : .closed
    }
    advance(.toServer, to: HTTPProgress.complete)
  }

  // MARK: Response

  /// The response head is complete.
  ///
  /// - Parameter decodes: false where decompression has been given up for this flow.
  func beginResponseBody(decodes: Bool) {
    guard decodes, let coding = responseHead.field(.contentEncoding) else { return }
    var found: [HTTPEvent] = []
    responseDecoder = HTTPDecoder(
      responseHead.text, coding.value, layerLimit: settings.responseBodyDecompressLayerLimit,
      events: &found)
    for event in found { raise(event) }
  }

  func addResponseBody(_ span: RawSpan) {
    responseWireCount &+= UInt64(span.byteCount)
    guard span.byteCount > 0 else { return }
    if responseDecoder.isIdentity {
      addResponseContent(span)
    } else {
      responseDecoder.write(span, settings) { addResponseContent($0) }
      if responseDecoder.hasFailed { raise(.gzipDecompressionFailed) }
      if responseDecoder.isBomb { raise(.compressionBomb) }
    }
  }

  private func addResponseContent(_ span: RawSpan) {
    responseBody.append(span, limitBytes: settings.responseBodyLimitBytes)
    openResponseFile()
    responseFile?.sizeBytes = responseBody.end
    if responseBody.isCut { responseFile?.state = .truncated }
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
    responseBody.appendGap(count)
    openResponseFile()
    responseFile?.hasGap = true
    responseFile?.sizeBytes = responseBody.end
  }

  /// Line ends that follow a body beyond its length, as for requests.
  func addBlanksAfterResponse(_ span: RawSpan) {
    guard responseBody.hasContent, responseHead.field(.contentEncoding) == nil, span.byteCount > 0
    else { return }
    responseWireCount &+= UInt64(span.byteCount)
    responseBody.append(span, limitBytes: settings.responseBodyLimitBytes)
    responseFile?.sizeBytes = responseBody.end
  }

  private func openResponseFile() {
    guard responseFile == nil else { return }
    responseFile = FileRecord(name: clippedName(responseFileName), direction: .toClient)
  }

  func finishResponse(isCut: Bool = false) {
    guard !isComplete(.toClient) else { return }
    if !responseDecoder.isIdentity {
      responseDecoder.finish { addResponseContent($0) }
      if responseDecoder.hasFailed { raise(.gzipDecompressionFailed) }
      responseDecoder = HTTPDecoder()
    }
    responseBody.complete()
    if let file = responseFile, file.state == .open {
      responseFile?.state = isCut || file.hasGap ? .truncated : .closed
    }
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
