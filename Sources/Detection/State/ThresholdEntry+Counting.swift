import RuleLanguage
import Traffic

extension ThresholdEntry {
  /// What becomes of a match.
  enum Outcome: Sendable {
    case alert
    /// Not logged, but the rule's action is taken.
    case silent
    case none
  }

  /// Counts one match.
  ///
  /// - Source: Suricata "Thresholding Keywords": `limit` lets the first `count` of a period through,
  ///   `threshold` each `count`-th, `both` one a period once `count` is reached, `backoff` the
  ///   `count`-th and then each time after `multiplier` times as many; `detection_filter` those
  ///   after the first `count` of a period.
  mutating func count(_ threshold: RuleThreshold, at time: Timestamp, isNew: Bool) -> Outcome {
    let period = Int64(threshold.seconds) &* 1_000_000_000
    let isOver = time.nanoseconds &- windowStart.nanoseconds >= period
    switch threshold.kind {
    case .backoff:
      return countBackoff(threshold, isNew: isNew) ? .alert : .silent
    case .limit:
      restart(if: isNew || isOver, at: time)
      return count <= threshold.count ? .alert : .silent
    case .threshold:
      restart(if: isNew || isOver, at: time)
      guard count >= threshold.count else { return .none }
      count = 0
      return .alert
    case .both:
      restart(if: isNew || isOver, at: time)
      return count < threshold.count ? .none : count == threshold.count ? .alert : .silent
    case .detectionFilter:
      restart(if: isNew || isOver, at: time)
      return count > threshold.count ? .alert : .none
    }
  }

  private mutating func restart(if isDue: Bool, at time: Timestamp) {
    if isDue {
      windowStart = time
      count = 0
    }
    if count < .max { count &+= 1 }
  }

  private mutating func countBackoff(_ threshold: RuleThreshold, isNew: Bool) -> Bool {
    if isNew {
      count = 0
      nextCount = threshold.count
    }
    if count < .max { count &+= 1 }
    guard count == nextCount else { return false }
    let (product, overflow) = nextCount.multipliedReportingOverflow(by: max(threshold.multiplier, 1))
    nextCount = overflow ? .max : product
    return true
  }

  /// Counts one match for a `rate_filter`.
  /// - Returns: whether the new action is in force.
  mutating func count(_ filter: RateFilter, at time: Timestamp, isNew: Bool) -> Bool {
    if !isNew, actionUntil > time { return true }
    let isOver = time.nanoseconds &- windowStart.nanoseconds >= Int64(filter.seconds) &* 1_000_000_000
    restart(if: isNew || isOver, at: time)
    guard count > filter.count else { return false }
    // A timeout of 0 stands for ever.
    actionUntil =
      filter.timeoutSeconds == 0
      ? Timestamp(nanoseconds: .max)
      : Timestamp(nanoseconds: time.nanoseconds &+ Int64(filter.timeoutSeconds) &* 1_000_000_000)
    return true
  }
}
