import Traffic

/// A field of a head as events show it.
public struct HTTPFieldView: Sendable {
  public let name: BufferView
  public let value: BufferView
}

/// What event records tell of an exchange; bytes are as they were sent.
extension HTTPTransaction {
  /// Host without port, from the request target where that is absolute (EVE `http.hostname`).
  public var hostname: BufferView? { host.map { BufferView($0) } }
  /// Port that the Host field or an absolute target names (EVE `http.http_port`).
  public var hostPort: Int? { port }
  /// Request target as sent (EVE `http.url`).
  public var url: BufferView? { requestLine.target.map { BufferView(requestLine.bytes, range: $0) } }
  public var userAgent: BufferView? { field(.userAgent, requestHead) }
  /// Of the response, without parameters (EVE `http.http_content_type`).
  public var responseContentType: BufferView? {
    guard var view = field(.contentType, responseHead) else { return nil }
    if let semicolon = HTTPText.firstIndex(of: 59, in: view.storage, view.range) {
      view.range = view.range.lowerBound..<semicolon
    }
    return view
  }
  public var referer: BufferView? { field(.referer, requestHead) }
  public var method: BufferView? { requestLine.method.map { BufferView(requestLine.bytes, range: $0) } }
  /// Protocol field of the request line (EVE `http.protocol`).
  public var protocolText: BufferView? {
    requestLine.version.map { BufferView(requestLine.bytes, range: $0) }
  }
  /// The status code where it is a number (EVE `http.status`), else see `statusText`.
  public var status: Int? { statusLine.number }
  public var statusText: BufferView? { statusLine.code.map { BufferView(statusLine.bytes, range: $0) } }
  /// Value of Location (EVE `http.redirect`).
  public var redirect: BufferView? { field(.location, responseHead) }
  /// Octets of the response body on the wire, its framing included (EVE `http.length`).
  public var responseLengthBytes: UInt64 { responseWireCount }
  /// Octets of the response body without codings.
  public var responseContentBytes: UInt64 { responseBody.seenCount }
  public var requestLengthBytes: UInt64 { requestWireCount }
  /// Value of Content-Range (EVE `http.content_range`).
  public var contentRange: BufferView? { field(.contentRange, responseHead) }

  private func field(_ known: HTTPKnownField, _ head: HTTPHead) -> BufferView? {
    head.field(known).map { BufferView(head.text, range: $0.value) }
  }

  /// All fields in order of first appearance, repeated ones joined.
  public func headers(_ direction: Direction) -> [HTTPFieldView] {
    let head = direction == .toServer ? requestHead : responseHead
    return head.fields.map {
      HTTPFieldView(
        name: BufferView(head.text, range: $0.name), value: BufferView(head.text, range: $0.value))
    }
  }

  /// The first field of that name, whatever its case.
  public func header(_ name: String, _ direction: Direction) -> BufferView? {
    let head = direction == .toServer ? requestHead : responseHead
    let wanted = name.utf8.map(HTTPText.lower)
    guard
      let found = head.fields.first(where: { field in
        head.text[field.name].lazy.map(HTTPText.lower).elementsEqual(wanted)
      })
    else { return nil }
    return BufferView(head.text, range: found.value)
  }
}
