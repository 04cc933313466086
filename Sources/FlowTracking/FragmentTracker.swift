import Traffic

/// Which fragments belong together (RFC 791 section 3.2, RFC 8200 section 4.5).
struct FragmentKey: Hashable, Sendable {
  var source: IPAddress
  var destination: IPAddress
  var identification: UInt32
  /// IPv6 fragments are told apart by addresses and identification alone; 0 there.
  var ipProtocol: UInt8
  var vlan: UInt32
}

/// The fragments of one datagram, in the order in which they came.
struct FragmentTracker {
  struct Fragment {
    /// Octets of the datagram's fragmentable part.
    var range: Range<Int>
    var arenaOffset: Int
  }

  var key: FragmentKey
  var policy: FragmentPolicy
  var firstTime: Timestamp
  /// Neighbours in the list by age; -1 for none.
  var older = -1
  var newer = -1
  /// The headers in front of the fragmentable part, from the fragment at offset 0.
  private(set) var header: [UInt8] = []
  private(set) var arena: [UInt8] = []
  private var fragments: [Fragment] = []
  /// What is covered, sorted, merged.
  private var covered: [Range<Int>] = []
  private var hasOverlap = false
  /// Length of the fragmentable part; -1 before the last fragment.
  private var totalLength = -1

  var fragmentCount: Int { fragments.count }
  var byteCount: Int { arena.count &+ header.count }

  init(key: FragmentKey, policy: FragmentPolicy, firstTime: Timestamp) {
    self.key = key
    self.policy = policy
    self.firstTime = firstTime
  }

  /// Makes an old tracker ready for another datagram, keeping its memory.
  mutating func reuse(key: FragmentKey, policy: FragmentPolicy, firstTime: Timestamp) {
    self.key = key
    self.policy = policy
    self.firstTime = firstTime
    header.removeAll(keepingCapacity: true)
    arena.removeAll(keepingCapacity: true)
    fragments.removeAll(keepingCapacity: true)
    covered.removeAll(keepingCapacity: true)
    hasOverlap = false
    totalLength = -1
  }

  enum Insertion { case inserted, overlapping, contradictory }

  mutating func insert(_ range: Range<Int>, isLast: Bool, _ bytes: RawSpan) -> Insertion {
    let farthest = covered.last?.upperBound ?? 0
    if totalLength >= 0, range.upperBound > totalLength || (isLast && range.upperBound != totalLength) {
      return .contradictory
    }
    if isLast, totalLength < 0 {
      // Data beyond the end: the end, or the data, is a lie.
      if range.upperBound < farthest { return .contradictory }
      totalLength = range.upperBound
    }
    fragments.append(Fragment(range: range, arenaOffset: arena.count))
    arena.append(bytes)
    guard cover(range) else { return .inserted }
    hasOverlap = true
    return .overlapping
  }

  /// - Parameter nextHeader: for IPv6: what follows, and where in the header that is said.
  mutating func keepHeader(_ bytes: RawSpan, nextHeader: (offset: Int, value: UInt8)?) {
    guard header.isEmpty else { return }
    header.append(bytes)
    if let nextHeader, nextHeader.offset < header.count { header[nextHeader.offset] = nextHeader.value }
  }

  var isComplete: Bool {
    totalLength >= 0 && !header.isEmpty
      && (totalLength == 0 || (covered.count == 1 && covered[0] == 0..<totalLength))
  }

  /// Whether some of `range` has come already.
  func covers(_ range: Range<Int>) -> Bool { covered.contains { $0.overlaps(range) } }

  /// Adds to what is covered.
  /// - Returns: whether part of it was covered before.
  private mutating func cover(_ range: Range<Int>) -> Bool {
    if range.isEmpty { return false }
    var first = covered.count
    while first > 0, covered[first &- 1].upperBound >= range.lowerBound { first &-= 1 }
    var merged = range
    var isOverlap = false
    var end = first
    while end < covered.count, covered[end].lowerBound <= range.upperBound {
      if covered[end].overlaps(range) { isOverlap = true }
      merged = min(merged.lowerBound, covered[end].lowerBound)..<max(merged.upperBound, covered[end].upperBound)
      end &+= 1
    }
    covered.replaceSubrange(first..<end, with: CollectionOfOne(merged))
    return isOverlap
  }

  /// Appends the fragmentable part to `output`.
  func assemble(into output: inout [UInt8], scratch: inout [UInt8]) {
    let base = output.count
    output.append(contentsOf: repeatElement(0, count: max(0, totalLength)))
    for index in fragments.indices {
      let fragment = fragments[index]
      scratch.removeAll(keepingCapacity: true)
      scratch.append(
        arena.rawSpan.extracting(
          fragment.arenaOffset..<(fragment.arenaOffset &+ fragment.range.count)))
      if hasOverlap { keepOlder(than: index, base, output, &scratch) }
      let start = base &+ fragment.range.lowerBound
      for octet in 0..<scratch.count { output[start &+ octet] = scratch[octet] }
    }
  }

  /// Puts the bytes already in `output` into the copy of a fragment, where an older one stands.
  private func keepOlder(
    than index: Int, _ base: Int, _ output: [UInt8], _ scratch: inout [UInt8]
  ) {
    let new = fragments[index].range
    for old in fragments[..<index] where old.range.overlaps(new) {
      if policy.newWins(new, over: old.range) { continue }
      for position in old.range.clamped(to: new) {
        scratch[position &- new.lowerBound] = output[base &+ position]
      }
    }
  }
}
