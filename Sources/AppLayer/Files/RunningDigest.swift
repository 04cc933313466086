import CSluiceOpenSSL
import Traffic

// SAFETY: the context is made once, owned by this object alone, freed with it; input is read within
// the one call that it is handed to.

/// A hash over bytes as they come.
@safe final class RunningDigest {
  private let context: OpaquePointer?

  init(_ algorithm: Digest) {
    let made = unsafe EVP_MD_CTX_new()
    let function =
      switch algorithm {
      case .md5: unsafe EVP_md5()
      case .sha1: unsafe EVP_sha1()
      case .sha256: unsafe EVP_sha256()
      }
    if let made = unsafe made, unsafe EVP_DigestInit_ex(made, function, nil) == 1 {
      unsafe context = made
    } else {
      // FIPS mode and MD5.
      unsafe EVP_MD_CTX_free(made)
      unsafe context = nil
    }
  }

  deinit { unsafe EVP_MD_CTX_free(context) }

  func update(_ bytes: RawSpan) {
    guard let context = unsafe context, bytes.byteCount > 0 else { return }
    _ = unsafe bytes.withUnsafeBytes { unsafe EVP_DigestUpdate(context, $0.baseAddress, $0.count) }
  }

  /// Empty where the library refuses the algorithm.
  func finish() -> [UInt8] {
    guard let context = unsafe context else { return [] }
    var out = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
    var count: UInt32 = 0
    let isDone = unsafe EVP_DigestFinal_ex(context, &out, &count)
    guard isDone == 1, Int(count) <= out.count else { return [] }
    return Array(out.prefix(Int(count)))
  }
}
