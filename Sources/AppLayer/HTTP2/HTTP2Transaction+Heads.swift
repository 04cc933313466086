import Traffic

/// Takes in header blocks and bodies.
extension HTTP2Transaction {
  /// The head of a message, or the fields behind its body.
  ///
  /// - Parameter direction: of the message; a push promise carries a request towards the client.
  func takeHead(_ fields: HTTP2FieldList, _ direction: Direction, decodes: Bool) {
    let known = progress(direction)
    if direction == .toServer {
      fromClient.fields.append(fields)
      if known < HTTPProgress.body { beginRequest(fields) } else { add(fields, to: &requestHead) }
    } else {
      fromServer.fields.append(fields)
      if known < HTTPProgress.body {
        beginResponse(fields, decodes: decodes)
      } else {
        add(fields, to: &responseHead)
      }
    }
    touch(direction)
  }

  private func beginRequest(_ fields: HTTP2FieldList) {
    add(fields, to: &requestHead)
    let method = fields.first(":method").map { Array(fields.bytes[$0]) } ?? []
    let path = fields.first(":path").map { Array(fields.bytes[$0]) } ?? []
    // Source: Suricata 8 `http.request_line`: with the end of line that HTTP/1 would have.
    let line = method + [32] + path + Array(" HTTP/2\r\n".utf8)
    requestLine.bytes = line
    requestLine.method = method.isEmpty ? nil : 0..<method.count
    requestLine.methodKind = HTTPMethod(line, 0..<method.count)
    let target = method.count + 1..<method.count + 1 + path.count
    requestLine.target = path.isEmpty ? nil : target
    requestLine.version = target.upperBound + 1..<line.count - 2
    requestLine.versionNumber = .v11
    if !path.isEmpty {
      self.target = HTTPTarget(line, target, isAuthority: false, settings: settings)
    }
    readHost(fields)
    if method == Array("CONNECT".utf8), let wanted = fields.first(":protocol") {
      asksForWebSocket = HTTPText.equals(fields.bytes, wanted, "websocket")
    }
    readDNSRequest(fields, path)
    advance(.toServer, to: HTTPProgress.body)
    beginRequestBody()
  }

  private func readHost(_ fields: HTTP2FieldList) {
    let authority = fields.first(":authority")
    let hostField = fields.first("host")
    if let authority {
      let bytes = fields.bytes
      if let at = bytes[authority].firstIndex(of: UInt8(ascii: "@")) {
        raise(HTTP2Event.userInfoInURI)
        setHost(bytes, at + 1..<authority.upperBound)
      } else {
        setHost(bytes, authority)
      }
      if let hostField,
        !bytes[authority].lazy.map(HTTPText.lower).elementsEqual(bytes[hostField].lazy.map(HTTPText.lower))
      {
        raise(HTTP2Event.authorityHostMismatch)
      }
      target.hostname = Array(bytes[authority])
    } else if let hostField {
      setHost(fields.bytes, hostField)
      target.hostname = Array(fields.bytes[hostField])
    }
  }

  private func setHost(_ bytes: [UInt8], _ range: Range<Int>) {
    guard let found = HTTPHost(bytes, range) else {
      host = bytes[range].map(HTTPText.lower)
      return
    }
    host = found.name(in: bytes)
    port = found.port
  }

  private func beginResponse(_ fields: HTTP2FieldList, decodes: Bool) {
    let status = fields.first(":status").map { Array(fields.bytes[$0]) } ?? []
    let line = Array("HTTP/2 ".utf8) + status + [13, 10]
    statusLine = HTTPStatusLine(line)
    responseHead.removeAll()
    add(fields, to: &responseHead)
    // An interim response gives way to the next (RFC 9110 section 15.2).
    if let number = statusLine.number, (100...199).contains(number) { return }
    readDNSResponse(fields)
    advance(.toClient, to: HTTPProgress.body)
    beginResponseBody(decodes: decodes)
  }

  /// Cookies may come as crumbs, which servers join with "; " (RFC 9113 section 8.2.3).
  private func add(_ fields: HTTP2FieldList, to head: inout HTTPHead) {
    var crumbs: [Range<Int>] = []
    for entry in fields.entries where entry.sizeUpdate == nil {
      if HTTPText.equals(fields.bytes, entry.name, "cookie") { crumbs.append(entry.value) }
    }
    var hasCookie = false
    for entry in fields.entries where entry.sizeUpdate == nil {
      guard crumbs.count > 1, HTTPText.equals(fields.bytes, entry.name, "cookie") else {
        _ = head.add(fields.bytes, name: entry.name, value: fields.bytes, value: entry.value)
        continue
      }
      if hasCookie { continue }
      hasCookie = true
      let joined = Array(crumbs.map { fields.bytes[$0] }.joined(separator: [59, 32]))
      _ = head.add(fields.bytes, name: entry.name, value: joined, value: 0..<joined.count)
    }
  }

  // MARK: DNS over HTTPS (RFC 8484)

  static let dnsMediaType: StaticString = "application/dns-message"

  /// Whether a request is about DNS: it accepts such an answer, or brings such a question.
  static func isDNS(_ fields: HTTP2FieldList) -> Bool {
    for name: StaticString in ["accept", "content-type"] {
      if let value = fields.last(name), HTTPText.equals(fields.bytes, value, dnsMediaType) { return true }
    }
    return false
  }

  private func readDNSRequest(_ fields: HTTP2FieldList, _ path: [UInt8]) {
    guard appProtocol == .doh2 else { return }
    if let type = fields.last("content-type"), HTTPText.equals(fields.bytes, type, Self.dnsMediaType) {
      carriesDNS.toServer = true
      return
    }
    guard let text = Self.dnsParameter(path) else { return }
    guard text.count <= Self.dnsBytesMax else {
      raise(HTTP2Event.dnsRequestTooLong)
      return
    }
    if let message = Base64URL.decode(path, text) { takeDNS(message, .toServer) }
  }

  private func readDNSResponse(_ fields: HTTP2FieldList) {
    guard appProtocol == .doh2, let type = fields.last("content-type"),
      HTTPText.equals(fields.bytes, type, Self.dnsMediaType)
    else { return }
    carriesDNS.toClient = true
  }

  /// Where the value of `dns` stands in the query of a target.
  private static func dnsParameter(_ path: [UInt8]) -> Range<Int>? {
    guard let question = path.firstIndex(of: UInt8(ascii: "?")) else { return nil }
    var start = question + 1
    while start < path.count {
      let end = path[start...].firstIndex(of: UInt8(ascii: "&")) ?? path.count
      if HTTPText.hasPrefix(path, start..<end, "dns=") { return start + 4..<end }
      start = end + 1
    }
    return nil
  }

  // MARK: Bodies

  func takeBody(_ bytes: RawSpan, _ direction: Direction) {
    addDNS(bytes, direction)
    if direction == .toServer { addRequestBody(bytes) } else { addResponseBody(bytes) }
    touch(direction)
  }

  func takeGap(_ count: UInt64, _ direction: Direction) {
    if direction == .toServer { addRequestGap(count) } else { addResponseGap(count) }
    touch(direction)
  }

  /// The direction is over.
  ///
  /// - Parameter isCut: not by its own end.
  func end(_ direction: Direction, isCut: Bool) {
    guard !isComplete(direction) else { return }
    if !isCut { finishDNS(direction) }
    if direction == .toServer { finishRequest(isCut: isCut) } else { finishResponse(isCut: isCut) }
  }
}

/// Base64 with the alphabet for names of files and URLs (RFC 4648 section 5), padding optional.
enum Base64URL {
  /// - Returns: nil for octets outside of the alphabet.
  static func decode(_ bytes: [UInt8], _ range: Range<Int>) -> [UInt8]? {
    var out: [UInt8] = []
    out.reserveCapacity(range.count * 3 / 4)
    var bits: UInt32 = 0
    var count = 0
    for byte in bytes[range] {
      let value: UInt8
      switch byte {
      case 65...90: value = byte &- 65
      case 97...122: value = byte &- 71
      case 48...57: value = byte &+ 4
      case 45, 43: value = 62
      case 95, 47: value = 63
      case 61: continue
      default: return nil
      }
      bits = bits << 6 | UInt32(value)
      count += 6
      if count >= 8 {
        count -= 8
        out.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
      }
    }
    return out
  }
}
