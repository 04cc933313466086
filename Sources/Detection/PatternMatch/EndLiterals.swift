import Traffic

/// Literals that stand where their buffer ends, found by its last octets.
///
/// Names of hosts are most of what rules ask for: as the whole of a buffer or as its end. A scan for thousands of them
/// looks at a table that no cache of the processor holds, once for each octet; here the end of the buffer is looked up, once
/// for each length of a key (docs/decisions/pattern-library.md).
final class EndLiterals: Sendable {
  /// Octets of the key by which a literal is found: the most of these that it has.
  private static let keyCounts = [32, 16, 8, 4, 2, 1]

  private struct Entry: Sendable, BitwiseCopyable {
    /// The lower half of the key's digest.
    var digest: UInt32
    /// Index within the part.
    var pattern: UInt32
    /// Where its octets lie in ``octets``.
    var start: UInt32
    var length: UInt16
    var isCaseInsensitive: Bool
  }

  /// By the digests of their keys, in ascending order of the upper bits.
  private let entries: [Entry]
  /// Where the entries begin whose digests have the same upper bits, and where the last one's end.
  private let starts: [UInt32]
  private let startBits: Int
  /// A bit for the upper bits of each digest, a few more of them: most buffers go no further.
  private let filter: [UInt64]
  private let filterBits: Int
  /// Which lengths of keys literals of each member have: a bit for each of ``keyCounts``.
  private let lengths: [UInt8]
  private let octets: [UInt8]

  /// Whether the literal is to be found here.
  ///
  /// - Precondition: the table is for buffers that are there at once.
  static func takes(_ pattern: FastPattern) -> Bool {
    pattern.constraint.isAtEnd && !pattern.bytes.isEmpty && pattern.bytes.count <= Int(UInt16.max)
  }

  /// - Precondition: ``takes(_:)`` holds for each of them.
  init(_ patterns: [FastPattern]) {
    var found: [(digest: UInt64, entry: Entry)] = []
    var octets: [UInt8] = []
    var lengths: [UInt8] = []
    for (index, pattern) in patterns.enumerated() {
      let member = pattern.constraint.member
      guard let kind = Self.keyCounts.firstIndex(where: { $0 <= pattern.bytes.count }) else { continue }
      while lengths.count <= Int(member) { lengths.append(0) }
      lengths[Int(member)] |= 1 << UInt8(kind)
      let digest = Self.digest(pattern.bytes.rawSpan, Self.keyCounts[kind], member)
      found.append(
        (
          digest,
          Entry(
            digest: UInt32(truncatingIfNeeded: digest), pattern: UInt32(clamping: index), start: UInt32(clamping: octets.count),
            length: UInt16(clamping: pattern.bytes.count), isCaseInsensitive: pattern.isCaseInsensitive)
        ))
      octets += pattern.bytes
    }
    found.sort { ($0.digest, $0.entry.pattern) < ($1.digest, $1.entry.pattern) }
    startBits = Self.bits(found.count)
    filterBits = Self.bits(found.count * 16)
    var starts = [UInt32](repeating: 0, count: 1 << startBits + 1)
    var filter = [UInt64](repeating: 0, count: 1 << max(0, filterBits - 6))
    for (digest, _) in found {
      starts[Int(digest >> UInt64(64 - startBits)) + 1] += 1
      let bit = digest >> UInt64(64 - filterBits)
      filter[Int(bit >> 6)] |= 1 << (bit & 63)
    }
    for index in 1..<starts.count { starts[index] += starts[index - 1] }
    entries = found.map(\.entry)
    self.starts = starts
    self.filter = filter
    self.lengths = lengths
    self.octets = octets.copied()
  }

  /// Bits of a number below `count`, one at least.
  private static func bits(_ count: Int) -> Int { max(1, Int.bitWidth - max(0, count - 1).leadingZeroBitCount) }

  /// Of the last `count` octets, in either case, and of whose literals they may be.
  /// - Precondition: there are as many.
  @inline(__always)
  private static func digest(_ bytes: RawSpan, _ count: Int, _ member: UInt8) -> UInt64 {
    var sum = (UInt64(member) << 8 | UInt64(count)) &* 0x9e37_79b9_7f4a_7c15
    let end = bytes.byteCount
    var at = end &- count
    while end &- at >= 8 {
      mix(UInt64(bytes.u32(at: at)) << 32 | UInt64(bytes.u32(at: at &+ 4)), into: &sum)
      at &+= 8
    }
    if count == 4 { mix(UInt64(bytes.u32(at: at)), into: &sum) }
    if count == 2 { mix(UInt64(bytes.u16(at: at)), into: &sum) }
    if count == 1 { mix(UInt64(bytes.u8(at: at)), into: &sum) }
    return sum
  }

  @inline(__always)
  private static func mix(_ word: UInt64, into sum: inout UInt64) {
    // Bit 5 tells upper case from lower; of other octets it makes two the same, which are told apart later.
    sum = (sum ^ (word | 0x2020_2020_2020_2020)) &* 0xd6e8_feb8_6659_fd93
    sum ^= sum >> 32
    sum = sum &* 0xd6e8_feb8_6659_fd93
  }

  /// Tells of each literal of one member that the buffer ends with.
  ///
  /// - Parameter note: given the index of the literal.
  @inline(__always)
  func find(in bytes: RawSpan, member: UInt8, _ note: (Int) -> Void) {
    guard Int(member) < lengths.count else { return }
    var left = lengths[Int(member)]
    while left != 0 {
      let kind = left.trailingZeroBitCount
      left &= left &- 1
      let count = Self.keyCounts[kind]
      guard count <= bytes.byteCount else { continue }
      let digest = Self.digest(bytes, count, member)
      let bit = digest >> UInt64(64 &- filterBits)
      if filter[Int(bit >> 6)] >> (bit & 63) & 1 != 0 { look(digest, in: bytes, note) }
    }
  }

  private func look(_ digest: UInt64, in bytes: RawSpan, _ note: (Int) -> Void) {
    let place = Int(digest >> UInt64(64 &- startBits))
    let octets = octets
    for index in Int(starts[place])..<Int(starts[place &+ 1]) {
      let entry = entries[index]
      let length = Int(entry.length)
      guard entry.digest == UInt32(truncatingIfNeeded: digest), length <= bytes.byteCount else { continue }
      let first = Int(entry.start)
      if ByteSearch.matches(
        octets.rawSpan.extracting(first..<first &+ length), in: bytes, at: bytes.byteCount &- length,
        ignoringCase: entry.isCaseInsensitive)
      {
        note(Int(entry.pattern))
      }
    }
  }
}
