import Traffic

/// One exchange of an application protocol (an HTTP request with its response, a DNS query with its
/// answer, a TLS handshake), as far as it has been parsed.
///
/// Protocols subclass it. `progress` only grows; what each value means is the protocol's own and is
/// what `BufferDeclaration.Source.progress` refers to.
open class Transaction {
  /// Numbered from 0 within the flow (EVE `tx_id`).
  public private(set) final var id: UInt64
  public let appProtocol: AppProtocol
  /// Monotone, by direction.
  public internal(set) var progress: (toServer: Int, toClient: Int) = (0, 0)
  /// The highest progress in each direction: the transaction is finished there.
  public let progressComplete: Int
  /// What the parser found odd, in the order found; rules match them by `app-layer-event`.
  public internal(set) var events: [AppEvent] = []
  /// Opaque: what the station above remembers of this transaction.
  public var inspectionState: AnyObject?
  /// Of the station above: what it has left to try that may be decided without news of the transaction.
  public final var waits: (toServer: InspectionWaits, toClient: InspectionWaits) = ([], [])
  /// Opaque: what has been written of it (a bit for each record).
  public var loggedBits: UInt32 = 0
  /// A rule has asked for no record of it (`config`).
  public var isRecordUnwanted = false
  /// It was closed with the flow before anything came back: what is left of it was never on the way to the
  /// client.
  public internal(set) final var isUnanswered = false
  /// The flow goes on, but its answers are looked at no further: nothing is left to be inspected in that direction.
  public internal(set) final var isAnswerUnseen = false
  /// When its first byte was seen.
  public private(set) final var start: Timestamp
  /// Files that it carries (``files(_:)``).
  public internal(set) var filesToServer: [TransferFile] = []
  public internal(set) var filesToClient: [TransferFile] = []
  /// A rule asked for all files of the transaction to be stored.
  var storesFiles: (toServer: Bool, toClient: Bool) = (false, false)
  /// What its files share with those of the flow; nil for protocols without files.
  var flowFiles: FlowFiles?
  /// Of what this was before.
  private final var spareFile: TransferFile?

  /// A file that begins.
  final func makeFile(_ name: [UInt8], _ direction: Direction) -> TransferFile {
    let examiner = flowFiles?.examiner
    // Whoever was told of it may still refer to it.
    let isFree = isKnownUniquelyReferenced(&spareFile)
    guard isFree, let file = spareFile else { return TransferFile(name: name, direction: direction, examiner: examiner) }
    spareFile = nil
    file.renew(name: name, direction: direction, examiner: examiner)
    return file
  }

  public init(id: UInt64, appProtocol: AppProtocol, progressComplete: Int, start: Timestamp) {
    self.id = id
    self.appProtocol = appProtocol
    self.progressComplete = progressComplete
    self.start = start
  }

  /// Becomes another transaction, as one that was just made but for the room that its lists have.
  final func renew(id: UInt64, start: Timestamp) {
    self.id = id
    self.start = start
    progress = (0, 0)
    events.clear()
    inspectionState = nil
    waits = ([], [])
    loggedBits = 0
    isRecordUnwanted = false
    isUnanswered = false
    isAnswerUnseen = false
    if spareFile == nil, let file = filesToClient.first ?? filesToServer.first, file.isSmall { spareFile = file }
    filesToServer.clear()
    filesToClient.clear()
    // It may share the list that the name was taken from, which would be copied then to be written to.
    if isKnownUniquelyReferenced(&spareFile) { spareFile?.name = [] }
    storesFiles = (false, false)
    flowFiles = nil
  }

  public final func progress(_ direction: Direction) -> Int {
    direction == .toServer ? progress.toServer : progress.toClient
  }

  public final func isComplete(_ direction: Direction) -> Bool {
    progress(direction) >= progressComplete
  }

  /// The one direction that there is anything to inspect in, for transactions of a single message
  /// (DNS); nil when both may matter.
  open var soleDirection: Direction? { nil }

  public final var isComplete: Bool { isComplete(.toServer) && isComplete(.toClient) }

  /// The inspection buffer, or nil when the transaction has none (yet).
  ///
  /// - Parameter index: which one, where a buffer may occur several times (`dns.query`); 0 otherwise.
  ///   Callers count up from 0 until nil.
  open func buffer(_ id: BufferID, _ direction: Direction, index: Int) -> BufferView? { nil }

  /// A number that a keyword compares, or nil when the transaction has none.
  open func number(_ id: NumberID, _ direction: Direction, index: Int) -> UInt64? { nil }

  /// The detector has seen the streaming buffers of this direction up to their present end: what no
  /// rule can need any more may be let go, and `newCount` starts over.
  open func markInspected(_ direction: Direction) {}

  /// Whether anything of that direction has changed since ``markInspected(_:)``; where that is not known, yes.
  open func hasNews(_ direction: Direction) -> Bool { true }

  /// A hole lies behind what a buffer of that direction shows: there is more of it once this has been marked as inspected.
  open func showsPiece(_ direction: Direction) -> Bool { false }

  final func raise(_ event: AppEvent) {
    if !events.contains(event) { events.append(event) }
  }
}

/// What the inspection of a transaction waits for besides its news.
public struct InspectionWaits: OptionSet, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Each packet of the direction: its header, or what is known of the flow by then.
  public static let packets = InspectionWaits(rawValue: 1)
  /// Octets of the raw stream or a datagram.
  public static let payload = InspectionWaits(rawValue: 2)
}

/// Something odd that an application parser met; `name` is how `app-layer-event` spells it after
/// the protocol ("missing_host_header").
public struct AppEvent: Hashable, Sendable {
  public let appProtocol: AppProtocol
  public let name: String

  public init(_ appProtocol: AppProtocol, _ name: String) {
    self.appProtocol = appProtocol
    self.name = name
  }
}
