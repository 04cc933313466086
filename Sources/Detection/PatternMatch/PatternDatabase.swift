import CSluiceVectorscan

/// A compiled Vectorscan database of literals in block mode; immutable, shared by all workers.
///
/// - Source: Hyperscan developer reference, "Compiling Patterns". Literals are written as `\xHH`,
///   because the literal compiler refuses patterns that start with NUL.
@safe
final class PatternDatabase: @unchecked Sendable {
  // SAFETY: Vectorscan never writes to a database after it is compiled; the pointer is freed once,
  // in deinit, when no scanner can hold the object any more.
  let pointer: OpaquePointer
  let patternCount: Int

  init(adopting pointer: OpaquePointer, patternCount: Int) {
    unsafe self.pointer = pointer
    self.patternCount = patternCount
  }

  deinit { unsafe hs_free_database(pointer) }

  /// Octets that the database takes.
  var byteCount: Int {
    var size = 0
    return unsafe hs_database_size(pointer, &size) == HS_SUCCESS ? size : 0
  }

  /// - Throws: with Vectorscan's words; the caller reports the rules of that table as not loaded.
  static func compile(_ patterns: some Collection<FastPattern>) throws(PatternCompileError) -> PatternDatabase {
    let texts = patterns.map { escaped($0.bytes) }
    var flags = patterns.map { $0.isCaseInsensitive ? UInt32(HS_FLAG_CASELESS) : 0 }
    var ids = (0..<patterns.count).map { UInt32(truncatingIfNeeded: $0) }
    var offsets: [Int] = []
    var all: [CChar] = []
    for text in texts {
      offsets.append(all.count)
      all += text
    }
    var database: OpaquePointer?
    var failure: UnsafeMutablePointer<hs_compile_error_t>?
    // SAFETY: the pointers into `all`, `flags` and `ids` are used only within their closures;
    // every expression ends in NUL; Vectorscan copies what it keeps.
    let status = unsafe all.withUnsafeBufferPointer { characters in
      var pointers: [UnsafePointer<CChar>?] = unsafe []
      if let base = characters.baseAddress {
        for offset in offsets { unsafe pointers.append(base + offset) }
      }
      return unsafe pointers.withUnsafeBufferPointer { expressions in
        unsafe hs_compile_multi(
          expressions.baseAddress, &flags, &ids, UInt32(patterns.count), UInt32(HS_MODE_BLOCK), nil,
          &database, &failure)
      }
    }
    guard status == HS_SUCCESS, let database = unsafe database else {
      var message = "Vectorscan error \(status)"
      if let error = unsafe failure {
        if let text = unsafe error.pointee.message { message = unsafe String(cString: text) }
        unsafe hs_free_compile_error(error)
      }
      throw PatternCompileError(message: message)
    }
    return unsafe PatternDatabase(adopting: database, patternCount: patterns.count)
  }

  private static func escaped(_ bytes: [UInt8]) -> [CChar] {
    let digits = Array("0123456789abcdef".utf8)
    var text: [CChar] = []
    text.reserveCapacity(bytes.count * 4 + 1)
    for byte in bytes {
      text += [0x5c, 0x78, CChar(digits[Int(byte >> 4)]), CChar(digits[Int(byte & 15)])]
    }
    text.append(0)
    return text
  }
}

/// Vectorscan refused a set of literals or ran out of memory.
struct PatternCompileError: Error {
  var message: String
}
