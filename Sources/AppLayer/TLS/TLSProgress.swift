import Traffic

/// How far a TLS connection has come, by direction; what rule hooks name (`tls:client_hello_done`).
///
/// Suricata counts the client to 4 and the server to 5. Here both end at 5, and the client leaves
/// 4 out, so that one number tells that a direction is over.
public enum TLSProgress {
  public static let inProgress = 0
  // To server.
  public static let clientHelloDone = 1
  public static let clientCertificateDone = 2
  public static let clientHandshakeDone = 3
  // To client.
  public static let serverHello = 1
  public static let serverCertificateDone = 2
  public static let serverHelloDone = 3
  public static let serverHandshakeDone = 4
  // Both.
  public static let finished = 5

  /// The progress that a rule hook names, or nil when there is no such hook.
  public static func named(_ name: String) -> (direction: Direction, progress: Int)? {
    switch name {
    case "client_in_progress": (.toServer, inProgress)
    case "client_hello_done": (.toServer, clientHelloDone)
    case "client_cert_done": (.toServer, clientCertificateDone)
    case "client_handshake_done": (.toServer, clientHandshakeDone)
    case "client_finished": (.toServer, finished)
    case "server_in_progress": (.toClient, inProgress)
    case "server_hello": (.toClient, serverHello)
    case "server_cert_done": (.toClient, serverCertificateDone)
    case "server_hello_done": (.toClient, serverHelloDone)
    case "server_handshake_done": (.toClient, serverHandshakeDone)
    case "server_finished": (.toClient, finished)
    default: nil
    }
  }

  /// The name that rule hooks and EVE have for a progress.
  public static func name(_ progress: Int, _ direction: Direction) -> String? {
    switch (direction, progress) {
    case (.toServer, inProgress): "client_in_progress"
    case (.toServer, clientHelloDone): "client_hello_done"
    case (.toServer, clientCertificateDone): "client_cert_done"
    case (.toServer, clientHandshakeDone): "client_handshake_done"
    case (.toServer, _): "client_finished"
    case (.toClient, inProgress): "server_in_progress"
    case (.toClient, serverHello): "server_hello"
    case (.toClient, serverCertificateDone): "server_cert_done"
    case (.toClient, serverHelloDone): "server_hello_done"
    case (.toClient, serverHandshakeDone): "server_handshake_done"
    case (.toClient, _): "server_finished"
    }
  }
}
