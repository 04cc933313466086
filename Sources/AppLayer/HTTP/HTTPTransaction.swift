import Traffic

/// An HTTP/1 request with its response.
///
/// - Source: RFC 9112; Suricata 8's reading of it where servers and clients disagree.
public class HTTPTransaction: Transaction {
  let settings: HTTPSettings

  var requestLine = HTTPRequestLine()
  var target = HTTPTarget()
  var requestHead = HTTPHead() { didSet { derived.removeAll() } }
  var requestBody = HTTPBody()
  var requestDecoder = HTTPDecoder()
  var multipart: HTTPMultipart?
  var requestWireCount: UInt64 = 0
  /// The host asked for, lower case, without port.
  var host: [UInt8]?
  var port: Int?
  /// The response came without a request.
  var isUnmatched = false

  var statusLine = HTTPStatusLine()
  var responseHead = HTTPHead() { didSet { derived.removeAll() } }
  var responseBody = HTTPBody()
  var responseDecoder = HTTPDecoder()
  var responseWireCount: UInt64 = 0
  var hasSeenContinue = false

  /// The request is HTTP/0.9: a line and nothing else.
  var isShort: Bool {
    requestLine.lacksVersion && isComplete(.toServer) && requestHead.raw.isEmpty && !isUnmatched
  }

  /// Buffers put together on demand; there are six at most.
  var derived: [DerivedBuffer] = []

  struct DerivedBuffer {
    let id: BufferID
    let direction: Direction
    let bytes: [UInt8]
  }

  init(
    id: UInt64, settings: HTTPSettings, files: FlowFiles? = nil, start: Timestamp,
    appProtocol: AppProtocol = .http
  ) {
    self.settings = settings
    super.init(
      id: id, appProtocol: appProtocol, progressComplete: HTTPProgress.complete, start: start)
    flowFiles = files
  }

  /// Raises the progress of one direction; it never falls.
  func advance(_ direction: Direction, to value: Int) {
    switch direction {
    case .toServer: progress.toServer = max(progress.toServer, value)
    case .toClient: progress.toClient = max(progress.toClient, value)
    }
  }

  func raise(_ event: HTTPEvent) { raise(event.appEvent) }

  override public func buffer(_ id: BufferID, _ direction: Direction, index: Int) -> BufferView? {
    find(id, direction, index: index)
  }

  override public func markInspected(_ direction: Direction) {
    let window = settings.bodyWindowBytes
    switch direction {
    case .toServer:
      requestBody.markInspected(windowBytes: window)
      for file in filesToServer { file.content?.markInspected(windowBytes: window) }
    case .toClient: responseBody.markInspected(windowBytes: window)
    }
  }
}
