import Traffic

/// A sliding view of a file: what a record needs is brought in whole, what was used is let go.
///
/// Plain files are read into this small buffer rather than mapped. Measured on a 50 MB capture in
/// the page cache: read(2) costs 72 ns a packet, the page faults of mmap(2) 138; parsing adds 35.
/// And a file that someone cuts short meanwhile ends the capture instead of the process.
/// - Invariant: 0 <= start <= end <= storage.count.
struct ByteWindow: ~Copyable {
  /// The most octets that `require` can bring in at once.
  static let capacityBytes = 1024 * 1024
  /// How much is asked for at a time; small enough to stay in the second-level cache.
  private static let readBytes = 128 * 1024

  private var storage: [UInt8] = []
  private var start = 0
  private var end = 0
  /// The offset of `start` in the (decompressed) file.
  private(set) var offset: UInt64 = 0
  private var input: CaptureFileInput?

  /// Lets go of the current file and begins with `input` at offset 0.
  mutating func attach(_ input: CaptureFileInput?) {
    self.input = input
    start = 0
    end = 0
    offset = 0
    if storage.isEmpty { storage = Array(repeating: 0, count: Self.capacityBytes) }
  }

  /// Octets at hand.
  var count: Int { end &- start }

  /// The octets at hand, from the current offset.
  var bytes: RawSpan {
    @_lifetime(borrow self)
    borrowing get { storage.rawSpan.extracting(start..<end) }
  }

  /// Brings at least `needed` octets to hand.
  /// - Returns: false when the file ends before; what there is stays at hand.
  @inline(__always)
  mutating func require(_ needed: Int) throws(CaptureError) -> Bool {
    if needed <= end &- start { return true }
    return try refill(needed)
  }

  /// Moves on by `count` octets, which must be at hand.
  @inline(__always)
  mutating func advance(_ count: Int) {
    let step = min(count, end &- start)
    start &+= step
    offset &+= UInt64(truncatingIfNeeded: step)
  }

  /// Moves on by any number of octets.
  /// - Returns: false when the file ends before.
  mutating func skip(_ count: UInt64) throws(CaptureError) -> Bool {
    var left = count
    while left > UInt64(self.count) {
      left -= UInt64(self.count)
      advance(self.count)
      guard try require(1) else { return false }
    }
    advance(Int(left))
    return true
  }

  private mutating func refill(_ needed: Int) throws(CaptureError) -> Bool {
    guard let input, needed <= storage.count else { return false }
    let (from, held) = (start, end &- start)
    if from > 0 {
      // SAFETY: both ranges lie inside `storage` by the invariant; copyMemory allows overlap.
      unsafe storage.withUnsafeMutableBytes { bytes in
        unsafe bytes.copyMemory(
          from: UnsafeRawBufferPointer(rebasing: bytes[from..<from + held]))
      }
    }
    start = 0
    end = held
    while end < needed {
      let (from, room) = (end, min(storage.count, max(needed, end + Self.readBytes)))
      let count = unsafe storage.withUnsafeMutableBytes { bytes in
        unsafe input.read(into: UnsafeMutableRawBufferPointer(rebasing: bytes[from..<room]))
      }
      if count == 0 {
        if let failure = input.failure { throw failure }
        return false
      }
      end += count
    }
    return true
  }
}
