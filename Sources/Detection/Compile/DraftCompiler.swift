import RuleLanguage

/// Makes drafts of rules. Each thread that compiles has one of its own: the sets of addresses and ports, and the
/// variables, have numbers that are its own, too.
struct DraftCompiler {
  /// The priority of a rule when neither it nor its class says.
  static let defaultPriority: UInt8 = 3

  let context: CompilerContext
  private(set) var names: VariableNames
  private(set) var addresses = SetNumbers<AddressSet>(any: .any)
  private(set) var ports = SetNumbers<PortSet>(any: .any)
  private var resolver: RuleVariableResolver
  private var negatedVariables: [String: Bool] = [:]
  private var warnings: [RuleDiagnostic] = []
  /// The folder of the file that rules came from last.
  private var folder: (file: String, path: String?) = ("", nil)

  init(_ settings: RuleCompiler.Settings, names: VariableNames) {
    context = CompilerContext(settings)
    self.names = names
    resolver = RuleVariableResolver(settings.variables)
  }

  /// Begins to number anew; what addresses and ports variables stand for is remembered.
  mutating func restart() {
    names = VariableNames()
    addresses = SetNumbers(any: .any)
    ports = SetNumbers(any: .any)
  }

  /// Takes up what another one has numbered.
  ///
  /// - Returns: the numbers that its sets have here.
  mutating func merge(
    _ addresses: SetNumbers<AddressSet>, _ ports: SetNumbers<PortSet>
  ) -> (addresses: [UInt32], ports: [UInt32]) {
    (self.addresses.merge(addresses), self.ports.merge(ports))
  }

  /// What was found about the rules since the last call, doubles among it.
  mutating func takeWarnings() -> [RuleDiagnostic] {
    guard !warnings.isEmpty else { return [] }
    defer { warnings = [] }
    return warnings
  }

  /// - Parameter ledger: notes which option became what; nil where nobody asks.
  mutating func compile(
    _ rule: RuleSyntax, noting ledger: inout RuleLedger?
  ) throws(RuleDiagnostic) -> RuleDraft {
    let info = RuleInfo(
      sid: rule.sid, gid: rule.gid, rev: rule.rev, action: rule.action,
      className: nil, classDescription: "", priority: Self.defaultPriority, target: nil,
      text: rule.textReference)
    var reader = RuleReader(draft: RuleDraft(info: info), context: context, names: names)
    let file = rule.location.file
    if folder.file != file { folder = (file, file.lastIndex(of: "/").map { String(file[..<$0]) }) }
    reader.directory = folder.path
    // `alert` among the options makes a pass be told all the same.
    reader.draft.isSilent = rule.action == .pass || rule.action == .config
    reader.draft.actionScope = rule.actionScope
    try readHeader(rule, &reader)
    ledger?.noteHook(rule.protocolHook.map { "\(rule.protocolName):\($0)" } ?? rule.protocolName, reader)
    for option in rule.options {
      let marks = ledger == nil ? nil : RuleLedger.Marks(reader)
      do throws(RuleValueError) { try reader.read(option) } catch {
        throw option.diagnostic(error, sid: rule.sid)
      }
      if let marks { ledger?.note(option, since: marks, reader) }
    }
    do throws(RuleValueError) {
      try reader.finish()
      try reader.checkContradictions()
    } catch {
      throw RuleDiagnostic(
        location: rule.options.first { error.keywords.contains($0.name) }?.location ?? rule.location, sid: rule.sid,
        message: error.message, hint: error.hint)
    }
    ledger?.settle(reader)
    for warning in reader.warnings {
      warnings.append(RuleDiagnostic(severity: .warning, location: rule.location, sid: rule.sid, message: warning))
    }
    return reader.draft
  }

  private mutating func readHeader(
    _ rule: RuleSyntax, _ reader: inout RuleReader
  ) throws(RuleDiagnostic) {
    var part = RuleSyntax.HeaderPart.action
    do throws(RuleValueError) {
      part = .protocolName
      try HeaderProtocol.read(rule, &reader)
      part = .source
      reader.draft.head.sources = try number(rule.source)
      part = .destination
      reader.draft.head.destinations = try number(rule.destination)
      reader.hasNegatedAddresses =
        isNegated(rule.source.root, depth: 0) || isNegated(rule.destination.root, depth: 0)
      part = .sourcePorts
      reader.draft.head.sourcePorts = try number(rule.sourcePorts)
      part = .destinationPorts
      reader.draft.head.destinationPorts = try number(rule.destinationPorts)
      part = .direction
      switch rule.direction {
      case .toDestination: break
      case .bothWays: reader.draft.head.isBothWays = true
      case .transactional: reader.draft.isTransactional = true
      }
    } catch { throw rule.diagnostic(error, in: part) }
  }

  /// Whether a `!` stands in the expression or in a variable that it names.
  private mutating func isNegated(_ node: HeaderNode<AddressLeaf>, depth: Int) -> Bool {
    guard depth < HeaderExpressionLimits.nestingMax else { return false }
    switch node {
    case .any, .leaf: return false
    case .negated: return true
    case .list(let nodes):
      for node in nodes where isNegated(node, depth: depth + 1) { return true }
      return false
    case .variable(let name, _):
      if let known = negatedVariables[name] { return known }
      guard let text = context.settings.variables.addressGroups[name],
        let expression = try? AddressExpression(text)
      else { return false }
      let isNegated = isNegated(expression.root, depth: depth + 1)
      negatedVariables[name] = isNegated
      return isNegated
    }
  }

  private mutating func number(_ expression: AddressExpression) throws(RuleValueError) -> UInt32 {
    if let known = addresses.number(expression.text) { return known }
    let set = try resolver.addresses(expression)
    return addresses.add(set, isAny: set.isAny, as: expression.text)
  }

  private mutating func number(_ expression: PortExpression) throws(RuleValueError) -> UInt32 {
    if let known = ports.number(expression.text) { return known }
    let set = try resolver.ports(expression)
    return ports.add(set, isAny: set.isAny, as: expression.text)
  }
}

/// What rules are compiled with, as an object: as a structure each rule's reader would have a copy of it.
final class CompilerContext: Sendable {
  let settings: RuleCompiler.Settings

  init(_ settings: RuleCompiler.Settings) { self.settings = settings }
}
