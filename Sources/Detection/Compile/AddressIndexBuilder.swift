import RuleLanguage
import Traffic

/// Cuts the address space where the set of rules changes.
enum AddressIndexBuilder {
  /// A side with more addresses than this tells rules apart too little to index by.
  private static let selectiveMax: Double = 0x1p28

  static func build(
    _ rules: [(rule: RuleIndex, head: RuleHead)], _ sets: [AddressSet]
  ) -> AddressIndex {
    var always: [RuleIndex] = []
    var bySource: [(AddressSet, RuleIndex)] = []
    var byDestination: [(AddressSet, RuleIndex)] = []
    for (rule, head) in rules {
      let source = size(sets[Int(head.sources)])
      let destination = size(sets[Int(head.destinations)])
      // The index looks both ends up, so rules for both ways are found from either.
      if min(source, destination) > selectiveMax {
        always.append(rule)
      } else if source <= destination {
        bySource.append((sets[Int(head.sources)], rule))
      } else {
        byDestination.append((sets[Int(head.destinations)], rule))
      }
    }
    return AddressIndex(bySource: segments(bySource), byDestination: segments(byDestination), always: always)
  }

  private static func size(_ set: AddressSet) -> Double {
    set.ranges.reduce(0) { sum, range in
      let high = Double(range.high.high) - Double(range.low.high)
      return sum + high * 0x1p64 + Double(range.high.low) - Double(range.low.low) + 1
    }
  }

  private static func segments(_ entries: [(AddressSet, RuleIndex)]) -> AddressSegments {
    var result = AddressSegments()
    guard !entries.isEmpty else { return result }
    // Where a rule begins or stops to apply.
    var edges: [(at: IPAddress, rule: RuleIndex, isStart: Bool)] = []
    for (set, rule) in entries {
      for range in set.ranges {
        edges.append((IPAddress(high: range.low.high, low: range.low.low), rule, true))
        if let after = successor(range.high) { edges.append((after, rule, false)) }
      }
    }
    edges.sort { $0.at < $1.at }
    var active: Set<RuleIndex> = []
    var position = 0
    while position < edges.count {
      let at = edges[position].at
      var starting: [RuleIndex] = []
      while position < edges.count, edges[position].at == at {
        if edges[position].isStart { starting.append(edges[position].rule) } else { active.remove(edges[position].rule) }
        position += 1
      }
      active.formUnion(starting)
      result.append(at, active.sorted())
    }
    result.finish()
    return result
  }

  private static func successor(_ address: RuleAddress) -> IPAddress? {
    if address.low < .max { return IPAddress(high: address.high, low: address.low + 1) }
    return address.high < .max ? IPAddress(high: address.high + 1, low: 0) : nil
  }
}
