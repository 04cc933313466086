import CSluiceOpenSSL
import Glibc
import Testing
import Traffic

@testable import Interception

/// OCSP responses and revocation lists as an issuer would make them.
enum RevocationScene {
  enum Answer {
    case good
    case revoked
    case unknown
  }

  /// DER of a response about `leaf`.
  ///
  /// - Parameters:
  ///   - signer: who signs; the issuer by default.
  ///   - hours: when it was made and when it ends, from now.
  static func response(
    about leaf: Certificate, _ answer: Answer, issuer: CertificateAuthority = Lab.upstream,
    signer: CertificateAuthority? = nil, digest: String = "SHA1", hours: (Int64, Int64) = (-1, 24)
  ) throws -> [UInt8] {
    let basic = try unsafe #require(OCSP_BASICRESP_new())
    defer { unsafe OCSP_BASICRESP_free(basic) }
    let kind = try unsafe #require(EVP_get_digestbyname(digest))
    let identity = try unsafe #require(OCSP_cert_to_id(kind, leaf.pointer, issuer.certificate.pointer))
    let (from, to) = unsafe (time(hours.0), time(hours.1))
    let status =
      switch answer {
      case .good: V_OCSP_CERTSTATUS_GOOD
      case .revoked: V_OCSP_CERTSTATUS_REVOKED
      case .unknown: V_OCSP_CERTSTATUS_UNKNOWN
      }
    // keyCompromise, RFC 5280 section 5.3.1.
    let reason: Int32 = 1
    try #require(
      unsafe OCSP_basic_add1_status(basic, identity, status, reason, answer == .revoked ? from : nil, from, to) != nil)
    let by = signer ?? issuer
    try #require(unsafe OCSP_basic_sign(basic, by.certificate.pointer, try #require(by.key).pointer, EVP_sha256(), nil, 0) == 1)
    let whole = try unsafe #require(OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic))
    defer { unsafe OCSP_RESPONSE_free(whole) }
    let count = Int(unsafe i2d_OCSP_RESPONSE(whole, nil))
    return unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, written in
      var cursor = buffer.baseAddress
      written = Int(unsafe i2d_OCSP_RESPONSE(whole, &cursor))
    }
  }

  /// PEM of a list by `issuer`.
  static func list(
    _ revoked: [Certificate], by issuer: CertificateAuthority = Lab.upstream, signer: CertificateAuthority? = nil,
    hours: (Int64, Int64) = (-1, 24)
  ) throws -> [UInt8] {
    let list = try unsafe #require(X509_CRL_new())
    defer { unsafe X509_CRL_free(list) }
    unsafe X509_CRL_set_version(list, 1)
    unsafe X509_CRL_set_issuer_name(list, X509_get_subject_name(issuer.certificate.pointer))
    unsafe X509_CRL_set1_lastUpdate(list, time(hours.0))
    unsafe X509_CRL_set1_nextUpdate(list, time(hours.1))
    for certificate in revoked {
      let entry = try unsafe #require(X509_REVOKED_new())
      unsafe X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(certificate.pointer))
      unsafe X509_REVOKED_set_revocationDate(entry, time(-1))
      try #require(unsafe X509_CRL_add0_revoked(list, entry) == 1)
    }
    try #require(unsafe X509_CRL_sign(list, try #require((signer ?? issuer).key).pointer, EVP_sha256()) > 0)
    return try unsafe #require(memoryBIO { unsafe PEM_write_bio_X509_CRL($0, list) == 1 })
  }

  @unsafe
  private static func time(_ hours: Int64) -> UnsafeMutablePointer<ASN1_TIME>? {
    unsafe ASN1_GENERALIZEDTIME_set(nil, Int(Lab.time.seconds + hours * 3_600))
  }
}
