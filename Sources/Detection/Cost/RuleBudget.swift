import RuleLanguage

/// How much of a worker's time one rule may take, and what becomes of it beyond (`detect.rule-budget`).
public struct RuleBudget: Sendable {
  public enum Action: String, Sendable, CaseIterable {
    case off
    /// It is told of, once, and tried as before.
    case report
    /// It is not tried any more.
    case quarantine
  }

  public var action = Action.report
  /// Of a worker's time in a window, more than 0 and at most 1.
  public var share = 0.2
  public var windowSeconds = 10
  /// Fewer trials in a window say too little.
  public var checksMin: UInt64 = 1000
  /// Rules that drop or reject are held as well, or tried on, come what may.
  public var holdsDrops = false
  /// After how long a rule is tried again; 0 for no sooner than the next reload.
  public var holdSeconds = 0

  public init() {}

  var windowNanoseconds: UInt64 { UInt64(max(1, windowSeconds)) &* 1_000_000_000 }
  var nanosecondsMax: UInt64 { UInt64(max(0, min(1, share)) * Double(windowNanoseconds)) }

  /// Whether a rule of this action is held. One that passes never is: what it let by would be stopped.
  func holds(_ action: RuleAction) -> Bool {
    guard self.action == .quarantine else { return false }
    switch action {
    case .alert, .config: return true
    case .pass: return false
    case .drop, .reject, .rejectsrc, .rejectdst, .rejectboth: return holdsDrops
    }
  }
}
