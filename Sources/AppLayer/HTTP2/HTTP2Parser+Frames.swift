import Traffic

/// What each frame means.
///
/// - Source: RFC 9113 section 6.
extension HTTP2Parser {
  /// A frame other than DATA with the whole of its payload.
  func takeFrame(_ payload: RawSpan, _ leg: HTTP2Leg, _ time: Timestamp) {
    let frame = leg.frame
    let direction = leg.direction
    if leg.block != nil, frame.kind != .continuation {
      // Nothing may come in between (section 6.10): the block ends as it is.
      raise(.invalidFrameData, direction, time)
      finishBlock(leg, time)
    }
    switch frame.kind {
    case .headers: takeHeaders(payload, leg, time)
    case .pushPromise: takePromise(payload, leg, time)
    case .continuation: takeContinuation(payload, leg, time)
    case .settings: takeSettingsFrame(payload, frame, leg, time)
    case .priority: takePriority(payload, frame, leg, time)
    case .rstStream: takeReset(payload, frame, leg, time)
    case .goAway: takeGoAway(payload, frame, direction, time)
    case .windowUpdate: takeWindow(payload, frame, leg, time)
    case .ping:
      let transaction = connectionTransaction(direction, time)
      note(frame.type, transaction, direction)
      if payload.byteCount != 8 { transaction.raise(HTTP2Event.invalidFrameLength) }
      countControl(leg, transaction, time)
    case .data, nil: noteUnknown(frame, leg, time)
    }
  }

  /// A frame that is too long or of a type that nobody knows.
  func skipFrame(_ frame: HTTP2FrameHeader, _ direction: Direction, _ time: Timestamp) {
    let leg = direction == .toServer ? client : server
    // The fields of a header block are lost, and with them what later ones refer to.
    if frame.kind == .headers || frame.kind == .continuation || frame.kind == .pushPromise {
      leg.block = nil
      raise(.reassemblyLimitReached, direction, time)
      return
    }
    noteUnknown(frame, leg, time)
  }

  private func noteUnknown(_ frame: HTTP2FrameHeader, _ leg: HTTP2Leg, _ time: Timestamp) {
    if let stream = streams[frame.streamID] {
      note(frame.type, stream, leg.direction)
      return
    }
    let transaction = connectionTransaction(leg.direction, time)
    note(frame.type, transaction, leg.direction)
    countControl(leg, transaction, time)
  }

  func noteLongFrame(_ frame: HTTP2FrameHeader, _ direction: Direction, _ time: Timestamp) {
    if let stream = streams[frame.streamID] {
      stream.raise(HTTP2Event.longFrameData)
    } else {
      raise(.longFrameData, direction, time)
    }
  }

  private func note(_ type: UInt8, _ transaction: HTTP2Transaction, _ direction: Direction) {
    change(transaction, direction) { $0.note(type: type) }
  }

  private func change(
    _ transaction: HTTP2Transaction, _ direction: Direction, _ body: (inout HTTP2Notes) -> Void
  ) {
    if direction == .toServer { body(&transaction.fromClient) } else { body(&transaction.fromServer) }
  }

  /// Adds a number to a list of limited length.
  private func add<Value>(
    _ value: Value, _ list: WritableKeyPath<HTTP2Notes, [Value]>, _ transaction: HTTP2Transaction,
    _ direction: Direction
  ) {
    var fits = true
    change(transaction, direction) {
      fits = HTTP2Notes.add(value, to: &$0[keyPath: list], max: settings.frameNotesMax)
    }
    if !fits { transaction.raise(HTTP2Event.tooManyFrames) }
  }

  private func countControl(_ leg: HTTP2Leg, _ transaction: HTTP2Transaction, _ time: Timestamp) {
    if leg.controls.exceeds(settings.controlFramesPerSecondMax, at: time) {
      transaction.raise(HTTP2Event.controlFrameFlood)
    }
  }

  // MARK: Frames about the connection or a stream

  private func takeSettingsFrame(
    _ payload: RawSpan, _ frame: HTTP2FrameHeader, _ leg: HTTP2Leg, _ time: Timestamp
  ) {
    let transaction = takeSettings(payload, leg.direction, time)
    countControl(leg, transaction, time)
  }

  @discardableResult
  func takeSettings(_ payload: RawSpan, _ direction: Direction, _ time: Timestamp) -> HTTP2Transaction {
    let transaction = connectionTransaction(direction, time)
    note(HTTP2FrameType.settings.rawValue, transaction, direction)
    if payload.byteCount % 6 != 0 { transaction.raise(HTTP2Event.invalidFrameLength) }
    var reader = ByteReader(payload)
    while let id = reader.u16(), let value = reader.u32() {
      add((id: id, value: value), \.settings, transaction, direction)
    }
    return transaction
  }

  private func takeGoAway(
    _ payload: RawSpan, _ frame: HTTP2FrameHeader, _ direction: Direction, _ time: Timestamp
  ) {
    let transaction = connectionTransaction(direction, time)
    note(frame.type, transaction, direction)
    guard payload.byteCount >= 8 else {
      transaction.raise(HTTP2Event.invalidFrameLength)
      return
    }
    add(payload.u32(at: 4), \.goAwayCodes, transaction, direction)
  }

  private func takeWindow(
    _ payload: RawSpan, _ frame: HTTP2FrameHeader, _ leg: HTTP2Leg, _ time: Timestamp
  ) {
    let direction = leg.direction
    guard let transaction = addressee(frame, direction, time) else { return }
    note(frame.type, transaction, direction)
    countControl(leg, transaction, time)
    guard payload.byteCount == 4 else {
      transaction.raise(HTTP2Event.invalidFrameLength)
      return
    }
    add(payload.u32(at: 0) & 0x7fff_ffff, \.windows, transaction, direction)
  }

  private func takePriority(
    _ payload: RawSpan, _ frame: HTTP2FrameHeader, _ leg: HTTP2Leg, _ time: Timestamp
  ) {
    let direction = leg.direction
    // It may name streams that are not open yet (section 5.3.1): those are transactions from then on.
    let known = addressee(frame, direction, time)
    let transaction = known ?? (isUsed(frame.streamID) ? nil : openStream(frame.streamID, time))
    guard let transaction else { return }
    note(frame.type, transaction, direction)
    countControl(leg, transaction, time)
    guard payload.byteCount == 5 else {
      transaction.raise(HTTP2Event.invalidFrameLength)
      return
    }
    add(payload.u8(at: 4), \.priorities, transaction, direction)
  }

  private func takeReset(
    _ payload: RawSpan, _ frame: HTTP2FrameHeader, _ leg: HTTP2Leg, _ time: Timestamp
  ) {
    let direction = leg.direction
    guard let stream = addressee(frame, direction, time) else { return }
    note(frame.type, stream, direction)
    if payload.byteCount == 4 {
      add(payload.u32(at: 0), \.resetCodes, stream, direction)
    } else {
      stream.raise(HTTP2Event.invalidFrameLength)
    }
    if leg.resets.exceeds(settings.resetsPerSecondMax, at: time) { stream.raise(HTTP2Event.rapidReset) }
    guard frame.streamID != 0 else { return }
    resetRecently.append(frame.streamID)
    stream.end(direction, isCut: true)
    if stream.isComplete { close(stream, isCut: true) } else { settleUnanswered(stream) }
    closeLingering()
  }

  /// What the other side has sent before it heard of a reset is still on its way: such streams are kept
  /// until enough others were reset after them.
  private func closeLingering() {
    if let place = resetRecently.count > Self.lingeringMax ? resetRecently.count - Self.lingeringMax - 1 : nil,
      let stream = streams[resetRecently[place]]
    {
      close(stream, isCut: true)
    }
    if resetRecently.count > Self.lingeringMax * 4 { resetRecently.removeFirst(Self.lingeringMax * 2) }
  }

  /// Reset streams that are kept for what may still come.
  private static var lingeringMax: Int { 64 }

  /// The stream that a frame is about, or the connection; nil for a stream that is over.
  private func addressee(
    _ frame: HTTP2FrameHeader, _ direction: Direction, _ time: Timestamp
  ) -> HTTP2Transaction? {
    if frame.streamID == 0 { return connectionTransaction(direction, time) }
    return streams[frame.streamID]
  }

  // MARK: Header blocks

  /// What is left of a payload without its padding.
  private func unpadded(
    _ payload: RawSpan, _ frame: HTTP2FrameHeader, _ leg: HTTP2Leg, _ time: Timestamp
  ) -> Range<Int> {
    guard frame.isPadded, payload.byteCount > 0 else { return 0..<payload.byteCount }
    let padding = Int(payload.u8(at: 0))
    guard padding < payload.byteCount else {
      raise(.invalidFrameData, leg.direction, time)
      return 1..<payload.byteCount
    }
    return 1..<payload.byteCount - padding
  }

  private func takeHeaders(_ payload: RawSpan, _ leg: HTTP2Leg, _ time: Timestamp) {
    let frame = leg.frame
    var range = unpadded(payload, frame, leg, time)
    var block = HTTP2Block(
      frameStream: frame.streamID, stream: frame.streamID, isPromise: false, endsStream: frame.endsStream,
      types: [frame.type])
    if frame.hasPriority {
      if range.count >= 5 {
        block.priority = payload.u8(at: range.lowerBound + 4)
        range = range.lowerBound + 5..<range.upperBound
      } else {
        block.events.append(.invalidFrameLength)
      }
    }
    begin(block, payload.extracting(range), leg, time)
  }

  private func takePromise(_ payload: RawSpan, _ leg: HTTP2Leg, _ time: Timestamp) {
    let frame = leg.frame
    let range = unpadded(payload, frame, leg, time)
    guard range.count >= 4 else {
      raise(.invalidFrameLength, leg.direction, time)
      return
    }
    let promised = payload.u32(at: range.lowerBound) & 0x7fff_ffff
    let block = HTTP2Block(
      frameStream: frame.streamID, stream: promised, isPromise: true, endsStream: false,
      types: [frame.type])
    begin(block, payload.extracting(range.lowerBound + 4..<range.upperBound), leg, time)
  }

  private func begin(_ block: HTTP2Block, _ fragment: RawSpan, _ leg: HTTP2Leg, _ time: Timestamp) {
    var block = block
    let (sizes, overflows) = HPACKInflater.sizeUpdates(fragment)
    for size in sizes { block.fields.append(sizeUpdate: size) }
    if overflows { block.events.append(.headerIntegerOverflow) }
    if sizes.contains(where: { $0 > UInt64(settings.tableSizeMax) }) { block.events.append(.headerTableOverflow) }
    leg.block = block
    inflate(fragment, leg, time)
  }

  private func takeContinuation(_ payload: RawSpan, _ leg: HTTP2Leg, _ time: Timestamp) {
    guard let open = leg.block, open.frameStream == leg.frame.streamID else {
      raise(.continuationWithoutHeaders, leg.direction, time)
      return
    }
    leg.block?.continuationCount += 1
    if !open.types.contains(leg.frame.type) { leg.block?.types.append(leg.frame.type) }
    if open.continuationCount == settings.continuationCountMax { leg.block?.events.append(.continuationFlood) }
    inflate(payload, leg, time)
  }

  private func inflate(_ fragment: RawSpan, _ leg: HTTP2Leg, _ time: Timestamp) {
    guard var block = leg.block else { return }
    leg.block = nil
    let isFinal = leg.frame.endsHeaders
    let isGood = leg.inflater.inflate(fragment, isFinal: isFinal) { name, value in
      // Each field counts 32 octets besides, as in the table (RFC 7541 section 4.1).
      block.octets += name.byteCount + value.byteCount + 32
      guard block.octets <= settings.headerListBytesMax, block.fields.fieldCount < http.headerCountMax else {
        if !block.isTooLong { block.events.append(.headerListTooLong) }
        block.isTooLong = true
        return
      }
      block.fields.append(name: name.copied(), value: value.copied())
    }
    if !isGood { block.events.append(.invalidHeader) }
    leg.block = block
    if isFinal || !isGood { finishBlock(leg, time) }
  }

  /// The fields of a block go to their stream.
  private func finishBlock(_ leg: HTTP2Leg, _ time: Timestamp) {
    guard let block = leg.block else { return }
    leg.block = nil
    if settings.keepsBlocks { leg.finishedBlocks.append(block) }
    let direction = leg.direction
    guard block.stream != 0 else {
      raise(.invalidFrameHeader, direction, time)
      return
    }
    // A promise carries a request, though the server sends it.
    let side = block.isPromise ? .toServer : direction
    if side == .toServer, HTTP2Transaction.isDNS(block.fields) { noteDNS() }
    let stream = streamForHead(block, direction, time)
    for type in block.types { note(type, stream, direction) }
    for event in block.events { stream.raise(event) }
    if let priority = block.priority { add(priority, \.priorities, stream, direction) }
    for entry in block.fields.entries {
      if let size = entry.sizeUpdate { add(size, \.sizeUpdates, stream, direction) }
    }
    stream.takeHead(block.fields, side, decodes: decompresses)
    if block.isPromise { stream.end(.toServer, isCut: false) }
    if block.endsStream { endStream(stream, direction) }
  }

  private func streamForHead(_ block: HTTP2Block, _ direction: Direction, _ time: Timestamp) -> HTTP2Transaction {
    if let known = streams[block.stream] {
      if !known.isComplete(direction) || block.isPromise { return known }
      known.raise(HTTP2Event.streamIDReuse)
      close(known, isCut: true)
      return openStream(block.stream, time)
    }
    let isReuse = isUsed(block.stream) && !resetRecently.contains(block.stream)
    let stream = openStream(block.stream, time)
    if isReuse { stream.raise(HTTP2Event.streamIDReuse) }
    return stream
  }

  func endStream(_ stream: HTTP2Transaction, _ direction: Direction) {
    stream.end(direction, isCut: false)
    if stream.isComplete { close(stream, isCut: false) } else { settleUnanswered(stream) }
  }

  // MARK: Data

  func beginData(_ frame: HTTP2FrameHeader, _ direction: Direction, _ time: Timestamp) {
    let leg = direction == .toServer ? client : server
    if leg.block != nil {
      raise(.invalidFrameData, direction, time)
      finishBlock(leg, time)
    }
    guard frame.streamID != 0 else {
      let transaction = connectionTransaction(direction, time)
      note(frame.type, transaction, direction)
      transaction.raise(HTTP2Event.dataStreamZero)
      return
    }
    guard let stream = dataStream(frame, direction, time) else { return }
    note(frame.type, stream, direction)
    if frame.length == 0, !frame.endsStream { countControl(leg, stream, time) }
  }

  /// The stream that DATA belongs to; made anew for one that is over, so that nothing goes by unseen.
  func dataStream(_ frame: HTTP2FrameHeader, _ direction: Direction, _ time: Timestamp) -> HTTP2Transaction? {
    guard frame.streamID != 0 else { return nil }
    if let known = streams[frame.streamID], !known.isComplete(direction) { return known }
    if frame.length == 0, isUsed(frame.streamID) { return nil }
    let isReset = resetRecently.contains(frame.streamID)
    if let known = streams[frame.streamID] { close(known, isCut: true) }
    let isReuse = isUsed(frame.streamID) && !isReset
    let stream = openStream(frame.streamID, time)
    if isReuse { stream.raise(HTTP2Event.streamIDReuse) }
    stream.advance(direction, to: HTTPProgress.body)
    // Nothing else will come of it.
    if isReset || isReuse { stream.end(direction.opposite, isCut: true) }
    return stream
  }

  // MARK: WebSocket in a stream

  /// What DATA carries once a stream is a WebSocket: its frames, which are transactions of their own.
  ///
  /// - Source: RFC 8441. What the client sends is one from its request on, whatever the server will answer; what the
  ///   server sends where it agrees by 2xx.
  /// - Returns: whether the stream is one.
  func takeWebSocket(_ chunk: borrowing StreamChunk, _ stream: HTTP2Transaction) -> Bool {
    guard stream.asksForWebSocket else { return false }
    if chunk.direction == .toClient, !(200...299).contains(stream.statusLine.number ?? 0) { return false }
    let parser = stream.webSocket ?? makeWebSocket(stream)
    stream.webSocket = parser
    parser.consume(chunk)
    keep(parser.takeTransactions())
    return true
  }

  private func makeWebSocket(_ stream: HTTP2Transaction) -> WebSocketParser {
    let field = stream.header("sec-websocket-extensions", .toClient)
    let isDeflated = field.map { HTTPText.containsIgnoringNUL($0.storage, $0.range, "permessage-deflate") }
    return WebSocketParser(isDeflated: isDeflated ?? false, streamID: stream.streamID) { [weak self] in
      self?.makeID() ?? 0
    }
  }

  /// The payload of a DATA frame has been taken up.
  func finishData(_ frame: HTTP2FrameHeader, _ direction: Direction, _ time: Timestamp) {
    guard frame.endsStream, frame.streamID != 0, let stream = streams[frame.streamID] else { return }
    endStream(stream, direction)
  }
}
