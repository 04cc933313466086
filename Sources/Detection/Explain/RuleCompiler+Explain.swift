import AppLayer
import RuleLanguage
import Traffic

extension RuleCompiler {
  /// Says how a rule is compiled; adds it to nothing.
  ///
  /// - Throws: where the rule is refused.
  public mutating func explain(_ rule: RuleSyntax) throws(RuleDiagnostic) -> RuleExplanation {
    var ledger: RuleLedger? = RuleLedger()
    let draft = try compile(rule, noting: &ledger)
    let overlay = ThresholdOverlay(settings.thresholds, variables: settings.variables)
    overlay.apply(to: draft)
    var result = RuleExplanation(
      sid: draft.info.sid, gid: draft.info.gid, rev: draft.info.rev, action: draft.info.action,
      message: draft.info.message, priority: draft.info.priority, location: rule.location,
      text: draft.info.originalText, kind: draft.explainedKind, protocolName: rule.protocolName,
      hook: rule.protocolHook,
      source: .init(addresses: rule.source.text, ports: rule.sourcePorts.text),
      destination: .init(addresses: rule.destination.text, ports: rule.destinationPorts.text),
      arrow: rule.direction.rawValue)
    result.appProtocols = AppProtocol.allCases.filter { draft.head.appProtocols.contains($0) }.map(\.name)
    result.directions = Direction.allCases.filter { draft.isTransactional || draft.allows($0) }.map(\.words)
    result.flow = draft.head.flow.words
    result.isSilent = draft.isSilent
    result.threshold = draft.threshold.map(\.words)
    result.suppressions = overlay.suppressions.reduce(0) { sum, entry in
      let isMeant = entry.key.gid == 0 || entry.key.gid == rule.gid && [0, rule.sid].contains(entry.key.sid)
      return isMeant ? sum + entry.value.count : sum
    }
    if let ledger { draft.fill(&result, ledger) }
    fillGroups(draft, &result)
    fillVariables(rule, &result)
    result.effect = draft.effect
    return result
  }

  /// The variables that a rule reads or changes: "flowbits isset a".
  public static func variableUses(of rule: RuleSyntax) -> [(text: String, isRead: Bool)] {
    rule.options.lazy.filter { ["flowbits", "flowint", "xbits", "hostbits"].contains($0.name) }
      .compactMap(VariableUseText.init).map { ($0.text, $0.isRead) }
  }

  private func fillVariables(_ rule: RuleSyntax, _ result: inout RuleExplanation) {
    for use in Self.variableUses(of: rule) {
      if use.isRead { result.reads.append(use.text) } else { result.writes.append(use.text) }
    }
  }

  // MARK: Groups

  private func fillGroups(_ draft: RuleDraft, _ result: inout RuleExplanation) {
    switch draft.kind {
    case .addressOnly:
      result.groups = [
        .init(
          traffic: "packets whose addresses fit, the first of each direction",
          lookup: "by the more selective of source and destination address")
      ]
    case .packet:
      result.groups = [.init(traffic: draft.packetTraffic(), lookup: "tried on each packet: it has no content")]
    case .protocolFound:
      result.groups = [
        .init(traffic: "flows whose protocol has become known", lookup: "tried once for each direction")
      ]
    case .event:
      result.groups = [.init(traffic: "packets with an event of that kind", lookup: "tried on each of them")]
    case .frame:
      result.groups = [.init(traffic: "frames of that kind", lookup: "tried on each of them")]
    case .payload: fillPayloadGroups(draft, &result)
    case .transaction: fillTransactionGroups(draft, &result)
    }
  }

  private func fillPayloadGroups(_ draft: RuleDraft, _ result: inout RuleExplanation) {
    guard let payload = draft.payload else { return }
    let place = draft.head.isBothWays ? nil : draft.allows(.toServer) ? result.destination.ports : result.source.ports
    let ports = place.map { $0 == "any" ? "any port" : "server port \($0)" } ?? "any port"
    let literals = self.literals([(nil, payload, "payload", 100)], result)
    let choices = draft.payloadChoices(payload)
    let isOne = choices.toServer?.content == choices.toClient?.content
    var ways: [(direction: Direction?, choice: FastPatternChoice.Choice?)] = [(nil, choices.toServer)]
    if !isOne { ways = [(.toServer, choices.toServer), (.toClient, choices.toClient)] }
    result.groups = ways.map { direction, choice in
      let chosen = choice.flatMap { choice in literals.first { $0.isSame(choice) } }
      return .init(
        traffic: result.kind.rawValue + " of " + draft.packetTraffic(direction),
        lookup: chosen == nil
          ? "tried whenever there are new octets: it has no content to look for"
          : choice.map(GroupBuilder.isForAllPorts) == true || direction == .toClient
            ? "table of literals for any port" : "table of literals for \(ports)",
        fastPattern: chosen, reason: chosen.map { reason($0, literals, isNearStart: choice?.isNearStart == true) })
    }
    let texts = result.groups.compactMap { $0.fastPattern?.text }
    result.otherLiterals = literals.filter { !texts.contains($0.text) }
  }

  private func fillTransactionGroups(_ draft: RuleDraft, _ result: inout RuleExplanation) {
    var chosenTexts: Set<String> = []
    var all: [RuleExplanation.Literal] = []
    for place in draft.transactionPlaces {
      var programs: [(step: Int?, program: PayloadProgram, weight: Int)] = []
      var named: [(step: Int?, program: PayloadProgram, name: String, weight: Int)] = []
      for (index, step) in draft.buffers.enumerated() where step.isBuffer {
        guard draft.isTransactional || step.progress(place.appProtocol, place.direction) != nil else { continue }
        let weight = FastPatternChoice.weight(step.subject)
        programs.append((index, step.program, weight))
        named.append((index, step.program, result.buffers.indices.contains(index) ? result.buffers[index].name : "", weight))
      }
      let literals = self.literals(named, result)
      for literal in literals where !all.contains(where: { $0.text == literal.text && $0.buffer == literal.buffer }) {
        all.append(literal)
      }
      let traffic = "transactions of \(place.appProtocol.name) \(place.direction.words)"
      guard let choice = FastPatternChoice.best(programs), let index = choice.step else {
        let isOnEvent = draft.transactionConditions.contains { if case .event = $0 { true } else { false } }
        result.groups.append(
          .init(
            traffic: traffic,
            lookup: isOnEvent ? "tried once the parser has raised an event" : "tried on each: it has no content to look for"))
        continue
      }
      guard draft.buffers[index].progress(place.appProtocol, place.direction) != nil else { continue }
      let chosen = literals.first { $0.isSame(choice) }
      if let chosen { chosenTexts.insert(chosen.buffer + chosen.text) }
      let buffer = result.buffers.indices.contains(index) ? result.buffers[index] : nil
      let transforms = buffer.map { $0.transforms.isEmpty ? "" : " after " + $0.transforms.joined(separator: ", ") } ?? ""
      result.groups.append(
        .init(
          traffic: traffic, lookup: "table of literals over \(buffer?.name ?? "the buffer")\(transforms)",
          fastPattern: chosen, reason: chosen.map { reason($0, literals) }))
    }
    result.otherLiterals = all.filter { !chosenTexts.contains($0.buffer + $0.text) }
  }

  /// The contents that a rule might be found by, each scored as the choice scores it.
  private func literals(
    _ programs: [(step: Int?, program: PayloadProgram, name: String, weight: Int)], _ result: RuleExplanation
  ) -> [RuleExplanation.Literal] {
    var found: [RuleExplanation.Literal] = []
    for (step, program, name, weight) in programs {
      var texts = (result.buffers.first { $0.name == name && $0.contentTexts.count == program.contents.count }?.contentTexts ?? [])[...]
      for (number, content) in program.contents.enumerated() {
        let text = texts.popFirst() ?? content.words
        guard let choice = FastPatternChoice.best([(step, program, weight)], only: number) else { continue }
        let constraint = choice.pattern.constraint
        found.append(
          RuleExplanation.Literal(
            buffer: name, text: text, bytes: choice.pattern.bytes,
            isCaseInsensitive: choice.pattern.isCaseInsensitive, isRequested: choice.isRequested,
            score: choice.score, endMin: constraint.endMin > 0 ? constraint.endMin : nil,
            endMax: constraint.endMax < .max ? constraint.endMax : nil, isAtEnd: constraint.isAtEnd))
      }
    }
    return found
  }

  private func reason(
    _ chosen: RuleExplanation.Literal, _ all: [RuleExplanation.Literal], isNearStart: Bool = false
  ) -> String {
    if chosen.isRequested { return "the rule asks for it (fast_pattern)" }
    if all.count <= 1 { return "it is the only content that must be there" }
    if isNearStart { return "it stands near the start, and is looked for there alone" }
    return "it has the highest score, \(chosen.score): long, of rare octets, in a buffer that tells rules apart"
  }
}

extension RuleExplanation.Literal {
  fileprivate func isSame(_ choice: FastPatternChoice.Choice) -> Bool {
    bytes == choice.pattern.bytes && isCaseInsensitive == choice.pattern.isCaseInsensitive
      && score == choice.score && isRequested == choice.isRequested
  }
}

extension RuleExplanation.Buffer {
  fileprivate var contentTexts: [String] {
    (steps + nested).filter { $0.hasPrefix("content:") || $0.hasPrefix("uricontent:") }
  }
}
