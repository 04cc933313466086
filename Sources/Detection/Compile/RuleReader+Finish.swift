import AppLayer
import RuleLanguage
import Traffic

extension RuleReader {
  /// Puts the parts together and decides when the rule is tried.
  mutating func finish() throws(RuleValueError) {
    let payload = try blocks[0].builder.finish(ordersLiterals: false)
    try finishBuffers()
    if !draft.fileConditions.isEmpty {
      draft.transactionConditions.append(.files(draft.fileConditions, draft.fileSide))
    }
    draft.head.hasConditions = !draft.conditions.isEmpty
    let payloadBounds = draft.payloadBounds
    (draft.head.payloadMin, draft.head.payloadMax) = (payloadBounds.lowerBound, payloadBounds.upperBound)
    draft.head.isTransactional = draft.isTransactional
    if let frame {
      guard payload.isEmpty, draft.transactionConditions.isEmpty,
        draft.buffers.allSatisfy({ if case .frame = $0.subject { true } else { false } })
      else { throw RuleValueError("frames do not go with other buffers") }
      draft.frame = frame
      draft.kind = .frame
      return
    }
    let isAboutTransactions =
      !draft.transactionConditions.isEmpty
      || draft.buffers.contains { if case .buffer = $0.subject { true } else { false } }
    if isAboutTransactions {
      if !payload.isEmpty {
        draft.buffers.append(BufferStep(subject: .payload, program: payload))
      }
      draft.kind = .transaction
      try checkTransactions()
      return
    }
    guard !draft.isTransactional else {
      throw RuleValueError("=> needs buffers of an application protocol")
    }
    if !payload.isEmpty {
      draft.payload = payload
      draft.kind = .payload
      try choosePayloadScope(payload)
      return
    }
    draft.kind = headerKind()
    draft.actsOnFlow =
      draft.kind == .addressOnly || draft.kind == .protocolFound || isAboutHeaderAlone
      || !draft.head.appProtocols.isAny
  }

  private mutating func finishBuffers() throws(RuleValueError) {
    for block in blocks.dropFirst() where !block.builder.isEmpty {
      let step = BufferStep(subject: block.subject, program: try block.builder.finish(ordersLiterals: false))
      if let buffer = block.buffer {
        let declaration = buffer.declaration
        step.program.bufferName = buffer.recordName
        step.sources =
          block.side == nil ? declaration.sources : declaration.sources.filter { $0.direction == block.side }
        step.isMultiple = declaration.isMultiple
        step.isStreaming = declaration.isStreaming
        step.dependsOnEnd = declaration.isStreaming && step.program.dependsOnEnd
      }
      if case .frame = block.subject { step.dependsOnEnd = step.program.dependsOnEnd }
      draft.buffers.append(step)
    }
    guard draft.buffers.count <= Self.buffersMax else {
      throw RuleValueError("more than \(Self.buffersMax) buffers in one rule")
    }
    draft.sharesVariables = draft.buffers.count > 1 && !variables.isEmpty
  }

  /// Progress over the buffers of a rule is kept in 64 bits.
  static var buffersMax: Int { 62 }

  private func headerKind() -> RuleKind {
    for condition in draft.conditions {
      switch condition {
      case .packet(.decodeEvent), .packet(.streamEvent), .packet(.flowEvent): return .event
      default: continue
      }
    }
    if asksForProtocol { return .protocolFound }
    return isAboutHeaderAlone && !hasNegatedAddresses ? .addressOnly : .packet
  }

  /// Nothing is asked but addresses, ports and protocol number, which are the same in each packet of a
  /// flow. Variables may be set; one that is tested makes each packet count.
  ///
  /// - Source: Suricata "Rule Types and Categorization", `ip_only`; with negated addresses the rule is
  ///   tried on each packet (`like_ip_only`). Either way its action reaches the flow.
  private var isAboutHeaderAlone: Bool {
    draft.conditions.allSatisfy { if case .packet(.ipProtocol) = $0 { true } else { false } } && draft.buffers.isEmpty && draft.payload == nil && draft.head.flow.isEmpty
      && draft.head.appProtocols.isAny
  }

  /// - Source: Suricata: steps over the payload run on the stream, unless a keyword asks for the
  ///   packet; with `depth`, `offset` or `startswith` on both.
  private mutating func choosePayloadScope(_ payload: PayloadProgram) throws(RuleValueError) {
    guard !draft.head.protocols.isDisjoint(with: .tcp) else {
      draft.payloadScope = .packet
      return
    }
    if needsPacket, needsStream {
      throw RuleValueError("the rule asks for a single packet and for the stream")
    }
    if needsPacket {
      draft.payloadScope = .packet
    } else if needsStream {
      draft.payloadScope = .stream
    } else {
      let isAnchored = payload.contents.contains {
        $0.offset != nil || $0.depth != nil || $0.startsWith
      }
      draft.payloadScope = isAnchored ? [.stream, .packet] : .stream
    }
  }

  // MARK: Transactions

  /// There must be a protocol and a direction in which all of the rule's buffers exist.
  private mutating func checkTransactions() throws(RuleValueError) {
    let places = draft.places(limit: conditionProtocols)
    guard places.isEmpty else {
      draft.transactionPlaces = places
      return
    }
    for step in draft.buffers where step.isBuffer {
      let fitting = step.sources.filter { draft.head.appProtocols.allows($0.appProtocol) }
      if fitting.isEmpty {
        throw RuleValueError(
          "\(step.subject.words) does not exist in the rule's protocol, or is not supported there"
        ).blaming(step.spellings)
      }
      if !draft.isTransactional, !fitting.contains(where: { draft.allows($0.direction) }) {
        throw RuleValueError(
          "\(step.subject.words) does not exist in the direction that flow gives",
          hint: fitting.first.map { "flow:\($0.direction == .toServer ? "to_server" : "to_client")" }
        ).blaming(step.spellings)
      }
    }
    let last = draft.buffers.last { $0.isBuffer }
    throw RuleValueError(
      "the rule's buffers are not all of one protocol and direction", hint: "=> spans both directions"
    ).blaming(last?.spellings ?? [])
  }
}

extension BufferStep {
  var isBuffer: Bool { if case .buffer = subject { true } else { false } }

  /// The keywords by which a rule may have named the buffer.
  var spellings: [String] {
    guard case .buffer(let id) = subject, let declaration = KeywordTable.declaration(id) else { return [] }
    return declaration.names + declaration.legacyModifiers
  }
}

/// Transactions of one protocol in one direction.
struct TransactionPlace: Hashable, Sendable {
  var appProtocol: AppProtocol
  var direction: Direction
}

extension RuleDraft {
  /// Whether `flow` leaves the direction open or names it.
  func allows(_ direction: Direction) -> Bool {
    if head.flow.contains(.toServer) { return direction == .toServer }
    if head.flow.contains(.toClient) { return direction == .toClient }
    return true
  }

  /// Where the rule is tried.
  func places(limit: [AppProtocol]?) -> [TransactionPlace] {
    var result: [TransactionPlace] = []
    let protocols = protocolsOfBuffers()
    for appProtocol in Self.parsedProtocols
    where head.appProtocols.allows(appProtocol) && protocols & BufferStep.bit(appProtocol) != 0 {
      if let limit, !limit.contains(appProtocol) { continue }
      for direction in Self.directions where isTransactional || allows(direction) {
        if hasBuffers(appProtocol, direction) {
          result.append(TransactionPlace(appProtocol: appProtocol, direction: direction))
        }
      }
    }
    return result
  }

  // Lists of all cases are made anew each time they are asked for.
  private static let parsedProtocols = AppProtocol.allCases.filter { TransactionKeywords.parsed.contains($0) }
  private static let directions = Array(Direction.allCases)

  /// Bits of those that have all of the rule's buffers, in one direction or the other.
  private func protocolsOfBuffers() -> UInt64 {
    var bits: UInt64 = .max
    for step in buffers where step.isBuffer { bits &= step.protocols.0 | step.protocols.1 }
    return bits
  }

  private func hasBuffers(_ appProtocol: AppProtocol, _ direction: Direction) -> Bool {
    for step in buffers where step.isBuffer {
      let exists =
        step.exists(appProtocol, direction) || isTransactional && step.exists(appProtocol, direction.opposite)
      if !exists { return false }
    }
    return true
  }
}
