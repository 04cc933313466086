import CSluiceOpenSSL
import Glibc
import Traffic

/// Certificate revocation lists (RFC 5280 section 5), by issuer.
///
/// An entry counts where the issuer's own key signed the list, also when the list is past its time: what is
/// revoked comes back seldom. An issuer without a list is no defect.
final class RevocationLists: Sendable {
  private let byIssuer: [UInt: [RevocationList]]
  let warnings: [String]
  /// Octets of one file.
  static let fileBytesMax = 256 << 20

  init(_ paths: [String]) throws(TrustError) {
    var notes: [String] = []
    var all: [RevocationList] = []
    for path in paths {
      let lists = try Self.read(path)
      all += lists
      for list in lists where list.isPast {
        notes.append("\(path): a revocation list in it is past its next update; what it revokes still counts")
      }
    }
    warnings = notes
    byIssuer = Dictionary(grouping: all) { unsafe Self.hash(X509_CRL_get_issuer($0.pointer)) }
  }

  /// The first certificate of the chain, leaf first, that its issuer has revoked.
  func defect(in chain: [Certificate]) -> UpstreamDefect? {
    guard !byIssuer.isEmpty else { return nil }
    for (certificate, issuer) in zip(chain, chain.dropFirst()) {
      guard let date = revocation(of: certificate, by: issuer) else { continue }
      return UpstreamDefect(
        kind: .revoked, code: X509_V_ERR_CERT_REVOKED, text: "revoked by its issuer's list on \(date)",
        subject: certificate.subject)
    }
    return nil
  }

  private func revocation(of certificate: Certificate, by issuer: Certificate) -> String? {
    let name = unsafe X509_get_subject_name(issuer.pointer)
    guard let lists = unsafe byIssuer[Self.hash(name)] else { return nil }
    for list in lists where unsafe X509_NAME_cmp(X509_CRL_get_issuer(list.pointer), name) == 0 {
      var entry: OpaquePointer?
      // 2 is an entry that takes an earlier one back.
      guard unsafe X509_CRL_get0_by_cert(list.pointer, &entry, certificate.pointer) == 1 else { continue }
      // Seldom come by, and so not remembered.
      guard unsafe X509_CRL_verify(list.pointer, X509_get0_pubkey(issuer.pointer)) == 1 else {
        OpenSSLErrors.clear()
        continue
      }
      guard let entry = unsafe entry else { return "an unknown day" }
      return unsafe ASN1Time.text(X509_REVOKED_get0_revocationDate(entry))
    }
    return nil
  }

  private static func read(_ path: String) throws(TrustError) -> [RevocationList] {
    let bytes = try readFile(path)
    var lists: [RevocationList] = []
    if bytes.starts(with: [0x30]) {
      if let one = unsafe readBIO(bytes, { unsafe d2i_X509_CRL_bio($0, nil) }) { unsafe lists.append(RevocationList(adopting: one)) }
    } else {
      _ = unsafe readBIO(bytes) { bio in
        while let next = unsafe PEM_read_bio_X509_CRL(bio, nil, nil, nil) { unsafe lists.append(RevocationList(adopting: next)) }
        return nil
      }
    }
    let errors = OpenSSLErrors.drain()
    guard !lists.isEmpty else {
      throw .unreadable(path: path, reason: "holds no revocation list (\(errors.text))")
    }
    return lists
  }

  private static func readFile(_ path: String) throws(TrustError) -> [UInt8] {
    let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw .unreadable(path: path, reason: errorText(errno)) }
    defer { close(file) }
    var bytes: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 65_536)
    while true {
      let got = unsafe Glibc.read(file, &part, part.count)
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { throw .unreadable(path: path, reason: errorText(errno)) }
      if got == 0 { return bytes }
      bytes += part[0..<got]
      guard bytes.count <= fileBytesMax else { throw .unreadable(path: path, reason: "larger than 256 MiB") }
    }
  }

  private static func hash(_ name: OpaquePointer?) -> UInt {
    unsafe UInt(X509_NAME_hash_ex(name, nil, nil, nil))
  }
}

/// One list.
///
/// SAFETY: owned, never nil, never changed; X509_CRL sorts its entries under a lock of its own.
@safe
private final class RevocationList: @unchecked Sendable {
  let pointer: OpaquePointer

  init(adopting pointer: OpaquePointer) { unsafe self.pointer = pointer }
  deinit { unsafe X509_CRL_free(pointer) }

  var isPast: Bool {
    guard let next = unsafe X509_CRL_get0_nextUpdate(pointer) else { return false }
    return unsafe X509_cmp_current_time(next) < 0
  }
}

enum ASN1Time {
  /// As OpenSSL prints it.
  @unsafe
  static func text(_ time: UnsafePointer<ASN1_TIME>?) -> String {
    guard let time = unsafe time else { return "an unknown day" }
    return String(decoding: unsafe memoryBIO { unsafe ASN1_TIME_print($0, time) == 1 } ?? [], as: UTF8.self)
  }

  /// nil for what is no time.
  @unsafe
  static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64? {
    var parts = unsafe tm()
    guard let time = unsafe time, unsafe ASN1_TIME_to_tm(time, &parts) == 1 else { return nil }
    return Int64(unsafe timegm(&parts))
  }
}
