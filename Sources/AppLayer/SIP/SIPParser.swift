import Traffic

/// Reads the messages of SIP: one to a datagram, or in a row on a connection.
///
/// A client's messages are requests, a server's are responses; what goes the other way is odd (Suricata).
/// - Source: RFC 3261 sections 7 and 18.3 (framing), 20.14 (Content-Length); RFC 5626 section 3.5.1 (keep-alives).
/// - Limits: ``headBytesMax``, ``SIPHead/fieldCountMax``; of a body ``FrameLog/bytesMax`` are kept, and only where
///   rules look at frames or it describes a session.
/// - Invariant: on a connection the result does not depend on how it is cut into chunks.
public final class SIPParser: AppLayerParser {
  public static let headBytesMax = 65_536

  /// How far one direction of a connection is.
  private struct Leg {
    enum State { case head, body(left: UInt64), failed }
    var state = State.head
    /// The head so far, or what is kept of the body.
    var held: [UInt8] = []
    /// The head of the message in hand, for its frame.
    var head: [UInt8] = []
    /// Octets since the last LF, to find the empty line.
    var lineCount = 0
    var transaction: SIPTransaction?
  }

  private let isStream: Bool
  private var nextID: UInt64 = 0
  private var client = Leg()
  private var server = Leg()

  public init(isStream: Bool) {
    self.isStream = isStream
    super.init(appProtocol: .sip)
  }

  override public func consume(_ chunk: borrowing StreamChunk) {
    let direction = chunk.direction
    guard isStream else { return takeDatagram(chunk.bytes, direction, chunk.time) }
    if chunk.gapBefore > 0 { stop(direction) }
    let bytes = chunk.bytes
    let time = chunk.time
    if direction == .toServer {
      take(bytes, direction, time, &client)
    } else {
      take(bytes, direction, time, &server)
    }
  }

  override public func finish(at time: Timestamp) {
    let isWithin = [client, server].contains { leg in
      if case .body = leg.state { true } else { !leg.held.isEmpty }
    }
    if isWithin { (transactions.last as? SIPTransaction)?.raise(.incompleteData) }
  }

  /// Octets were lost: where messages begin cannot be told any more.
  private func stop(_ direction: Direction) {
    if direction == .toServer { client = Leg(state: .failed) } else { server = Leg(state: .failed) }
  }

  // MARK: Datagrams

  private func takeDatagram(_ bytes: RawSpan, _ direction: Direction, _ time: Timestamp) {
    let all = bytes.extracting(0..<min(bytes.byteCount, Self.headBytesMax)).copied()
    // Line ends alone keep addresses alive.
    if all.allSatisfy(HTTPScan.isLineEnd) || all.allSatisfy({ $0 == 0 }) { return }
    let headEnd = Self.headEnd(all) ?? all.count
    if isStream == false, let frames { frames.add("pdu", direction, bytes) }
    guard let message = begin(Array(all[..<headEnd]), direction, time) else {
      // The policy for errors is asked; later datagrams are read all the same.
      if direction == .toServer { hasFailed.toServer = true } else { hasFailed.toClient = true }
      return
    }
    let rest = all.count - headEnd
    let count = message.head.contentLength.map { $0 < UInt64(rest) ? Int($0) : rest } ?? rest
    markHead(all, headEnd, message)
    let body = Array(all[headEnd..<headEnd + count])
    markBody(body, message)
    message.end(body: body)
  }

  /// Behind the empty line.
  private static func headEnd(_ bytes: [UInt8]) -> Int? {
    var lineCount = 0
    for (index, byte) in bytes.enumerated() {
      if byte == HTTPText.lf {
        if lineCount == 0, index > 1 { return index + 1 }
        lineCount = 0
      } else if byte != HTTPText.cr {
        lineCount += 1
      }
    }
    return nil
  }

  // MARK: Connections

  private func take(_ bytes: RawSpan, _ direction: Direction, _ time: Timestamp, _ leg: inout Leg) {
    var at = 0
    while at < bytes.byteCount {
      switch leg.state {
      case .failed: return
      case .head: at = takeHead(bytes, at, direction, time, &leg)
      case .body(let left):
        let count = Int(min(left, UInt64(bytes.byteCount - at)))
        if frames != nil || leg.transaction?.carriesDescription == true {
          let room = max(0, FrameLog.bytesMax - leg.held.count)
          leg.held.append(bytes.extracting(at..<at + min(room, count)))
        }
        at += count
        leg.state = .body(left: left - UInt64(count))
        if left == UInt64(count) { endMessage(&leg) }
      }
    }
  }

  private func takeHead(
    _ bytes: RawSpan, _ start: Int, _ direction: Direction, _ time: Timestamp, _ leg: inout Leg
  ) -> Int {
    var at = start
    while at < bytes.byteCount {
      let byte = bytes.u8(at: at)
      at += 1
      // RFC 3261 section 7.5: line ends before a message are passed over.
      if leg.held.isEmpty, HTTPScan.isLineEnd(byte) || byte == 0 { continue }
      guard leg.held.count < Self.headBytesMax else {
        (transactions.last as? SIPTransaction)?.raise(.incompleteData)
        fail(direction, &leg)
        return at
      }
      leg.held.append(byte)
      if byte == HTTPText.lf {
        if leg.lineCount == 0 {
          endHead(direction, time, &leg)
          return at
        }
        leg.lineCount = 0
      } else if byte != HTTPText.cr {
        leg.lineCount += 1
      }
    }
    return at
  }

  private func endHead(_ direction: Direction, _ time: Timestamp, _ leg: inout Leg) {
    let bytes = leg.held
    leg.held = []
    leg.lineCount = 0
    guard let message = begin(bytes, direction, time) else { return fail(direction, &leg) }
    leg.transaction = message
    leg.head = frames == nil ? [] : bytes
    let left = message.head.contentLength ?? 0
    leg.state = .body(left: left)
    if left == 0 { endMessage(&leg) }
  }

  private func endMessage(_ leg: inout Leg) {
    leg.state = .head
    let body = leg.held
    leg.held = []
    guard let message = leg.transaction else { return }
    defer { message.end(body: body) }
    if let frames {
      let whole = leg.head + body
      frames.add("pdu", message.direction, whole.rawSpan, transaction: message.id)
      markHead(leg.head, leg.head.count, message)
      markBody(body, message)
    }
    leg.head = []
  }

  private func fail(_ direction: Direction, _ leg: inout Leg) {
    leg = Leg(state: .failed)
    if direction == .toServer { hasFailed.toServer = true } else { hasFailed.toClient = true }
  }

  // MARK: Messages

  private func begin(_ bytes: [UInt8], _ direction: Direction, _ time: Timestamp) -> SIPTransaction? {
    guard let head = SIPHead(bytes), head.isResponse == (direction == .toClient) else {
      (transactions.last as? SIPTransaction)?.raise(.invalidData)
      return nil
    }
    let made = SIPTransaction(head, id: nextID, direction: direction, start: time)
    nextID &+= 1
    transactions.append(made)
    return made
  }

  /// - Parameter end: behind the empty line, which belongs to no frame but the whole.
  private func markHead(_ bytes: [UInt8], _ end: Int, _ message: SIPTransaction) {
    guard let frames else { return }
    let lineEnd = min(message.head.lineCount, end)
    var fieldsEnd = end
    if fieldsEnd > lineEnd, bytes[fieldsEnd - 1] == HTTPText.lf { fieldsEnd -= 1 }
    if fieldsEnd > lineEnd, bytes[fieldsEnd - 1] == HTTPText.cr { fieldsEnd -= 1 }
    let side = message.isResponse ? "response" : "request"
    frames.add(side + ".line", message.direction, bytes.rawSpan.extracting(0..<lineEnd), transaction: message.id)
    guard fieldsEnd > lineEnd else { return }
    frames.add(
      side + ".headers", message.direction, bytes.rawSpan.extracting(lineEnd..<fieldsEnd), transaction: message.id)
  }

  private func markBody(_ body: [UInt8], _ message: SIPTransaction) {
    guard let frames, !body.isEmpty else { return }
    let side = message.isResponse ? "response" : "request"
    frames.add(side + ".body", message.direction, body.rawSpan, transaction: message.id)
  }
}
