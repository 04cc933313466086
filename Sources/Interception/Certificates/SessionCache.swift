import Traffic

/// Sessions of servers, by whom they were made with.
///
/// A session is used again until the server gives a newer one: unlinkability (RFC 8446 appendix
/// C.4) is no aim here, since the server sees the client's address anyway.
final class SessionCache {
  struct Key: Hashable {
    var destination: SocketName
    var sni: String?
    var protocols: [String]
    var versionMax: UInt16
  }

  private struct Kept {
    var session: TLSSession
    /// When the connection was made that showed the certificate.
    var since: Timestamp
  }

  private var table: LRUTable<Key, Kept>
  private let seconds: Int64
  var evictionCount: UInt64 { table.evictions }

  /// - Parameter seconds: after a full handshake, however often it was resumed.
  init(countMax: Int, seconds: Int64) {
    table = LRUTable(countMax: countMax)
    self.seconds = seconds
  }

  func session(for key: Key, at time: Timestamp) -> (session: TLSSession, since: Timestamp)? {
    guard let kept = table.value(for: key), time.seconds(since: kept.since) < seconds else { return nil }
    return (kept.session, kept.since)
  }

  func keep(_ session: TLSSession, since: Timestamp, for key: Key) {
    table.set(Kept(session: session, since: since), for: key)
  }

  func remove(_ key: Key) { _ = table.remove(key) }
}

/// A server's certificate and the name it was asked for.
struct VerificationKey: Hashable {
  var fingerprint: [UInt8]
  var sni: String?
}

/// A chain that was found trusted.
struct KnownUpstream {
  var certificates: [[UInt8]]
  /// SHA-256 of the OCSP response that was looked at; empty without one.
  var staple: [UInt8]
  var stapleStatus: StapleStatus
  /// The verifier's settings by which it was found.
  var generation: UInt64
  var until: Timestamp
}
