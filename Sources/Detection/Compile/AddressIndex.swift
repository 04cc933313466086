import Traffic

/// Rules on addresses, found by where the more selective side of them lies.
///
/// An object, so that it is looked at in place: as a structure its lists were counted for each flow.
final class AddressIndex: Sendable {
  let bySource: AddressSegments
  let byDestination: AddressSegments
  /// Rules for which neither side is selective.
  let always: [RuleIndex]

  init(bySource: AddressSegments = AddressSegments(), byDestination: AddressSegments = AddressSegments(), always: [RuleIndex] = []) {
    self.bySource = bySource
    self.byDestination = byDestination
    self.always = always
  }

  var isEmpty: Bool { bySource.isEmpty && byDestination.isEmpty && always.isEmpty }

  /// Adds the rules one of whose sides holds the address, in no order.
  func append(rulesOf address: IPAddress, to candidates: inout [RuleIndex]) {
    for place in bySource.range(of: address) { candidates.append(bySource.rules[place]) }
    for place in byDestination.range(of: address) { candidates.append(byDestination.rules[place]) }
  }
}

/// The address space cut where the set of rules changes.
struct AddressSegments: Sendable {
  /// First address of each segment, ascending; it reaches to the next one.
  private(set) var lows: [IPAddress] = []
  /// Rules of segment s: `rules[starts[s]..<starts[s + 1]]`.
  private var starts: [UInt32] = [0]
  private(set) var rules: [RuleIndex] = []
  /// Whether any rule is for one of the 65,536 IPv4 addresses that begin with the same 16 bits, a bit each: most
  /// addresses are nobody's, and no more is looked at for them.
  private var blocks: [UInt64] = []

  var isEmpty: Bool { lows.isEmpty }

  /// Begins a segment, behind those there are.
  mutating func append(_ low: IPAddress, _ rules: [RuleIndex]) {
    lows.append(low)
    self.rules += rules
    starts.append(UInt32(self.rules.count))
  }

  /// To be called when all segments are there.
  mutating func finish() {
    blocks = Array(repeating: 0, count: 65_536 / 64)
    let first = IPAddress(ipv4: 0)
    let last = IPAddress(ipv4: .max)
    for segment in lows.indices where starts[segment] < starts[segment + 1] && lows[segment] <= last {
      let next = segment + 1 < lows.count ? lows[segment + 1] : nil
      if let next, next <= first { continue }
      let low = max(lows[segment], first).ipv4 >> 16
      // The segment ends one before the next begins, which lies behind the first address.
      let high = next.map { $0 <= last ? ($0.ipv4 &- 1) >> 16 : 0xffff } ?? 0xffff
      for block in Int(low)...Int(high) { blocks[block >> 6] |= 1 << UInt64(block & 63) }
    }
  }

  func range(of address: IPAddress) -> Range<Int> {
    guard !lows.isEmpty else { return 0..<0 }
    if address.isIPv4, !blocks.isEmpty {
      let block = Int(address.ipv4 >> 16)
      if blocks[block >> 6] & 1 << UInt64(block & 63) == 0 { return 0..<0 }
    }
    var first = 0
    var end = lows.count
    while first < end {
      let middle = first &+ (end &- first) / 2
      if address < lows[middle] { end = middle } else { first = middle &+ 1 }
    }
    guard first > 0 else { return 0..<0 }
    return Int(starts[first &- 1])..<Int(starts[first])
  }
}
