import Traffic

extension PayloadProgram {
  /// How far the steps came on a buffer.
  struct Trace {
    /// Steps that held together.
    var heldCount = 0
    var hasFailed = false
    var reason = ""
    /// Where the step that failed began to look.
    var offset = 0
  }

  /// Runs ever longer beginnings of the program, by the same code that matching runs, until one fails.
  ///
  /// - Complexity: as matching, times the number of steps.
  func trace(_ bytes: RawSpan, _ facts: BufferFacts, _ scratch: inout PayloadScratch) -> Trace {
    var trace = Trace()
    var cursor = 0
    for index in steps.indices {
      var part = self
      part.steps = Array(steps[...index]).filter { !changesDataset($0) }
      guard part.matches(bytes, facts: facts, scratch: &scratch) else {
        trace.hasFailed = true
        trace.offset = steps[index].isCounted ? cursor : 0
        trace.reason = reason(steps[index], bytes, facts, cursor, &scratch)
        return trace
      }
      cursor = scratch.cursor
      trace.heldCount = index + 1
    }
    return trace
  }

  /// To look must not put anything into a set.
  private func changesDataset(_ step: PayloadStep) -> Bool {
    guard case .dataset(let index) = step, datasets.indices.contains(Int(index)) else { return false }
    switch datasets[Int(index)].command {
    case .set, .unset: return true
    default: return false
    }
  }

  private func reason(
    _ step: PayloadStep, _ bytes: RawSpan, _ facts: BufferFacts, _ cursor: Int, _ scratch: inout PayloadScratch
  ) -> String {
    let size = "the \(bytes.byteCount) octets"
    if case .content(let content) = step { return reason(content, bytes, facts, cursor, &scratch) }
    if case .size = step { return "the buffer has \(facts.offset + UInt64(bytes.byteCount)) octets\(facts.isComplete ? "" : " so far")" }
    if case .isDataAt = step { return "the buffer has \(bytes.byteCount) octets, the match before ends at \(cursor)" }
    if case .pcre(let expression) = step {
      if expression.isNegated { return "the expression matches" }
      return expression.isRelative ? "does not match behind offset \(cursor) of \(size)" : "does not match in \(size)"
    }
    if case .entropy(let test) = step { return test.entropy(of: bytes).map { "the entropy is \($0)" } ?? "there are no octets to measure" }
    return "does not hold in \(size); the match before ends at \(cursor)"
  }

  private func reason(
    _ content: ContentInstruction, _ bytes: RawSpan, _ facts: BufferFacts, _ cursor: Int,
    _ scratch: inout PayloadScratch
  ) -> String {
    let start = Int(content.literalStart)
    let literal = literals.rawSpan.extracting(start..<start + Int(content.literalCount))
    let first = ByteSearch.find(
      literal, in: bytes, from: 0, to: bytes.byteCount, ignoringCase: content.isCaseInsensitive)
    let window = content.window(bytes.byteCount, facts, cursor, scratch)
    if content.isNegated {
      return "it stands at offset \(first ?? window.lowerBound), and must not"
    }
    guard let first else {
      let lowered = (0..<literal.byteCount).map { ByteSearch.lower(literal.u8(at: $0)) }
      let other = content.isCaseInsensitive
        ? nil
        : ByteSearch.find(lowered.rawSpan, in: bytes, from: 0, to: bytes.byteCount, ignoringCase: true)
      if let other { return "stands nowhere in the \(bytes.byteCount) octets; in other case at offset \(other)" }
      return "stands nowhere in the \(bytes.byteCount) octets"
    }
    let place = content.isRelative ? " (the match before ends at \(cursor))" : ""
    if content.endsWith { return "stands at offset \(first), not at the end of the \(bytes.byteCount) octets" }
    if window.count < Int(content.literalCount) {
      return "stands at offset \(first), but there is no room for it where it must lie\(place)"
    }
    return "stands at offset \(first), but must lie in \(window.lowerBound)…\(window.upperBound)\(place)"
  }
}

extension PayloadStep {
  /// The step looks from where the one before it ended.
  fileprivate var isCounted: Bool {
    switch self {
    case .content(let step): step.isRelative
    case .pcre(let step): step.isRelative
    case .isDataAt(let step): step.isRelative
    default: false
    }
  }
}
