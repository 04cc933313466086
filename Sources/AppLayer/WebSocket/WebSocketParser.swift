import Traffic

/// Reads the frames of a WebSocket connection.
///
/// - Source: RFC 6455, RFC 7692; Suricata 8 for what is a transaction.
/// - Limits: `messageBytesMax` decoded octets of one message; what exceeds it is passed over with the
///   event `skip_end_of_payload`. Of a message in several frames the last `windowBytes` octets are seen
///   together with the next frame.
public final class WebSocketParser: AppLayerParser {
  private let toServer: Side
  private let toClient: Side
  private var nextID: UInt64 = 0
  /// The stream of HTTP/2 that carries the frames; 0 for a connection of their own.
  let streamID: UInt32
  /// Numbers transactions, where others of the same flow are numbered beside them.
  private let number: (() -> UInt64)?

  static let messageBytesMax: UInt64 = 64 << 20
  private static let controlOpcodeMin: UInt8 = 8

  private final class Side {
    let direction: Direction
    /// nil where the extension was not agreed on.
    var inflater: WebSocketInflater?
    var header: [UInt8] = []
    var left: UInt64 = 0
    var maskPlace = 0
    var maskBytes: [UInt8] = []
    var frame: WebSocketTransaction?
    /// The message that continuation frames go on with.
    var message: [UInt8] = []
    var messageBytes: UInt64 = 0
    var isCompressed = false

    init(_ direction: Direction, _ isDeflated: Bool) {
      self.direction = direction
      inflater = isDeflated ? WebSocketInflater() : nil
    }
  }

  /// - Parameter isDeflated: permessage-deflate was agreed on.
  public convenience init(isDeflated: Bool) { self.init(isDeflated: isDeflated, streamID: 0, number: nil) }

  init(isDeflated: Bool, streamID: UInt32, number: (() -> UInt64)?) {
    self.streamID = streamID
    self.number = number
    toServer = Side(.toServer, isDeflated)
    toClient = Side(.toClient, isDeflated)
    super.init(appProtocol: .websocket)
  }

  override public func consume(_ chunk: borrowing StreamChunk) {
    let side = chunk.direction == .toServer ? toServer : toClient
    let hasFailed = chunk.direction == .toServer ? hasFailed.toServer : hasFailed.toClient
    guard !hasFailed else { return }
    if chunk.gapBefore > 0 {
      guard chunk.gapBefore <= side.left else { return fail(side) }
      frames?.cut(chunk.direction)
      side.left -= chunk.gapBefore
      side.maskPlace = Int((UInt64(side.maskPlace) &+ chunk.gapBefore) & 3)
      side.frame?.payload.appendGap(chunk.gapBefore)
      side.inflater = nil
      if side.left == 0 { endFrame(side) }
    }
    var reader = ByteReader(chunk.bytes)
    while !reader.isAtEnd {
      if side.frame == nil {
        readHeader(&reader, side, chunk.time)
        if chunk.direction == .toServer ? self.hasFailed.toServer : self.hasFailed.toClient { return }
        continue
      }
      let count = Int(clamping: min(side.left, UInt64(reader.remaining)))
      guard let bytes = reader.take(count) else { return }
      side.left -= UInt64(count)
      if let frames { markPayload(bytes, side, frames) }
      takePayload(bytes, side)
      if side.left == 0 { endFrame(side) }
    }
  }

  override public func finish(at time: Timestamp) {
    for side in [toServer, toClient] {
      side.frame?.complete()
      side.frame = nil
    }
  }

  private func fail(_ side: Side) {
    if side.direction == .toServer { hasFailed.toServer = true } else { hasFailed.toClient = true }
    side.frame?.complete()
    side.frame = nil
  }

  /// The transactions since the last call, for whoever keeps them instead.
  func takeTransactions() -> [Transaction] {
    defer { transactions = [] }
    return transactions
  }

  // MARK: Frames

  private func readHeader(_ reader: inout ByteReader, _ side: Side, _ time: Timestamp) {
    guard let byte = reader.u8() else { return }
    side.header.append(byte)
    let header = side.header
    guard header.count >= 2 else { return }
    let isMasked = header[1] & 0x80 != 0
    let short = header[1] & 0x7f
    let lengthCount = short == 126 ? 2 : short == 127 ? 8 : 0
    guard header.count == 2 + lengthCount + (isMasked ? 4 : 0) else { return }
    side.left = lengthCount == 0 ? UInt64(short) : header[2..<2 + lengthCount].reduce(0) { $0 << 8 | UInt64($1) }
    side.maskBytes = isMasked ? Array(header.suffix(4)) : []
    side.maskPlace = 0
    side.header = []
    if let frames { markHeader(header, side, frames) }
    // The top bit is none of a length (RFC 6455 section 5.2).
    guard side.left >> 63 == 0 else { return fail(side) }
    begin(header[0], side, time)
    if side.left == 0 { endFrame(side) }
  }

  // MARK: Frames for rules

  private func markHeader(_ header: [UInt8], _ side: Side, _ frames: FrameLog) {
    frames.begin("pdu", side.direction)
    frames.add("header", side.direction, header.rawSpan)
    if side.left == 0 { frames.end("pdu", side.direction) }
    frames.feed(header.rawSpan, side.direction)
    if side.left > 0, side.left >> 63 == 0 { frames.begin("data", side.direction) }
  }

  private func markPayload(_ bytes: RawSpan, _ side: Side, _ frames: FrameLog) {
    if side.left == 0 {
      frames.end("data", side.direction)
      frames.end("pdu", side.direction)
    }
    frames.feed(bytes, side.direction)
  }

  // MARK: Messages

  private func begin(_ head: UInt8, _ side: Side, _ time: Timestamp) {
    let mask = side.maskBytes.isEmpty ? nil : side.maskBytes.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    let id = number?() ?? nextID
    let frame = WebSocketTransaction(id: id, direction: side.direction, head: head, mask: mask, start: time)
    frame.streamID = streamID
    nextID &+= 1
    transactions.append(frame)
    side.frame = frame
    guard frame.opcode < Self.controlOpcodeMin else { return }
    if frame.opcode != 0 {
      side.message = []
      side.messageBytes = 0
      side.isCompressed = frame.isCompressed && side.inflater != nil
    } else if !side.message.isEmpty {
      let before = side.message
      frame.payload.append(before.rawSpan, limitBytes: nil)
    }
  }

  private func takePayload(_ bytes: RawSpan, _ side: Side) {
    guard let frame = side.frame, bytes.byteCount > 0 else { return }
    var plain = bytes.copied()
    if !side.maskBytes.isEmpty {
      for i in plain.indices { plain[i] ^= side.maskBytes[(side.maskPlace &+ i) & 3] }
      side.maskPlace = (side.maskPlace &+ plain.count) & 3
    }
    if frame.opcode >= Self.controlOpcodeMin {
      frame.payload.append(plain.rawSpan, limitBytes: nil)
    } else if side.isCompressed {
      inflate(plain, side, frame)
    } else {
      _ = add(plain.rawSpan, side, frame)
    }
  }

  private func inflate(_ bytes: [UInt8], _ side: Side, _ frame: WebSocketTransaction) {
    // Who receives a message that cannot be decompressed ends the connection (RFC 7692 section 7.2.2).
    guard let inflater = side.inflater, !inflater.hasFailed else { return }
    inflater.write(bytes) { add($0, side, frame) }
    if inflater.hasFailed { frame.raise("failed_decompression") }
  }

  /// - Returns: false where the message has exceeded its limit.
  private func add(_ bytes: RawSpan, _ side: Side, _ frame: WebSocketTransaction) -> Bool {
    side.messageBytes &+= UInt64(bytes.byteCount)
    guard side.messageBytes <= Self.messageBytesMax else {
      frame.raise("skip_end_of_payload")
      return false
    }
    frame.payload.append(bytes, limitBytes: nil)
    if !frame.isFinal || frame.opcode == 0 {
      side.message.append(bytes)
      // How much stays depends on where the message is, not on how it was cut.
      let window = WebSocketTransaction.windowBytes
      let excess = side.message.count - window - Int(side.messageBytes % UInt64(window))
      if excess > 0 { side.message.removeFirst(excess) }
    }
    return true
  }

  private func endFrame(_ side: Side) {
    guard let frame = side.frame else { return }
    if frame.opcode < Self.controlOpcodeMin, frame.isFinal {
      // The tail that senders leave out (RFC 7692 section 7.2.2).
      if side.isCompressed { inflate([0, 0, 0xff, 0xff], side, frame) }
      side.message = []
      side.messageBytes = 0
      // Later messages are seen as they are.
      if side.inflater?.hasFailed == true { side.inflater = nil }
    }
    frame.complete()
    side.frame = nil
  }
}
