import AppLayer
import PacketDecoding
import RuleLanguage
import Traffic

extension Detector {
  /// Whether the conditions beyond the head hold, in the order of the rule.
  mutating func conditionsHold(
    _ body: RuleBody, _ packet: DecodedPacket, _ ends: PacketEnds,
    _ flow: FlowFacts?, _ state: FlowDetection?, _ bytes: RawSpan,
    _ streamEvents: StreamEventSet = StreamEventSet()
  ) -> Bool {
    for condition in body.conditions {
      switch condition {
      case .packet(let condition):
        guard condition.holds(packet, bytes: bytes, streamEvents: streamEvents, flow: flow) else { return false }
      case .state(let condition):
        guard stateHolds(condition, ends, flow, state) else { return false }
      }
    }
    return true
  }

  mutating func stateHolds(
    _ condition: StateCondition, _ ends: PacketEnds, _ flow: FlowFacts?,
    _ state: FlowDetection?
  ) -> Bool {
    switch condition {
    case .flowBits(let names, let isSet):
      guard let state else { return false }
      // A list asks for one of its bits; negated, for one that is not set.
      return names.contains { state.hasBit($0) == isSet }
    case .flowInteger(let name, let comparison, let operand):
      guard let state, let value = state.integer(name), let other = state.value(operand) else {
        return false
      }
      return comparison.holds(value, other)
    case .flowIntegerIsSet(let name, let isSet):
      guard let state else { return false }
      return (state.integer(name) != nil) == isSet
    case .flowVariable(let name, let octets):
      guard let state else { return false }
      return state.variables.contains { $0.scope == .flow && $0.holds(octets, name) }
    case .packetVariable(let name, let octets):
      return packetVariables.contains { $0.holds(octets, name) }
    case .xbit(let bit, let isSet):
      if bit.track == .transaction { return (inspectedTransaction?.bits.contains(bit.name) ?? false) == isSet }
      return shared.hasBit(bit, ends) == isSet
    case .streamSize(let condition):
      guard let flow, ends.protocols == .tcp else { return false }
      return condition.holds(flow.streamBytes)
    case .flowAge(let condition):
      guard let flow else { return false }
      return condition.holds(for: UInt64(clamping: ends.time.seconds(since: flow.start)))
    case .flowPackets(let condition, let side):
      guard let flow else { return false }
      return flow.packets.hold(condition, side)
    case .flowBytes(let condition, let side):
      guard let flow else { return false }
      return flow.bytes.hold(condition, side)
    case .elephant(let side):
      guard let (toServer, toClient) = flow?.isElephant else { return false }
      switch side {
      case .toServer: return toServer
      case .toClient: return toClient
      case .either: return toServer || toClient
      case .both: return toServer && toClient
      }
    case .flowStart:
      guard let flow else { return false }
      return flow.packets[flow.packetDirection] == 1
    case .appProtocol(let appProtocol, let view, let isNegated):
      guard let flow, flow.appProtocol != .unknown else { return false }
      return flow.shows(appProtocol, view, isNegated: isNegated)
    case .reputation(let condition): return condition.holds(ends)
    }
  }

  /// What a rule that matches does, in the order of the rule.
  mutating func perform(
    _ body: RuleBody, _ ends: PacketEnds, _ state: FlowDetection?, rule: RuleIndex
  ) {
    for action in body.actions {
      switch action {
      case .setFlowBits(let names): for name in names { state?.setBit(name) }
      case .unsetFlowBits(let names): for name in names { state?.clearBit(name) }
      case .toggleFlowBits(let names):
        for name in names {
          if state?.hasBit(name) == true { state?.clearBit(name) } else { state?.setBit(name) }
        }
      case .setFlowInteger(let name, let operand):
        if let value = state?.value(operand) { state?.setInteger(name, value) }
      case .addFlowInteger(let name, let operand):
        // A variable that is not there yet counts from 0.
        if let state, let value = state.value(operand) {
          state.setInteger(name, (state.integer(name) ?? 0) &+ value)
        }
      case .subtractFlowInteger(let name, let operand):
        if let state, let known = state.integer(name), let value = state.value(operand) {
          state.setInteger(name, known &- value)
        }
      case .setXBit(let bit) where bit.track == .transaction: inspectedTransaction?.bits.insert(bit.name)
      case .unsetXBit(let bit) where bit.track == .transaction: inspectedTransaction?.bits.remove(bit.name)
      case .toggleXBit(let bit) where bit.track == .transaction:
        inspectedTransaction?.bits.formSymmetricDifference([bit.name])
      case .setXBit(let bit): shared.setBit(bit, ends)
      case .unsetXBit(let bit): shared.clearBit(bit, ends)
      case .toggleXBit(let bit):
        if shared.hasBit(bit, ends) { shared.clearBit(bit, ends) } else { shared.setBit(bit, ends) }
      case .silence(.transaction): inspectedTransaction?.isSilenced = true
      case .silence(.transactionsOfFlow): state?.silencesTransactions = true
      case .silence(.flow): state?.silencesFlow = true
      case .bypass, .mark: break
      }
    }
  }
}

extension FlowFacts {
  func shows(_ wanted: AppProtocol, _ view: ProtocolView, isNegated: Bool) -> Bool {
    let found: [AppProtocol] =
      switch view {
      case .settled: [appProtocol]
      case .original: [originalProtocol == .unknown ? appProtocol : originalProtocol]
      case .either: [appProtocolToServer, appProtocolToClient]
      case .toServer: [appProtocolToServer]
      case .toClient: [appProtocolToClient]
      }
    guard isNegated else { return found.contains(wanted) }
    return found.contains { $0 != .unknown } && !found.contains(wanted)
  }
}

extension PayloadCapture {
  fileprivate func holds(_ octets: [UInt8], _ name: String) -> Bool {
    self.name == name
      && ByteSearch.find(octets.rawSpan, in: bytes.rawSpan, from: 0, to: bytes.count, ignoringCase: false) != nil
  }
}

extension FlowFacts.Counts {
  func hold(_ condition: NumericCondition, _ side: FlowSide) -> Bool {
    switch side {
    case .toServer: condition.holds(for: toServer)
    case .toClient: condition.holds(for: toClient)
    case .either: condition.holds(for: toServer) || condition.holds(for: toClient)
    case .both: condition.holds(for: toServer) && condition.holds(for: toClient)
    }
  }
}

extension StreamSizeCondition {
  /// - Source: Suricata "Flow Keywords", stream_size: in sequence space, so the SYN counts as one.
  func holds(_ bytes: FlowFacts.Counts) -> Bool {
    let client = comparison.holds(bytes.toServer &+ 1, octets)
    let server = comparison.holds(bytes.toClient &+ 1, octets)
    switch side {
    case .client: return client
    case .server: return server
    case .both: return client && server
    case .either: return client || server
    }
  }
}
