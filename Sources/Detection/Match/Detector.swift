import AppLayer
import PacketDecoding
import Traffic

/// Matches traffic against a rule set; one for each worker.
///
/// For each packet or chunk the path calls the `inspect…` functions that apply, then
/// ``decide(_:_:_:_:into:)`` once. Nothing is allocated where no rule comes near a match. Methods are mutating also where
/// they change nothing, so that the compiler lends no copy.
public struct Detector: ~Copyable {
  public private(set) var ruleSet: RuleSet
  let shared: SharedDetectionState
  var scanner = PatternScanner()
  /// Short buffers of the transaction in hand that are to be scanned.
  var batch = PatternBatch()
  /// The table that they share; nil where none wait.
  var batchTable: PatternTable?
  var scratch = PayloadScratch()
  /// Candidates of the scan in hand; kept and emptied.
  var candidates: [RuleIndex] = []
  /// Where the literal of a rule that is a candidate on the packet in hand lies, by rule.
  var literalPlaces: [LiteralPlace]
  /// The same on the stream, of which a rule may be a candidate at the same time.
  var streamPlaces: [LiteralPlace]
  /// Candidates on the stream while those on the packet are collected.
  var streamCandidates: [RuleIndex] = []
  /// Candidates on the packet in hand that were found when its stream was scanned.
  var packetCandidates: [RuleIndex] = []
  /// Spare states of transactions.
  var spareInspections: [TransactionInspection] = []
  /// What buffers are transformed into, and what one of several transforms leaves to the next.
  var transformed: [UInt8] = []
  var transforming: [UInt8] = []
  /// What expressions have captured from the packet in hand (`pkt:`), until it is decided on; at most
  /// ``FlowDetection/variablesMax``.
  var packetVariables: [PayloadCapture] = []
  /// What is remembered of the transaction in hand; nil outside of one.
  var inspectedTransaction: TransactionInspection?
  public internal(set) var counters = DetectionCounters()
  /// What each rule costs; those that cost too much are not tried where the settings say so.
  public var meter: RuleMeter
  /// Of rules of sets that are not in force any more.
  var formerCosts: [RuleCostSnapshot.Former] = []
  var excessNews: [RuleExcessRecord] = []
  var excessesSeen: UInt64 = 0
  var heldRules: [RuleIndex] = []
  /// Every rule of a group is a candidate, whatever its literal: slow, the same matches. A check on the
  /// prefilter for tests.
  public var isPrefilterOff = false
  /// Literals are looked for anew where the prefilter has seen them, for tests likewise.
  var ignoresPlaces = false
  /// Traffic waits for the verdict: nothing that can be decided now is put off, and drops take effect
  /// (elsewhere a rule that drops has its alert told as allowed).
  public var isInline = false
  /// Rules on the stream see each piece of it without what was inspected before, so that what lies across two of them is
  /// not found.
  public var seesPiecesAlone = false
  /// Alerts of one packet that are told; what matched beyond them still acts (`packet-alert-max`,
  /// counter `alertsDiscarded`).
  public var alertsMax = 15

  public init(ruleSet: RuleSet, shared: SharedDetectionState) {
    self.ruleSet = ruleSet
    self.shared = shared
    meter = RuleMeter(ruleCount: ruleSet.ruleCount)
    literalPlaces = Array(repeating: .unknown, count: ruleSet.ruleCount)
    streamPlaces = literalPlaces
    scanner.prepare(ruleSet.groups.tables)
  }

  /// The names of what rules have noted of flows.
  public var names: VariableNames { shared.names }

  /// Takes another rule set from the next call on.
  public mutating func replace(ruleSet: RuleSet) {
    renewMeter(for: ruleSet)
    self.ruleSet = ruleSet
    literalPlaces = Array(repeating: .unknown, count: ruleSet.ruleCount)
    streamPlaces = literalPlaces
    scanner.prepare(ruleSet.groups.tables)
  }
}

/// What a worker's detector has done, for statistics.
public struct DetectionCounters: Sendable {
  public var packetsInspected: UInt64 = 0
  public var streamBytesInspected: UInt64 = 0
  public var transactionsInspected: UInt64 = 0
  /// Rules tried after the prefilter.
  public var candidates: UInt64 = 0
  public var matches: UInt64 = 0
  public var alerts: UInt64 = 0
  /// Alerts beyond ``Detector/alertsMax`` of one packet.
  public var alertsDiscarded: UInt64 = 0
  /// Alerts kept back by thresholds and suppressions.
  public var suppressed: UInt64 = 0
  /// Scans that could not be done; they count as if every literal had been seen.
  public var scanFailures: UInt64 = 0
  /// Undecided stream rules forgotten because a flow had too many (``PendingRules/countMax``).
  public var pendingOverflow: UInt64 = 0
}
