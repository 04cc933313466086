import CSluiceOpenSSL
import Glibc
import Traffic

enum HandshakeOutcome: Equatable {
  case done
  /// Waits for the peer.
  case wantMore
  case failed(TLSFailure)
}

/// One TLS connection over one socket, or over another one.
///
/// SAFETY: `pointer` is owned, never nil. It holds unretained references to this object (owner
/// slot) and to the stream (BIO); both outlive it, because it is freed in `deinit`. Buffers are
/// handed over together with their length.
@safe
final class TLSEndpoint {
  private let pointer: OpaquePointer
  private let context: TLSContext
  let stream: ByteStream
  /// Server role: the protocol to answer ALPN with, where the client offers it.
  var protocolToSelect: [UInt8]?
  /// Client role: what the server's new sessions are given to.
  var keepSession: ((TLSSession) -> Void)?
  /// Client role: the server asked for a certificate.
  var wantsClientCertificate = false
  /// Client role: the server gave a session, which it does once it is content with the client.
  private(set) var receivedSession = false
  /// The peer asked for a renegotiation.
  var refusedRenegotiation = false
  private var sentCloseNotify = false
  private var isEstablished = false

  init?(_ context: TLSContext, _ stream: ByteStream) {
    guard let made = unsafe SSL_new(context.pointer) else { return nil }
    guard let bio = unsafe context.method.bio(over: stream) else {
      unsafe SSL_free(made)
      return nil
    }
    unsafe pointer = made
    self.context = context
    self.stream = stream
    unsafe SSL_set_bio(made, bio, bio)
    unsafe sluice_set_owner(made, Unmanaged.passUnretained(self).toOpaque())
    if context.role == .client { unsafe SSL_set_connect_state(made) } else { unsafe SSL_set_accept_state(made) }
  }
  deinit {
    // Without this OpenSSL takes a connection that was not shut down both ways for a reason never
    // to resume its session.
    if isEstablished { unsafe SSL_set_shutdown(pointer, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN) }
    unsafe SSL_free(pointer)
  }

  func logKeys(_ line: [UInt8]) { context.keyLog?.write(line) }

  static func owner(of ssl: OpaquePointer) -> TLSEndpoint? {
    guard let owner = unsafe sluice_owner(ssl) else { return nil }
    return unsafe Unmanaged<TLSEndpoint>.fromOpaque(owner).takeUnretainedValue()
  }

  // MARK: Before the handshake

  /// Client role: what the client offered, as far as it is spoken here.
  ///
  /// - Parameters:
  ///   - protocols: empty for no ALPN.
  ///   - versions: within those of the context.
  ///   - groups: in the client's order; unknown ones are left out.
  func offer(name: String?, protocols: [String], versions: ClosedRange<UInt16>, groups: [UInt16]?) {
    if let name, IPAddress(name) == nil { unsafe sluice_set_host_name(pointer, name) }
    unsafe sluice_set_min_version(pointer, Int32(versions.lowerBound))
    unsafe sluice_set_max_version(pointer, Int32(versions.upperBound))
    unsafe sluice_request_staple(pointer)
    var kinds = (groups ?? []).compactMap(Self.kind)
    if !kinds.isEmpty { unsafe sluice_set_groups(pointer, &kinds, Int32(min(kinds.count, 32))) }
    let list = protocols.flatMap { name in
      (1...255).contains(name.utf8.count) ? [UInt8(name.utf8.count)] + Array(name.utf8) : []
    }
    if !list.isEmpty { unsafe SSL_set_alpn_protos(pointer, list, UInt32(list.count)) }
  }

  /// The library's number for a group (RFC 8446 section 4.2.7); nil for one that it doesn't know.
  private static func kind(_ group: UInt16) -> Int32? {
    switch group {
    case 23: NID_X9_62_prime256v1
    case 24: NID_secp384r1
    case 25: NID_secp521r1
    case 29: NID_X25519
    case 30: NID_X448
    case 256: NID_ffdhe2048
    case 257: NID_ffdhe3072
    case 258: NID_ffdhe4096
    default: nil
    }
  }

  func resume(_ session: TLSSession) { unsafe SSL_set_session(pointer, session.pointer) }

  /// Client role: the name or address that the certificate must bear.
  func expect(name: String) -> Bool {
    if IPAddress(name) != nil {
      return unsafe X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(pointer), name) == 1
    }
    unsafe SSL_set_hostflags(pointer, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
    return unsafe SSL_set1_host(pointer, name) == 1
  }

  /// Server role. - Parameter identity: 32 octets; only sessions of the same identity are resumed.
  func present(_ leaf: MintedLeaf, _ key: PrivateKey, identity: [UInt8]) -> Bool {
    unsafe SSL_use_cert_and_key(pointer, leaf.certificate.pointer, key.pointer, nil, 1) == 1
      && SSL_set_session_id_context(pointer, identity, UInt32(min(32, identity.count))) == 1
  }

  // MARK: Handshake and transfer

  func handshake() -> HandshakeOutcome {
    OpenSSLErrors.clear()
    let result = unsafe SSL_do_handshake(pointer)
    if result == 1 {
      isEstablished = true
      return .done
    }
    switch unsafe SSL_get_error(pointer, result) {
    case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .wantMore
    default: return .failed(failure())
    }
  }

  /// Client role: whether a server that asked for a certificate takes the connection without one.
  ///
  /// - Returns: `wantMore` while it says nothing.
  func acceptance() -> HandshakeOutcome {
    OpenSSLErrors.clear()
    var octet: UInt8 = 0
    var count = 0
    // Handles what comes before the first data: sessions, alerts.
    let result = unsafe SSL_peek_ex(pointer, &octet, 1, &count)
    if result == 1 || receivedSession { return .done }
    switch unsafe SSL_get_error(pointer, result) {
    case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .wantMore
    case SSL_ERROR_ZERO_RETURN:
      return .failed(TLSFailure(cause: .closed, text: "closed after the handshake", isProtected: true))
    default:
      var failure = failure()
      if case .alert = failure.cause { failure.isProtected = true }
      return .failed(failure)
    }
  }

  /// Octets have been read from the stream that were not read from here, decrypted or not.
  var hasPending: Bool { unsafe SSL_has_pending(pointer) == 1 }

  /// At most one record.
  func read(_ memory: UnsafeMutableRawBufferPointer) -> TransferOutcome {
    OpenSSLErrors.clear()
    var count = 0
    let result = unsafe SSL_read_ex(pointer, memory.baseAddress, memory.count, &count)
    return result == 1 ? .moved(count) : outcome(result)
  }

  /// After `wouldBlock` the next call must begin with the same bytes.
  func write(_ memory: UnsafeRawBufferPointer) -> TransferOutcome {
    OpenSSLErrors.clear()
    var count = 0
    let result = unsafe SSL_write_ex(pointer, memory.baseAddress, memory.count, &count)
    return result == 1 ? .moved(count) : outcome(result)
  }

  /// Sends close_notify once; the other direction goes on.
  ///
  /// - Returns: false where the socket is full: call again.
  func closeNotify() -> Bool {
    guard !sentCloseNotify else { return true }
    OpenSSLErrors.clear()
    let result = unsafe SSL_shutdown(pointer)
    if result < 0, case let code = unsafe SSL_get_error(pointer, result), code == SSL_ERROR_WANT_WRITE { return false }
    sentCloseNotify = true
    return true
  }

  private func outcome(_ result: Int32) -> TransferOutcome {
    switch unsafe SSL_get_error(pointer, result) {
    case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .wouldBlock
    case SSL_ERROR_ZERO_RETURN: return .ended(closeNotify: true)
    default: break
    }
    let failure = failure()
    switch failure.cause {
    case .reset: return .reset
    case .closed: return .ended(closeNotify: false)
    case .alert, .protocol: return .failed(failure)
    }
  }

  /// Whose fault it was, from the error queue first, since an alert is followed by a close.
  private func failure() -> TLSFailure {
    let errors = OpenSSLErrors.drain()
    if let alert = errors.alert { return TLSFailure(cause: .alert(alert), text: OpenSSLErrors.alertName(alert)) }
    if stream.isReset { return TLSFailure(cause: .reset, text: errorText(stream.errorNumber)) }
    if stream.errorNumber != 0 { return TLSFailure(cause: .reset, text: errorText(stream.errorNumber)) }
    if stream.sawEnd { return TLSFailure(cause: .closed, text: "closed without an alert") }
    return TLSFailure(cause: .protocol, text: errors.text)
  }

  // MARK: What was agreed

  /// Client role, once a certificate was asked for: the server has signed the exchange of keys. Where the client
  /// enciphers its share with the certificate's key (RFC 5246 section 7.4.7.1), only the end of the handshake shows
  /// that the server has that.
  var hasShownKey: Bool {
    guard let cipher = unsafe SSL_get_pending_cipher(pointer) ?? SSL_get_current_cipher(pointer) else { return false }
    return isEstablished || (unsafe SSL_CIPHER_get_kx_nid(cipher)) != NID_kx_rsa
  }

  var version: UInt16 { UInt16(truncatingIfNeeded: unsafe SSL_version(pointer)) }
  var wasResumed: Bool { unsafe sluice_session_reused(pointer) == 1 }

  var cipherSuite: String {
    guard let cipher = unsafe SSL_get_current_cipher(pointer) else { return "" }
    return unsafe SSL_CIPHER_get_name(cipher).map { unsafe String(cString: $0) } ?? ""
  }

  /// Client role: DER of the OCSP response the server stapled; empty without one.
  func staple() -> [UInt8] {
    var bytes: UnsafeMutablePointer<UInt8>?
    let count = unsafe sluice_staple(pointer, &bytes)
    guard count > 0, let bytes = unsafe bytes else { return [] }
    return unsafe [UInt8](UnsafeBufferPointer(start: bytes, count: count))
  }

  /// Server role: what is wrong with the client's certificate, in the library's words; nil for nothing, and without one.
  var peerDefect: String? {
    let code = unsafe SSL_get_verify_result(pointer)
    return code == Int(X509_V_OK) ? nil : TrustStore.text(Int32(truncatingIfNeeded: code))
  }

  /// The protocol ALPN chose; nil without.
  var selectedProtocol: [UInt8]? {
    var bytes: UnsafePointer<UInt8>?
    var count: UInt32 = 0
    unsafe SSL_get0_alpn_selected(pointer, &bytes, &count)
    guard let bytes = unsafe bytes, count > 0 else { return nil }
    return unsafe [UInt8](UnsafeBufferPointer(start: bytes, count: Int(count)))
  }

  /// Leaf first; empty where the peer showed none.
  func peerCertificates() -> [Certificate] {
    guard let leaf = unsafe SSL_get1_peer_certificate(pointer) else { return [] }
    var found = [unsafe Certificate(adopting: leaf)]
    guard let chain = unsafe SSL_get_peer_cert_chain(pointer) else { return found }
    for index in 0..<(unsafe sluice_x509_count(chain)) {
      guard let next = unsafe sluice_x509_at(chain, index) else { continue }
      if unsafe X509_cmp(next, leaf) != 0, unsafe X509_up_ref(next) == 1 {
        found.append(unsafe Certificate(adopting: next))
      }
    }
    return found
  }

  // MARK: Called by OpenSSL

  fileprivate func chosen(_ offered: UnsafeBufferPointer<UInt8>) -> Range<Int>? {
    guard let wanted = protocolToSelect else { return nil }
    var index = 0
    while index < offered.count {
      let size = Int(unsafe offered[index])
      let end = index + 1 + size
      guard end <= offered.count else { return nil }
      if size == wanted.count, unsafe offered[(index + 1)..<end].elementsEqual(wanted) { return index + 1..<end }
      index = end
    }
    return nil
  }

  func selectProtocol(
    _ out: UnsafeMutablePointer<UnsafePointer<UInt8>?>?, _ count: UnsafeMutablePointer<UInt8>?,
    _ offered: UnsafeBufferPointer<UInt8>
  ) -> Int32 {
    guard let range = unsafe chosen(offered), let base = offered.baseAddress else { return SSL_TLSEXT_ERR_NOACK }
    // SAFETY: the answer points into the offer, which OpenSSL copies from at once.
    unsafe out?.pointee = base + range.lowerBound
    unsafe count?.pointee = UInt8(truncatingIfNeeded: range.count)
    return SSL_TLSEXT_ERR_OK
  }

  /// - Returns: whether the reference was taken over.
  func keep(_ session: OpaquePointer) -> Bool {
    receivedSession = true
    guard let keepSession else { return false }
    keepSession(unsafe TLSSession(adopting: session))
    return true
  }
}
