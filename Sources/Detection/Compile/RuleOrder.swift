import RuleLanguage

/// The order in which rules are tried and take effect.
///
/// - Source: Suricata: by action, then by use of flowbits, flowints, captures into flow and packet, host bits and pair
///   bits (setters first), then by priority; equal ones stay in order of loading.
struct RuleOrder {
  private var ranks: [RuleAction: Int] = [:]

  init(_ actionOrder: [RuleAction]) {
    for (rank, action) in actionOrder.enumerated() { ranks[action] = rank }
  }

  /// Smaller is earlier; each part has its own bits, 28 in all.
  func key(_ draft: RuleDraft) -> UInt64 {
    let action: RuleAction =
      switch draft.info.action {
      case .rejectsrc, .rejectdst, .rejectboth: .reject
      case let other: other
      }
    var key = UInt64(clamping: min(ranks[action] ?? 15, 255))
    func append(_ value: Int, bits: UInt64) { key = key << bits | UInt64(clamping: value) }
    append(3 - draft.usesFlowBits.rank, bits: 2)
    append(3 - draft.usesFlowIntegers.rank, bits: 2)
    append(3 - draft.use(of: .flow).rank, bits: 2)
    append(3 - draft.use(of: .packet).rank, bits: 2)
    append(3 - draft.usesHostBits.rank, bits: 2)
    append(3 - draft.usesPairBits.rank, bits: 2)
    append(Int(draft.info.priority), bits: 8)
    return key
  }
}

extension RuleDraft {
  /// What it does with what expressions capture.
  fileprivate func use(of scope: PayloadCapture.Scope) -> VariableUse {
    var use: VariableUse = []
    func note(_ program: PayloadProgram) {
      for expression in program.expressions where expression.captures.contains(where: { $0.scope == scope }) {
        use.formUnion(.writes)
      }
    }
    if let payload { note(payload) }
    for step in buffers { note(step.program) }
    for case .state(let condition) in conditions {
      switch condition {
      case .flowVariable where scope == .flow, .packetVariable where scope == .packet: use.formUnion(.reads)
      default: break
      }
    }
    return use
  }
}
