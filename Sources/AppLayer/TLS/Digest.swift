import CSluiceOpenSSL

/// Hashes of OpenSSL, as lower-case hex or bytes.
public enum Digest: Sendable {
  case md5, sha1, sha256

  /// The hash of `bytes`; empty when the library refuses the algorithm (FIPS mode and MD5).
  public func hash(_ bytes: [UInt8]) -> [UInt8] {
    // SAFETY: `out` holds EVP_MAX_MD_SIZE octets, which is what EVP_Digest may write at most.
    var out = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
    var count: UInt32 = 0
    let isDone = unsafe EVP_Digest(bytes, bytes.count, &out, &count, algorithm.pointer, nil)
    guard isDone == 1, Int(count) <= out.count else { return [] }
    out.removeLast(out.count - Int(count))
    return out
  }

  private var algorithm: FetchedDigest {
    switch self {
    case .md5: .md5
    case .sha1: .sha1
    case .sha256: .sha256
    }
  }

  /// The hash of `bytes` in lower-case hex.
  public func hex(_ bytes: [UInt8]) -> [UInt8] { Hex.lower(hash(bytes)) }
}

/// An algorithm as the library's provider has it.
///
/// Asked for once: what is handed over by EVP_md5 and its like is looked up anew for each hash, which is more than a third
/// of what the hash of a hello takes.
@safe private struct FetchedDigest: @unchecked Sendable {
  // SAFETY: fetched algorithms are never freed, and the library lets any thread use them.
  let pointer: OpaquePointer?

  static let md5 = unsafe FetchedDigest(EVP_MD_fetch(nil, "MD5", nil), or: EVP_md5())
  static let sha1 = unsafe FetchedDigest(EVP_MD_fetch(nil, "SHA1", nil), or: EVP_sha1())
  static let sha256 = unsafe FetchedDigest(EVP_MD_fetch(nil, "SHA256", nil), or: EVP_sha256())

  private init(_ fetched: OpaquePointer?, or named: OpaquePointer?) { unsafe pointer = unsafe fetched ?? named }
}

/// Bytes as hex text.
enum Hex {
  static func lower(_ bytes: [UInt8], separator: UInt8? = nil) -> [UInt8] {
    text(bytes, UInt8(ascii: "a"), separator)
  }

  static func upper(_ bytes: [UInt8], separator: UInt8? = nil) -> [UInt8] {
    text(bytes, UInt8(ascii: "A"), separator)
  }

  /// - Parameter ten: the digit that stands for ten.
  private static func text(_ bytes: [UInt8], _ ten: UInt8, _ separator: UInt8?) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(separator == nil ? bytes.count * 2 : bytes.count * 3)
    for byte in bytes {
      if let separator, !out.isEmpty { out.append(separator) }
      append(byte, ten, to: &out)
    }
    return out
  }

  static func appendLower(_ byte: UInt8, to out: inout [UInt8]) { append(byte, UInt8(ascii: "a"), to: &out) }

  @inline(__always)
  private static func append(_ byte: UInt8, _ ten: UInt8, to out: inout [UInt8]) {
    out.append(digit(byte >> 4, ten))
    out.append(digit(byte & 15, ten))
  }

  @inline(__always)
  private static func digit(_ value: UInt8, _ ten: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") &+ value : ten &+ (value &- 10)
  }
}
