import RuleLanguage
import Traffic

/// What lists say of addresses: a value of 1 to 127 in each of some categories.
///
/// Immutable; read again with each rule set.
/// - Source: Suricata "IP Reputation": a file of categories (`1,BadHosts,Known bad hosts`) and files of
///   addresses or networks (`192.0.2.1,1,127`). An address of its own beats a network, a narrow network a wide one.
public final class IPReputation: Sendable {
  public static let valueMax: UInt8 = 127
  public static let categoryMax: UInt8 = 60

  fileprivate struct Network: Sendable {
    var low: IPAddress
    var high: IPAddress
    var values: [UInt8: UInt8]
  }

  private let categories: [String: UInt8]
  private let hosts: [IPAddress: [UInt8: UInt8]]
  /// Narrow ones first.
  private let networks: [Network]
  /// What is wrong in the files, each as "FILE:LINE: why".
  public let faults: [String]

  /// - Parameters:
  ///   - categories: the file of categories.
  ///   - lists: the files of addresses.
  public init(categories: (name: String, bytes: [UInt8]), lists: [(name: String, bytes: [UInt8])]) {
    var faults: [String] = []
    var numbers: [String: UInt8] = [:]
    Self.lines(categories) { fields, place in
      guard fields.count >= 2, let number = UInt8(fields[0]), number > 0, number < Self.categoryMax else {
        return faults.append("\(place): must be a number below \(Self.categoryMax), a name and a description")
      }
      numbers[fields[1]] = number
    }
    var hosts: [IPAddress: [UInt8: UInt8]] = [:]
    var networks: [String: Network] = [:]
    for list in lists {
      Self.lines(list) { fields, place in
        guard fields.count >= 3, let category = UInt8(fields[1]), category < Self.categoryMax,
          let value = UInt8(fields[2]), value <= Self.valueMax
        else { return faults.append("\(place): must be an address, a category and a value up to \(Self.valueMax)") }
        if let address = IPAddress(fields[0]) {
          hosts[address, default: [:]][category] = value
        } else if let set = try? RuleVariableResolver(RuleVariables()).set(fields[0]), set.ranges.count == 1 {
          let range = set.ranges[0]
          let network = Network(
            low: IPAddress(high: range.low.high, low: range.low.low),
            high: IPAddress(high: range.high.high, low: range.high.low), values: [:])
          networks[fields[0], default: network].values[category] = value
        } else {
          faults.append("\(place): \(fields[0]) is no address and no network")
        }
      }
    }
    self.categories = numbers
    self.hosts = hosts
    self.networks = networks.values.sorted { $0.isNarrower(than: $1) }
    self.faults = faults
  }

  func category(_ name: String) -> UInt8? { categories[name] }

  /// 0 where nothing is known.
  func value(_ address: IPAddress, _ category: UInt8) -> UInt8 {
    if let value = hosts[address]?[category] { return value }
    for network in networks where network.low <= address && address <= network.high {
      if let value = network.values[category] { return value }
    }
    return 0
  }

  private static func lines(
    _ file: (name: String, bytes: [UInt8]), _ body: ([String], String) -> Void
  ) {
    for (number, line) in file.bytes.split(separator: 10, omittingEmptySubsequences: false).enumerated() {
      let text = String(decoding: line, as: UTF8.self).trimmed
      if text.isEmpty || text.hasPrefix("#") { continue }
      body(text.split(separator: ",", omittingEmptySubsequences: false).map { String($0).trimmed }, "\(file.name):\(number + 1)")
    }
  }
}

extension IPReputation.Network {
  fileprivate func isNarrower(than other: IPReputation.Network) -> Bool {
    let (mine, theirs) = ((high.high &- low.high, high.low &- low.low), (other.high.high &- other.low.high, other.high.low &- other.low.low))
    return mine == theirs ? low < other.low : mine < theirs
  }
}

extension RuleVariableResolver {
  fileprivate mutating func parse(_ text: String) throws(RuleValueError) -> AddressSet {
    try addresses(try AddressExpression(text))
  }

  fileprivate func set(_ text: String) throws(RuleValueError) -> AddressSet {
    var copy = self
    return try copy.parse(text)
  }
}

/// `iprep`.
struct ReputationCondition: Sendable {
  enum Side: Sendable { case any, source, destination, both }
  enum Test: Sendable {
    case isSet(Bool)
    case value(NumericCondition)
  }

  var side: Side
  var category: UInt8
  var test: Test
  let table: IPReputation

  func holds(_ ends: PacketEnds) -> Bool {
    guard ends.ipVersion != 0 else { return false }
    switch side {
    case .any: return holds(ends.source) || holds(ends.destination)
    case .source: return holds(ends.source)
    case .destination: return holds(ends.destination)
    case .both: return holds(ends.source) && holds(ends.destination)
    }
  }

  private func holds(_ address: IPAddress) -> Bool {
    let value = table.value(address, category)
    switch test {
    case .isSet(let isSet): return (value > 0) == isSet
    case .value(let condition): return value > 0 && condition.holds(for: UInt64(value))
    }
  }
}
