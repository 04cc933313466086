import Traffic

/// The application layer of one flow: finds out the protocol by content, then feeds its parser.
///
/// Each direction is recognised by itself; the first to be recognised decides. What comes before is
/// held (at most `recognitionLimitBytes` a direction) and fed to the parser then.
public final class AppLayerFlow {
  public enum Transport: UInt8, Sendable {
    case tcp, udp
  }

  /// How far the recognition of one direction is.
  private struct Side {
    var found = AppProtocol.unknown
    /// Recognition has come to an end, with or without a result.
    var isDone = false
    /// What was sent so far, as long as it is needed.
    var held: [UInt8] = []
    var seenCount: UInt64 = 0
    /// Where the held bytes begin in the stream.
    var start: UInt64 = 0
    var isEnded = false
    /// Octets of the chunk in hand that were too many to be held.
    var restCount: UInt64 = 0
    /// Datagrams that nobody knows.
    var unknownDatagramCount = 0

    /// Nothing was said yet, and nothing decided.
    var isUntouched: Bool { seenCount == 0 && !isDone && !isEnded }
  }

  /// The settings among other things; of the worker, since a copy for each flow is large.
  let supply: AppLayerSupply
  let transport: Transport
  let serverPort: UInt16
  let clientPort: UInt16
  /// The first packets of the flow were not seen: its ends may have been taken for each other.
  let isMidstream: Bool
  /// What the flow may announce others with, and may have been announced by.
  private let ends: FlowEnds?
  private var client = Side()
  private var server = Side()
  /// What the flow is taken for.
  public private(set) var appProtocol = AppProtocol.unknown
  /// What it was before it changed (CONNECT, Upgrade), or `unknown`.
  public private(set) var originalProtocol = AppProtocol.unknown
  public private(set) var parser: AppLayerParser?
  /// Parsers from before a change of protocol whose transactions are not all taken away yet.
  private var retired: [AppLayerParser] = []
  /// Oddities of the flow as a whole (`app-layer-event:applayer_…`).
  public private(set) var events: [AppEvent] = []
  /// The side that was taken for the client speaks as a server: a midstream pick-up saw them swapped.
  /// Chunks are turned round for the parser; directions of its transactions are the true ones.
  public private(set) var isReversed = false
  private var turnsChunks = false
  /// The protocol is known, or never will be.
  public private(set) var isDecided = false
  /// Nothing more is looked into.
  public private(set) var isFailed = false
  /// The flow that has announced this one; 0 where none has.
  public private(set) var parentID: UInt64 = 0
  private var expected: AppProtocol?
  private var changeCount = 0
  /// A change of protocol ends what both sides were saying.
  private var messageEnds = (toServer: false, toClient: false)

  /// Tunnels within tunnels that are followed; what comes behind them is not looked into.
  private static let changeCountMax = 8

  /// - Parameters:
  ///   - supply: of the worker that has the flow.
  ///   - serverPort: only a hint; recognition goes by content.
  ///   - clientPort: only a hint, for flows picked up midstream.
  ///   - ends: the flow's ends, and what others have announced; nil where no flow announces another.
  public init(
    supply: AppLayerSupply, transport: Transport, serverPort: UInt16, clientPort: UInt16,
    isMidstream: Bool = false, ends: FlowEnds? = nil
  ) {
    self.supply = supply
    self.transport = transport
    self.serverPort = serverPort
    self.clientPort = clientPort
    self.isMidstream = isMidstream
    self.ends = ends
  }

  /// A flow by itself.
  ///
  /// - Parameter files: who looks at files in transfer; nil where nobody does.
  public convenience init(
    settings: AppLayerSettings, transport: Transport, serverPort: UInt16, clientPort: UInt16,
    isMidstream: Bool = false, files: FileExaminer? = nil, ends: FlowEnds? = nil
  ) {
    self.init(
      supply: AppLayerSupply(settings: settings, files: files), transport: transport, serverPort: serverPort,
      clientPort: clientPort, isMidstream: isMidstream, ends: ends)
  }

  /// By what the client sent.
  public var protocolToServer: AppProtocol { client.found }
  /// By what the server sent.
  public var protocolToClient: AppProtocol { server.found }

  /// Oldest first, those of an earlier protocol included.
  public var transactions: [Transaction] {
    guard !retired.isEmpty else { return parser?.transactions ?? [] }
    return retired.flatMap(\.transactions) + (parser?.transactions ?? [])
  }

  /// Whether a message has ended in this direction since this was asked last: what the raw stream holds is then
  /// inspected without waiting for more.
  public func takeMessageEnd(_ direction: Direction) -> Bool {
    let hasEnded: Bool
    if direction == .toServer {
      hasEnded = messageEnds.toServer || parser?.messageEnds.toServer ?? false
      messageEnds.toServer = false
      parser?.messageEnds.toServer = false
    } else {
      hasEnded = messageEnds.toClient || parser?.messageEnds.toClient ?? false
      messageEnds.toClient = false
      parser?.messageEnds.toClient = false
    }
    return hasEnded
  }

  public var endsMessagesWithTransactions: Bool { parser?.endsMessagesWithTransactions ?? true }

  /// The last chunk has changed nothing that rules or records look at.
  public private(set) var hasOnlyPassed = false

  /// What follows is ciphertext: no rule on payload has anything to find in it.
  public var hidesPayload: Bool { parser?.hidesPayload ?? false }

  /// Takes away the oldest transactions for which `isDone` holds.
  public func removeTransactions(while isDone: (Transaction) -> Bool) {
    while let oldest = retired.first {
      oldest.removeTransactions(while: isDone)
      if !oldest.transactions.isEmpty { return }
      retired.removeFirst()
    }
    parser?.removeTransactions(while: isDone)
  }

  /// The owner has turned the flow round: chunks come in their true directions from here on.
  public func acknowledgeReversal() { turnsChunks = false }

  /// The next piece of a TCP stream, in order within its direction.
  public func consume(_ chunk: borrowing StreamChunk) {
    hasOnlyPassed = false
    if isFailed { return }
    let turned = StreamChunk(
      bytes: chunk.bytes, direction: turnsChunks ? chunk.direction.opposite : chunk.direction,
      offset: chunk.offset, gapBefore: chunk.gapBefore, isEnd: chunk.isEnd, time: chunk.time)
    if parser != nil {
      checkOtherSide(turned)
      feed(turned)
      return
    }
    if isDecided { return }
    if takeExpected(turned) {
      feed(turned)
      return
    }
    if recogniseAtOnce(turned) { return }
    let heldCount = hold(turned)
    if turned.gapBefore > 0 { forget(turned.direction, turned) }
    decideStream(turned.direction, turned.time)
    let direction = turnsChunks ? chunk.direction.opposite : chunk.direction
    takeRest(of: turned, from: heldCount, direction)
  }

  /// What of a chunk was too much to be held goes to the parser that its beginning has led to.
  private func takeRest(of chunk: borrowing StreamChunk, from heldCount: Int, _ direction: Direction) {
    let bytes = chunk.bytes
    guard heldCount < bytes.byteCount else { return }
    update(direction) { $0.restCount = 0 }
    guard parser != nil else { return }
    feed(
      StreamChunk(
        bytes: bytes.extracting(heldCount..<bytes.byteCount), direction: direction,
        offset: chunk.offset &+ UInt64(heldCount), isEnd: chunk.isEnd, time: chunk.time))
  }

  /// A whole UDP datagram.
  public func consumeDatagram(_ chunk: borrowing StreamChunk) {
    if isFailed { return }
    if !isDecided { decideDatagram(chunk) }
    guard let parser else { return }
    if marksFrames, parser.frames == nil { parser.frames = FrameLog(parser.appProtocol) }
    parser.consume(
      StreamChunk(
        bytes: chunk.bytes, direction: turnsChunks ? chunk.direction.opposite : chunk.direction,
        offset: chunk.offset, isEnd: chunk.isEnd, time: chunk.time))
  }

  /// Both directions are over.
  public func finish(at time: Timestamp) {
    // That it is nobody's was not found out: too little was said.
    if !isDecided, transport == .tcp {
      if let expected { raiseMissing(expected) }
      isDecided = true
      isFailed = true
    }
    parser?.finish(at: time)
  }

  // MARK: Recognition

  /// The first octets of a connection that another one has announced: there is nothing to recognise.
  private func takeExpected(_ chunk: borrowing StreamChunk) -> Bool {
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
  private func recogniseAtOnce(_ chunk: borrowing StreamChunk) -> Bool {
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

  private func recognise(_ bytes: RawSpan, _ direction: Direction, countMax: Int) -> Recogniser.Answer {
    supply.begin(with: bytes, countMax: countMax)
    return recogniser(direction).recogniseStream(supply.beginning)
  }

  private func recogniser(_ direction: Direction) -> Recogniser {
    Recogniser(
      direction: direction, serverPort: supply.settings.dnsPorts.contains(serverPort) ? 53 : serverPort,
      clientPort: clientPort)
  }

  private func update(_ direction: Direction, _ body: (inout Side) -> Void) {
    if direction == .toServer { body(&client) } else { body(&server) }
  }

  private func side(_ direction: Direction) -> Side { direction == .toServer ? client : server }

  /// - Returns: how many octets of the chunk were taken up.
  private func hold(_ chunk: borrowing StreamChunk) -> Int {
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
  private func forget(_ direction: Direction, _ chunk: borrowing StreamChunk) {
    let (offset, bytes) = (chunk.offset, chunk.bytes.copied())
    update(direction) {
      $0.held = Array(bytes.prefix(supply.settings.recognitionLimitBytes &* 2))
      $0.start = offset
    }
  }

  private func decideStream(_ direction: Direction, _ time: Timestamp) {
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

  private func giveUp() {
    if let expected { raiseMissing(expected) }
    isDecided = true
    isFailed = true
    appProtocol = .failed
    update(.toServer) { ($0.held, $0.isDone) = ([], true) }
    update(.toClient) { ($0.held, $0.isDone) = ([], true) }
  }

  /// The flow is `found`, by what was said in `direction`.
  private func settle(_ found: AppProtocol, first direction: Direction) {
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

  private func makeParser(_ found: AppProtocol) -> AppLayerParser? {
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

  // MARK: Feeding

  /// Octets that the other side is recognised by, where one side is known.
  private static let otherSideCountMax = 64

  /// The protocol is known by one side; does the other speak the same?
  private func checkOtherSide(_ chunk: borrowing StreamChunk) {
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
  private func take(_ next: AppLayerParser, _ appProtocol: AppProtocol) {
    parser = next
    self.appProtocol = appProtocol
    expected = nil
    isDecided = true
    update(.toServer) { ($0.found, $0.isDone) = (appProtocol, true) }
    update(.toClient) { ($0.found, $0.isDone) = (appProtocol, true) }
  }

  /// Rules look at frames; set before the protocol is known.
  public var marksFrames = false

  private func feed(_ chunk: borrowing StreamChunk) {
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
  private func change(from done: AppLayerParser, to next: ProtocolChange, _ time: Timestamp) {
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

  private func decideDatagram(_ chunk: borrowing StreamChunk) {
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

  // MARK: Events

  private func raiseMissing(_ wanted: AppProtocol) {
    raise(wanted == .tls ? .noTLSAfterStartTLS : .unexpected)
    expected = nil
  }

  private func raise(_ event: RecognitionEvent) {
    if !events.contains(event.appEvent) { events.append(event.appEvent) }
  }
}
