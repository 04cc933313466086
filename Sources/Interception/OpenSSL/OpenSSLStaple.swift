import CSluiceOpenSSL
import Glibc
import Traffic

extension TrustStore {
  /// What a stapled OCSP response says of the leaf of a verified chain.
  ///
  /// - Source: RFC 6960 sections 3.2 and 4.2.2; the response must be signed by an issuer of the chain, or by
  ///   whom the leaf's issuer has made its responder, and be of its time.
  /// - Parameter chain: as it was verified, leaf first.
  func status(of chain: [Certificate], in staple: [UInt8], now: Timestamp) -> StapleStatus {
    defer { OpenSSLErrors.clear() }
    guard chain.count >= 2 else { return .unusable("the leaf is itself trusted; there is no issuer to ask") }
    guard let response = unsafe Self.decode(staple) else { return .unusable("it is no OCSP response") }
    defer { unsafe OCSP_RESPONSE_free(response) }
    let status = unsafe OCSP_response_status(response)
    guard status == OCSP_RESPONSE_STATUS_SUCCESSFUL else {
      return .unusable("the responder had no answer (\(unsafe Self.text(OCSP_response_status_str(Int(status)))))")
    }
    guard let basic = unsafe OCSP_response_get1_basic(response) else { return .unusable("it is of an unknown kind") }
    defer { unsafe OCSP_BASICRESP_free(basic) }
    // The leaf is not among them: with its key it could vouch for itself.
    let issuers = CertificateStack(Array(chain.dropFirst()))
    guard unsafe OCSP_basic_verify(basic, issuers.stack, pointer, UInt(OCSP_TRUSTOTHER)) == 1 else {
      return .unusable("its signature does not verify (\(OpenSSLErrors.drain().text))")
    }
    for index in 0..<(unsafe OCSP_resp_count(basic)) {
      guard let single = unsafe OCSP_resp_get0(basic, index), unsafe Self.isAbout(single, chain[0], chain[1]) else { continue }
      return unsafe Self.judge(single, now)
    }
    return .unusable("it is about another certificate")
  }

  private static func decode(_ bytes: [UInt8]) -> OpaquePointer? {
    unsafe bytes.withUnsafeBufferPointer { buffer in
      // SAFETY: d2i reads at most `count` octets.
      var cursor = buffer.baseAddress
      return unsafe d2i_OCSP_RESPONSE(nil, &cursor, buffer.count)
    }
  }

  /// By whatever digest the responder names certificates (RFC 6960 section 4.1.1).
  private static func isAbout(_ single: OpaquePointer, _ leaf: Certificate, _ issuer: Certificate) -> Bool {
    guard let named = unsafe OCSP_SINGLERESP_get0_id(single) else { return false }
    var algorithm: OpaquePointer?
    guard unsafe OCSP_id_get0_info(nil, &algorithm, nil, nil, named) == 1,
      let digest = unsafe EVP_get_digestbyname(OBJ_nid2sn(OBJ_obj2nid(algorithm))),
      let own = unsafe OCSP_cert_to_id(digest, leaf.pointer, issuer.pointer)
    else { return false }
    defer { unsafe OCSP_CERTID_free(own) }
    return unsafe OCSP_id_cmp(own, named) == 0
  }

  private static func judge(_ single: OpaquePointer, _ now: Timestamp) -> StapleStatus {
    var reason: Int32 = -1
    var revokedAt: UnsafeMutablePointer<ASN1_GENERALIZEDTIME>?
    var thisUpdate: UnsafeMutablePointer<ASN1_GENERALIZEDTIME>?
    var nextUpdate: UnsafeMutablePointer<ASN1_GENERALIZEDTIME>?
    let status = unsafe OCSP_single_get0_status(single, &reason, &revokedAt, &thisUpdate, &nextUpdate)
    // Clocks differ; a response without an end is taken for a week (RFC 6960 section 4.2.2.1 leaves it open).
    guard let from = unsafe ASN1Time.seconds(thisUpdate), from <= now.seconds &+ 300 else {
      return .unusable("it is of the future")
    }
    let end = unsafe ASN1Time.seconds(nextUpdate) ?? from &+ 7 * 86_400
    guard end >= now.seconds &- 300 else { return .unusable("it is past its time (\(unsafe ASN1Time.text(nextUpdate)))") }
    switch status {
    case V_OCSP_CERTSTATUS_GOOD: return .good
    case V_OCSP_CERTSTATUS_REVOKED:
      let why = reason >= 0 ? unsafe Self.text(OCSP_crl_reason_str(Int(reason))) : "no reason given"
      return .revoked("\(why), \(unsafe ASN1Time.text(revokedAt))")
    default: return .unusable("the responder does not know the certificate")
    }
  }

  private static func text(_ words: UnsafePointer<CChar>?) -> String {
    // SAFETY: constant strings of the library.
    unsafe words.map { unsafe String(cString: $0) } ?? "unknown"
  }
}

extension Certificate {
  /// RFC 7633: the extension lists TLS features; 5 is status_request.
  var demandsStaple: Bool {
    guard let value = extensionValue(NID_tlsfeature), value.count >= 5, value[0] == 0x30 else { return false }
    return stride(from: 2, through: value.count - 3, by: 3).contains { Array(value[$0..<$0 + 3]) == [2, 1, 5] }
  }

  var hasAlternativeNames: Bool { unsafe X509_get_ext_by_NID(pointer, NID_subject_alt_name, -1) >= 0 }

  /// RFC 2253 text.
  var issuer: String {
    let text = unsafe memoryBIO {
      unsafe X509_NAME_print_ex($0, X509_get_issuer_name(pointer), 0, sluice_name_format()) >= 0
    }
    return String(decoding: text ?? [], as: UTF8.self)
  }

  /// Where the issuer's certificate is said to be (id-ad-caIssuers); at most 200 characters of it.
  var issuerPlace: String? {
    let index = unsafe X509_get_ext_by_NID(pointer, NID_info_access, -1)
    guard index >= 0, let found = unsafe X509_get_ext(pointer, index),
      let printed = unsafe memoryBIO({ unsafe X509V3_EXT_print($0, found, 0, 0) == 1 })
    else { return nil }
    let mark = "CA Issuers - URI:"
    for line in String(decoding: printed, as: UTF8.self).split(separator: "\n") where line.hasPrefix(mark) {
      return String(line.dropFirst(mark.count).prefix(200))
    }
    return nil
  }
}
