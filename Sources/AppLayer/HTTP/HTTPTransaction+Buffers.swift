import Traffic

extension HTTPTransaction {
  func find(_ id: BufferID, _ direction: Direction, index: Int) -> BufferView? {
    guard index >= 0 else { return nil }
    switch id {
    case .httpRequestHeader: return direction == .toServer ? wholeField(requestHead, index, .toServer) : nil
    case .httpResponseHeader: return direction == .toClient ? wholeField(responseHead, index, .toClient) : nil
    case .fileData: return fileData(direction, index)
    case .fileName, .fileMagic: return fileBuffer(id, direction, index: index)
    default: break
    }
    guard index == 0 else { return nil }
    return direction == .toServer ? requestBuffer(id) : responseBuffer(id)
  }

  private func requestBuffer(_ id: BufferID) -> BufferView? {
    guard progress.toServer >= HTTPProgress.headers else { return nil }
    let line = requestLine
    switch id {
    case .httpURI: return target.normalized.map { BufferView($0) }
    case .httpURIRaw: return line.target.map { BufferView(line.bytes, range: $0) }
    case .httpMethod: return line.method.map { BufferView(line.bytes, range: $0) }
    case .httpProtocol: return line.version.map { BufferView(line.bytes, range: $0) }
    case .httpRequestLine: return isUnmatched ? nil : BufferView(line.bytes)
    case .httpRequestBody: return requestBody.view
    default: break
    }
    guard progress.toServer >= HTTPProgress.body else { return nil }
    switch id {
    case .httpHost: return host.map { BufferView($0) }
    case .httpHostRaw: return target.hostname.map { BufferView($0) } ?? value(.host, requestHead)
    case .httpUserAgent: return value(.userAgent, requestHead)
    case .httpReferer: return value(.referer, requestHead)
    case .httpCookie: return value(.cookie, requestHead)
    case .httpAccept: return value(.accept, requestHead)
    case .httpAcceptEncoding: return value(.acceptEncoding, requestHead)
    case .httpAcceptLanguage: return value(.acceptLanguage, requestHead)
    case .httpConnection: return value(.connection, requestHead)
    case .httpContentType: return value(.contentType, requestHead)
    case .httpContentLength: return value(.contentLength, requestHead)
    default: return headBuffer(id, .toServer, requestHead, line.bytes)
    }
  }

  private func responseBuffer(_ id: BufferID) -> BufferView? {
    if id == .httpResponseBody { return responseBody.view }
    guard progress.toClient >= HTTPProgress.headers else { return nil }
    let line = statusLine
    switch id {
    case .httpResponseLine: return line.bytes.isEmpty ? nil : BufferView(line.bytes)
    case .httpProtocol: return line.version.map { BufferView(line.bytes, range: $0) }
    case .httpStatusCode: return line.code.map { BufferView(line.bytes, range: $0) }
    case .httpStatusMessage: return line.message.map { BufferView(line.bytes, range: $0) }
    default: break
    }
    guard progress.toClient >= HTTPProgress.body else { return nil }
    switch id {
    case .httpConnection: return value(.connection, responseHead)
    case .httpCookie: return value(.setCookie, responseHead)
    case .httpContentType: return value(.contentType, responseHead)
    case .httpContentLength: return value(.contentLength, responseHead)
    case .httpLocation: return value(.location, responseHead)
    case .httpServer: return value(.server, responseHead)
    default: return headBuffer(id, .toClient, responseHead, line.bytes)
    }
  }

  private func value(_ known: HTTPKnownField, _ head: HTTPHead) -> BufferView? {
    head.field(known).map { BufferView(head.text, range: $0.value) }
  }

  private func wholeField(_ head: HTTPHead, _ index: Int, _ direction: Direction) -> BufferView? {
    guard progress(direction) >= HTTPProgress.body, index < head.fields.count else { return nil }
    return BufferView(head.text, range: head.fields[index].whole)
  }

  /// Buffers made of the whole head.
  private func headBuffer(
    _ id: BufferID, _ direction: Direction, _ head: HTTPHead, _ line: [UInt8]
  ) -> BufferView? {
    if id == .httpHeaderRaw { return head.raw.isEmpty ? nil : BufferView(head.raw) }
    guard !head.fields.isEmpty || id == .httpStart else { return nil }
    let hidden: HTTPKnownField = direction == .toServer ? .cookie : .setCookie
    if id == .httpHeader, head.field(hidden) == nil { return BufferView(head.text) }
    for made in derived where made.id == id && made.direction == direction { return BufferView(made.bytes) }
    var out: [UInt8] = []
    out.reserveCapacity(id == .httpStart ? line.count + head.text.count + 4 : head.text.count + 4)
    switch id {
    case .httpHeader:
      for field in head.fields where field.known != hidden {
        out.append(contentsOf: head.text[field.whole.lowerBound..<field.whole.upperBound + 2])
      }
      if out.isEmpty { return nil }
    case .httpHeaderNames:
      out.append(13)
      out.append(10)
      for field in head.fields {
        out.append(contentsOf: head.text[field.name])
        out.append(13)
        out.append(10)
      }
      out.append(13)
      out.append(10)
    case .httpStart:
      if line.isEmpty { return nil }
      out.append(contentsOf: line)
      out.append(13)
      out.append(10)
      out.append(contentsOf: head.text)
      out.append(13)
      out.append(10)
    default: return nil
    }
    derived.append(DerivedBuffer(id: id, direction: direction, bytes: out))
    return BufferView(out)
  }

  private func fileData(_ direction: Direction, _ index: Int) -> BufferView? {
    switch direction {
    case .toClient: return index == 0 ? responseBody.view : nil
    case .toServer:
      guard index < filesToServer.count else { return nil }
      return filesToServer[index].content == nil
        ? requestBody.view : fileBuffer(.fileData, .toServer, index: index)
    }
  }
}
