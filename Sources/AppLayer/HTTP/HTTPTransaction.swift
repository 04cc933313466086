import Traffic

/// An HTTP/1 request with its response.
///
/// - Source: RFC 9112; Suricata 8's reading of it where servers and clients disagree.
public class HTTPTransaction: Transaction {
  let settings: HTTPSettings

  var requestLine = HTTPRequestLine()
  var target = HTTPTarget()
  var requestHead = HTTPHead() { didSet { forgetDerived() } }
  var requestBody = HTTPBody()
  var requestDecoder = HTTPDecoder()
  var multipart: HTTPMultipart?
  var requestWireCount: UInt64 = 0
  /// The host asked for, lower case, without port.
  var host: [UInt8]? {
    get { hasHost ? hostName : nil }
    set {
      hasHost = newValue != nil
      hostName = newValue ?? []
    }
  }
  var port: Int?
  private(set) var hasHost = false
  private(set) var hostName: [UInt8] = []
  /// The response came without a request.
  var isUnmatched = false
  /// What bodies hold is decoded and kept; decided when the exchange begins, as nothing can be decoded from its middle.
  private(set) var looksAtContent = true

  var statusLine = HTTPStatusLine()
  var responseHead = HTTPHead() { didSet { forgetDerived() } }
  var responseBody = HTTPBody()
  var responseDecoder = HTTPDecoder()
  var responseWireCount: UInt64 = 0
  var hasSeenContinue = false

  /// The request is HTTP/0.9: a line and nothing else.
  var isShort: Bool {
    requestLine.lacksVersion && isComplete(.toServer) && requestHead.raw.isEmpty && !isUnmatched
  }

  /// Buffers put together on demand; there are six at most.
  private(set) var derived: [DerivedBuffer] = []
  private(set) var derivedText: [UInt8] = []

  struct DerivedBuffer {
    let id: BufferID
    let direction: Direction
    /// In `derivedText`.
    let range: Range<Int>
  }

  private func forgetDerived() {
    if derived.isEmpty { return }
    derived.clear()
    derivedText.clear()
  }

  /// Makes a buffer once.
  ///
  /// - Parameter make: puts it together, or tells by false that there is none.
  func derive(_ id: BufferID, _ direction: Direction, _ make: (inout [UInt8]) -> Bool) -> BufferView? {
    let start = derivedText.count
    guard make(&derivedText) else {
      derivedText.removeLast(derivedText.count - start)
      return nil
    }
    let range = start..<derivedText.count
    derived.append(DerivedBuffer(id: id, direction: direction, range: range))
    return BufferView(derivedText, range: range)
  }

  func take(_ found: HTTPHost, in bytes: [UInt8]) {
    hasHost = true
    hostName.clear()
    found.appendName(in: bytes, to: &hostName)
  }

  /// Becomes another exchange, of a connection with the same settings.
  func renew(id: UInt64, files: FlowFiles?, start: Timestamp) {
    renew(id: id, start: start)
    take(files)
    requestLine.reset()
    target.reset()
    requestHead.removeAll()
    requestBody.reset()
    requestDecoder = HTTPDecoder()
    multipart = nil
    requestWireCount = 0
    hasHost = false
    hostName.clear()
    port = nil
    isUnmatched = false
    statusLine.reset()
    responseHead.removeAll()
    responseBody.reset()
    responseDecoder = HTTPDecoder()
    responseWireCount = 0
    hasSeenContinue = false
    shown = (Shown(), Shown())
  }

  /// The room that it takes is that of ordinary exchanges.
  var isSmall: Bool {
    requestLine.bytes.capacity <= HTTPText.roomBytesMax && target.isSmall && requestHead.isSmall && requestBody.isSmall
      && statusLine.bytes.capacity <= HTTPText.roomBytesMax && responseHead.isSmall && responseBody.isSmall
      && derivedText.capacity <= 4 * HTTPText.roomBytesMax && filesToServer.capacity <= 16
  }

  init(
    id: UInt64, settings: HTTPSettings, files: FlowFiles? = nil, start: Timestamp,
    appProtocol: AppProtocol = .http
  ) {
    self.settings = settings
    super.init(
      id: id, appProtocol: appProtocol, progressComplete: HTTPProgress.complete, start: start)
    take(files)
  }

  private func take(_ files: FlowFiles?) {
    flowFiles = files
    looksAtContent = files?.examiner.looksAtContent ?? true
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

  /// What rules saw last of each direction, but for how long its body is.
  private struct Shown: Equatable {
    var progress = (toServer: -1, toClient: -1)
    var eventCount = 0
    var fileCount = 0
    /// Of the last file: one after another is sent.
    var isFileOpen = false

    static func == (left: Shown, right: Shown) -> Bool {
      left.progress == right.progress && left.eventCount == right.eventCount && left.fileCount == right.fileCount
        && left.isFileOpen == right.isFileOpen
    }
  }
  private var shown = (toServer: Shown(), toClient: Shown())

  private func present(_ direction: Direction) -> Shown {
    let isFileOpen = direction == .toServer ? filesToServer.last?.state == .open : filesToClient.last?.state == .open
    return Shown(
      progress: progress, eventCount: events.count,
      fileCount: direction == .toServer ? filesToServer.count : filesToClient.count, isFileOpen: isFileOpen)
  }

  /// Where nothing waits for the rules, a body that has but grown is looked at when enough has come.
  override public func hasNews(_ direction: Direction) -> Bool {
    guard !settings.showsBodiesAtOnce, progress(direction) == HTTPProgress.body else { return true }
    switch direction {
    case .toServer: return requestBody.isDue(settings.requestPace) || shown.toServer != present(.toServer)
    case .toClient: return responseBody.isDue(settings.responsePace) || shown.toClient != present(.toClient)
    }
  }

  override public func showsPiece(_ direction: Direction) -> Bool {
    direction == .toServer
      ? requestBody.showsPiece || filesToServer.contains { $0.content?.showsPiece == true } : responseBody.showsPiece
  }

  override public func markInspected(_ direction: Direction) {
    let window = settings.bodyWindowBytes
    if direction == .toServer { shown.toServer = present(.toServer) } else { shown.toClient = present(.toClient) }
    switch direction {
    case .toServer:
      requestBody.markInspected(windowBytes: window)
      for file in filesToServer { file.content?.markInspected(windowBytes: window) }
    case .toClient: responseBody.markInspected(windowBytes: window)
    }
  }
}
