import Traffic

/// Memory of a worker into which every connection reads, so that an idle one holds none.
///
/// SAFETY: the memory is owned and lives as long as the object; `bytes` borrows the object, and
/// callers keep no span across the next read.
@safe
final class ScratchBuffer {
  let memory: UnsafeMutableRawBufferPointer

  init(count: Int) {
    unsafe memory = .allocate(byteCount: max(1, count), alignment: 64)
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
  }
  deinit { unsafe memory.deallocate() }

  var count: Int { unsafe memory.count }

  /// The first `count` octets.
  @_lifetime(borrow self)
  func bytes(_ count: Int) -> RawSpan {
    let all = unsafe RawSpan(_unsafeBytes: memory)
    return unsafe _overrideLifetime(all.extracting(first: max(0, count)), borrowing: self)
  }
}
