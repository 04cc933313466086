import Traffic

/// A field of a head as events show it.
public struct HTTPFieldView: Sendable {
  public let name: BufferView
  public let value: BufferView
}

/// What event records tell of an exchange; bytes are as they were sent.
extension HTTPTransaction {
  /// Host without port, from the request target where that is absolute (EVE `http.hostname`).
  public var hostname: BufferView? { buffer(.httpHost, .toServer, index: 0) }
  /// Port that the Host field or an absolute target names (EVE `http.http_port`).
  public var hostPort: Int? { nil }
  /// Request target as sent (EVE `http.url`).
  public var url: BufferView? { buffer(.httpURIRaw, .toServer, index: 0) }
  public var userAgent: BufferView? { buffer(.httpUserAgent, .toServer, index: 0) }
  /// Of the response (EVE `http.http_content_type`).
  public var responseContentType: BufferView? { buffer(.httpContentType, .toClient, index: 0) }
  public var referer: BufferView? { buffer(.httpReferer, .toServer, index: 0) }
  public var method: BufferView? { buffer(.httpMethod, .toServer, index: 0) }
  /// Protocol field of the request line (EVE `http.protocol`).
  public var protocolText: BufferView? { buffer(.httpProtocol, .toServer, index: 0) }
  /// The status code where it is a number (EVE `http.status`), else see `statusText`.
  public var status: Int? { nil }
  public var statusText: BufferView? { buffer(.httpStatusCode, .toClient, index: 0) }
  /// Value of Location (EVE `http.redirect`).
  public var redirect: BufferView? { buffer(.httpLocation, .toClient, index: 0) }
  /// Octets of the decoded response body (EVE `http.length`).
  public var responseLengthBytes: UInt64 { 0 }
  public var requestLengthBytes: UInt64 { 0 }

  public func headers(_ direction: Direction) -> [HTTPFieldView] { [] }

  public func files(_ direction: Direction) -> [FileRecord] {
    direction == .toServer ? request.files : response.files
  }
}
