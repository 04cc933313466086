/// What an operator may set for the application layer (`app-layer` in the configuration).
public struct AppLayerSettings: Sendable {
  /// Protocols that are looked into; others that are recognised are only named.
  public var enabled: Set<AppProtocol> = Set(AppProtocol.allCases)
  public var http = HTTPSettings()
  public var http2 = HTTP2Settings()
  public var tls = TLSSettings()
  public var smtp = SMTPSettings()
  public var ftp = FTPSettings()
  public var pop3 = POP3Settings()
  public var files = FileSettings()
  /// Records of SSH wait for the offers of algorithms (`app-layer.protocols.ssh.hassh`).
  public var logsHASSH = false
  /// Octets of one direction after which recognition gives up; bounds what an undecided flow holds.
  public var recognitionLimitBytes = 8192
  /// Octets of one side that nobody recognised, the other side being silent, after which the flow
  /// gets an event.
  public var oneSidedLimitBytes: UInt64 = 100_000
  /// Datagrams of one side that nobody recognised, the other side being silent, after which recognition gives up.
  public var unknownDatagramsMax = 16

  /// Ports beside 53 that are expected to speak DNS (`dns.tcp.detection-ports.dp`).
  public var dnsPorts: Set<UInt16> = []

  public init() {}
}
