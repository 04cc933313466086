/// The rules of one direction of a flow that are remembered from one piece of its stream to the next, ascending.
///
/// Dozens wait on a busy stream of a protocol that many rules look into, so that they are found by halving.
///
/// - Limits: ``countMax``, counted where it is met (``DetectionCounters/pendingOverflow``).
struct PendingRules {
  /// A rule whose fast pattern was seen and that waits for more bytes, or that has matched on bytes that are still
  /// there.
  struct Entry {
    var rule: RuleIndex
    /// Where the fast pattern ended, octets from the start of the stream; once the window has moved
    /// past it, the rule is forgotten.
    var hitEnd: UInt64
    var growing = GrowingBuffer()
    /// It is to be tried on what comes next.
    var isAwaited = true
    /// The octets of the stream before this one have made the rule match, and count for it no more.
    var usedTo: UInt64 = 0
  }

  static let countMax = 256

  private(set) var entries: [Entry] = []

  subscript(place: Int) -> Entry {
    _read { yield entries[place] }
    _modify { yield &entries[place] }
  }

  /// The place of a rule; nil where it is not remembered.
  func place(of rule: RuleIndex) -> Int? {
    let place = lowerBound(rule)
    return place < entries.count && entries[place].rule == rule ? place : nil
  }

  /// - Returns: false where there is no room for another rule.
  mutating func set(_ entry: Entry) -> Bool {
    let place = lowerBound(entry.rule)
    if place < entries.count, entries[place].rule == entry.rule {
      entries[place] = entry
      return true
    }
    guard entries.count < Self.countMax else { return false }
    entries.insert(entry, at: place)
    return true
  }

  mutating func remove(at place: Int) { entries.remove(at: place) }
  mutating func removeAll() { entries.removeAll(keepingCapacity: true) }

  /// Forgets the rules whose literal lies before what is still there.
  mutating func forget(before offset: UInt64) {
    guard !entries.isEmpty else { return }
    entries.removeAll { $0.hitEnd <= offset }
  }

  private func lowerBound(_ rule: RuleIndex) -> Int {
    var (low, high) = (0, entries.count)
    while low < high {
      let middle = (low &+ high) / 2
      if entries[middle].rule < rule { low = middle &+ 1 } else { high = middle }
    }
    return low
  }
}
