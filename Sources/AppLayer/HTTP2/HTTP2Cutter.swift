import Traffic

/// Takes single streams out of a relayed HTTP/2 connection, so that the others go on.
///
/// It follows the frames of both directions. Nothing of a header block is passed on before the block is whole, so
/// that a stream whose head is an attack is never begun. A block that is taken out leaves the tables of HPACK on both
/// sides different; from then on later blocks of that direction are written anew, as literals. Octets of DATA that
/// are swallowed are given back to their sender's window for the connection.
/// - Source: RFC 9113 sections 4.3, 5.1, 6.4 and 6.9, RFC 7541 section 6.2.
/// - Limits: `heldBytesMax` octets of a header block, `fillBytesMax` octets of a frame that was begun, `streamCountMax`
///   streams. Beyond them, and where the frames are not understood, a stream cannot be taken out: the caller ends the
///   connection.
public final class HTTP2Cutter {
  static let heldBytesMax = 262_144
  static let fillBytesMax = 65_536
  static let streamCountMax = 1_000
  private static let frameBytesMax = 16_384

  private enum Mode {
    case pass
    /// Nothing of the frame reaches the other side.
    case swallow
    /// The rest of a frame whose beginning was passed on; zeros have been sent for it.
    case filled
    /// A frame of a header block, held.
    case block
  }

  private struct Lane {
    let direction: Direction
    /// Octets of the client's preface still to come.
    var preface: Int
    /// The beginning of a frame's header; not passed on yet.
    var head: [UInt8] = []
    var frame: HTTP2FrameHeader?
    var left = 0
    var mode = Mode.pass
    /// The header block under way: frames as they came, and the stream that they name.
    var held: [UInt8] = []
    var blockStream: UInt32?
    /// A block was taken out: the receiver's table is another one.
    var writesAnew = false
    /// Frames of our own that wait for the end of the frame under way.
    var waiting: [UInt8] = []
    var hasBegun = false
    /// The highest stream whose head was passed on.
    var highest: UInt32 = 0

    /// What was passed on ends with a whole frame.
    var isAtBoundary: Bool { preface == 0 && hasBegun && !(frame != nil && mode == .pass) }
  }

  private var toServer = Lane(direction: .toServer, preface: HTTP2Leg.preface.count)
  private var toClient = Lane(direction: .toClient, preface: 0)
  private var cut: Set<UInt32> = []
  /// Streams whose answer has begun and not ended.
  private var answered: Set<UInt32> = []
  /// Frames are not understood any more; all passes as it is.
  private var isBlind = false
  private let parser: HTTP2Parser

  /// - Parameters:
  ///   - parser: of the same connection, which keeps blocks (``HTTP2Settings/keepsBlocks``).
  ///   - early: what of each direction was passed on before the protocol was known.
  public init(_ parser: HTTP2Parser, early: (toServer: [UInt8], toClient: [UInt8])) {
    self.parser = parser
    var ignored: [UInt8] = []
    var back: [UInt8] = []
    for (direction, bytes) in [(Direction.toServer, early.toServer), (.toClient, early.toClient)] {
      let isRead = pass(bytes.rawSpan, direction, &ignored, &back)
      // What was passed on amid a frame's header or a block can't be held any more.
      if !isRead || !self[direction].head.isEmpty || !self[direction].held.isEmpty { isBlind = true }
    }
    if isBlind { (toServer, toClient) = (Lane(direction: .toServer, preface: 0), Lane(direction: .toClient, preface: 0)) }
  }

  public enum Outcome: Sendable, Equatable {
    /// The chunk as it is.
    case unchanged
    /// Other octets in its place, and some for its sender.
    case rewritten(forward: [UInt8], back: [UInt8])
    /// It cannot be done.
    case failed
  }

  /// Whether a stream has been taken out already.
  public func isCut(_ stream: UInt32) -> Bool { cut.contains(stream) }

  /// Takes a chunk that the parser has seen.
  ///
  /// - Parameter streams: to be taken out from this chunk on.
  public func process(_ chunk: borrowing StreamChunk, cutting streams: Set<UInt32> = []) -> Outcome {
    let leg = chunk.direction == .toServer ? parser.client : parser.server
    defer { leg.finishedBlocks.removeAll() }
    if isBlind { return streams.isEmpty && cut.isEmpty ? letPass(chunk.bytes, chunk.direction) : .failed }
    if streams.isEmpty, passesWhole(chunk.bytes, chunk.direction) { return .unchanged }
    let before = self[chunk.direction].held + self[chunk.direction].head
    var out: [UInt8] = []
    var back: [UInt8] = []
    for stream in streams.sorted() where !cut.contains(stream) {
      guard cut.count < Self.streamCountMax, takeOut(stream, chunk.direction, &out, &back) else { return .failed }
    }
    guard pass(chunk.bytes, chunk.direction, &out, &back) else {
      // Not what frames should be. Before anything was taken out all passes as it is.
      isBlind = true
      guard cut.isEmpty else { return .failed }
      self[chunk.direction].held = before
      self[chunk.direction].head = []
      return letPass(chunk.bytes, chunk.direction)
    }
    if chunk.isEnd, cut.isEmpty {
      // Nothing will complete it any more.
      out += self[chunk.direction].held + self[chunk.direction].head
      self[chunk.direction].held = []
      self[chunk.direction].head = []
    }
    return .rewritten(forward: out, back: back)
  }

  /// The chunk behind what was held before it.
  private func letPass(_ bytes: RawSpan, _ direction: Direction) -> Outcome {
    let held = self[direction].held + self[direction].head
    guard !held.isEmpty else { return .unchanged }
    self[direction].held = []
    self[direction].head = []
    return .rewritten(forward: held + bytes.copied(), back: [])
  }

  private subscript(direction: Direction) -> Lane {
    get { direction == .toServer ? toServer : toClient }
    set { if direction == .toServer { toServer = newValue } else { toClient = newValue } }
  }

  // MARK: Chunks that need nothing

  /// Amid the payload of a frame that is passed on: nothing to be looked at.
  private func passesWhole(_ bytes: RawSpan, _ direction: Direction) -> Bool {
    var lane = self[direction]
    guard lane.frame != nil, lane.mode == .pass, bytes.byteCount < lane.left else { return false }
    lane.left -= bytes.byteCount
    self[direction] = lane
    return true
  }

  // MARK: Taking out

  /// - Returns: false where a frame under way cannot be completed.
  private func takeOut(_ stream: UInt32, _ direction: Direction, _ out: inout [UInt8], _ back: inout [UInt8]) -> Bool {
    guard stream != 0, fill(stream, direction, &out), fill(stream, direction.opposite, &back) else { return false }
    cut.insert(stream)
    let isAnswered = answered.remove(stream) != nil
    let forServer = stream <= toServer.highest || stream & 1 == 0 ? Self.reset(stream, .cancel) : []
    var forClient: [UInt8] = []
    if isAnswered || stream & 1 == 0 {
      forClient = Self.reset(stream, .cancel)
    } else {
      // :status by its index 8, without indexing (RFC 7541 section 6.2.2).
      forClient = Self.frame(.headers, 0x5, stream, [0x08, 3] + Array("403".utf8))
      // Of a request under way the rest is not wanted (RFC 9113 section 8.1).
      let isWhole = parser.streams[stream]?.isComplete(.toServer) ?? true
      if !isWhole { forClient += Self.reset(stream, .noError) }
    }
    if direction == .toServer {
      add(forServer, .toServer, &out)
      add(forClient, .toClient, &back)
    } else {
      add(forServer, .toServer, &back)
      add(forClient, .toClient, &out)
    }
    return true
  }

  /// Completes a frame of the stream whose beginning has been passed on, with zeros.
  private func fill(_ stream: UInt32, _ direction: Direction, _ out: inout [UInt8]) -> Bool {
    guard let frame = self[direction].frame, frame.streamID == stream, self[direction].mode == .pass else { return true }
    // With the end of the stream it would count as a whole message.
    guard frame.kind == .data, !frame.endsStream, self[direction].left <= Self.fillBytesMax else { return false }
    out += [UInt8](repeating: 0, count: self[direction].left)
    self[direction].mode = .filled
    return true
  }

  /// Frames of our own, at once or behind the frame under way.
  private func add(_ frames: [UInt8], _ direction: Direction, _ out: inout [UInt8]) {
    guard !frames.isEmpty else { return }
    if self[direction].isAtBoundary, self[direction].waiting.isEmpty {
      out += frames
    } else {
      self[direction].waiting += frames
    }
  }

  // MARK: Frames

  /// - Returns: false where they are not understood.
  private func pass(_ bytes: RawSpan, _ direction: Direction, _ out: inout [UInt8], _ back: inout [UInt8]) -> Bool {
    var lane = self[direction]
    defer { self[direction] = lane }
    var at = 0
    while at < bytes.byteCount {
      let available = bytes.byteCount - at
      if lane.preface > 0 {
        let count = min(lane.preface, available)
        out.append(bytes.extracting(at..<at + count))
        lane.preface -= count
        at += count
        continue
      }
      if lane.frame == nil {
        let count = min(HTTP2FrameHeader.byteCount - lane.head.count, available)
        lane.head.append(bytes.extracting(at..<at + count))
        at += count
        guard lane.head.count == HTTP2FrameHeader.byteCount else { return true }
        guard begin(&lane, &out) else { return false }
      } else {
        let count = min(lane.left, available)
        let part = bytes.extracting(at..<at + count)
        switch lane.mode {
        case .pass: out.append(part)
        case .block: lane.held.append(part)
        case .swallow, .filled: break
        }
        lane.left -= count
        at += count
      }
      if lane.left == 0, lane.frame != nil {
        guard end(&lane, &out, &back) else { return false }
      }
      guard lane.held.count <= Self.heldBytesMax else { return false }
    }
    return true
  }

  private func begin(_ lane: inout Lane, _ out: inout [UInt8]) -> Bool {
    let header = HTTP2FrameHeader(lane.head.rawSpan)
    lane.frame = header
    lane.left = header.length
    switch header.kind {
    case .headers, .pushPromise:
      guard lane.blockStream == nil else { return false }
      lane.blockStream = header.streamID
      lane.mode = .block
    case .continuation:
      guard lane.blockStream == header.streamID else { return false }
      lane.mode = .block
    default:
      guard lane.blockStream == nil else { return false }
      lane.mode = cut.contains(header.streamID) ? .swallow : .pass
    }
    if lane.mode == .block { lane.held += lane.head }
    if lane.mode == .pass { out += lane.head }
    lane.head = []
    return true
  }

  private func end(_ lane: inout Lane, _ out: inout [UInt8], _ back: inout [UInt8]) -> Bool {
    guard let frame = lane.frame else { return false }
    let mode = lane.mode
    lane.frame = nil
    lane.mode = .pass
    switch mode {
    case .pass:
      lane.hasBegun = true
      if lane.direction == .toClient, frame.endsStream, frame.kind == .data { answered.remove(frame.streamID) }
      if frame.kind == .rstStream { answered.remove(frame.streamID) }
    case .block:
      guard !frame.endsHeaders || endBlock(&lane, &out) else { return false }
    case .filled: break
    case .swallow:
      if frame.kind == .data, frame.length > 0 {
        // The other lane is not the one in hand.
        add(Self.frame(.windowUpdate, 0, 0, Self.octets(UInt32(frame.length))), lane.direction.opposite, &back)
      }
    }
    if !lane.waiting.isEmpty, lane.preface == 0, lane.hasBegun {
      out += lane.waiting
      lane.waiting = []
    }
    return true
  }

  private func endBlock(_ lane: inout Lane, _ out: inout [UInt8]) -> Bool {
    let leg = lane.direction == .toServer ? parser.client : parser.server
    guard let stream = lane.blockStream, !leg.finishedBlocks.isEmpty else { return false }
    let block = leg.finishedBlocks.removeFirst()
    guard block.frameStream == stream else { return false }
    let held = lane.held
    lane.held = []
    lane.blockStream = nil
    if cut.contains(stream) {
      // What a promise on it announces would come all the same.
      lane.writesAnew = true
      return !block.isPromise
    }
    if lane.writesAnew {
      guard !block.isTooLong, block.events.isEmpty else { return false }
      out += Self.write(block)
    } else {
      out += held
    }
    lane.hasBegun = true
    if lane.direction == .toServer {
      lane.highest = max(lane.highest, stream)
    } else if !block.isPromise, !block.isInterim {
      if block.endsStream { answered.remove(stream) } else { answered.insert(stream) }
    }
    return true
  }

  // MARK: Writing

  /// A header block as literals that leave the table alone; what should never be indexed says so.
  static func write(_ block: HTTP2Block) -> [UInt8] {
    var fragment: [UInt8] = []
    for entry in block.fields.entries {
      if let size = entry.sizeUpdate {
        fragment += integer(size, prefix: 5, first: 0x20)
        continue
      }
      let name = Array(block.fields.bytes[entry.name])
      let value = Array(block.fields.bytes[entry.value])
      let isSecret = ["cookie", "set-cookie", "authorization", "proxy-authorization"].contains { name.elementsEqual($0.utf8) }
      fragment.append(isSecret ? 0x10 : 0)
      fragment += integer(UInt64(name.count), prefix: 7, first: 0) + name
      fragment += integer(UInt64(value.count), prefix: 7, first: 0) + value
    }
    var rest = fragment[...]
    let room = block.isPromise ? frameBytesMax - 4 : frameBytesMax
    let first = rest.prefix(room)
    rest = rest.dropFirst(room)
    let start = block.isPromise ? octets(block.stream) : []
    var flags: UInt8 = rest.isEmpty ? 4 : 0
    if block.endsStream { flags |= 1 }
    var out = frame(block.isPromise ? .pushPromise : .headers, flags, block.frameStream, start + first)
    while !rest.isEmpty {
      let part = rest.prefix(frameBytesMax)
      rest = rest.dropFirst(frameBytesMax)
      out += frame(.continuation, rest.isEmpty ? 4 : 0, block.frameStream, Array(part))
    }
    return out
  }

  /// - Source: RFC 7541 section 5.1.
  private static func integer(_ value: UInt64, prefix: UInt8, first: UInt8) -> [UInt8] {
    let most = UInt64(1) << UInt64(prefix) - 1
    if value < most { return [first | UInt8(value)] }
    var out = [first | UInt8(most)]
    var rest = value - most
    while rest >= 128 {
      out.append(UInt8(rest & 127) | 128)
      rest >>= 7
    }
    return out + [UInt8(rest)]
  }

  private static func reset(_ stream: UInt32, _ code: HTTP2ErrorCode) -> [UInt8] {
    frame(.rstStream, 0, stream, octets(code.rawValue))
  }

  private static func octets(_ number: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - UInt32($0) * 8)) }
  }

  private static func frame(_ type: HTTP2FrameType, _ flags: UInt8, _ stream: UInt32, _ payload: [UInt8]) -> [UInt8] {
    octets(UInt32(truncatingIfNeeded: payload.count)).dropFirst() + [type.rawValue, flags] + octets(stream) + payload
  }
}

extension HTTP2Block {
  /// An answer that another one follows (RFC 9110 section 15.2).
  var isInterim: Bool { fields.first(":status").map { fields.bytes[$0].first == UInt8(ascii: "1") } ?? false }
}
