import Traffic

// Which protocol the flow speaks, by what is said in it.

extension AppLayerFlow {
  /// The first octets of a connection that another one has announced: there is nothing to recognise.
  func takeExpected(_ chunk: borrowing StreamChunk) -> Bool {
    let direction = chunk.direction
    guard let ends, side(direction).seenCount == 0, chunk.bytes.byteCount > 0, originalProtocol == .unknown,
      let transfer = ends.expected.take(ends.tuple, direction, isDecrypted: ends.isDecrypted, at: chunk.time)
    else { return false }
    parentID = transfer.parentID
    let files = supply.isEnabled(.ftpData) ? supply.files : nil
    take(FTPDataParser(transfer, settings: supply.settings.ftp, files: files, at: chunk.time), .ftpData)
    return true
  }

  /// Most connections are known by the first octets that are said in them: those go to the parser from where they lie.
  ///
  /// - Returns: false where they have to be held to be recognised.
  func recogniseAtOnce(_ chunk: borrowing StreamChunk) -> Bool {
    let direction = chunk.direction
    guard client.isUntouched, server.isUntouched, chunk.gapBefore == 0, chunk.bytes.byteCount > 0,
      case .found(let found) = recognise(chunk.bytes, direction, countMax: supply.settings.recognitionLimitBytes &* 2)
    else { return false }
    let (offset, count, isEnd) = (chunk.offset, UInt64(chunk.bytes.byteCount), chunk.isEnd)
    update(direction) {
      ($0.found, $0.isDone, $0.isEnded) = (found, true, isEnd)
      ($0.start, $0.seenCount) = (offset, count)
    }
    settle(found, first: direction)
    if parser != nil { feed(chunk) }
    return true
  }

  func recognise(_ bytes: RawSpan, _ direction: Direction, countMax: Int) -> Recogniser.Answer {
    supply.begin(with: bytes, countMax: countMax)
    return recogniser(direction).recogniseStream(supply.beginning)
  }

  func recogniser(_ direction: Direction) -> Recogniser {
    Recogniser(
      direction: direction, serverPort: supply.settings.dnsPorts.contains(serverPort) ? 53 : serverPort,
      clientPort: clientPort)
  }

  func update(_ direction: Direction, _ body: (inout Side) -> Void) {
    if direction == .toServer { body(&client) } else { body(&server) }
  }

  func side(_ direction: Direction) -> Side { direction == .toServer ? client : server }

  /// - Returns: how many octets of the chunk were taken up.
  func hold(_ chunk: borrowing StreamChunk) -> Int {
    let room = max(0, supply.settings.recognitionLimitBytes &* 2 - side(chunk.direction).held.count)
    let bytes = chunk.bytes
    let taken = bytes.extracting(0..<min(room, bytes.byteCount))
    let offset = chunk.offset
    let isEnd = chunk.isEnd
    let restCount = UInt64(bytes.byteCount - taken.byteCount)
    if chunk.direction == .toServer {
      if client.held.isEmpty { client.start = offset }
      client.held.append(taken)
      client.seenCount &+= UInt64(bytes.byteCount)
      client.restCount = restCount
      client.isEnded = client.isEnded || isEnd
    } else {
      if server.held.isEmpty { server.start = offset }
      server.held.append(taken)
      server.seenCount &+= UInt64(bytes.byteCount)
      server.restCount = restCount
      server.isEnded = server.isEnded || isEnd
    }
    return taken.byteCount
  }

  /// Bytes were lost before the protocol was known: only what comes behind them can tell.
  func forget(_ direction: Direction, _ chunk: borrowing StreamChunk) {
    let (offset, bytes) = (chunk.offset, chunk.bytes.copied())
    update(direction) {
      $0.held = Array(bytes.prefix(supply.settings.recognitionLimitBytes &* 2))
      $0.start = offset
    }
  }

  func decideStream(_ direction: Direction, _ time: Timestamp) {
    let side = side(direction)
    if !side.isDone {
      var answer = recogniser(direction).recogniseStream(side.held)
      if answer == .needMore, side.held.count >= supply.settings.recognitionLimitBytes || side.isEnded {
        answer = .none
      }
      var actual = direction
      if case .foundReversed(let found) = answer {
        answer = isMidstream ? reverse(found) : .none
        if isReversed { actual = direction.opposite }
      }
      switch answer {
      case .needMore, .foundReversed: return
      case .found(let found):
        update(actual) { ($0.found, $0.isDone) = (found, true) }
        settle(found, first: actual)
        refeed(time)
        return
      case .none:
        // So few octets may be the beginning of anything, but for what is known by its first ones.
        guard side.held.count >= Self.leastBytes(direction) else { return }
        update(direction) { $0.isDone = true }
      }
    }
    checkGiveUp(direction)
  }

  /// Octets of a side before which nothing is said about it.
  /// - Source: the depth of Suricata's patterns for protocols, by direction.
  private static func leastBytes(_ direction: Direction) -> Int { direction == .toServer ? 17 : 10 }

  private func reverse(_ found: AppProtocol) -> Recogniser.Answer {
    isReversed = true
    turnsChunks = true
    swap(&client, &server)
    return .found(found)
  }

  /// Neither side is known and both, or a silent partner's other one, are through.
  private func checkGiveUp(_ direction: Direction) {
    if client.isDone, server.isDone {
      giveUp()
      return
    }
    let (here, there) = (side(direction), side(direction.opposite))
    if here.isDone, there.seenCount == 0, here.seenCount > supply.settings.oneSidedLimitBytes {
      raise(.skipped)
      giveUp()
    }
  }

  func giveUp() {
    if let expected { raiseMissing(expected) }
    isDecided = true
    isFailed = true
    appProtocol = .failed
    update(.toServer) { ($0.held, $0.isDone) = ([], true) }
    update(.toClient) { ($0.held, $0.isDone) = ([], true) }
  }

  /// The flow is `found`, by what was said in `direction`.
  func settle(_ found: AppProtocol, first direction: Direction) {
    let isOther = expected.map { $0 != found } ?? false
    if let expected, isOther {
      raise(.unexpected)
      raiseMissing(expected)
    }
    expected = nil
    isDecided = true
    appProtocol = found
    let isOtherUnknown =
      direction == .toServer ? server.isDone && server.found == .unknown : client.isDone && client.found == .unknown
    if isOtherUnknown {
      raise(.oneDirectionOnly)
      update(direction.opposite) { $0.found = .failed }
    }
    if found == .tls, direction == .toClient, client.seenCount == 0, !isMidstream {
      raise(.wrongDirectionFirst)
    }
    parser = supply.isEnabled(found) ? makeParser(found) : nil
    if isOther { (parser as? HTTPParser)?.followsFailedChange = true }
  }

  /// The parser gets what was held.
  private func refeed(_ time: Timestamp) {
    let (fromClient, fromServer) = (client, server)
    update(.toServer) { $0.held = [] }
    update(.toClient) { $0.held = [] }
    refeed(fromClient, .toServer, time)
    refeed(fromServer, .toClient, time)
  }

  private func refeed(_ side: Side, _ direction: Direction, _ time: Timestamp) {
    guard side.seenCount > 0 || side.isEnded else { return }
    let held = side.held
    let kept = UInt64(held.count) &+ side.restCount
    let lost = side.seenCount > kept ? side.seenCount - kept : 0
    let chunk = StreamChunk(
      bytes: held.rawSpan, direction: direction, offset: side.start,
      isEnd: side.isEnded && lost == 0 && side.restCount == 0, time: time)
    if parser != nil {
      checkOtherSide(chunk)
      feed(chunk)
    }
    guard lost > 0, parser != nil else { return }
    feed(
      StreamChunk(
        bytes: RawSpan(), direction: direction, offset: side.start &+ side.seenCount,
        gapBefore: lost, isEnd: side.isEnded && side.restCount == 0, time: time))
  }

  func makeParser(_ found: AppProtocol) -> AppLayerParser? {
    switch found {
    case .http: HTTPParser(settings: supply.settings.http, files: supply.files, supply: supply)
    case .http2: HTTP2Parser(settings: supply.settings.http2, http: supply.settings.http, files: supply.files)
    case .tls: TLSParser(settings: supply.settings.tls)
    case .dns, .mdns:
      DNSParser(framing: transport == .tcp ? .stream : .datagram, appProtocol: found, supply: supply)
    case .smtp: SMTPParser(settings: supply.settings.smtp, files: supply.files)
    case .quic: QUICParser()
    case .ssh: SSHParser()
    case .ftp: FTPParser(settings: supply.settings.ftp, ends: isReversed ? ends?.reversed : ends)
    case .sip: SIPParser(isStream: transport == .tcp)
    case .pop3: POP3Parser(settings: supply.settings.pop3, files: supply.files)
    case .dhcp: DHCPParser()
    case .ntp: NTPParser()
    case .tftp: TFTPParser()
    case .telnet: TelnetParser()
    case .unknown, .failed, .ftpData, .smb, .dcerpc, .imap, .doh2, .websocket: nil
    }
  }
}
