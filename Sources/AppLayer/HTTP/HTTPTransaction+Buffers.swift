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
    // Parts are taken where they are: a copy of a line or head would count references to all that it holds.
    switch id {
    case .httpURI: return target.normalized.map { BufferView($0) }
    case .httpURIRaw: return Self.part(requestLine.bytes, requestLine.target)
    case .httpMethod: return Self.part(requestLine.bytes, requestLine.method)
    case .httpProtocol: return Self.part(requestLine.bytes, requestLine.version)
    case .httpRequestLine: return isUnmatched ? nil : BufferView(requestLine.bytes)
    case .httpRequestBody: return requestBody.view
    default: break
    }
    guard progress.toServer >= HTTPProgress.body else { return nil }
    switch id {
    case .httpHost: return hasHost ? BufferView(hostName) : nil
    case .httpHostRaw: return target.hostname.map { BufferView($0) } ?? requestHead.value(.host)
    case .httpUserAgent: return requestHead.value(.userAgent)
    case .httpReferer: return requestHead.value(.referer)
    case .httpCookie: return requestHead.value(.cookie)
    case .httpAccept: return requestHead.value(.accept)
    case .httpAcceptEncoding: return requestHead.value(.acceptEncoding)
    case .httpAcceptLanguage: return requestHead.value(.acceptLanguage)
    case .httpConnection: return requestHead.value(.connection)
    case .httpContentType: return requestHead.value(.contentType)
    case .httpContentLength: return requestHead.value(.contentLength)
    default: return headBuffer(id, .toServer)
    }
  }

  private func responseBuffer(_ id: BufferID) -> BufferView? {
    if id == .httpResponseBody { return responseBody.view }
    guard progress.toClient >= HTTPProgress.headers else { return nil }
    switch id {
    case .httpResponseLine: return statusLine.bytes.isEmpty ? nil : BufferView(statusLine.bytes)
    case .httpProtocol: return Self.part(statusLine.bytes, statusLine.version)
    case .httpStatusCode: return Self.part(statusLine.bytes, statusLine.code)
    case .httpStatusMessage: return Self.part(statusLine.bytes, statusLine.message)
    default: break
    }
    guard progress.toClient >= HTTPProgress.body else { return nil }
    switch id {
    case .httpConnection: return responseHead.value(.connection)
    case .httpCookie: return responseHead.value(.setCookie)
    case .httpContentType: return responseHead.value(.contentType)
    case .httpContentLength: return responseHead.value(.contentLength)
    case .httpLocation: return responseHead.value(.location)
    case .httpServer: return responseHead.value(.server)
    default: return headBuffer(id, .toClient)
    }
  }

  private static func part(_ bytes: [UInt8], _ range: Range<Int>?) -> BufferView? {
    range.map { BufferView(bytes, range: $0) }
  }

  private func wholeField(_ head: HTTPHead, _ index: Int, _ direction: Direction) -> BufferView? {
    guard progress(direction) >= HTTPProgress.body, index < head.fields.count else { return nil }
    return BufferView(head.text, range: head.fields[index].whole)
  }

  /// Buffers made of the whole head.
  private func headBuffer(_ id: BufferID, _ direction: Direction) -> BufferView? {
    // Each head by its name: to choose one of them would copy it.
    if direction == .toServer {
      if id == .httpHeaderRaw { return requestHead.raw.isEmpty ? nil : BufferView(requestHead.raw) }
      guard !requestHead.fields.isEmpty || id == .httpStart else { return nil }
      if id == .httpHeader, !requestHead.has(.cookie) { return BufferView(requestHead.text) }
    } else {
      if id == .httpHeaderRaw { return responseHead.raw.isEmpty ? nil : BufferView(responseHead.raw) }
      guard !responseHead.fields.isEmpty || id == .httpStart else { return nil }
      if id == .httpHeader, !responseHead.has(.setCookie) { return BufferView(responseHead.text) }
    }
    for made in derived where made.id == id && made.direction == direction {
      return BufferView(derivedText, range: made.range)
    }
    return derive(id, direction) { out in
      direction == .toServer
        ? Self.put(id, requestHead, hidden: .cookie, requestLine.bytes, onto: &out)
        : Self.put(id, responseHead, hidden: .setCookie, statusLine.bytes, onto: &out)
    }
  }

  /// Puts a buffer together.
  ///
  /// - Returns: false where there is none.
  private static func put(
    _ id: BufferID, _ head: borrowing HTTPHead, hidden: HTTPKnownField, _ line: [UInt8], onto out: inout [UInt8]
  ) -> Bool {
    let start = out.count
    out.reserveCapacity(start + head.text.count + 4 + (id == .httpStart ? line.count : 0))
    switch id {
    case .httpHeader:
      for field in head.fields where field.known != hidden {
        out.append(head.text.rawSpan.extracting(field.whole.lowerBound..<field.whole.upperBound + 2))
      }
      return out.count > start
    case .httpHeaderNames:
      out.append(13)
      out.append(10)
      for field in head.fields {
        out.append(head.text.rawSpan.extracting(field.name))
        out.append(13)
        out.append(10)
      }
      out.append(13)
      out.append(10)
      return true
    case .httpStart:
      if line.isEmpty { return false }
      out.append(line.rawSpan)
      out.append(13)
      out.append(10)
      out.append(head.text.rawSpan)
      out.append(13)
      out.append(10)
      return true
    default: return false
    }
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
