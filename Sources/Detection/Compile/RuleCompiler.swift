import AppLayer
import CSluiceVectorscan
import RuleLanguage
import Synchronization
import Traffic

/// Makes a ``RuleSet`` out of rule syntax.
///
/// Every keyword is compiled with its meaning, or the rule is refused with a diagnostic.
public struct RuleCompiler {
  public struct Settings: Sendable {
    public var variables = RuleVariables()
    public var classification = ClassificationFile()
    public var thresholds = ThresholdFile()
    /// What lists say of addresses, for `iprep`; nil without lists.
    public var reputation: IPReputation?
    /// Which actions are tried and take effect first (Suricata `action-order`).
    public var actionOrder: [RuleAction] = [.pass, .drop, .reject, .alert]
    /// Where compiled pattern databases are kept between starts; nil keeps none.
    public var cacheDirectory: String?
    /// Threads that compile pattern databases.
    public var threadCount = 2
    /// Streams are inspected with the packets that bring them, so that octets are scanned once for the rules on both.
    public var scansPacketsWithStreams = false

    /// What `requires: feature NAME` may ask for.
    public var features: Set<String> = ["ja3", "ja4", "output::file-store"]

    public init() {}
  }

  /// What came out: the set, and why rules are not in it.
  public struct Result: Sendable {
    public var ruleSet: RuleSet
    public var diagnostics: [RuleDiagnostic]
  }

  /// The priority of a rule when neither it nor its class says.
  static let defaultPriority: UInt8 = 3
  /// Numbers rule sets; a generation is never used twice in a process.
  static let generations = Atomic<UInt64>(1)

  let settings: Settings
  let shared: SharedDetectionState
  private var resolver: RuleVariableResolver
  public private(set) var diagnostics: [RuleDiagnostic] = []
  var drafts: [RuleDraft] = []
  private var addressSets: [AddressSet] = [.any]
  private var addressNumbers: [String: UInt32] = [:]
  private var negatedVariables: [String: Bool] = [:]
  private var portSets: [PortSet] = [.any]
  private var portNumbers: [String: UInt32] = [:]
  /// Where each sid and gid stands, to find doubles.
  private var known: [SuppressionKey: Int] = [:]
  private var warned: Set<String> = []

  public init(settings: Settings, shared: SharedDetectionState) {
    self.settings = settings
    self.shared = shared
    resolver = RuleVariableResolver(settings.variables)
    shared.names.datasets.beginRuleSet()
  }

  /// Compiles one rule; keeps none of its syntax. A rule that cannot be compiled yields a diagnostic.
  ///
  /// Of two rules with one gid and sid the higher revision stays, of equal ones the first.
  public mutating func add(_ rule: RuleSyntax) {
    do throws(RuleDiagnostic) {
      var ledger: RuleLedger?
      let draft = try compile(rule, noting: &ledger)
      draft.number = drafts.count
      let key = SuppressionKey(gid: rule.gid, sid: rule.sid)
      guard let index = known[key] else {
        known[key] = drafts.count
        drafts.append(draft)
        return
      }
      let isNewer = draft.info.rev > drafts[index].info.rev
      diagnostics.append(
        RuleDiagnostic(
          severity: isNewer ? .warning : .error, location: rule.location, sid: rule.sid,
          message: isNewer
            ? "replaces revision \(drafts[index].info.rev) of the same rule"
            : "the rule is already loaded in revision \(drafts[index].info.rev)"))
      if isNewer {
        draft.number = drafts[index].number
        drafts[index] = draft
      }
    } catch { diagnostics.append(error) }
  }

  /// Builds the groups and databases of all rules added.
  public consuming func finish() -> Result {
    RuleOrder.sort(&drafts, actionOrder: settings.actionOrder)
    var parts = RuleSetParts()
    parts.generation = Self.generations.wrappingAdd(1, ordering: .relaxed).oldValue
    parts.addressSets = addressSets
    parts.portSets = portSets
    parts.heads = drafts.map(\.head)
    parts.infos = drafts.map(\.info)
    for draft in drafts {
      parts.fileNeeds.formUnion(draft.fileNeeds)
      parts.usesHASSH = parts.usesHASSH || draft.usesHASSH
    }
    let overlay = ThresholdOverlay(settings.thresholds, variables: settings.variables)
    diagnostics += overlay.diagnostics
    parts.suppressions = overlay.suppressions
    parts.rateFilters = overlay.rateFilters
    for draft in drafts { overlay.apply(to: draft) }
    var builder = GroupBuilder(
      addressSets: addressSets, portSets: portSets, scansPacketsWithStreams: settings.scansPacketsWithStreams)
    for (index, draft) in drafts.enumerated() { builder.add(draft, as: RuleIndex(index)) }
    let built = builder.finish(
      threadCount: settings.threadCount, cache: settings.cacheDirectory.map(PatternCache.init))
    parts.groups = built.groups
    parts.bodies = bodies()
    diagnostics += built.failures.map { failure in
      RuleDiagnostic(
        location: RuleLocation(file: "", line: 0, column: 0),
        message: "a pattern database could not be compiled: \(failure)")
    }
    return Result(ruleSet: RuleSet(parts: parts), diagnostics: diagnostics)
  }

  /// The drafts are given up one by one; what was only needed to choose literals goes with them.
  private mutating func bodies() -> [RuleBody] {
    var bodies: [RuleBody] = []
    bodies.reserveCapacity(drafts.count)
    var reaches = SharedStep.Reaches()
    drafts.reverse()
    while let draft = drafts.popLast() {
      draft.payload?.forgetContents()
      for step in draft.buffers { step.program.forgetContents() }
      bodies.append(RuleBody(draft: draft, &reaches))
    }
    // Compiling databases leaves large holes in the heap, which the C library would keep.
    _ = malloc_trim(0)
    // What traffic frees from here on is for the traffic that follows: to give it back and have it cleared
    // again by the kernel was a fiftieth of the time of large bodies.
    _ = mallopt(M_MMAP_THRESHOLD, 16 << 20)
    _ = mallopt(M_TRIM_THRESHOLD, 64 << 20)
    return bodies
  }

  // MARK: One rule

  /// - Parameter ledger: notes which option became what; nil where nobody asks.
  mutating func compile(
    _ rule: RuleSyntax, noting ledger: inout RuleLedger?
  ) throws(RuleDiagnostic) -> RuleDraft {
    let info = RuleInfo(
      sid: rule.sid, gid: rule.gid, rev: rule.rev, action: rule.action,
      className: nil, classDescription: "", priority: Self.defaultPriority, target: nil,
      text: rule.textReference)
    var reader = RuleReader(draft: RuleDraft(info: info), settings: settings, names: shared.names)
    reader.directory = rule.location.file.lastIndex(of: "/").map { String(rule.location.file[..<$0]) }
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
    for warning in reader.warnings where warned.insert(warning).inserted {
      diagnostics.append(
        RuleDiagnostic(severity: .warning, location: rule.location, sid: rule.sid, message: warning))
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
      guard let text = settings.variables.addressGroups[name],
        let expression = try? AddressExpression(text)
      else { return false }
      let isNegated = isNegated(expression.root, depth: depth + 1)
      negatedVariables[name] = isNegated
      return isNegated
    }
  }

  private mutating func number(_ expression: AddressExpression) throws(RuleValueError) -> UInt32 {
    if let known = addressNumbers[expression.text] { return known }
    let set = try resolver.addresses(expression)
    let number = set.isAny ? 0 : UInt32(truncatingIfNeeded: addressSets.count)
    if !set.isAny { addressSets.append(set) }
    addressNumbers[expression.text] = number
    return number
  }

  private mutating func number(_ expression: PortExpression) throws(RuleValueError) -> UInt32 {
    if let known = portNumbers[expression.text] { return known }
    let set = try resolver.ports(expression)
    let number = set.isAny ? 0 : UInt32(truncatingIfNeeded: portSets.count)
    if !set.isAny { portSets.append(set) }
    portNumbers[expression.text] = number
    return number
  }
}
