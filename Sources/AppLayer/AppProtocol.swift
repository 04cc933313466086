/// An application protocol that Sluice recognises or that a rule may name.
public enum AppProtocol: UInt8, Sendable, Hashable, CaseIterable {
  case unknown
  /// Recognition gave up: none of those known.
  case failed
  case http, tls, dns
  case smtp, ftp, ftpData, ssh, smb, dcerpc, imap, pop3, http2, quic, mdns, dhcp, ntp, tftp, sip
  case websocket, telnet
  /// DNS over HTTP/2 (RFC 8484).
  case doh2

  /// The name in rules and in EVE's `app_proto`.
  public var name: String { Self.names[Int(rawValue)] }

  /// By raw value; words are looked up in the program's metadata once, not for each record.
  private static let names = allCases.map { $0 == .ftpData ? "ftp-data" : String(describing: $0) }

  public init?(name: String) {
    guard let found = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = found
  }
}
