import Traffic

/// How far one direction of a connection has been read.
final class HTTP2Leg {
  enum Phase {
    /// The client's preface; what was seen of it.
    case preface
    case header
    /// Payload that is taken up as a whole.
    case payload
    /// The octet that tells how much padding a DATA frame ends with.
    case padCount
    case data
    /// Octets that nobody looks at: padding, frames too long.
    case skip
  }

  let direction: Direction
  var phase: Phase
  /// The preface, a frame header or a payload under way.
  var held: [UInt8] = []
  var frame = HTTP2FrameHeader([0, 0, 0, 0, 0, 0, 0, 0, 0].rawSpan)
  /// Octets of the frame still to come, padding included.
  var left = 0
  /// Octets of padding at the end of a DATA frame.
  var padding = 0
  let inflater: HPACKInflater
  /// A frame was seen.
  var hasBegun = false
  /// This side has ended, or is looked at no further.
  var isOver = false
  /// The client did not begin as it should.
  var lacksPreface = false
  /// The header block under way.
  var block: HTTP2Block?
  /// Blocks that are whole, in order, until a cutter has taken them; only where one is.
  var finishedBlocks: [HTTP2Block] = []
  var resets = HTTP2Rate()
  var controls = HTTP2Rate()
  /// Where rules look at frames.
  var marks = HTTP2FrameMarks()

  static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

  init(direction: Direction, _ settings: HTTP2Settings) {
    self.direction = direction
    phase = direction == .toServer ? .preface : .header
    inflater = HPACKInflater(tableSizeMax: settings.tableSizeMax)
  }
}

/// A header block that CONTINUATION frames may go on with.
struct HTTP2Block {
  /// The stream that the frames name.
  let frameStream: UInt32
  /// The stream that the fields belong to: another one for PUSH_PROMISE.
  let stream: UInt32
  let isPromise: Bool
  let endsStream: Bool
  var priority: UInt8?
  var fields = HTTP2FieldList()
  var octets = 0
  var continuationCount = 0
  var isTooLong = false
  var events: [HTTP2Event] = []
  var types: [UInt8]
}

/// Events of one kind within the second that is running.
struct HTTP2Rate {
  private var second: Int64 = .min
  private var count = 0

  /// - Returns: whether the limit is exceeded by this one, once a second.
  mutating func exceeds(_ max: Int, at time: Timestamp) -> Bool {
    let now = time.seconds
    if now != second {
      second = now
      count = 0
    }
    count += 1
    return count == max + 1
  }
}

extension HTTP2Parser {
  func consume(_ chunk: borrowing StreamChunk, _ leg: HTTP2Leg) {
    if let frames { leg.marks.take(chunk, frames) }
    if chunk.gapBefore > 0 { passGap(chunk.gapBefore, leg, chunk.time) }
    let bytes = chunk.bytes
    var at = 0
    while at < bytes.byteCount {
      if chunk.direction == .toServer ? hasFailed.toServer : hasFailed.toClient { return }
      at = step(bytes, at, leg, chunk.time)
    }
    if chunk.isEnd {
      leg.isOver = true
      endDirection(chunk.direction)
    }
  }

  /// As of HTTP/1: a request whose answer will not be seen is done with as it is.
  func settleUnanswered(_ stream: HTTP2Transaction) {
    guard server.isOver, stream.isComplete(.toServer) else { return }
    stream.isAnswerUnseen = true
    close(stream, isCut: true)
  }

  /// Takes up what the phase wants.
  ///
  /// - Returns: where the next step begins; always further on, or the phase has changed.
  private func step(_ bytes: RawSpan, _ at: Int, _ leg: HTTP2Leg, _ time: Timestamp) -> Int {
    let available = bytes.byteCount - at
    switch leg.phase {
    case .preface: return readPreface(bytes, at, leg, time)
    case .header:
      let missing = HTTP2FrameHeader.byteCount - leg.held.count
      let count = min(missing, available)
      if leg.held.isEmpty, count == HTTP2FrameHeader.byteCount {
        leg.frame = HTTP2FrameHeader(bytes.extracting(at..<at + count))
      } else {
        leg.held.append(bytes.extracting(at..<at + count))
        guard count == missing else { return at + count }
        let header = leg.held
        leg.held.removeAll(keepingCapacity: true)
        leg.frame = HTTP2FrameHeader(header.rawSpan)
      }
      beginFrame(leg, time)
      return at + count
    case .payload:
      let count = min(leg.left, available)
      leg.left -= count
      let part = bytes.extracting(at..<at + count)
      if leg.left == 0, leg.held.isEmpty {
        leg.phase = .header
        takeFrame(part, leg, time)
        return at + count
      }
      leg.held.append(part)
      if leg.left == 0 {
        let payload = leg.held
        leg.held = []
        leg.phase = .header
        takeFrame(payload.rawSpan, leg, time)
      }
      return at + count
    case .padCount:
      leg.left -= 1
      let padding = Int(bytes.u8(at: at))
      if padding > leg.left { raise(.invalidFrameData, leg.direction, time) }
      leg.padding = min(padding, leg.left)
      leg.phase = .data
      if leg.left == leg.padding { endData(leg, time) }
      return at + 1
    case .data:
      let wanted = leg.left - leg.padding
      let count = min(wanted, available)
      takeData(bytes.extracting(at..<at + count), leg, time)
      leg.left -= count
      if count == wanted { endData(leg, time) }
      return at + count
    case .skip:
      let count = min(leg.left, available)
      leg.left -= count
      if leg.left == 0 { leg.phase = .header }
      return at + count
    }
  }

  /// A connection picked up in midstream has no preface: then frames follow, if they look like it.
  private func readPreface(_ bytes: RawSpan, _ at: Int, _ leg: HTTP2Leg, _ time: Timestamp) -> Int {
    let preface = HTTP2Leg.preface
    var next = at
    while next < bytes.byteCount {
      let byte = bytes.u8(at: next)
      let place = leg.held.count
      leg.held.append(byte)
      next += 1
      if !leg.lacksPreface, byte != preface[place] {
        leg.lacksPreface = true
        // Whoever got that far meant to send it.
        if place > 0 { return failPreface(leg, next, time) }
      }
      if leg.lacksPreface {
        guard leg.held.count == HTTP2FrameHeader.byteCount else { continue }
        let held = leg.held
        let header = HTTP2FrameHeader(held.rawSpan)
        guard header.kind != nil else { return failPreface(leg, next, time) }
        leg.held = []
        leg.frame = header
        leg.phase = .header
        beginFrame(leg, time)
        return next
      }
      if leg.held.count == preface.count {
        leg.held = []
        leg.phase = .header
        return next
      }
    }
    return next
  }

  private func failPreface(_ leg: HTTP2Leg, _ next: Int, _ time: Timestamp) -> Int {
    leg.held = []
    raise(.invalidClientMagic, .toServer, time)
    fail(.toServer)
    return next
  }

  /// The header of a frame is there.
  private func beginFrame(_ leg: HTTP2Leg, _ time: Timestamp) {
    let frame = leg.frame
    let direction = leg.direction
    leg.hasBegun = true
    leg.left = frame.length
    leg.padding = 0
    // Source: Suricata 8 tells of long frames; DATA is followed whatever its length.
    if frame.length > settings.frameBytesUsual { noteLongFrame(frame, direction, time) }
    if frame.kind == .data {
      beginData(frame, direction, time)
      leg.phase = frame.isPadded && frame.length > 0 ? .padCount : .data
      if frame.length == 0 { endData(leg, time) }
      return
    }
    guard frame.length > 0 else {
      takeFrame(RawSpan(), leg, time)
      return
    }
    if frame.length > settings.frameBytesMax || frame.kind == nil {
      leg.phase = .skip
      skipFrame(frame, direction, time)
      return
    }
    leg.phase = .payload
  }

  // MARK: Gaps and ends

  /// Octets were lost. Within DATA the reading goes on behind them; elsewhere nobody knows where the
  /// next frame begins.
  private func passGap(_ count: UInt64, _ leg: HTTP2Leg, _ time: Timestamp) {
    let direction = leg.direction
    let phase = leg.phase
    guard count <= UInt64(leg.left), phase == .data || phase == .skip else {
      raise(.invalidFrameData, direction, time)
      fail(direction)
      return
    }
    let within = phase == .data ? min(Int(count), leg.left - leg.padding) : 0
    if within > 0, let stream = dataStream(leg.frame, direction, time) {
      let gap = StreamChunk(bytes: RawSpan(), direction: direction, offset: 0, gapBefore: UInt64(within), time: time)
      if !takeWebSocket(gap, stream) { stream.takeGap(UInt64(within), direction) }
    }
    leg.left -= Int(count)
    if phase == .data {
      if leg.left <= leg.padding { endData(leg, time) }
    } else if leg.left == 0 {
      leg.phase = .header
    }
  }

  private func endDirection(_ direction: Direction) {
    for stream in Array(streams.values) {
      stream.end(direction, isCut: true)
      if stream.isComplete { close(stream, isCut: true) } else { settleUnanswered(stream) }
    }
  }

  // MARK: Data

  private func endData(_ leg: HTTP2Leg, _ time: Timestamp) {
    let frame = leg.frame
    let direction = leg.direction
    leg.phase = leg.left > 0 ? .skip : .header
    finishData(frame, direction, time)
  }

  private func takeData(_ bytes: RawSpan, _ leg: HTTP2Leg, _ time: Timestamp) {
    guard bytes.byteCount > 0 else { return }
    let direction = leg.direction
    guard let stream = dataStream(leg.frame, direction, time) else { return }
    if takeWebSocket(StreamChunk(bytes: bytes, direction: direction, offset: 0, time: time), stream) { return }
    stream.takeBody(bytes, direction)
  }
}
