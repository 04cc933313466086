import CSluiceOpenSSL
import Traffic

/// The certificates of a peer's chain, without its leaf being owned twice.
///
/// SAFETY: holds its own references; the stack is freed before they are released.
@safe
struct CertificateStack: ~Copyable {
  let certificates: [Certificate]
  let stack: OpaquePointer?

  init(_ certificates: [Certificate]) {
    self.certificates = certificates
    unsafe stack = sluice_x509_stack()
    if let stack = unsafe stack {
      for certificate in certificates { unsafe sluice_x509_push(stack, certificate.pointer) }
    }
  }
  deinit { if let stack = unsafe stack { unsafe sluice_x509_stack_free(stack) } }
}

/// The trusted roots.
///
/// SAFETY: owned, never nil; X509_STORE takes its own lock for concurrent look-ups, and nothing is
/// added after init.
@safe
final class TrustStore: @unchecked Sendable {
  let pointer: OpaquePointer

  init(_ settings: TrustSettings) throws(TrustError) {
    guard let made = unsafe X509_STORE_new() else { throw .library(OpenSSLErrors.drain().text) }
    unsafe pointer = made
    for path in [settings.systemFile].compactMap({ $0 }) + settings.extraFiles {
      guard unsafe X509_STORE_load_file(made, path) == 1 else {
        throw .unreadable(path: path, reason: OpenSSLErrors.drain().text)
      }
    }
    if let path = settings.systemDirectory {
      guard unsafe X509_STORE_load_path(made, path) == 1 else {
        throw .unreadable(path: path, reason: OpenSSLErrors.drain().text)
      }
    }
    // For the chains of OCSP responders too, which are built within the library.
    unsafe X509_STORE_set_flags(made, Self.flags)
  }
  deinit { unsafe X509_STORE_free(pointer) }

  private static let flags = UInt(X509_V_FLAG_TRUSTED_FIRST) | UInt(X509_V_FLAG_PARTIAL_CHAIN)

  /// All certificates of a PEM file, at most 10,000.
  static func certificates(in path: String) throws(TrustError) -> [Certificate] {
    guard let bio = unsafe BIO_new_file(path, "r") else {
      throw .unreadable(path: path, reason: OpenSSLErrors.drain().text)
    }
    defer { unsafe BIO_free(bio) }
    var found: [Certificate] = []
    while found.count < 10_000, let next = unsafe PEM_read_bio_X509(bio, nil, nil, nil) {
      found.append(unsafe Certificate(adopting: next))
    }
    let errors = OpenSSLErrors.drain()
    guard !found.isEmpty else { throw .unreadable(path: path, reason: "holds no certificate (\(errors.text))") }
    return found
  }

  /// - Returns: the chain as it was built, or the first error.
  func verify(
    leaf: Certificate, chain: borrowing CertificateStack, name: String?, now: Timestamp, securityLevel: Int32
  ) -> ChainOutcome {
    guard let context = unsafe X509_STORE_CTX_new() else { return ChainOutcome(code: X509_V_ERR_OUT_OF_MEM) }
    defer {
      unsafe X509_STORE_CTX_free(context)
      OpenSSLErrors.clear()
    }
    guard unsafe X509_STORE_CTX_init(context, pointer, leaf.pointer, chain.stack) == 1,
      unsafe X509_STORE_CTX_set_default(context, "ssl_server") == 1,
      let parameters = unsafe X509_STORE_CTX_get0_param(context)
    else { return ChainOutcome(code: X509_V_ERR_UNSPECIFIED) }
    unsafe X509_VERIFY_PARAM_set_time(parameters, Int(now.seconds))
    unsafe X509_VERIFY_PARAM_set_auth_level(parameters, securityLevel)
    unsafe X509_VERIFY_PARAM_set_flags(parameters, Self.flags)
    if let name { unsafe Self.expect(name, parameters) }
    if unsafe X509_verify_cert(context) == 1 {
      return ChainOutcome(code: X509_V_OK, chain: unsafe Certificate.all(X509_STORE_CTX_get0_chain(context)))
    }
    let code = unsafe X509_STORE_CTX_get_error(context)
    var outcome = ChainOutcome(code: code == X509_V_OK ? X509_V_ERR_UNSPECIFIED : code)
    if let current = unsafe X509_STORE_CTX_get_current_cert(context), unsafe X509_up_ref(current) == 1 {
      outcome.current = unsafe Certificate(adopting: current)
    }
    return outcome
  }

  /// RFC 9525: a wildcard is the whole leftmost label, and a common name is no name. An address as the name is
  /// compared as one.
  private static func expect(_ name: String, _ parameters: OpaquePointer) {
    if IPAddress(name) != nil {
      unsafe X509_VERIFY_PARAM_set1_ip_asc(parameters, name)
    } else {
      unsafe X509_VERIFY_PARAM_set_hostflags(
        parameters, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT))
      unsafe X509_VERIFY_PARAM_set1_host(parameters, name, name.utf8.count)
    }
  }

  static func text(_ code: Int32) -> String {
    // SAFETY: a constant string for every code.
    unsafe X509_verify_cert_error_string(Int(code)).map { unsafe String(cString: $0) } ?? "error \(code)"
  }
}

/// What the library made of a chain.
struct ChainOutcome {
  /// X509_V_OK, or X509_V_ERR of the first error.
  var code: Int32
  /// Leaf first, up to what is trusted; empty with an error.
  var chain: [Certificate] = []
  /// The certificate that was looked at when the error was found.
  var current: Certificate?
}

extension Certificate {
  /// With references of their own.
  @unsafe
  fileprivate static func all(_ stack: OpaquePointer?) -> [Certificate] {
    var found: [Certificate] = []
    for index in 0..<(unsafe sluice_x509_count(stack)) {
      if let next = unsafe sluice_x509_at(stack, index), unsafe X509_up_ref(next) == 1 {
        found.append(unsafe Certificate(adopting: next))
      }
    }
    return found
  }
}
