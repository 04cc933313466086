import CSluiceOpenSSL

/// Hashes of OpenSSL, as lower-case hex or bytes.
public enum Digest: Sendable {
  case md5, sha1, sha256

  /// The hash of `bytes`; empty when the library refuses the algorithm (FIPS mode and MD5).
  public func hash(_ bytes: [UInt8]) -> [UInt8] {
    let algorithm =
      switch self {
      case .md5: unsafe EVP_md5()
      case .sha1: unsafe EVP_sha1()
      case .sha256: unsafe EVP_sha256()
      }
    // SAFETY: `out` holds EVP_MAX_MD_SIZE octets, which is what EVP_Digest may write at most.
    var out = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
    var count: UInt32 = 0
    let isDone = unsafe EVP_Digest(bytes, bytes.count, &out, &count, algorithm, nil)
    guard isDone == 1, Int(count) <= out.count else { return [] }
    return Array(out.prefix(Int(count)))
  }

  /// The hash of `bytes` in lower-case hex.
  public func hex(_ bytes: [UInt8]) -> [UInt8] { Hex.lower(hash(bytes)) }
}

/// Bytes as hex text.
enum Hex {
  static func lower(_ bytes: [UInt8], separator: UInt8? = nil) -> [UInt8] {
    text(bytes, Array("0123456789abcdef".utf8), separator)
  }

  static func upper(_ bytes: [UInt8], separator: UInt8? = nil) -> [UInt8] {
    text(bytes, Array("0123456789ABCDEF".utf8), separator)
  }

  private static func text(_ bytes: [UInt8], _ digits: [UInt8], _ separator: UInt8?) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count * 3)
    for byte in bytes {
      if let separator, !out.isEmpty { out.append(separator) }
      out.append(digits[Int(byte >> 4)])
      out.append(digits[Int(byte & 15)])
    }
    return out
  }
}
