import Traffic

/// The state of one application protocol on one flow: consumes chunks, yields transactions.
///
/// Chunks may be cut anywhere; the result must not depend on where. Input is hostile: whatever it
/// holds, a parser ends in a value, in waiting for more, or in an event, never in a trap.
open class AppLayerParser {
  public let appProtocol: AppProtocol
  /// Oldest first. Those that are complete, inspected and logged are taken away by the owner.
  public internal(set) var transactions: [Transaction] = []
  /// Nothing more can be understood in this direction; chunks are ignored from here on.
  public internal(set) var hasFailed: (toServer: Bool, toClient: Bool) = (false, false)
  /// The flow goes on as another protocol from the next byte (CONNECT, Upgrade, STARTTLS).
  public internal(set) var successor: ProtocolChange?

  /// A message has ended in this direction since the owner last asked: what the raw stream holds by then is inspected
  /// together, without waiting for more.
  final var messageEnds: (toServer: Bool, toClient: Bool) = (false, false)
  /// What follows is ciphertext: no rule on payload has anything to find in it.
  public internal(set) final var hidesPayload = false
  /// The last chunk was counted past: it has changed nothing that rules or records look at.
  public internal(set) final var hasOnlyPassed = false

  /// Where rules look at frames, those of this flow.
  public internal(set) var frames: FrameLog?

  public init(appProtocol: AppProtocol) { self.appProtocol = appProtocol }

  /// The end of a transaction is the end of a message.
  ///
  /// - Source: seen of Suricata 8: it waits for `toserver-chunk-size` whatever an FTP or telnet session says, and
  ///   has ends of their own for SMTP (each command and reply), SSH (the banner) and TLS (each handshake record).
  open var endsMessagesWithTransactions: Bool { true }

  final func endMessage(_ direction: Direction) {
    if direction == .toServer { messageEnds.toServer = true } else { messageEnds.toClient = true }
  }

  /// Takes the next chunk of a stream, or a whole datagram.
  open func consume(_ chunk: borrowing StreamChunk) {}

  /// Both directions are over; what was unfinished becomes complete as far as it goes.
  open func finish(at time: Timestamp) {}

  /// Takes away the oldest transactions for which `isDone` holds.
  open func removeTransactions(while isDone: (Transaction) -> Bool) {
    var count = 0
    while count < transactions.count, isDone(transactions[count]) { count += 1 }
    guard count > 0 else { return }
    for index in 0..<count { letGo(transactions[index]) }
    if count == transactions.count {
      transactions.removeAll(keepingCapacity: true)
    } else {
      transactions.removeFirst(count)
    }
  }

  /// A transaction is done with, and may be used again once nobody refers to it.
  func letGo(_ transaction: Transaction) {}
}

/// What follows on the same connection after a change of protocol.
public enum ProtocolChange: Sendable, Equatable {
  case recognise
  case to(AppProtocol)
}
