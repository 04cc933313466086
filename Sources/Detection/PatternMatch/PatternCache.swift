import CSluiceOpenSSL
import CSluiceVectorscan
import Glibc

/// Compiled databases on disk, so that a warm start need not compile them again.
///
/// A file is named by the SHA-256 of the literals, the library's version and the kind of processor, and
/// holds a digest of its contents before them. A file that is foreign, cut or damaged is as good as
/// none. Vectorscan checks version and processor of what it reads once more.
/// - Limits: files above ``fileBytesMax`` are neither read nor written.
struct PatternCache: Sendable {
  let directory: String

  /// Smaller sets of literals compile faster than a file is read and checked.
  static let patternsMin = 12
  static let fileBytesMax = 256 << 20
  private static let magic = Array("SLUICEPATTERNS01".utf8)
  private static let digestCount = 32

  func load(_ patterns: some Collection<FastPattern>) -> PatternDatabase? {
    guard let path = path(patterns), let file = Self.read(path) else { return nil }
    let header = Self.magic.count + Self.digestCount
    guard file.count > header, Array(file[..<Self.magic.count]) == Self.magic else { return nil }
    guard let digest = Self.digest(file, from: header), Array(file[Self.magic.count..<header]) == digest else {
      return nil
    }
    var database: OpaquePointer?
    // SAFETY: `file` is borrowed for the call and longer than `header`; Vectorscan copies what it is given, and
    // checks version and platform.
    let status = unsafe file.withUnsafeBytes { raw in
      unsafe hs_deserialize_database(
        raw.baseAddress.map { unsafe ($0 + header).assumingMemoryBound(to: CChar.self) }, raw.count - header, &database)
    }
    guard status == HS_SUCCESS, let database = unsafe database else { return nil }
    return unsafe PatternDatabase(adopting: database, patternCount: patterns.count)
  }

  /// Writes a temporary file and renames it, so that a reader never sees half of one. A failure is no
  /// fault: the next start compiles again.
  func store(_ database: PatternDatabase, _ patterns: some Collection<FastPattern>) {
    guard let path = path(patterns), let body = Self.serialised(database),
      body.count <= Self.fileBytesMax, let digest = Self.digest(body)
    else { return }
    let temporary = "\(path).\(getpid())"
    guard Self.write(Self.magic + digest + body, to: temporary) else { return }
    if unsafe rename(temporary, path) != 0 { unsafe unlink(temporary) }
  }

  private static func serialised(_ database: PatternDatabase) -> [UInt8]? {
    var bytes: UnsafeMutablePointer<CChar>?
    var count = 0
    guard unsafe hs_serialize_database(database.pointer, &bytes, &count) == HS_SUCCESS,
      let start = unsafe bytes
    else { return nil }
    // SAFETY: Vectorscan allocated `count` octets with malloc and hands them over.
    defer { unsafe free(start) }
    return unsafe [UInt8](UnsafeRawBufferPointer(start: start, count: count))
  }

  // MARK: Names

  private func path(_ patterns: some Collection<FastPattern>) -> String? {
    var text: [UInt8] = Self.environment()
    for pattern in patterns {
      text.append(pattern.isCaseInsensitive ? 1 : 0)
      for shift in [24, 16, 8, 0] { text.append(UInt8(truncatingIfNeeded: pattern.bytes.count >> shift)) }
      text += pattern.bytes
    }
    guard let digest = Self.digest(text) else { return nil }
    let digits = Array("0123456789abcdef")
    let name = String(digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    return "\(directory)/\(name).hs"
  }

  /// What a database depends on besides its literals.
  private static func environment() -> [UInt8] {
    var text: [UInt8] = []
    if let version = unsafe hs_version() { text += Array(unsafe String(cString: version).utf8) }
    var platform = hs_platform_info_t()
    if unsafe hs_populate_platform(&platform) == HS_SUCCESS {
      text += Array("|\(platform.tune)|\(platform.cpu_features)|".utf8)
    }
    return text
  }

  /// - Precondition: 0 <= first <= bytes.count
  private static func digest(_ bytes: [UInt8], from first: Int = 0) -> [UInt8]? {
    var result = [UInt8](repeating: 0, count: digestCount)
    var count: UInt32 = 0
    // SAFETY: the octets from `first` on lie inside the array; the digest has the room that SHA-256 needs.
    let status = unsafe bytes.withUnsafeBytes { raw in
      unsafe EVP_Digest(raw.baseAddress.map { unsafe $0 + first }, raw.count - first, &result, &count, EVP_sha256(), nil)
    }
    return status == 1 && count == UInt32(digestCount) ? result : nil
  }

  // MARK: Files

  /// Only a plain file of our own that nobody else may write is taken.
  private static func read(_ path: String) -> [UInt8]? {
    let descriptor = unsafe open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
      status.st_uid == geteuid(), status.st_mode & (S_IWGRP | S_IWOTH) == 0,
      status.st_size > 0, status.st_size <= fileBytesMax
    else { return nil }
    let count = Int(status.st_size)
    var bytes = [UInt8](repeating: 0, count: count)
    var filled = 0
    while filled < count {
      let start = filled
      // SAFETY: `start < count`, so the rest of the array has `count - start` octets.
      let got = unsafe bytes.withUnsafeMutableBytes { raw in
        unsafe Glibc.read(descriptor, raw.baseAddress.map { unsafe $0 + start }, count - start)
      }
      guard got > 0 else { return nil }
      filled += got
    }
    return bytes
  }

  private static func write(_ bytes: [UInt8], to path: String) -> Bool {
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { return false }
    var written = 0
    while written < bytes.count {
      let start = written
      // SAFETY: `start < bytes.count`, so the rest of the array has `bytes.count - start` octets.
      let put = unsafe bytes.withUnsafeBytes { raw in
        unsafe Glibc.write(descriptor, raw.baseAddress.map { unsafe $0 + start }, bytes.count - start)
      }
      guard put > 0 else { break }
      written += put
    }
    close(descriptor)
    if written < bytes.count { unsafe unlink(path) }
    return written == bytes.count
  }
}
