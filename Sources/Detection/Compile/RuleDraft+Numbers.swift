import RuleLanguage

/// What numbers of one ``DraftCompiler`` are in another.
struct NumberMap {
  /// By the number there.
  var addresses: [UInt32]
  var ports: [UInt32]
  /// By kind, then by the number there; nil where there are too many names here.
  var names: [[UInt16?]]
}

extension RuleDraft {
  /// Puts the numbers of sets and variables in that they have in the rule set.
  ///
  /// - Throws: where there are too many names of variables.
  func renumber(_ map: NumberMap) throws(RuleDiagnostic) {
    head.sources = map.addresses[Int(head.sources)]
    head.destinations = map.addresses[Int(head.destinations)]
    head.sourcePorts = map.ports[Int(head.sourcePorts)]
    head.destinationPorts = map.ports[Int(head.destinationPorts)]
    do throws(RuleValueError) {
      for (index, condition) in conditions.enumerated() {
        if case .state(let condition) = condition, let other = try condition.renumbered(map) {
          conditions[index] = .state(other)
        }
      }
      for (index, action) in actions.enumerated() {
        if let other = try action.renumbered(map) { actions[index] = other }
      }
    } catch { throw RuleDiagnostic(location: info.location, sid: info.sid, message: error.message) }
  }
}

extension NumberMap {
  func name(_ kind: VariableNames.Kind, _ number: UInt16) throws(RuleValueError) -> UInt16 {
    guard let other = names[Int(kind.rawValue)][Int(number)] else { throw .tooManyNames }
    return other
  }

  func names(_ kind: VariableNames.Kind, _ numbers: [UInt16]) throws(RuleValueError) -> [UInt16] {
    var result: [UInt16] = []
    result.reserveCapacity(numbers.count)
    for number in numbers { result.append(try name(kind, number)) }
    return result
  }

  func operand(_ operand: IntegerOperand) throws(RuleValueError) -> IntegerOperand {
    guard case .variable(let number) = operand else { return operand }
    return .variable(try name(.flowInteger, number))
  }

  func bit(_ bit: XBit) throws(RuleValueError) -> XBit {
    var bit = bit
    bit.name = try name(bit.track.kind, bit.name)
    return bit
  }
}

extension XBit.Track {
  /// Which names bits with that track have.
  var kind: VariableNames.Kind {
    switch self {
    case .pair: .pairBit
    case .transaction: .flowBit
    case .source, .destination: .hostBit
    }
  }
}

extension RuleValueError {
  static var tooManyNames: RuleValueError { RuleValueError("there are too many names") }
}

extension StateCondition {
  /// nil where there is no number in it.
  fileprivate func renumbered(_ map: NumberMap) throws(RuleValueError) -> StateCondition? {
    switch self {
    case .flowBits(let numbers, let isSet): return .flowBits(try map.names(.flowBit, numbers), isSet: isSet)
    case .flowInteger(let number, let comparison, let operand):
      return .flowInteger(try map.name(.flowInteger, number), comparison, try map.operand(operand))
    case .flowIntegerIsSet(let number, let isSet): return .flowIntegerIsSet(try map.name(.flowInteger, number), isSet)
    case .xbit(let bit, let isSet): return .xbit(try map.bit(bit), isSet: isSet)
    case .flowVariable, .packetVariable, .streamSize, .flowAge, .flowPackets, .flowBytes, .elephant, .appProtocol,
      .reputation, .flowStart:
      return nil
    }
  }
}

extension StateAction {
  /// nil where there is no number in it.
  fileprivate func renumbered(_ map: NumberMap) throws(RuleValueError) -> StateAction? {
    switch self {
    case .setFlowBits(let numbers): return .setFlowBits(try map.names(.flowBit, numbers))
    case .unsetFlowBits(let numbers): return .unsetFlowBits(try map.names(.flowBit, numbers))
    case .toggleFlowBits(let numbers): return .toggleFlowBits(try map.names(.flowBit, numbers))
    case .setFlowInteger(let number, let operand):
      return .setFlowInteger(try map.name(.flowInteger, number), try map.operand(operand))
    case .addFlowInteger(let number, let operand):
      return .addFlowInteger(try map.name(.flowInteger, number), try map.operand(operand))
    case .subtractFlowInteger(let number, let operand):
      return .subtractFlowInteger(try map.name(.flowInteger, number), try map.operand(operand))
    case .setXBit(let bit): return .setXBit(try map.bit(bit))
    case .unsetXBit(let bit): return .unsetXBit(try map.bit(bit))
    case .toggleXBit(let bit): return .toggleXBit(try map.bit(bit))
    case .bypass, .silence, .mark: return nil
    }
  }
}
