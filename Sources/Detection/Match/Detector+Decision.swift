import PacketDecoding
import RuleLanguage
import Traffic

extension Detector {
  /// Turns matches into alerts and a decision: order, thresholds, pass, drop.
  ///
  /// Matches are gone through in the order of the rules (pass rules first, unless `action-order` says
  /// otherwise). A pass ends it: what comes after is neither logged nor acted on; a drop that came
  /// before stands. A match that a threshold keeps back does not act
  /// either, but its flow variables are set.
  /// - Source: Suricata `PacketAlertFinalize`, "Action order".
  /// - Parameters:
  ///   - matches: of one packet or chunk; emptied.
  ///   - alerts: what is to be logged is appended.
  public mutating func decide(
    _ matches: inout MatchList, packet: DecodedPacket, flow: FlowFacts?,
    state: FlowDetection?, into alerts: inout [Alert]
  ) -> DetectionDecision {
    var decision = DetectionDecision()
    guard !matches.isEmpty else { return decision }
    // Whatever was captured, a rule has matched.
    packetVariables.removeAll(keepingCapacity: true)
    // Of one rule's matches the latest transaction comes first (Suricata keeps these where a packet has
    // more alerts than are told).
    matches.matches.sort {
      $0.rule != $1.rule
        ? $0.rule < $1.rule : ($0.transactionID ?? .max) > ($1.transactionID ?? .max)
    }
    for match in matches.matches {
      let ends = PacketEnds(
        packet, direction: match.direction,
        packetDirection: flow?.packetDirection ?? match.direction)
      if !settle(match, ends, state, &decision, &alerts) { break }
    }
    matches.removeAll()
    // What the flow was given first stands.
    if let state, !state.isPassed, !state.isDropped {
      if decision.dropScope == .flow {
        state.isDropped = true
      } else if decision.passScope == .flow {
        state.isPassed = true
      }
    }
    return decision
  }

  /// - Returns: false when the matches after this one count for nothing.
  private mutating func settle(
    _ match: RuleMatch, _ ends: PacketEnds, _ state: FlowDetection?,
    _ decision: inout DetectionDecision, _ alerts: inout [Alert]
  ) -> Bool {
    let body = ruleSet.bodies[Int(match.rule)]
    guard let info = ruleSet.info(match.rule) else { return true }
    if let mark = body.mark { decision.mark = decision.mark?.followed(by: mark) ?? mark }
    var isLogged = !body.isSilent
    if let threshold = body.threshold {
      switch outcome(threshold, info, ends, state) {
      case .alert: break
      case .silent:
        counters.suppressed &+= 1
        isLogged = false
      case .none:
        counters.suppressed &+= 1
        return true
      }
    }
    let filtered = rateFilterAction(info, ends, state)
    let action = filtered ?? info.action
    if isSuppressed(info, ends) {
      counters.suppressed &+= 1
      isLogged = false
      guard action.stops else { return true }
    }
    if body.bypasses { decision.bypassesFlow = true }
    if !body.tags.isEmpty { beginTags(body, info, ends, state) }
    let reachesFlow = body.actionScope.map { $0 == .flow } ?? (match.source != .packet || body.actsOnFlow)
    if action == .pass {
      // A packet that was dropped stays so, and passes nothing on to its flow.
      if decision.verdict == .accept { decision.passScope = reachesFlow ? .flow : .packet }
      if filtered != nil { isLogged = false }
    } else if action.stops {
      if decision.decidingRule == nil { decision.isRateFiltered = filtered != nil }
      stop(match, action, reachesFlow: reachesFlow, &decision)
      if let id = match.transactionID { decision.stoppedTransactions.append(id) } else { decision.stopsMore = true }
    } else if !match.replacements.isEmpty {
      decision.replacements += match.replacements
    }
    if isLogged { log(match, action, isRateFiltered: filtered != nil, &alerts) }
    return action != .pass
  }

  private mutating func log(
    _ match: RuleMatch, _ action: RuleAction, isRateFiltered: Bool, _ alerts: inout [Alert]
  ) {
    guard alerts.count < alertsMax else {
      counters.alertsDiscarded &+= 1
      return
    }
    counters.alerts &+= 1
    alerts.append(
      Alert(
        rule: match.rule, action: action,
        isBlocked: action.stops && (isInline || isRateFiltered || action != .drop),
        source: match.source, direction: match.direction, transactionID: match.transactionID,
        captures: match.captures, frame: match.frame))
  }

  private mutating func stop(
    _ match: RuleMatch, _ action: RuleAction, reachesFlow: Bool,
    _ decision: inout DetectionDecision
  ) {
    if decision.decidingRule == nil { (decision.decidingRule, decision.decidingTransaction) = (match.rule, match.transactionID) }
    if reachesFlow {
      decision.dropScope = .flow
    } else if decision.dropScope == .none {
      decision.dropScope = .packet
    }
    if action == .drop {
      if decision.verdict == .accept { decision.verdict = .drop }
    } else {
      decision.verdict = .reject
      if decision.rejectAction == nil { decision.rejectAction = action }
    }
  }
}

extension RuleAction {
  /// The packet does not get through.
  var stops: Bool {
    switch self {
    case .drop, .reject, .rejectsrc, .rejectdst, .rejectboth: true
    case .alert, .pass, .config: false
    }
  }
}
