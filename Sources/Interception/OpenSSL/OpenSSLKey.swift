import CSluiceOpenSSL
import Glibc

/// A private key; freed with the last reference.
///
/// SAFETY: the pointer is owned, never nil and never changed after init. OpenSSL allows concurrent
/// signing with one EVP_PKEY and counts its references atomically, hence `@unchecked Sendable`.
@safe
final class PrivateKey: @unchecked Sendable {
  let pointer: OpaquePointer

  init(adopting pointer: OpaquePointer) { unsafe self.pointer = pointer }
  deinit { unsafe EVP_PKEY_free(pointer) }

  /// A new P-256 key; nil when the library cannot make one (no randomness, no memory).
  static func generate() -> PrivateKey? {
    guard let key = unsafe sluice_p256_generate() else { return nil }
    return unsafe PrivateKey(adopting: key)
  }

  /// A new RSA key of 2,048 bits; nil when the library cannot make one.
  static func generateRSA() -> PrivateKey? {
    guard let key = unsafe sluice_rsa_generate(2_048) else { return nil }
    return unsafe PrivateKey(adopting: key)
  }

  /// PKCS #8 PEM, unencrypted.
  func pem() -> [UInt8]? {
    unsafe memoryBIO { unsafe PEM_write_bio_PKCS8PrivateKey($0, pointer, nil, nil, 0, nil, nil) == 1 }
  }

  /// - Returns: nil where `pem` holds no private key, or an encrypted one.
  static func read(pem: [UInt8]) -> PrivateKey? {
    let key: OpaquePointer? = unsafe readBIO(pem) { bio in
      // The callback refuses: without it the library would ask for a pass phrase on the terminal.
      unsafe PEM_read_bio_PrivateKey(bio, nil, { _, _, _, _ in -1 }, nil)
    }
    guard let key = unsafe key else {
      OpenSSLErrors.clear()
      return nil
    }
    return unsafe PrivateKey(adopting: key)
  }

  func matches(_ certificate: Certificate) -> Bool {
    let fits = unsafe X509_check_private_key(certificate.pointer, pointer) == 1
    if !fits { OpenSSLErrors.clear() }
    return fits
  }
}

/// What `write` put into a memory BIO; nil when it failed.
///
/// SAFETY: the BIO lives for the call; its memory is copied before it is freed.
@unsafe
func memoryBIO(_ write: (OpaquePointer) -> Bool) -> [UInt8]? {
  guard let bio = unsafe BIO_new(BIO_s_mem()) else { return nil }
  defer { unsafe BIO_free(bio) }
  guard unsafe write(bio) else { return nil }
  var data: UnsafeMutablePointer<CChar>?
  let count = unsafe sluice_bio_memory(bio, &data)
  guard count > 0, let data = unsafe data else { return [] }
  return unsafe [UInt8](UnsafeRawBufferPointer(start: data, count: count))
}

/// Hands a memory BIO over `bytes` to `read`.
///
/// SAFETY: BIO_new_mem_buf does not copy; the array is pinned until the BIO is freed.
@unsafe
func readBIO(_ bytes: [UInt8], _ read: (OpaquePointer) -> OpaquePointer?) -> OpaquePointer? {
  unsafe bytes.withUnsafeBytes { buffer in
    guard let count = Int32(exactly: buffer.count),
      let bio = unsafe BIO_new_mem_buf(buffer.baseAddress, count)
    else { return nil }
    defer { unsafe BIO_free(bio) }
    return unsafe read(bio)
  }
}

/// `count` random bytes from the library's generator; nil when it has none to give.
func randomBytes(_ count: Int) -> [UInt8]? {
  var bytes = [UInt8](repeating: 0, count: count)
  guard let size = Int32(exactly: count), unsafe RAND_bytes(&bytes, size) == 1 else { return nil }
  return bytes
}

/// SHA-256 of `bytes`.
func sha256(_ bytes: [UInt8]) -> [UInt8] {
  var digest = [UInt8](repeating: 0, count: 32)
  unsafe SHA256(bytes, bytes.count, &digest)
  return digest
}
