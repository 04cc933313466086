import CSluiceOpenSSL
import Traffic

/// A prepared X.509 extension, copied into each certificate it is added to.
///
/// SAFETY: owned, never nil, never changed.
@safe
final class CertificateExtension: @unchecked Sendable {
  let pointer: OpaquePointer

  init(adopting pointer: OpaquePointer) { unsafe self.pointer = pointer }
  deinit { unsafe X509_EXTENSION_free(pointer) }

  /// - Parameter value: as in an OpenSSL configuration, for instance "critical,CA:TRUE".
  static func make(_ kind: Int32, _ value: String) -> CertificateExtension? {
    guard let made = unsafe X509V3_EXT_conf_nid(nil, nil, kind, value) else {
      OpenSSLErrors.clear()
      return nil
    }
    return unsafe CertificateExtension(adopting: made)
  }

  static func subjectKeyIdentifier(_ identifier: [UInt8]) -> CertificateExtension? {
    make(NID_subject_key_identifier, hexadecimal(identifier, separator: ":"))
  }

  /// - Parameter value: DER of the extension's value.
  static func make(_ kind: Int32, der value: [UInt8], isCritical: Bool) -> CertificateExtension? {
    guard let data = unsafe ASN1_OCTET_STRING_new() else { return nil }
    defer { unsafe ASN1_OCTET_STRING_free(data) }
    guard let count = Int32(exactly: value.count), unsafe ASN1_OCTET_STRING_set(data, value, count) == 1,
      let made = unsafe X509_EXTENSION_create_by_NID(nil, kind, isCritical ? 1 : 0, data)
    else { return nil }
    return unsafe CertificateExtension(adopting: made)
  }

  /// RFC 5280 section 4.2.1.1: SEQUENCE { [0] keyIdentifier }.
  static func authorityKeyIdentifier(_ identifier: [UInt8]) -> CertificateExtension? {
    guard identifier.count <= 64 else { return nil }
    let count = UInt8(identifier.count)
    return make(NID_authority_key_identifier, der: [0x30, count + 2, 0x80, count] + identifier, isCritical: false)
  }
}

func hexadecimal(_ bytes: [UInt8], separator: String = "") -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: !separator.isEmpty) }
    .joined(separator: separator)
}

/// A certificate in the making; `sign` turns it into a ``Certificate``.
///
/// Each step tells by `isComplete` whether all so far went well: only then does `sign` succeed.
/// SAFETY: the pointer is owned until `sign` hands it over.
@safe
struct CertificateDraft: ~Copyable {
  private let pointer: OpaquePointer
  private var isComplete = true

  /// Version 3 with a random positive serial number of 16 octets.
  init?() {
    guard var serial = randomBytes(16), let made = unsafe X509_new() else { return nil }
    unsafe pointer = made
    serial[0] = serial[0] & 0x7f | 0x40
    note(unsafe X509_set_version(made, 2))
    guard let number = unsafe BN_bin2bn(serial, 16, nil) else {
      isComplete = false
      return
    }
    note(unsafe BN_to_ASN1_INTEGER(number, X509_get_serialNumber(made)) != nil ? 1 : 0)
    unsafe BN_free(number)
  }

  deinit { unsafe X509_free(pointer) }

  mutating func copySubject(of other: Certificate) {
    note(unsafe X509_set_subject_name(pointer, X509_get_subject_name(other.pointer)))
  }

  /// One part of the subject, for instance "CN".
  mutating func addToSubject(_ field: String, _ text: String) {
    let bytes = Array(text.utf8)
    note(unsafe X509_NAME_add_entry_by_txt(
      X509_get_subject_name(pointer), field, MBSTRING_FLAG | 0, bytes, Int32(bytes.count), -1, 0))
  }

  mutating func issuer(_ issuer: Certificate) {
    note(unsafe X509_set_issuer_name(pointer, X509_get_subject_name(issuer.pointer)))
  }

  mutating func selfIssued() {
    note(unsafe X509_set_issuer_name(pointer, X509_get_subject_name(pointer)))
  }

  mutating func copyValidity(of other: Certificate) {
    note(unsafe X509_set1_notBefore(pointer, X509_get0_notBefore(other.pointer)))
    note(unsafe X509_set1_notAfter(pointer, X509_get0_notAfter(other.pointer)))
  }

  mutating func validity(from start: Timestamp, to end: Timestamp) {
    note(unsafe ASN1_TIME_set(X509_getm_notBefore(pointer), Int(start.seconds)) != nil ? 1 : 0)
    note(unsafe ASN1_TIME_set(X509_getm_notAfter(pointer), Int(end.seconds)) != nil ? 1 : 0)
  }

  mutating func publicKey(of key: PrivateKey) { note(unsafe X509_set_pubkey(pointer, key.pointer)) }

  mutating func add(_ part: CertificateExtension) { note(unsafe X509_add_ext(pointer, part.pointer, -1)) }

  /// Copies the first extension of that kind, where `other` has one.
  mutating func copyExtension(_ kind: Int32, of other: Certificate) {
    let index = unsafe X509_get_ext_by_NID(other.pointer, kind, -1)
    guard index >= 0, let found = unsafe X509_get_ext(other.pointer, index) else { return }
    note(unsafe X509_add_ext(pointer, found, -1))
  }

  /// SHA-1 of the public key (RFC 5280 section 4.2.1.2, method 1).
  func keyIdentifier() -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: 20)
    var count: UInt32 = 0
    unsafe X509_pubkey_digest(pointer, EVP_sha1(), &digest, &count)
    return digest
  }

  /// - Returns: nil when this or any step before failed; the error queue says why.
  consuming func sign(with key: PrivateKey, digest: MessageDigest) -> Certificate? {
    guard isComplete, unsafe X509_sign(pointer, key.pointer, digest.pointer) > 0,
      unsafe X509_up_ref(pointer) == 1
    else { return nil }
    return unsafe Certificate(adopting: pointer)
  }

  /// The octets to be signed with `algorithm`, by who has the key; nil when a step before failed.
  mutating func toBeSigned(_ algorithm: SignatureAlgorithm) -> [UInt8]? {
    guard isComplete else { return nil }
    var bytes: UnsafeMutablePointer<UInt8>?
    let count = unsafe sluice_x509_to_be_signed(pointer, algorithm.number, &bytes)
    guard count > 0, let bytes = unsafe bytes else { return nil }
    defer { unsafe sluice_free(bytes) }
    // SAFETY: the library allocated so many octets.
    return unsafe [UInt8](UnsafeBufferPointer(start: bytes, count: Int(count)))
  }

  /// With a signature of what `toBeSigned` gave out.
  consuming func finish(signature: [UInt8]) -> Certificate? {
    guard let count = Int32(exactly: signature.count), unsafe sluice_x509_put_signature(pointer, signature, count) == 1,
      unsafe X509_up_ref(pointer) == 1
    else { return nil }
    return unsafe Certificate(adopting: pointer)
  }

  private mutating func note(_ result: Int32) { if result != 1 { isComplete = false } }
  fileprivate mutating func fail() { isComplete = false }
}

extension SignatureAlgorithm {
  /// The library's number.
  fileprivate var number: Int32 {
    switch self {
    case .ecdsa: NID_ecdsa_with_SHA256
    case .rsa: NID_sha256WithRSAEncryption
    }
  }
}

/// A digest fetched once, since each implicit fetch costs a search through the providers.
///
/// SAFETY: owned, never nil, immutable.
@safe
final class MessageDigest: @unchecked Sendable {
  let pointer: OpaquePointer

  init?(_ name: String) {
    guard let fetched = unsafe EVP_MD_fetch(nil, name, nil) else { return nil }
    unsafe pointer = fetched
  }
  deinit { unsafe EVP_MD_free(pointer) }
}

extension CertificateDraft {
  /// Key usage as of `other`, where it states any, in terms of the leaf's key: one on a curve can sign but not
  /// encipher keys, and a leaf signs no certificates.
  mutating func copyKeyUsage(of other: Certificate, for kind: LeafKeyKind) {
    let usage = unsafe X509_get_key_usage(other.pointer)
    guard usage != UInt32.max else { return }
    var text = "critical,digitalSignature"
    if usage & UInt32(KU_NON_REPUDIATION) != 0 { text += ",nonRepudiation" }
    if kind == .rsa, usage & UInt32(KU_KEY_ENCIPHERMENT) != 0 { text += ",keyEncipherment" }
    guard let made = CertificateExtension.make(NID_key_usage, text) else {
      fail()
      return
    }
    add(made)
  }
}
