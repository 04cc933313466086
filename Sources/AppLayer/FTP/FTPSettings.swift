/// What an operator may set for FTP (`app-layer.protocols.ftp`). Names and defaults are Suricata's.
public struct FTPSettings: Sendable, Equatable {
  /// `max-line-length`: octets of a command or reply that are kept; the rest of a longer one is passed over with an event.
  public var lineBytesMax = 4096
  /// `max-tx`: commands that wait for their reply; beyond, the connection is not followed any more.
  public var transactionCountMax = 1024
  /// `memcap`: octets of text that one connection keeps; what comes beyond is left out. Nil for no limit but those above.
  public var textBytesMax: Int?
  /// Lines of replies to one command that are kept.
  public var replyCountMax = 256
  /// Octets of a file that stay for rules on `file.data`.
  public var fileWindowBytes = 65_536

  public init() {}
}
