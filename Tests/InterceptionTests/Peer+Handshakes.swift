import CSluiceOpenSSL
import Glibc
import Testing

@testable import Interception

/// What ordinary programs seldom do with a handshake.
extension Peer {
  /// Asks for another handshake within TLS 1.2. - Returns: whether the request could be written.
  func renegotiate() -> Bool {
    guard let ssl = unsafe ssl else { return false }
    ERR_clear_error()
    guard unsafe SSL_renegotiate(ssl) == 1 else { return false }
    return unsafe SSL_do_handshake(ssl) == 1
  }

  /// New keys for what this side sends, and the same asked of the other. TLS 1.3.
  func updateKeys() -> Bool {
    guard let ssl = unsafe ssl else { return false }
    return unsafe SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1
  }

  /// OpenSSL's number of the group that was agreed on.
  var group: Int? {
    // SSL_CTRL_GET_NEGOTIATED_GROUP
    unsafe ssl.map { unsafe SSL_ctrl($0, 134, 0, nil) & 0xffff }
  }
}

extension PeerContext {
  /// Server: asks for a certificate of the client's.
  func askForCertificate(required: Bool) -> PeerContext {
    unsafe SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nil)
    unsafe SSL_CTX_set_cert_verify_callback(pointer, { _, _ in 1 }, nil)
    return self
  }

  func use(_ certificate: Certificate, _ key: PrivateKey) throws -> PeerContext {
    try #require(unsafe SSL_CTX_use_certificate(pointer, certificate.pointer) == 1)
    try #require(unsafe SSL_CTX_use_PrivateKey(pointer, key.pointer) == 1)
    return self
  }

  /// Lists as OpenSSL's programs take them.
  func limit(ciphers: String? = nil, signatures: String? = nil, groups: String? = nil) throws -> PeerContext {
    if let ciphers { try #require(unsafe sluice_ctx_set_ciphers(pointer, ciphers) == 1) }
    // SSL_CTRL_SET_SIGALGS_LIST, SSL_CTRL_SET_GROUPS_LIST
    for (command, list): (Int32, String?) in [(98, signatures), (92, groups)] {
      guard let list else { continue }
      var bytes = list.utf8CString
      let done = unsafe bytes.withUnsafeMutableBytes { unsafe SSL_CTX_ctrl(pointer, command, 0, $0.baseAddress) }
      try #require(done == 1)
    }
    return self
  }

  /// Takes what is too weak for others, as old programs do.
  func old() -> PeerContext {
    unsafe SSL_CTX_set_security_level(pointer, 0)
    return self
  }
}
