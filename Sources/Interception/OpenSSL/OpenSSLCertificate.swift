import CSluiceOpenSSL
import Glibc
import Traffic

/// An X.509 certificate; freed with the last reference.
///
/// SAFETY: the pointer is owned, never nil; nobody changes the certificate once it is wrapped
/// here. X509 counts references atomically and guards its caches by a lock.
@safe
final class Certificate: @unchecked Sendable {
  let pointer: OpaquePointer

  init(adopting pointer: OpaquePointer) { unsafe self.pointer = pointer }
  deinit { unsafe X509_free(pointer) }

  /// - Returns: nil where `pem` holds no certificate.
  static func read(pem: [UInt8]) -> Certificate? {
    let pointer = unsafe readBIO(pem) { unsafe PEM_read_bio_X509($0, nil, nil, nil) }
    guard let pointer = unsafe pointer else {
      OpenSSLErrors.clear()
      return nil
    }
    return unsafe Certificate(adopting: pointer)
  }

  /// - Returns: nil where `der` is not one certificate.
  static func read(der: [UInt8]) -> Certificate? {
    let pointer = unsafe readBIO(der) { unsafe d2i_X509_bio($0, nil) }
    guard let pointer = unsafe pointer else {
      OpenSSLErrors.clear()
      return nil
    }
    return unsafe Certificate(adopting: pointer)
  }

  func der() -> [UInt8] {
    let count = Int(unsafe i2d_X509(pointer, nil))
    guard count > 0 else { return [] }
    return unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, written in
      // SAFETY: i2d writes the `count` octets it announced.
      var cursor = buffer.baseAddress
      written = max(0, Int(unsafe i2d_X509(pointer, &cursor)))
    }
  }

  func pem() -> [UInt8]? { unsafe memoryBIO { unsafe PEM_write_bio_X509($0, pointer) == 1 } }

  /// SHA-256 of the DER.
  func fingerprint() -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: 32)
    var count: UInt32 = 0
    unsafe X509_digest(pointer, EVP_sha256(), &digest, &count)
    return digest
  }

  /// The subject's DER.
  var subjectDER: [UInt8] {
    let name = unsafe X509_get_subject_name(pointer)
    let count = Int(unsafe i2d_X509_NAME(name, nil))
    guard count > 0 else { return [] }
    return unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, written in
      // SAFETY: i2d writes the `count` octets it announced.
      var cursor = buffer.baseAddress
      written = max(0, Int(unsafe i2d_X509_NAME(name, &cursor)))
    }
  }

  /// With what the owner of this certificate signs; nil for keys that no leaf is signed with.
  var signatureAlgorithm: SignatureAlgorithm? {
    switch unsafe EVP_PKEY_get_base_id(X509_get0_pubkey(pointer)) {
    case EVP_PKEY_EC: .ecdsa
    case EVP_PKEY_RSA: .rsa
    default: nil
    }
  }

  /// RFC 2253 text, the most specific part first.
  var subject: String {
    let text = unsafe memoryBIO {
      unsafe X509_NAME_print_ex($0, X509_get_subject_name(pointer), 0, sluice_name_format()) >= 0
    }
    return String(decoding: text ?? [], as: UTF8.self)
  }

  var notBefore: Timestamp { unsafe Self.time(X509_get0_notBefore(pointer)) }
  var notAfter: Timestamp { unsafe Self.time(X509_get0_notAfter(pointer)) }

  /// The value of the first extension of that kind, DER; nil without one.
  func extensionValue(_ kind: Int32) -> [UInt8]? {
    let index = unsafe X509_get_ext_by_NID(pointer, kind, -1)
    guard index >= 0, let found = unsafe X509_get_ext(pointer, index),
      let data = unsafe X509_EXTENSION_get_data(found), let bytes = unsafe ASN1_STRING_get0_data(data)
    else { return nil }
    return unsafe [UInt8](UnsafeBufferPointer(start: bytes, count: Int(ASN1_STRING_length(data))))
  }

  /// Octets of the value of the first extension of that kind; 0 without one.
  func extensionSize(_ kind: Int32) -> Int {
    let index = unsafe X509_get_ext_by_NID(pointer, kind, -1)
    guard index >= 0, let found = unsafe X509_get_ext(pointer, index),
      let data = unsafe X509_EXTENSION_get_data(found)
    else { return 0 }
    return Int(unsafe ASN1_STRING_length(data))
  }

  /// Whether a subject alternative name is `name` or a wildcard for it.
  func covers(_ name: String) -> Bool {
    unsafe X509_check_host(
      pointer, name, name.utf8.count,
      UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT), nil) == 1
  }

  /// Whether `issuer` signed this.
  func isSigned(by issuer: Certificate) -> Bool {
    let valid = unsafe X509_verify(pointer, X509_get0_pubkey(issuer.pointer)) == 1
    if !valid { OpenSSLErrors.clear() }
    return valid
  }

  private static func time(_ value: UnsafePointer<ASN1_TIME>?) -> Timestamp {
    var parts = unsafe tm()
    guard let value = unsafe value, unsafe ASN1_TIME_to_tm(value, &parts) == 1 else { return Timestamp(nanoseconds: 0) }
    return Timestamp(seconds: Int64(unsafe timegm(&parts)))
  }
}
