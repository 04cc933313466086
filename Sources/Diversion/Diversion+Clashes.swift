/// Something of another's that uses what the plan names.
public struct DiversionClash: Sendable, Equatable {
  /// In one line.
  public var what: String
  /// The command that would take it away.
  public var removal: String
}

extension Diversion {
  /// What others use of what the plan names; empty when nothing does. Changes nothing.
  public func clashes() throws(DiversionError) -> [DiversionClash] {
    let now = try snapshot(plan.sortedFamilies)
    return clashes(in: now) + (try bridgeTableClash(now).map { [$0] } ?? [])
  }

  /// Whether the kernel has what the rules are made of. Changes nothing.
  public func test() throws(DiversionError) {
    for family in plan.sortedFamilies {
      let rules = plan.ownedFilter(family, memo: Memo()).transition(from: OwnedFilter())
      _ = try output(Command(family.restoreCommand, ["-w", "10", "--noflush", "--test"], input: rules))
    }
  }

  /// A table of the name on the bridge that no memo of ours speaks of.
  func bridgeTableClash(_ snapshot: Snapshot) throws(DiversionError) -> DiversionClash? {
    guard plan.bridgeTable != nil, try hasBridgeTable(),
      !snapshot.families.values.contains(where: { $0.filter.owned.memo.bridge != nil })
    else { return nil }
    return DiversionClash(
      what: "nft has a table bridge \(DiversionPlan.bridgeTableName) already",
      removal: "nft delete table bridge \(DiversionPlan.bridgeTableName)")
  }

  func clashes(in snapshot: Snapshot) -> [DiversionClash] {
    snapshot.families.keys.sorted().flatMap { family -> [DiversionClash] in
      guard let state = snapshot.families[family] else { return [] }
      return markClashes(state.filter, family) + routingClashes(state, family)
    }
  }

  private func markClashes(_ filter: SavedFilter, _ family: AddressFamily) -> [DiversionClash] {
    filter.foreignRules.compactMap { table, line in
      let bits = MarkUse.bits(ofRule: line) & plan.marks.mask
      guard bits != 0 else { return nil }
      return DiversionClash(
        what: "\(family.ruleCommand) rule '\(line)' in table \(table) uses mark bits \(bits.hexadecimal)",
        removal: "\(family.ruleCommand) -t \(table) -D \(line.dropFirst(3))")
    }
  }

  private func routingClashes(_ state: FamilyState, _ family: AddressFamily) -> [DiversionClash] {
    let own = Set(state.filter.owned.memo.routes + plan.routes)
    let priorities = Set(plan.routes.map(\.priority))
    var clashes: [DiversionClash] = []
    for rule in state.routing.rules {
      if own.contains(where: { $0.priority == rule.priority && $0.ruleText == rule.text }) { continue }
      if priorities.contains(rule.priority) {
        clashes.append(
          DiversionClash(
            what: "ip \(family.flag) rule '\(rule.text)' has priority \(rule.priority) already",
            removal: "ip \(family.flag) rule del pref \(rule.priority)"))
      } else if (rule.markMask ?? 0) & plan.marks.mask != 0 {
        clashes.append(
          DiversionClash(
            what: "ip \(family.flag) rule '\(rule.text)' looks at mark bits of Sluice's",
            removal: "ip \(family.flag) rule del pref \(rule.priority)"))
      }
    }
    for route in state.routing.routes where !own.contains(where: { $0.isRoute(route) }) {
      let tables = plan.routeTables.map(String.init)
      clashes.append(
        DiversionClash(
          what: "ip \(family.flag) route '\(route)' is in table \(tables.joined(separator: " or "))",
          removal: tables.map { "ip \(family.flag) route flush table \($0)" }.joined(separator: "; ")))
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
