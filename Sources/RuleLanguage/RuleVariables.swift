/// The variables that rule headers may name, without their dollar.
///
/// - Source: Suricata `vars.address-groups` and `vars.port-groups`.
public struct RuleVariables: Sendable, Hashable {
  public var addressGroups: [String: String]
  public var portGroups: [String: String]

  public init(addressGroups: [String: String] = [:], portGroups: [String: String] = [:]) {
    self.addressGroups = addressGroups
    self.portGroups = portGroups
  }

  /// The sets an expression stands for; use a ``RuleVariableResolver`` for more than a few.
  public func resolve(_ expression: AddressExpression) throws(RuleValueError) -> AddressSet {
    var resolver = RuleVariableResolver(self)
    return try resolver.addresses(expression)
  }

  public func resolve(_ expression: PortExpression) throws(RuleValueError) -> PortSet {
    var resolver = RuleVariableResolver(self)
    return try resolver.ports(expression)
  }

  /// One diagnostic for each variable that cannot be resolved, in order of name.
  public func check() -> [(name: String, error: RuleValueError)] {
    var resolver = RuleVariableResolver(self)
    var faults: [(name: String, error: RuleValueError)] = []
    for (name, text) in addressGroups.sorted(by: { $0.key < $1.key }) {
      do throws(RuleValueError) {
        _ = try resolver.addresses(try AddressExpression(text))
      } catch { faults.append((name, error)) }
    }
    for (name, text) in portGroups.sorted(by: { $0.key < $1.key }) {
      do throws(RuleValueError) {
        _ = try resolver.ports(try PortExpression(text))
      } catch { faults.append((name, error)) }
    }
    return faults
  }
}

/// Resolves header expressions into sets; equal texts share one set.
///
/// Negation is Suricata's. The tree is flattened into ranges to take and ranges to leave out, where a `!`
/// turns everything under it, through lists and variables, to the other side. The result is the first less
/// the second; with nothing to take but something to leave out, it is everything less the second. So
/// `[$A,!$B]` with B = `!1.2.3.4` takes 1.2.3.4, and an exception from an exception needs another rule.
///
/// IPv4 and IPv6 are reckoned apart, as in Suricata: `any` takes both, but `!10.0.0.0/8` takes IPv4 alone, so
/// an EXTERNAL_NET of `!$HOME_NET` covers IPv6 only if HOME_NET names an IPv6 block.
/// An IPv6 block does not take the IPv4 addresses that share its number space.
public struct RuleVariableResolver: Sendable {
  private let variables: RuleVariables
  private var addressSets: [String: AddressSet] = [:]
  private var portSets: [String: PortSet] = [:]
  private var addressTrees: [String: HeaderNode<AddressLeaf>] = [:]
  private var portTrees: [String: HeaderNode<PortLeaf>] = [:]

  public init(_ variables: RuleVariables) { self.variables = variables }

  /// - Throws: for an undefined or recursive variable, `!any`, and a set that is empty.
  public mutating func addresses(_ expression: AddressExpression) throws(RuleValueError) -> AddressSet {
    if let known = addressSets[expression.text] { return known }
    var walk = HeaderWalk<AddressLeaf>(groups: variables.addressGroups, trees: addressTrees, kind: "address")
    try walk.visit(expression.root, isNegated: false)
    addressTrees = walk.trees
    let taken = Self.families(walk.taken)
    let left = Self.families(walk.left)
    guard RangeSet.union(left.ipv4) != [RuleAddress.ipv4Block] else {
      throw RuleValueError("all IPv4 addresses are left out")
    }
    let set = AddressSet(
      RangeSet.union(
        walk.ranges(taken.ipv4, less: left.ipv4, of: [RuleAddress.ipv4Block])
          + walk.ranges(taken.ipv6, less: left.ipv6, of: Self.ipv6Space)))
    guard !set.ranges.isEmpty else {
      throw RuleValueError("the address expression leaves nothing to match")
    }
    addressSets[expression.text] = set
    return set
  }

  /// - Throws: for an undefined or recursive variable, `!any`, and a set that is empty.
  public mutating func ports(_ expression: PortExpression) throws(RuleValueError) -> PortSet {
    if let known = portSets[expression.text] { return known }
    var walk = HeaderWalk<PortLeaf>(groups: variables.portGroups, trees: portTrees, kind: "port")
    try walk.visit(expression.root, isNegated: false)
    portTrees = walk.trees
    let set = PortSet(
      walk.ranges(
        walk.taken.map { $0.low...$0.high }, less: walk.left.map { $0.low...$0.high },
        of: [UInt16.min...UInt16.max]))
    guard !set.ranges.isEmpty else { throw RuleValueError("the port expression leaves nothing to match") }
    portSets[expression.text] = set
    return set
  }

  private static let ipv6Space = RangeSet.subtract(
    [RuleAddress.ipv4Block], from: [RuleAddress.least...RuleAddress.greatest])

  /// The ranges by family: an IPv6 range does not reach into the block where IPv4 addresses stand.
  private static func families(
    _ leaves: [AddressLeaf]
  ) -> (ipv4: [ClosedRange<RuleAddress>], ipv6: [ClosedRange<RuleAddress>]) {
    var ipv4: [ClosedRange<RuleAddress>] = []
    var ipv6: [ClosedRange<RuleAddress>] = []
    for leaf in leaves {
      let range = leaf.bounds
      if range.lowerBound.isIPv4, range.upperBound.isIPv4 {
        ipv4.append(range)
      } else {
        ipv6 += RangeSet.subtract([RuleAddress.ipv4Block], from: [range])
      }
    }
    return (ipv4, ipv6)
  }
}

/// Walks one expression and the variables it names, and sorts its leaves by sign.
private struct HeaderWalk<Leaf: HeaderLeaf> {
  let groups: [String: String]
  /// Variables parsed so far.
  var trees: [String: HeaderNode<Leaf>]
  let kind: String
  var taken: [Leaf] = []
  var left: [Leaf] = []
  var takesAny = false
  private var path: [String] = []
  private var steps = 0

  /// Leaves and variables one expression may unfold to: variables that double each other grow without end.
  static var stepsMax: Int { 1 << 20 }

  init(groups: [String: String], trees: [String: HeaderNode<Leaf>], kind: String) {
    self.groups = groups
    self.trees = trees
    self.kind = kind
  }

  mutating func visit(
    _ node: HeaderNode<Leaf>, isNegated: Bool, offset: Int = 0
  ) throws(RuleValueError) {
    steps &+= 1
    guard steps <= Self.stepsMax else {
      throw RuleValueError("variables unfold to more than \(Self.stepsMax) items", columnOffset: offset)
    }
    switch node {
    case .any:
      guard !isNegated else { throw RuleValueError("'!any' matches nothing", columnOffset: offset) }
      takesAny = true
    case .leaf(let leaf):
      if isNegated { left.append(leaf) } else { taken.append(leaf) }
    case .list(let nodes):
      for node in nodes { try visit(node, isNegated: isNegated, offset: offset) }
    case .negated(let node):
      try visit(node, isNegated: !isNegated, offset: offset)
    case .variable(let name, let at):
      // Inside a variable, only the place where the rule names it helps the rule's author.
      let at = path.isEmpty ? at : offset
      let tree = try tree(name, at)
      path.append(name)
      try visit(tree, isNegated: isNegated, offset: at)
      path.removeLast()
    }
  }

  private mutating func tree(_ name: String, _ offset: Int) throws(RuleValueError) -> HeaderNode<Leaf> {
    guard !path.contains(name) else {
      throw RuleValueError(
        "variable $\(name) is defined by itself (\((path + [name]).map { "$" + $0 }.joined(separator: " → ")))",
        columnOffset: offset)
    }
    guard path.count < HeaderExpressionLimits.nestingMax else {
      throw RuleValueError(
        "variables nest more than \(HeaderExpressionLimits.nestingMax) deep", columnOffset: offset)
    }
    if let known = trees[name] { return known }
    guard let text = groups[name] else {
      throw RuleValueError(
        "\(kind) variable $\(name) is not defined", columnOffset: offset,
        hint: NearMatch.find(name, among: groups.keys).map { "did you mean $\($0)?" })
    }
    do throws(RuleValueError) {
      let tree = try HeaderExpression<Leaf>(text).root
      trees[name] = tree
      return tree
    } catch {
      throw RuleValueError(
        "variable $\(name): \(error.message)", columnOffset: offset, hint: error.hint)
    }
  }

  /// The ranges taken out of `space`, less those left out; if there are only such, the space less them.
  func ranges<Bound: RangeBound>(
    _ taken: [ClosedRange<Bound>], less left: [ClosedRange<Bound>], of space: [ClosedRange<Bound>]
  ) -> [ClosedRange<Bound>] {
    let isWholeSpace = takesAny || (taken.isEmpty && !left.isEmpty)
    return RangeSet.subtract(RangeSet.union(left), from: isWholeSpace ? space : RangeSet.union(taken))
  }
}
