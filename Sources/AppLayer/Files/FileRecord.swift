import Traffic

/// What is known of a file that a transaction carries (EVE `fileinfo`).
public struct FileRecord: Sendable {
  public enum State: String, Sendable {
    /// More may follow.
    case open
    /// Seen to its end.
    case closed
    /// Cut short: by a gap, a limit or the end of the connection.
    case truncated
  }

  /// As the protocol names it, without directories where it gives a path of its own.
  public internal(set) var name: [UInt8]
  public internal(set) var sizeBytes: UInt64 = 0
  public internal(set) var state: State = .open
  /// Octets are missing somewhere within.
  public internal(set) var hasGap = false
  public let direction: Direction

  public init(name: [UInt8], direction: Direction) {
    self.name = name
    self.direction = direction
  }
}
