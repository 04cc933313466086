import Traffic

/// What a backend is told of a client in each request.
struct ForwardedFields: Sendable {
  var keepsAddresses = false
  var address: IPAddress
  /// Names and values that are put in, without the address.
  var fields: [(name: String, value: String)] = []

  /// Fields that only this side may set; `_` counts as `-`, since many programs cannot tell them apart.
  /// - Source: RFC 7239 and the names in use before it.
  static let reserved: Set<String> = [
    "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-forwarded-ssl",
    "x-forwarded-server", "x-forwarded-scheme", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip",
    "front-end-https", "x-url-scheme",
  ]
  /// Of the client's TLS; every field that begins so is ours.
  static let prefix = "x-tls-"

  static func isReserved(_ name: String) -> Bool {
    let name = name.replacing("_", with: "-")
    return reserved.contains(name) || name.hasPrefix(prefix)
  }
}

/// Requests and answers of one connection: puts what is known of the client into each request's head.
///
/// - Limits: `pipelineCountMax` requests without an answer.
struct HTTPExchange {
  enum Outcome {
    case forward([UInt8])
    /// To be answered so, and cut.
    case refused(status: String, reason: String)
  }

  static let pipelineCountMax = 64

  private let forwarded: ForwardedFields
  private var requests = HTTPFramer(isRequest: true)
  private var responses = HTTPFramer(isRequest: false)
  /// Methods of requests whose answer has not begun.
  private var open: [String] = []
  /// A request asked for another protocol; what follows waits for the answer.
  private(set) var isAwaitingSwitch = false
  private var held: [UInt8] = []
  /// Answers can't be followed any more: no other protocol is agreed on then.
  private var isLost = false
  /// The backend goes on after what it was asked, and for whoever asks next, as far as heads say.
  private var persists = true
  /// All that was asked and not answered may be asked twice.
  private(set) var isRepeatable = true
  /// The backend has answered something.
  private(set) var hasAnswered = false

  /// Requests that do no more when they come twice (RFC 9110 section 9.2.2).
  private static let idempotent: Set<String> = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]

  /// Something was asked that has no answer yet.
  var isAwaitingAnswer: Bool { !open.isEmpty }

  /// Something was asked, and not an octet of its answer has come: another can be given.
  var owesAnswer: Bool { !open.isEmpty && !isLost && responses.isIdle }

  /// Everything was answered, and no message has begun: the backend's connection may serve another client.
  var isAtRest: Bool {
    persists && !isLost && !isAwaitingSwitch && held.isEmpty && open.isEmpty && requests.isIdle && responses.isIdle
  }

  /// What passes by this is not followed.
  mutating func lose() { isLost = true }

  init(_ forwarded: ForwardedFields) { self.forwarded = forwarded }

  var hasHeld: Bool { !isAwaitingSwitch && !held.isEmpty }

  mutating func takeHeld() -> Outcome {
    let bytes = held
    held = []
    return request(bytes.rawSpan)
  }

  /// What of a client's octets goes to the backend.
  mutating func request(_ bytes: RawSpan) -> Outcome {
    if open.isEmpty, requests.isIdle { isRepeatable = true }
    var out: [UInt8] = []
    out.reserveCapacity(bytes.byteCount)
    var offset = 0
    while offset < bytes.byteCount {
      if isAwaitingSwitch, requests.isIdle {
        held.append(bytes.extracting(offset..<bytes.byteCount))
        return .forward(out)
      }
      switch requests.next(bytes, &offset) {
      case .needMore: return .forward(out)
      case .body(let range): out.append(bytes.extracting(range))
      case .malformed(let reason):
        let isLong = reason == "the head is too long"
        return .refused(status: isLong ? "431 Request Header Fields Too Large" : "400 Bad Request", reason: reason)
      case .head(let head):
        guard open.count < Self.pipelineCountMax else {
          return .refused(status: "429 Too Many Requests", reason: "too many requests without an answer")
        }
        write(head, &out)
      }
    }
    return .forward(out)
  }

  private mutating func write(_ head: HTTPHead, _ out: inout [UInt8]) {
    // Behind requests without an answer it could not be told which answer agrees.
    let mayswitch = open.isEmpty && !isLost && !isAwaitingSwitch
    let connection = head.tokens("connection")
    let switches = mayswitch && (head.method == "CONNECT" || connection.contains("upgrade"))
    open.append(head.method)
    if !Self.idempotent.contains(head.method) { isRepeatable = false }
    if !head.isVersion11 || connection.contains("close") || Self.bindsConnection(head, "authorization") { persists = false }
    isAwaitingSwitch = isAwaitingSwitch || switches
    out += head.startLine + [0x0d, 0x0a]
    var addresses: [String] = []
    for field in head.fields {
      if field.name == "x-forwarded-for", forwarded.keepsAddresses { continue }
      if ForwardedFields.isReserved(field.name) { continue }
      if field.name == "connection" || field.name == "keep-alive" || field.name == "proxy-connection" { continue }
      if field.name == "upgrade", !switches { continue }
      out += field.line + [0x0d, 0x0a]
    }
    if forwarded.keepsAddresses { addresses = head.tokens("x-forwarded-for") }
    addresses.append("\(forwarded.address)")
    // Else a client could have a proxy behind us take out what we put in.
    let kept = connection.filter { !ForwardedFields.isReserved($0) && (switches || $0 != "upgrade") }
    if !kept.isEmpty { out += Array("Connection: \(kept.joined(separator: ", "))\r\n".utf8) }
    out += Array("X-Forwarded-For: \(addresses.joined(separator: ", "))\r\n".utf8)
    for field in forwarded.fields { out += Array("\(field.name): \(field.value)\r\n".utf8) }
    out += [0x0d, 0x0a]
  }

  /// Whether these schemes, which know a client by its connection, are spoken of.
  private static func bindsConnection(_ head: HTTPHead, _ name: String) -> Bool {
    head.tokens(name).contains { $0.hasPrefix("ntlm") || $0.hasPrefix("negotiate") }
  }

  /// Follows what the backend answers.
  mutating func response(_ bytes: RawSpan) {
    var offset = 0
    while !isLost, offset < bytes.byteCount {
      switch responses.next(bytes, &offset) {
      case .needMore: return
      case .body: continue
      case .malformed: isLost = true
      case .head(let head): answered(head)
      }
    }
    // Nothing more can be agreed on; what waits is read as requests.
    if isLost { isAwaitingSwitch = false }
  }

  private mutating func answered(_ head: HTTPHead) {
    // Interim answers precede the one that counts; 101 is final (RFC 9110 section 15.2).
    if head.status < 200, head.status != 101 { return }
    guard !open.isEmpty else {
      isLost = true
      return
    }
    let method = open.removeFirst()
    hasAnswered = true
    let closes = !head.isVersion11 || head.tokens("connection").contains("close")
    if closes || Self.bindsConnection(head, "www-authenticate") || Self.bindsConnection(head, "proxy-authenticate") { persists = false }
    if isAwaitingSwitch, open.isEmpty {
      isAwaitingSwitch = false
      if head.status == 101 || (method == "CONNECT" && (200...299).contains(head.status)) {
        requests.passRest()
        responses.passRest()
        return
      }
    }
    if head.status == 101 || !responses.beginResponseBody(head, toHEAD: method == "HEAD") { isLost = true }
  }
}
