import Traffic

/// Looks at everything one relayed connection carries before the other side gets it.
///
/// One object for each connection, called on the worker's thread only. The engine builds it upon
/// the stream path; this stage knows nothing of rules.
public protocol RelayInspector: AnyObject {
  /// Called once, before the first chunk, when it is known how the connection is relayed.
  func opened(_ connection: borrowing RelayConnectionFacts)

  /// Called for each stretch of bytes, in order, before any byte of it is written to the other side.
  ///
  /// The end of a direction comes as an empty chunk with `isEnd`. After `cut` or `block` no further
  /// chunk follows.
  func inspect(_ chunk: borrowing StreamChunk) -> RelayVerdict

  /// By what was inspected so far, what the client sends next may be TLS of its own: after CONNECT or STARTTLS,
  /// and in protocols that nobody knows. Asked behind the chunk that would be its beginning.
  var mayTurnToTLS: Bool { get }

  /// Called once after `opened`, when the relay is over.
  func closed(_ summary: RelaySummary)
}

extension RelayInspector {
  public var mayTurnToTLS: Bool { true }
}

/// What is to happen with the chunk that was just inspected.
public enum RelayVerdict: Sendable, Equatable {
  case forward
  /// Neither this chunk nor anything after it passes; both sides are cut off as
  /// ``InterceptionSettings/cutStyle`` says.
  case cut(reason: String)
  /// As `cut`, but the client first gets `response` (a block page, in the clear or through TLS as
  /// the connection is); the server is reset.
  case block(response: [UInt8], reason: String)
  /// These octets pass in the chunk's place, and `back` goes to its sender, behind what is on its way there: parts of
  /// the connection are taken out of it.
  ///
  /// - Parameter reason: where that begins with this chunk.
  case rewrite(forward: [UInt8], back: [UInt8], reason: String?)
}

/// How a connection ended and what passed.
public struct RelaySummary: Sendable, Equatable {
  public var end: RelayEnd
  /// Octets handed to the other side, by ``Direction/index``.
  public var bytesForwarded: [UInt64]
  public var time: Timestamp
}

/// Why a relayed connection is over.
public enum RelayEnd: Sendable, Equatable {
  /// Both directions ended in order.
  case finished
  /// One side reset the connection; the other was reset in turn.
  case reset(by: Direction)
  /// TLS broke on the leg of the side that sends in this direction.
  case failed(Direction, String)
  case cut(reason: String)
  case blocked(reason: String)
  case idleTimeout
  /// The worker stopped and the drain time ran out.
  case stopped
}
