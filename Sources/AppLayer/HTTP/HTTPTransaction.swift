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
  /// What the request uploads, in order.
  var uploads: [HTTPUpload] = []
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
  var responseFile: FileRecord?
  var responseWireCount: UInt64 = 0
  var hasSeenContinue = false

  /// The request is HTTP/0.9: a line and nothing else.
  var isShort: Bool {
    requestLine.lacksVersion && isComplete(.toServer) && requestHead.raw.isEmpty && !isUnmatched
  }

  /// Buffers put together on demand.
  var derived: [DerivedKey: [UInt8]] = [:]

  struct DerivedKey: Hashable {
    let id: BufferID
    let direction: Direction
  }

  init(id: UInt64, settings: HTTPSettings, start: Timestamp, appProtocol: AppProtocol = .http) {
    self.settings = settings
    super.init(
      id: id, appProtocol: appProtocol, progressComplete: HTTPProgress.complete, start: start)
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

  /// The size of a file, once it is over.
  override public func number(_ id: NumberID, _ direction: Direction, index: Int) -> UInt64? {
    guard id == .fileSize, index >= 0 else { return nil }
    let files = files(direction)
    guard index < files.count, files[index].state != .open else { return nil }
    return files[index].sizeBytes
  }

  override public func markInspected(_ direction: Direction) {
    let window = settings.bodyWindowBytes
    switch direction {
    case .toServer:
      requestBody.markInspected(windowBytes: window)
      for i in uploads.indices { uploads[i].content?.markInspected(windowBytes: window) }
    case .toClient: responseBody.markInspected(windowBytes: window)
    }
  }
}

/// A file in a request.
struct HTTPUpload {
  var record: FileRecord
  /// Its content, or nil where that is the whole body.
  var content: HTTPBody?
}
