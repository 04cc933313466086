/// A policy rule as `ip rule` lists it: `71:	from all fwmark 0x1/0x1 lookup 7171`.
struct PolicyRule: Equatable {
  let priority: UInt32
  /// What stands behind the priority.
  let text: String

  init?(line: Substring) {
    guard let colon = line.firstIndex(of: ":"), let priority = UInt32(line[..<colon]) else { return nil }
    self.priority = priority
    text = line[line.index(after: colon)...].split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }

  /// The bits of the mark that it looks at; nil when it doesn't.
  var markMask: UInt32? {
    let words = text.split(separator: " ")
    guard let index = words.firstIndex(of: "fwmark"), index + 1 < words.count else { return nil }
    return MarkText.mask(words[index + 1])
  }
}

/// Marks as netfilter's tools and ip(8) print them: `0x1`, `0x1/0x3`.
enum MarkText {
  static func number(_ text: Substring) -> UInt32? {
    text.hasPrefix("0x") ? UInt32(text.dropFirst(2), radix: 16) : UInt32(text)
  }

  /// The bits that are looked at or written: all, unless it says which.
  static func mask(_ text: Substring) -> UInt32? {
    let parts = text.split(separator: "/")
    guard parts.count == 2 else { return .max }
    return number(parts[1])
  }
}

/// Policy rules and the routes of one table, for one family.
struct RoutingState: Equatable {
  var rules: [PolicyRule]
  /// The table's routes, a line each.
  var routes: [String]

  func has(_ route: Memo.Route) -> Bool { routes.contains(where: route.isRoute) }
}

extension Memo.Route {
  /// As `ip rule` lists it.
  var ruleText: String { "from all fwmark \(mark.markAndMask) lookup \(table)" }

  func isRule(in state: RoutingState) -> Bool {
    state.rules.contains { $0.priority == priority && $0.text == ruleText }
  }

  /// Whether a line of `ip route` is this route.
  func isRoute(_ line: String) -> Bool { line.hasPrefix(routeWords.joined(separator: " ")) }

  /// Local delivery, or out through a device.
  private var routeWords: [String] { device.map { ["default", "dev", $0] } ?? ["local", "default", "dev", "lo"] }

  func ruleArguments(_ verb: String, _ family: AddressFamily) -> [String] {
    [
      family.flag, "rule", verb, "fwmark", mark.markAndMask, "lookup", String(table), "pref",
      String(priority),
    ]
  }

  func routeArguments(_ verb: String, _ family: AddressFamily) -> [String] {
    [family.flag, "route", verb] + routeWords + ["table", String(table)]
  }
}

extension DiversionPlan {
  /// Marked packets go to this machine; on a bridge, what its own sockets send goes out through the bridge,
  /// which may have no address.
  var routes: [Memo.Route] {
    switch variant {
    case .router, .translatingRouter: [delivery]
    case .bridge(let name, _):
      [
        delivery,
        Memo.Route(mark: marks.clientLeg, table: routeTable &+ 1, priority: rulePriority &+ 1, device: name),
        Memo.Route(mark: marks.serverLeg, table: routeTable &+ 1, priority: rulePriority &+ 2, device: name),
      ]
    case .host: []
    }
  }

  /// The tables whose routes are all of Sluice's.
  var routeTables: [UInt32] { Set(routes.map(\.table) + [routeTable]).sorted() }

  private var delivery: Memo.Route {
    Memo.Route(mark: marks.deliver, table: routeTable, priority: rulePriority)
  }
}
