import Traffic

/// How far a message is; of a datagram all is there at once.
enum SIPProgress {
  static let head = 1
  static let complete = 2
}

/// One message of SIP, a request or a response.
public final class SIPTransaction: Transaction {
  let head: SIPHead
  public let direction: Direction
  /// The session description in its body.
  public private(set) var description: SDPDescription?

  init(_ head: SIPHead, id: UInt64, direction: Direction, start: Timestamp) {
    self.head = head
    self.direction = direction
    super.init(id: id, appProtocol: .sip, progressComplete: SIPProgress.complete, start: start)
    progress = (SIPProgress.head, SIPProgress.head)
  }

  override public var soleDirection: Direction? { direction }

  public var isResponse: Bool { head.isResponse }
  /// The first line.
  public var line: [UInt8] { head.line }
  public var method: [UInt8]? { isResponse ? nil : head.parts.first }
  public var target: [UInt8]? { isResponse ? nil : head.parts.second }
  public var version: [UInt8] { isResponse ? head.parts.first : head.parts.third }
  public var code: [UInt8]? { isResponse ? head.parts.second : nil }
  public var reason: [UInt8]? { isResponse ? head.parts.third : nil }

  /// - Source: RFC 8866 section 8.1.
  var carriesDescription: Bool {
    guard let type = head.value("content-type", 0) else { return false }
    let name = type.prefix { $0 != UInt8(ascii: ";") && !HTTPText.isBlank($0) }
    return HTTPText.equals(Array(name), 0..<name.count, "application/sdp")
  }

  /// The message is over.
  func end(body: [UInt8]) {
    if carriesDescription { description = SDPDescription(body) }
    progress = (SIPProgress.complete, SIPProgress.complete)
  }

  func raise(_ event: SIPEvent) { raise(event.appEvent) }

  override public func buffer(_ id: BufferID, _ direction: Direction, index: Int) -> BufferView? {
    guard direction == self.direction, index >= 0 else { return nil }
    if let name = Self.fieldName(id) { return head.value(name, index).map { BufferView($0) } }
    if SDPDescription.isBuffer(id) { return description?.value(id, index).map { BufferView($0) } }
    guard index == 0 else { return nil }
    switch id {
    case .sipMethod: return method.map { BufferView($0) }
    case .sipURI: return target.map { BufferView($0) }
    case .sipRequestLine: return isResponse ? nil : BufferView(line)
    case .sipResponseLine: return isResponse ? BufferView(line) : nil
    case .sipStatusCode: return code.map { BufferView($0) }
    case .sipStatusMessage: return reason.flatMap { $0.isEmpty ? nil : BufferView($0) }
    case .sipProtocol: return BufferView(version)
    default: return nil
    }
  }

  private static func fieldName(_ id: BufferID) -> StaticString? {
    switch id {
    case .sipFrom: "from"
    case .sipTo: "to"
    case .sipVia: "via"
    case .sipUserAgent: "user-agent"
    case .sipContentType: "content-type"
    case .sipContentLength: "content-length"
    default: nil
    }
  }
}

/// What can be odd about SIP (`app-layer-event:sip.…`).
///
/// - Source: Suricata 8's `sip-events.rules`.
public enum SIPEvent: String, Sendable, CaseIterable {
  case incompleteData = "incomplete_data"
  case invalidData = "invalid_data"

  public var appEvent: AppEvent { AppEvent(.sip, rawValue) }
}

extension BufferTable {
  private typealias Source = BufferDeclaration.Source

  private static let requests = [Source(.sip, .toServer, progress: SIPProgress.head)]
  private static let responses = [Source(.sip, .toClient, progress: SIPProgress.head)]

  /// - Source: Suricata 8, "SIP Keywords".
  static let sip: [BufferDeclaration] = [
    .init(.sipMethod, ["sip.method"], requests, summary: "Method of a request."),
    .init(.sipURI, ["sip.uri"], requests, summary: "Target of a request."),
    .init(.sipRequestLine, ["sip.request_line"], requests, summary: "First line of a request."),
    .init(.sipStatusCode, ["sip.stat_code"], responses, summary: "Code of a response."),
    .init(.sipStatusMessage, ["sip.stat_msg"], responses, summary: "Reason that stands behind the code of a response."),
    .init(.sipResponseLine, ["sip.response_line"], responses, summary: "First line of a response."),
    .init(.sipProtocol, ["sip.protocol"], requests + responses, summary: "Name and version of the protocol, SIP/2.0."),
    field(.sipFrom, "sip.from", "From"), field(.sipTo, "sip.to", "To"), field(.sipVia, "sip.via", "Via"),
    field(.sipUserAgent, "sip.user_agent", "User-Agent"),
    field(.sipContentType, "sip.content_type", "Content-Type"),
    field(.sipContentLength, "sip.content_length", "Content-Length"),
  ]

  private static func field(_ id: BufferID, _ name: String, _ field: String) -> BufferDeclaration {
    .init(id, [name], requests + responses, isMultiple: true, summary: "Value of each \(field), under its compact name, too.")
  }
}
