import AppLayer
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

  /// Numbers rule sets; a generation is never used twice in a process.
  static let generations = Atomic<UInt64>(1)

  let settings: Settings
  let shared: SharedDetectionState
  public internal(set) var diagnostics: [RuleDiagnostic] = []
  /// Makes the drafts of rules that come one by one; its numbers are those of the rule set.
  var own: DraftCompiler
  private var listing: RuleListing
  private let overlay: ThresholdOverlay
  /// Where each sid and gid stands, to find doubles.
  private var known: [SuppressionKey: Int] = [:]
  private var warned: Set<String> = []

  public init(settings: Settings, shared: SharedDetectionState) {
    self.settings = settings
    self.shared = shared
    own = DraftCompiler(settings, names: shared.names)
    listing = RuleListing(actionOrder: settings.actionOrder)
    overlay = ThresholdOverlay(settings.thresholds, variables: settings.variables)
    shared.names.datasets.beginRuleSet()
  }

  /// Compiles one rule; keeps none of its syntax. A rule that cannot be compiled yields a diagnostic.
  ///
  /// Of two rules with one gid and sid the higher revision stays, of equal ones the first.
  public mutating func add(_ rule: RuleSyntax) {
    var ledger: RuleLedger?
    do throws(RuleDiagnostic) {
      let draft = try compile(rule, noting: &ledger)
      draft.chooseLiterals()
      add(draft)
    } catch { diagnostics.append(error) }
  }

  private mutating func add(_ draft: RuleDraft) {
    let key = SuppressionKey(gid: draft.info.gid, sid: draft.info.sid)
    guard let index = known[key] else {
      known[key] = list(draft, number: listing.infos.count)
      return
    }
    let rev = listing.infos[index].rev
    let isNewer = draft.info.rev > rev
    diagnostics.append(
      RuleDiagnostic(
        severity: isNewer ? .warning : .error, location: draft.info.location, sid: draft.info.sid,
        message: isNewer
          ? "replaces revision \(rev) of the same rule" : "the rule is already loaded in revision \(rev)"))
    guard isNewer else { return }
    listing.remove(index)
    known[key] = list(draft, number: listing.number(index))
  }

  /// Takes up a rule whose numbers are those of the set.
  ///
  /// - Returns: its index in the list.
  mutating func list(_ draft: RuleDraft, number: Int) -> Int {
    overlay.apply(to: draft)
    return listing.add(draft, number: number, ports: own.ports)
  }

  /// Takes a rule out of the list again.
  mutating func remove(_ index: Int) { listing.remove(index) }

  func location(_ index: Int) -> RuleLocation { listing.infos[index].location }

  /// What is said of many rules is said once.
  mutating func isNew(_ warning: RuleDiagnostic) -> Bool { warned.insert(warning.message).inserted }

  /// - Parameter ledger: notes which option became what; nil where nobody asks.
  mutating func compile(_ rule: RuleSyntax, noting ledger: inout RuleLedger?) throws(RuleDiagnostic) -> RuleDraft {
    let draft = try own.compile(rule, noting: &ledger)
    for warning in own.takeWarnings() where isNew(warning) { diagnostics.append(warning) }
    return draft
  }

  /// Builds the groups and databases of all rules added.
  public consuming func finish() -> Result {
    var parts = RuleSetParts()
    parts.generation = Self.generations.wrappingAdd(1, ordering: .relaxed).oldValue
    parts.addressSets = own.addresses.values
    parts.portSets = own.ports.values
    diagnostics += overlay.diagnostics
    parts.suppressions = overlay.suppressions
    parts.rateFilters = overlay.rateFilters
    // Taken out, so that nothing is left of it when memory is given back.
    var listing = RuleListing(actionOrder: settings.actionOrder)
    swap(&listing, &self.listing)
    let failures = (consume listing).finish(
      &parts, scansPacketsWithStreams: settings.scansPacketsWithStreams, threadCount: settings.threadCount,
      cache: settings.cacheDirectory.map(PatternCache.init))
    diagnostics += failures.map { failure in
      RuleDiagnostic(
        location: RuleLocation(file: "", line: 0, column: 0),
        message: "a pattern database could not be compiled: \(failure)")
    }
    LoadingHeap.end()
    return Result(ruleSet: RuleSet(parts: parts), diagnostics: diagnostics)
  }
}
