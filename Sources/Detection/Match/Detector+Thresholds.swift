import PacketDecoding
import RuleLanguage
import Traffic

extension Detector {
  /// Whether a `suppress` line keeps the alert back.
  mutating func isSuppressed(_ info: RuleInfo, _ ends: PacketEnds) -> Bool {
    guard !ruleSet.suppressions.isEmpty else { return false }
    for key in Self.keys(info) {
      for suppression in ruleSet.suppressions[key] ?? [] {
        guard let addresses = suppression.addresses else { return true }
        let source = addresses.contains(high: ends.source.high, low: ends.source.low)
        let destination = addresses.contains(high: ends.destination.high, low: ends.destination.low)
        switch suppression.track {
        case .bySource: if source { return true }
        case .byDestination: if destination { return true }
        default: if source || destination { return true }
        }
      }
    }
    return false
  }

  /// The rule itself, every rule of its generator, every rule.
  private static func keys(_ info: RuleInfo) -> [SuppressionKey] {
    [
      SuppressionKey(gid: info.gid, sid: info.sid), SuppressionKey(gid: info.gid, sid: 0),
      SuppressionKey(gid: 0, sid: 0),
    ]
  }

  /// Counts the match.
  func outcome(
    _ threshold: RuleThreshold, _ info: RuleInfo, _ ends: PacketEnds, _ state: FlowDetection?
  ) -> ThresholdEntry.Outcome {
    if threshold.track == .byFlow {
      return state?.count(threshold, gid: info.gid, sid: info.sid, at: ends.time) ?? .alert
    }
    let key = Self.key(threshold.track, info, ends, isRateFilter: false)
    let life = threshold.kind == .backoff ? Self.backoffLifeSeconds : Int64(threshold.seconds)
    shared.turn?.take()
    return shared.thresholds.update(key, at: ends.time) { entry in
      var counted = entry ?? ThresholdEntry()
      let outcome = counted.count(threshold, at: ends.time, isNew: entry == nil)
      entry = counted
      let from = threshold.kind == .backoff ? ends.time : counted.windowStart
      return (Timestamp(nanoseconds: from.nanoseconds &+ life &* 1_000_000_000), outcome)
    }
  }

  /// How long a `backoff` counter lives without a match: it has no period of its own.
  private static var backoffLifeSeconds: Int64 { 3600 }

  /// The action that a `rate_filter` puts in place of the rule's, if it is in force.
  mutating func rateFilterAction(_ info: RuleInfo, _ ends: PacketEnds, _ state: FlowDetection?) -> RuleAction? {
    guard !ruleSet.rateFilters.isEmpty else { return nil }
    for key in Self.keys(info) {
      for filter in ruleSet.rateFilters[key] ?? [] {
        if filter.track == .byFlow {
          if state?.count(filter, gid: info.gid, sid: info.sid, at: ends.time) == true { return filter.newAction }
          continue
        }
        let entryKey = Self.key(filter.track, info, ends, isRateFilter: true)
        shared.turn?.take()
        let isInForce = shared.thresholds.update(entryKey, at: ends.time) { entry in
          var counted = entry ?? ThresholdEntry()
          let isInForce = counted.count(filter, at: ends.time, isNew: entry == nil)
          entry = counted
          let window = Timestamp(
            nanoseconds: counted.windowStart.nanoseconds &+ Int64(filter.seconds) &* 1_000_000_000)
          return (max(window, counted.actionUntil), isInForce)
        }
        if isInForce { return filter.newAction }
      }
    }
    return nil
  }

  private static func key(
    _ track: ThresholdFile.Track, _ info: RuleInfo, _ ends: PacketEnds, isRateFilter: Bool
  ) -> ThresholdKey {
    let none = IPAddress(high: 0, low: 0)
    var key = ThresholdKey(
      isRateFilter: isRateFilter, gid: info.gid, sid: info.sid, first: none, second: none)
    switch track {
    case .bySource: key.first = ends.source
    case .byDestination: key.second = ends.destination
    case .byBoth, .byEither, .byFlow:
      // The pair counts whichever way the packet goes.
      let isOrdered = ends.source < ends.destination
      key.first = isOrdered ? ends.source : ends.destination
      key.second = isOrdered ? ends.destination : ends.source
    case .byRule: break
    }
    return key
  }
}

extension FlowDetection {
  /// - Returns: whether the filter's action is in force.
  func count(_ filter: RateFilter, gid: UInt32, sid: UInt32, at time: Timestamp) -> Bool {
    if let index = rates.firstIndex(where: { $0.gid == gid && $0.sid == sid }) {
      return rates[index].entry.count(filter, at: time, isNew: false)
    }
    var entry = ThresholdEntry()
    let isInForce = entry.count(filter, at: time, isNew: true)
    if rates.count < Self.variablesMax { rates.append(FlowThreshold(gid: gid, sid: sid, entry: entry)) }
    return isInForce
  }

  func count(
    _ threshold: RuleThreshold, gid: UInt32, sid: UInt32, at time: Timestamp
  ) -> ThresholdEntry.Outcome {
    if let index = thresholds.firstIndex(where: { $0.gid == gid && $0.sid == sid }) {
      return thresholds[index].entry.count(threshold, at: time, isNew: false)
    }
    var entry = ThresholdEntry()
    let outcome = entry.count(threshold, at: time, isNew: true)
    if thresholds.count < Self.variablesMax {
      thresholds.append(FlowThreshold(gid: gid, sid: sid, entry: entry))
    }
    return outcome
  }
}
