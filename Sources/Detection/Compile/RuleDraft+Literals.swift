import Traffic

/// The literals by which a rule is to be found, each from one of the places that it is tried in on.
struct ChosenLiterals {
  private var runs: [(first: Int, choice: FastPatternChoice.Choice?)] = []

  /// Of a rule on transactions, that of the place with this number; of one on payloads that of the direction's index.
  func choice(place: Int) -> FastPatternChoice.Choice? {
    for run in runs.reversed() where run.first <= place { return run.choice }
    return nil
  }

  mutating func append(_ choice: FastPatternChoice.Choice?, from place: Int) { runs.append((place, choice)) }
}

extension RuleDraft {
  /// Chooses the literals, notes which contents they are, and lets go of what was only needed for that.
  func chooseLiterals() {
    switch kind {
    case .payload: choosePayloadLiteral()
    case .transaction: chooseTransactionLiterals()
    case .addressOnly, .packet, .protocolFound, .event, .frame:
      for step in buffers { step.program.orderLiterals() }
    }
    payload?.forgetContents()
    for step in buffers { step.program.forgetContents() }
  }

  private func choosePayloadLiteral() {
    guard let payload else { return }
    let choices = payloadChoices(payload)
    literals.append(choices.toServer, from: Direction.toServer.index)
    // Where it depends on the direction which content has been seen, none has.
    let isOne = choices.toServer?.content == choices.toClient?.content
    if !isOne { literals.append(choices.toClient, from: Direction.toClient.index) }
    self.payload?.orderLiterals(withoutContent: isOne ? choices.toServer?.content : nil)
  }

  typealias PayloadChoices = (toServer: FastPatternChoice.Choice?, toClient: FastPatternChoice.Choice?)

  /// The literals by which a rule on payloads is found in either direction.
  func payloadChoices(_ payload: PayloadProgram) -> PayloadChoices {
    let choice = FastPatternChoice.best([(nil, payload, 100)], reach: payloadReach)
    // A server's packets to such a port are rare: not worth a literal among those that are looked for in all of them.
    guard let choice, choice.isBesideCommonStart, head.destinationPorts != 0, head.sourcePorts == 0, allows(.toClient)
    else { return (choice, choice) }
    return (choice, FastPatternChoice.best([(nil, payload, 100)], reach: payloadReach, takesCommonStarts: true))
  }

  /// Most places of a rule have the same buffers, which are chosen from once.
  private func chooseTransactionLiterals() {
    // The buffers chosen from last, a bit for each.
    var known: UInt64?
    var ordered: UInt64 = 0
    for (number, place) in transactionPlaces.enumerated() {
      var steps: UInt64 = 0
      for (index, step) in buffers.enumerated() where step.isBuffer {
        guard isTransactional || step.exists(place.appProtocol, place.direction) else { continue }
        // A rule has fewer buffers than 64 (`RuleReader.buffersMax`).
        steps |= 1 << UInt64(index & 63)
      }
      guard known != steps else { continue }
      known = steps
      let choice = chooseLiteral(of: steps)
      literals.append(choice, from: number)
      guard let choice, let index = choice.step, let content = choice.content else { continue }
      buffers[index].program.orderLiterals(withoutContent: content)
      ordered |= 1 << UInt64(index & 63)
    }
    for (index, step) in buffers.enumerated() where ordered & 1 << UInt64(index & 63) == 0 {
      step.program.orderLiterals()
    }
  }

  private func chooseLiteral(of steps: UInt64) -> FastPatternChoice.Choice? {
    var programs: [(step: Int?, program: PayloadProgram, weight: Int)] = []
    for (index, step) in buffers.enumerated() where steps & 1 << UInt64(index & 63) != 0 {
      programs.append((index, step.program, FastPatternChoice.weight(step.subject)))
    }
    return FastPatternChoice.best(programs)
  }
}
