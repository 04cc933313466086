import CSluiceOpenSSL

public enum InterceptionError: Error, Sendable, Equatable, CustomStringConvertible {
  case library(String)
  /// A system call failed while the stage was set up.
  case system(call: String, reason: String)
  /// What was set cannot be used; says where and why.
  case settings(String)

  public var description: String {
    switch self {
    case .library(let text): "OpenSSL: \(text)"
    case .system(let call, let reason): "\(call): \(reason)"
    case .settings(let text): text
    }
  }
}

/// Ticket keys all workers share, so that a client resumes with whichever worker it meets.
public struct TicketKeys: Sendable {
  let bytes: [UInt8]

  public init() throws(InterceptionError) {
    // Key name, HMAC key and AES key as OpenSSL 3.0 wants them: 80 octets.
    guard let bytes = randomBytes(80) else { throw .library(OpenSSLErrors.drain().text) }
    self.bytes = bytes
  }
}

/// The settings all connections of one leg share.
///
/// SAFETY: owned, never nil, and not changed once connections are made with it; OpenSSL lets threads
/// share it then. The BIO method outlives every BIO, since each endpoint holds its context.
@safe
final class TLSContext: @unchecked Sendable {
  let pointer: OpaquePointer
  let method: SocketBIOMethod
  let role: TLSRole
  let keyLog: KeyLog?

  private init(_ role: TLSRole, _ pointer: OpaquePointer, _ method: SocketBIOMethod, _ keyLog: KeyLog?) {
    self.role = role
    self.keyLog = keyLog
    unsafe self.pointer = pointer
    self.method = method
  }
  deinit { unsafe SSL_CTX_free(pointer) }

  /// For the leg towards the client.
  ///
  /// - Parameter tickets: nil for no resumption, as is right where the client is to see a defect
  ///   of the server's certificate each time.
  static func clientLeg(
    tickets: TicketKeys?, limits: LegLimits = LegLimits(), keyLog: KeyLog? = nil
  ) throws(InterceptionError) -> TLSContext {
    let context = try unsafe make(.server, TLS_server_method(), limits, keyLog)
    let pointer = unsafe context.pointer
    unsafe SSL_CTX_set_options(pointer, sluice_options_server())
    // No cache: sessions travel in tickets, so that clients cannot fill our memory.
    unsafe sluice_ctx_set_session_cache_mode(pointer, sluice_cache_off())
    if let tickets {
      var keys = tickets.bytes
      guard unsafe sluice_ctx_ticket_keys_length(pointer) == keys.count,
        unsafe sluice_ctx_set_ticket_keys(pointer, &keys, keys.count) == 1
      else { throw .library("ticket keys of another size are wanted") }
    } else {
      unsafe SSL_CTX_set_options(pointer, sluice_option_no_ticket())
      unsafe SSL_CTX_set_num_tickets(pointer, 0)
    }
    unsafe SSL_CTX_set_alpn_select_cb(pointer, { ssl, out, outCount, offered, offeredCount, _ in
      guard let ssl = unsafe ssl, let endpoint = unsafe TLSEndpoint.owner(of: ssl) else { return SSL_TLSEXT_ERR_NOACK }
      return unsafe endpoint.selectProtocol(out, outCount, UnsafeBufferPointer(start: offered, count: Int(offeredCount)))
    }, nil)
    return context
  }

  /// For the leg towards the server. Certificates are looked at after the handshake, by
  /// ``UpstreamVerifier``; so the handshake itself takes any.
  static func serverLeg(limits: LegLimits = LegLimits(), keyLog: KeyLog? = nil) throws(InterceptionError) -> TLSContext {
    let context = try unsafe make(.client, TLS_client_method(), limits, keyLog)
    let pointer = unsafe context.pointer
    unsafe sluice_ctx_set_max_cert_list(pointer, limits.certificatesBytesMax)
    unsafe SSL_CTX_set_options(pointer, sluice_options_both())
    unsafe sluice_ctx_set_session_cache_mode(pointer, sluice_cache_client_external())
    unsafe SSL_CTX_set_cert_verify_callback(pointer, { _, _ in 1 }, nil)
    unsafe SSL_CTX_sess_set_new_cb(pointer) { ssl, session in
      guard let ssl = unsafe ssl, let session = unsafe session, let endpoint = unsafe TLSEndpoint.owner(of: ssl)
      else { return 0 }
      return unsafe endpoint.keep(session) ? 1 : 0
    }
    unsafe SSL_CTX_set_client_cert_cb(pointer) { ssl, _, _ in
      if let ssl = unsafe ssl, let endpoint = unsafe TLSEndpoint.owner(of: ssl) { endpoint.wantsClientCertificate = true }
      return 0
    }
    return context
  }

  /// TLS 1.2 and below: no suite without authentication, none with a cipher or digest that is broken. Clients get none
  /// that enciphers with the RSA key either: all sites' leaves share it, and its padding has been an oracle too often.
  private static let suites = "DEFAULT:!aNULL:!eNULL:!EXPORT:!LOW:!RC4:!3DES:!DES:!IDEA:!SEED:!MD5:!PSK:!SRP:!DSS"

  /// TLS 1.0 and 1.1 sign handshakes with SHA-1 and MD5, which level 2 refuses: everything else stays as it is there.
  private static func allowOldSignatures(_ pointer: OpaquePointer) {
    unsafe SSL_CTX_set_security_callback(pointer) { _, _, operation, bits, _, _, _ in
      let topic = sluice_security_topic(operation)
      return topic == sluice_topic_version() || sluice_is_topic_signature(topic) != 0 || bits >= 112 ? 1 : 0
    }
  }

  static func make(
    _ role: TLSRole, _ kind: OpaquePointer?, _ limits: LegLimits, _ keyLog: KeyLog?
  ) throws(InterceptionError) -> TLSContext {
    guard let method = SocketBIOMethod(), let pointer = unsafe SSL_CTX_new(kind) else {
      throw .library(OpenSSLErrors.drain().text)
    }
    unsafe sluice_ctx_set_mode(pointer, sluice_modes())
    // What the machine's own configuration of OpenSSL says decides nothing here.
    unsafe SSL_CTX_set_security_level(pointer, 2)
    if limits.versionMin < 0x0303 { unsafe allowOldSignatures(pointer) }
    unsafe sluice_ctx_set_min_version(pointer, Int32(limits.versionMin))
    unsafe sluice_ctx_set_max_version(pointer, Int32(limits.versionMax))
    guard unsafe sluice_ctx_set_ciphers(pointer, role == .server ? suites + ":!kRSA" : suites) == 1 else { throw .library(OpenSSLErrors.drain().text) }
    unsafe SSL_CTX_set_info_callback(pointer) { ssl, what, value in
      // A warning written: no_renegotiation (RFC 5246 section 7.2.2).
      guard what == SSL_CB_WRITE_ALERT, value == SSL3_AL_WARNING << 8 | SSL_AD_NO_RENEGOTIATION, let ssl = unsafe ssl
      else { return }
      unsafe TLSEndpoint.owner(of: ssl)?.refusedRenegotiation = true
    }
    // One system call fetches several records.
    unsafe sluice_ctx_set_read_ahead(pointer, 1)
    unsafe sluice_ctx_set_read_buffer(pointer, 65_536)
    if keyLog != nil {
      unsafe SSL_CTX_set_keylog_callback(pointer) { ssl, line in
        guard let ssl = unsafe ssl, let line = unsafe line, let endpoint = unsafe TLSEndpoint.owner(of: ssl) else { return }
        // SAFETY: OpenSSL ends the line with a zero.
        endpoint.logKeys(unsafe Array(String(cString: line).utf8))
      }
    }
    return unsafe TLSContext(role, pointer, method, keyLog)
  }
}

/// What a leg takes of its peer.
struct LegLimits {
  var versionMin: UInt16 = 0x0303
  var versionMax: UInt16 = 0x0304
  /// Octets of the peer's certificate message.
  var certificatesBytesMax = 1 << 20
}

/// Which side of a handshake this process is.
enum TLSRole {
  case client
  case server
}

/// A session of a server, for resumption.
///
/// SAFETY: owned, never nil, immutable once kept; OpenSSL counts references atomically.
@safe
final class TLSSession: @unchecked Sendable {
  let pointer: OpaquePointer
  init(adopting pointer: OpaquePointer) { unsafe self.pointer = pointer }
  deinit { unsafe SSL_SESSION_free(pointer) }
}
