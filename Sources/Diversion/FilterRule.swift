/// A table of iptables that Sluice puts rules in.
enum FilterTable: String, CaseIterable {
  case raw, mangle, filter
}

/// One rule of Sluice's, in a chain of its own.
struct FilterRule: Equatable {
  let table: FilterTable
  let chain: String
  /// nil: the same in both families.
  var family: AddressFamily?
  let arguments: [String]

  /// The rule as a line of a rule file.
  var line: String {
    "-A \(chain) " + arguments.map(Self.quoted).joined(separator: " ")
  }

  func holds(for family: AddressFamily) -> Bool { self.family == nil || self.family == family }

  static func quoted(_ argument: String) -> String {
    argument.contains(" ") ? "\"" + argument + "\"" : argument
  }
}

/// The rule in a chain of the kernel's that leads into a chain of Sluice's.
struct FilterJump: Equatable, Hashable {
  let table: FilterTable
  let from: String
  let to: String
  /// Whether it goes before the rules that are there, or behind them.
  let first: Bool

  var specification: String { "\(from) -j \(to)" }
}

/// The names of Sluice's chains all begin so; nothing else is ever touched.
enum ChainName {
  static let prefix = "SLUICE-"
  static let rawInput = "SLUICE-RAW-IN"
  static let rawOutput = "SLUICE-RAW-OUT"
  static let through = "SLUICE-THROUGH"
  static let inspect = "SLUICE-INSPECT"
  /// Packets that this machine sends (host).
  static let output = "SLUICE-OUT"
  static let deliver = "SLUICE-DELIVER"
  static let allow = "SLUICE-ALLOW"
  /// No packet comes here: its comments keep what `down` has to put back.
  static let memo = "SLUICE-MEMO"
}
