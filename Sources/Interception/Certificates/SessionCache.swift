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

  private var table: LRUTable<Key, TLSSession>
  var evictionCount: UInt64 { table.evictions }

  init(countMax: Int) { table = LRUTable(countMax: countMax) }

  func session(for key: Key) -> TLSSession? { table.value(for: key) }
  func keep(_ session: TLSSession, for key: Key) { table.set(session, for: key) }
}

/// A server's certificate and the name it was asked for.
struct VerificationKey: Hashable {
  var fingerprint: [UInt8]
  var sni: String?
}

/// A chain that was found trusted.
struct KnownUpstream {
  var certificates: [[UInt8]]
  var until: Timestamp
}
