import Traffic

/// A part of a stream or datagram that a protocol marks off (a TLS record, an HTTP request).
public struct AppFrame: Sendable {
  /// Numbered from 1 within the flow.
  public let id: UInt64
  public let kind: FrameKind
  public let direction: Direction
  /// The transaction that it belongs to, where that is known.
  public let transactionID: UInt64?
  /// Its first octets, at most ``FrameLog/bytesMax``; of `stream` the last ones.
  public internal(set) var bytes: [UInt8] = []
  /// Where `bytes` begins in the frame.
  public internal(set) var offset: UInt64 = 0
  public internal(set) var isComplete = false
  /// What the detector has to remember of it: how much it has seen, and the rules done with.
  public var inspectedCount = -1
  public var doneRules: [Int32] = []
  /// It ends with the octets that are being fed.
  var isEnding = false
  /// It begins behind them.
  var isUpcoming = false

  public var count: UInt64 { offset &+ UInt64(bytes.count) }
}

/// What rules name by `frame:http1.request`.
public struct FrameKind: Hashable, Sendable {
  public let appProtocol: AppProtocol
  public let name: String

  public init(_ appProtocol: AppProtocol, _ name: String) {
    self.appProtocol = appProtocol
    self.name = name
  }

  /// The frames that parsers mark.
  /// - Source: Suricata 8 `--list-app-layer-frames`.
  public static let known: [AppProtocol: [String]] = [
    .http: ["stream", "request", "response"],
    .tls: ["stream", "pdu", "hdr", "data", "alert", "heartbeat"],
    .dns: ["stream", "pdu"], .mdns: ["pdu"],
    .http2: ["stream", "pdu", "hdr", "data"], .websocket: ["stream", "pdu", "header", "data"],
    .ssh: ["stream", "record.hdr", "record.data", "record.pdu"],
    .smtp: ["stream", "command_line", "data", "response_line"],
    .telnet: ["stream", "pdu", "ctl", "data"],
    .sip: [
      "stream", "pdu", "request.line", "request.headers", "request.body", "response.line", "response.headers",
      "response.body",
    ],
  ]
}

/// The frames of a flow that are not done with; there is one only where rules ask for frames.
///
/// Parsers say where frames begin and end, and feed what they consume.
/// - Limits: ``bytesMax`` octets of a frame are kept, ``framesMax`` frames; what is beyond is counted.
public final class FrameLog {
  public static let bytesMax = 65_536
  public static let framesMax = 1024

  public internal(set) var frames: [AppFrame] = []
  public private(set) var overflowCount: UInt64 = 0
  private let appProtocol: AppProtocol
  private var lastID: UInt64 = 0

  public init(_ appProtocol: AppProtocol) { self.appProtocol = appProtocol }

  /// - Parameter isUpcoming: it begins behind the octets that are being fed.
  func begin(
    _ name: String, _ direction: Direction, transaction: UInt64? = nil, isUpcoming: Bool = false
  ) {
    guard frames.count < Self.framesMax else {
      overflowCount &+= 1
      return
    }
    lastID &+= 1
    var frame = AppFrame(
      id: lastID, kind: FrameKind(appProtocol, name), direction: direction, transactionID: transaction)
    frame.isUpcoming = isUpcoming
    frames.append(frame)
  }

  /// The frame ends with the octets that are being fed.
  func end(_ name: String, _ direction: Direction) {
    for index in frames.indices
    where frames[index].direction == direction && !frames[index].isComplete && frames[index].kind.name == name {
      frames[index].isEnding = true
    }
  }

  /// Octets were lost: what comes behind them is not the continuation of the open frames.
  func cut(_ direction: Direction) {
    for index in frames.indices
    where frames[index].direction == direction && !frames[index].isComplete && frames[index].kind.name != "stream" {
      frames[index].isComplete = true
    }
  }

  /// Puts octets into the open frames of a direction, then closes those that end with them.
  func feed(_ bytes: RawSpan, _ direction: Direction) {
    for index in frames.indices
    where frames[index].direction == direction && !frames[index].isComplete && frames[index].kind.name != "stream" {
      if frames[index].isUpcoming {
        frames[index].isUpcoming = false
      } else {
        frames[index].keep(bytes)
      }
      if frames[index].isEnding { frames[index].isComplete = true }
    }
  }

  /// All octets of a direction as they come.
  func feedStream(_ chunk: borrowing StreamChunk) {
    if !frames.contains(where: { $0.kind.name == "stream" && $0.direction == chunk.direction }) {
      begin("stream", chunk.direction)
    }
    for index in frames.indices
    where frames[index].kind.name == "stream" && frames[index].direction == chunk.direction {
      frames[index].bytes.append(chunk.bytes)
      let surplus = frames[index].bytes.count - Self.bytesMax
      if surplus > 0 {
        frames[index].bytes.removeFirst(surplus)
        frames[index].offset &+= UInt64(surplus)
      }
      if chunk.isEnd { frames[index].isComplete = true }
    }
  }

  /// A frame that is there at once.
  func add(_ name: String, _ direction: Direction, _ bytes: RawSpan, transaction: UInt64? = nil) {
    begin(name, direction, transaction: transaction)
    guard let last = frames.indices.last, frames[last].bytes.isEmpty else { return }
    frames[last].keep(bytes)
    frames[last].isComplete = true
  }

  /// Closes what the parser ended behind the last octets.
  func settle(_ direction: Direction) {
    for index in frames.indices where frames[index].direction == direction && frames[index].isEnding {
      frames[index].isComplete = true
    }
  }

  /// The frames of a direction that have changed since they were last asked for.
  public func takeChanged(_ direction: Direction) -> [Int] {
    frames.indices.filter {
      frames[$0].direction == direction && !frames[$0].isUpcoming
        && (frames[$0].inspectedCount != frames[$0].bytes.count || frames[$0].isComplete)
    }
  }

  /// Puts down which rules are done with a frame, and that it was looked at.
  public func note(_ index: Int, doneRules: [Int32]) {
    guard frames.indices.contains(index) else { return }
    frames[index].doneRules = doneRules
    frames[index].inspectedCount = frames[index].bytes.count
  }

  /// Lets go of what is complete.
  public func removeComplete(_ direction: Direction) {
    frames.removeAll { $0.direction == direction && $0.isComplete && $0.kind.name != "stream" }
  }
}

extension AppFrame {
  fileprivate mutating func keep(_ piece: RawSpan) {
    let room = max(0, FrameLog.bytesMax - bytes.count)
    bytes.append(piece.extracting(0..<min(room, piece.byteCount)))
  }
}
