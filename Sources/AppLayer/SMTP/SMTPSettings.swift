/// What an operator may set for SMTP (`app-layer.protocols.smtp`). Names and defaults are Suricata's.
public struct SMTPSettings: Sendable, Equatable {
  public var mime = MIMESettings()
  /// Octets of a command or reply line; the rest of a longer one is passed over with an event.
  public var lineBytesMax = 4096
  /// Octets of a line of content that are held; a longer one is read in pieces.
  public var contentLineBytesMax = 16_384
  /// Recipients of one message that are kept.
  public var recipientCountMax = 1024
  /// Commands that wait for their reply.
  public var pendingCountMax = 1024
  /// Octets of a file that stay for rules on `file.data`.
  public var fileWindowBytes = 65_536

  public init() {}
}
