import Traffic

/// Marks off the frames of one direction of HTTP/2 for rules that look at them (`frame:http2.pdu`).
///
/// A reader of its own beside the parser's, which passes over what it does not need: rules see all octets of
/// each frame. Made only where rules ask for frames.
/// - Source: RFC 9113 section 4.1; the names of Suricata 8: `pdu` is a frame, `hdr` its nine octets, `data` the rest.
/// - Limits: ``FrameLog/bytesMax`` octets of a frame are kept.
/// - Invariant: `left` is 0 while a header is read.
struct HTTP2FrameMarks {
  private var prefaceCount = 0
  private var header: [UInt8] = []
  /// Octets of the frame still to come.
  private var left = 0
  /// Nobody knows where the next frame begins.
  private var isLost = false

  mutating func take(_ chunk: borrowing StreamChunk, _ log: FrameLog) {
    let direction = chunk.direction
    if chunk.gapBefore > 0 { pass(chunk.gapBefore, direction, log) }
    let bytes = chunk.bytes
    var at = direction == .toServer ? skipPreface(bytes) : 0
    while at < bytes.byteCount, !isLost {
      at = left > 0 ? takeData(bytes, at, direction, log) : takeHeader(bytes, at, direction, log)
    }
  }

  /// - Returns: where the first frame begins. A connection seen from its middle has no preface.
  private mutating func skipPreface(_ bytes: RawSpan) -> Int {
    var at = 0
    let preface = HTTP2Leg.preface
    while at < bytes.byteCount, prefaceCount < preface.count {
      guard bytes.u8(at: at) == preface[prefaceCount] else {
        isLost = prefaceCount > 0
        prefaceCount = preface.count
        break
      }
      prefaceCount += 1
      at += 1
    }
    return at
  }

  private mutating func takeHeader(_ bytes: RawSpan, _ at: Int, _ direction: Direction, _ log: FrameLog) -> Int {
    if header.isEmpty {
      log.begin("pdu", direction)
      log.begin("hdr", direction)
    }
    let part = bytes.extracting(at..<min(bytes.byteCount, at + HTTP2FrameHeader.byteCount - header.count))
    header.append(part)
    let isWhole = header.count == HTTP2FrameHeader.byteCount
    if isWhole {
      left = HTTP2FrameHeader(header.rawSpan).length
      log.end("hdr", direction)
      if left == 0 { log.end("pdu", direction) }
    }
    log.feed(part, direction)
    if isWhole {
      header.removeAll(keepingCapacity: true)
      if left > 0 { log.begin("data", direction) }
    }
    return at + part.byteCount
  }

  private mutating func takeData(_ bytes: RawSpan, _ at: Int, _ direction: Direction, _ log: FrameLog) -> Int {
    let part = bytes.extracting(at..<at + min(left, bytes.byteCount - at))
    left -= part.byteCount
    if left == 0 {
      log.end("data", direction)
      log.end("pdu", direction)
    }
    log.feed(part, direction)
    return at + part.byteCount
  }

  private mutating func pass(_ count: UInt64, _ direction: Direction, _ log: FrameLog) {
    log.cut(direction)
    guard count <= UInt64(left) else {
      isLost = true
      return
    }
    left -= Int(count)
  }
}
