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
  struct Side {
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
  let ends: FlowEnds?
  var client = Side()
  var server = Side()
  /// What the flow is taken for.
  public internal(set) var appProtocol = AppProtocol.unknown
  /// What it was before it changed (CONNECT, Upgrade), or `unknown`.
  public internal(set) var originalProtocol = AppProtocol.unknown
  public internal(set) var parser: AppLayerParser?
  /// Parsers from before a change of protocol whose transactions are not all taken away yet.
  var retired: [AppLayerParser] = []
  /// Oddities of the flow as a whole (`app-layer-event:applayer_…`).
  public private(set) var events: [AppEvent] = []
  /// The side that was taken for the client speaks as a server: a midstream pick-up saw them swapped.
  /// Chunks are turned round for the parser; directions of its transactions are the true ones.
  public internal(set) var isReversed = false
  var turnsChunks = false
  /// The protocol is known, or never will be.
  public internal(set) var isDecided = false
  /// Nothing more is looked into.
  public internal(set) var isFailed = false
  /// The flow that has announced this one; 0 where none has.
  public internal(set) var parentID: UInt64 = 0
  var expected: AppProtocol?
  var changeCount = 0
  /// Rules look at frames; set before the protocol is known.
  public var marksFrames = false
  /// A change of protocol ends what both sides were saying.
  var messageEnds = (toServer: false, toClient: false)

  /// Tunnels within tunnels that are followed; what comes behind them is not looked into.
  static let changeCountMax = 8

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
  public internal(set) var hasOnlyPassed = false

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
  func takeRest(of chunk: borrowing StreamChunk, from heldCount: Int, _ direction: Direction) {
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

  // MARK: Events

  func raiseMissing(_ wanted: AppProtocol) {
    raise(wanted == .tls ? .noTLSAfterStartTLS : .unexpected)
    expected = nil
  }

  func raise(_ event: RecognitionEvent) {
    if !events.contains(event.appEvent) { events.append(event.appEvent) }
  }
}
