extension Diversion {
  /// What others use of what the plan names, each in one line; empty when nothing does.
  func clashes(in snapshot: Snapshot) -> [String] {
    snapshot.families.keys.sorted().flatMap { family -> [String] in
      guard let state = snapshot.families[family] else { return [] }
      return markClashes(state.filter, family) + routingClashes(state, family)
    }
  }

  private func markClashes(_ filter: SavedFilter, _ family: AddressFamily) -> [String] {
    filter.foreignRules.compactMap { table, line in
      let bits = MarkUse.bits(ofRule: line) & plan.marks.mask
      guard bits != 0 else { return nil }
      return "\(family.ruleCommand) rule '\(line)' in table \(table) uses mark bits \(bits.hexadecimal)"
    }
  }

  private func routingClashes(_ state: FamilyState, _ family: AddressFamily) -> [String] {
    let own = Set(state.filter.owned.memo.routes + plan.routes)
    let priorities = Set(plan.routes.map(\.priority))
    var clashes: [String] = []
    for rule in state.routing.rules {
      if own.contains(where: { $0.priority == rule.priority && $0.ruleText == rule.text }) { continue }
      if priorities.contains(rule.priority) {
        clashes.append("ip \(family.flag) rule '\(rule.text)' has priority \(rule.priority) already")
      } else if (rule.markMask ?? 0) & plan.marks.mask != 0 {
        clashes.append("ip \(family.flag) rule '\(rule.text)' looks at mark bits of Sluice's")
      }
    }
    for route in state.routing.routes where !own.contains(where: { $0.isRoute(route) }) {
      clashes.append("ip \(family.flag) route '\(route)' is in table \(plan.routeTables.map(String.init).joined(separator: " or "))")
    }
    return clashes
  }
}

/// Which mark bits a rule of someone else's reads or writes.
enum MarkUse {
  /// - Parameter line: as `iptables-save` prints it, where every form of setting a mark has become one of
  ///   these options, with value and mask.
  static func bits(ofRule line: String) -> UInt32 {
    let words = line.split(separator: " ")
    var bits: UInt32 = 0
    for (index, word) in words.enumerated() {
      let value = index + 1 < words.count ? words[index + 1] : ""
      switch word {
      case "--mark": bits |= MarkText.mask(value) ?? .max
      case "--set-xmark", "--set-mark", "--tproxy-mark": bits |= writtenBits(value)
      // Without a mask these copy the whole mark.
      case "--save-mark", "--restore-mark": bits |= copiedBits(words[(index + 1)...])
      case "HMARK": bits = .max
      default: break
      }
    }
    return bits
  }

  /// `value/mask`: the bits of the mask are cleared and then the value is XORed in.
  private static func writtenBits(_ text: Substring) -> UInt32 {
    let parts = text.split(separator: "/")
    guard parts.count == 2, let value = MarkText.number(parts[0]), let mask = MarkText.number(parts[1])
    else { return .max }
    return value | mask
  }

  private static func copiedBits(_ options: ArraySlice<Substring>) -> UInt32 {
    var bits: UInt32?
    for (index, word) in options.enumerated() where word == "--nfmask" || word == "--ctmask" {
      let value = options.dropFirst(index + 1).first.flatMap(MarkText.number)
      bits = (bits ?? 0) | (value ?? .max)
    }
    return bits ?? .max
  }
}
