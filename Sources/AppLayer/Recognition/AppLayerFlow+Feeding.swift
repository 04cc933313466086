import Traffic

// What the parser is given, and what follows when it says that another protocol begins.

extension AppLayerFlow {
  /// Octets that the other side is recognised by, where one side is known.
  private static let otherSideCountMax = 64

  /// The protocol is known by one side; does the other speak the same?
  func checkOtherSide(_ chunk: borrowing StreamChunk) {
    let direction = chunk.direction
    guard direction == .toServer ? !client.isDone : !server.isDone, chunk.bytes.byteCount > 0 else { return }
    if direction == .toClient, parser is HTTP2Parser {
      // What frames of a server begin with tells nothing to those who do not know it is one.
      update(direction) { ($0.found, $0.isDone, $0.held) = (.http2, true, []) }
      return
    }
    let (bytes, heldBefore) = (chunk.bytes, direction == .toServer ? client.held.count : server.held.count)
    update(direction) { $0.seenCount &+= UInt64(bytes.byteCount) }
    var answer = Recogniser.Answer.needMore
    // What is known by its first octets is not held for that.
    if heldBefore == 0 { answer = recognise(bytes, direction, countMax: Self.otherSideCountMax) }
    if heldBefore > 0 || answer == .needMore {
      let room = max(0, Self.otherSideCountMax - heldBefore)
      let more = bytes.extracting(0..<min(room, bytes.byteCount)).copied()
      update(direction) { $0.held.append(contentsOf: more) }
      if heldBefore > 0 { answer = recogniser(direction).recogniseStream(side(direction).held) }
      if answer == .needMore, side(direction).held.count < Self.otherSideCountMax { return }
    }
    if case .foundReversed = answer { answer = .none }
    if case .found(var found) = answer {
      // The first commands of both are the same.
      if appProtocol == .pop3, found == .ftp { found = .pop3 }
      update(direction) { ($0.found, $0.isDone, $0.held) = (found, true, []) }
      if found != appProtocol { raise(.mismatch) }
    } else {
      update(direction) { ($0.found, $0.isDone, $0.held) = (.failed, true, []) }
      raise(.oneDirectionOnly)
    }
  }

  /// The flow goes on as a protocol that is certain.
  func take(_ next: AppLayerParser, _ appProtocol: AppProtocol) {
    parser = next
    self.appProtocol = appProtocol
    expected = nil
    isDecided = true
    update(.toServer) { ($0.found, $0.isDone) = (appProtocol, true) }
    update(.toClient) { ($0.found, $0.isDone) = (appProtocol, true) }
  }

  func feed(_ chunk: borrowing StreamChunk) {
    guard let parser else { return }
    if marksFrames {
      if parser.frames == nil { parser.frames = FrameLog(parser.appProtocol) }
      parser.frames?.feedStream(chunk)
    }
    parser.consume(chunk)
    hasOnlyPassed = parser.hasOnlyPassed
    parser.frames?.settle(chunk.direction)
    if appProtocol == .http2, (parser as? HTTP2Parser)?.isDNS == true {
      if originalProtocol == .unknown { originalProtocol = .http2 }
      appProtocol = .doh2
    }
    if let next = parser.successor { change(from: parser, to: next, chunk.time) }
  }

  /// CONNECT, Upgrade or STARTTLS: the flow starts over with what comes next.
  func change(from done: AppLayerParser, to next: ProtocolChange, _ time: Timestamp) {
    let heldBytes = (done as? HTTPParser)?.heldForSuccessor ?? (toServer: [], toClient: [])
    if !done.transactions.isEmpty { retired.append(done) }
    if originalProtocol == .unknown { originalProtocol = appProtocol }
    parser = nil
    messageEnds = (true, true)
    changeCount += 1
    if changeCount > Self.changeCountMax {
      giveUp()
      return
    }
    client = Side()
    server = Side()
    isDecided = false
    switch next {
    case .recognise: expected = nil
    case .to(.http2) where supply.isEnabled(.http2):
      // Both sides have agreed: there is nothing left to recognise.
      let http2 = HTTP2Parser(settings: supply.settings.http2, http: supply.settings.http)
      if let request = (done as? HTTPParser)?.upgraded { http2.takeUpgrade(of: request) }
      take(http2, .http2)
    case .to(.websocket) where supply.isEnabled(.websocket):
      let field = (done as? HTTPParser)?.upgraded?.header("Sec-WebSocket-Extensions", .toClient)
      let isDeflated = field.map {
        HTTPText.containsIgnoringNUL($0.storage, $0.range, "permessage-deflate")
      }
      take(WebSocketParser(isDeflated: isDeflated ?? false), .websocket)
    case .to(let wanted) where makesParser(wanted): expected = wanted
    case .to(let wanted):
      // Only named: there is nothing to feed.
      appProtocol = wanted
      isDecided = true
      return
    }
    for (direction, bytes) in [(Direction.toServer, heldBytes.toServer), (.toClient, heldBytes.toClient)]
    where !bytes.isEmpty {
      let chunk = StreamChunk(bytes: bytes.rawSpan, direction: direction, offset: 0, time: time)
      if parser != nil || !isDecided { consumeTrue(chunk) }
    }
  }

  /// A chunk whose direction is the true one already.
  private func consumeTrue(_ chunk: borrowing StreamChunk) {
    if parser != nil {
      checkOtherSide(chunk)
      feed(chunk)
      return
    }
    let heldCount = hold(chunk)
    decideStream(chunk.direction, chunk.time)
    takeRest(of: chunk, from: heldCount, chunk.direction)
  }

  private func makesParser(_ wanted: AppProtocol) -> Bool {
    wanted == .tls || wanted == .http || wanted == .dns
  }

  func decideDatagram(_ chunk: borrowing StreamChunk) {
    supply.begin(with: chunk.bytes, countMax: supply.settings.recognitionLimitBytes)
    switch recogniser(chunk.direction).recogniseDatagram(supply.beginning) {
    case .found(let found): name(found, chunk.direction)
    case .foundReversed(let found):
      isReversed = true
      turnsChunks = true
      name(found, chunk.direction.opposite)
    case .needMore, .none:
      update(chunk.direction) {
        $0.isDone = true
        $0.unknownDatagramCount += 1
      }
      if appProtocol == .unknown { appProtocol = .failed }
      // A datagram of each side that nobody knows is enough, or many of one: a flood is not looked at one by one.
      let isMany = side(chunk.direction).unknownDatagramCount >= supply.settings.unknownDatagramsMax
      if client.isDone && server.isDone || isMany { giveUp() }
    }
  }

  private func name(_ found: AppProtocol, _ direction: Direction) {
    update(direction) { ($0.found, $0.isDone) = (found, true) }
    appProtocol = found
    isDecided = true
    parser = supply.isEnabled(found) ? makeParser(found) : nil
  }
}
