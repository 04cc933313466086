import RuleLanguage
import Traffic

extension PayloadProgram {
  /// Whether the steps hold on these bytes, in their order.
  ///
  /// A content or pcre that a later step is positioned by is tried at each of its occurrences until
  /// the later steps hold; one that nothing depends on is tried once (Suricata
  /// `DetectEngineContentInspection`).
  /// - Complexity: bounded by ``PayloadScratch/stepsMax`` steps.
  public func matches(_ bytes: RawSpan, facts: BufferFacts, scratch: inout PayloadScratch) -> Bool {
    scratch.budget = PayloadScratch.stepsMax
    scratch.isDiscontinued = false
    scratch.cursor = 0
    return run(0, bytes, facts, &scratch)
  }

  private func run(
    _ index: Int, _ bytes: RawSpan, _ facts: BufferFacts, _ scratch: inout PayloadScratch
  ) -> Bool {
    guard index < steps.count else { return true }
    scratch.budget -= 1
    guard scratch.budget >= 0 else {
      if !scratch.isDiscontinued { scratch.budgetExhaustedCount &+= 1 }
      scratch.isDiscontinued = true
      return false
    }
    switch steps[index] {
    case .content(let step): return runContent(step, index, bytes, facts, &scratch)
    case .pcre(let step): return runExpression(step, index, bytes, facts, &scratch)
    case .byteTest(let step):
      guard step.holds(bytes, facts, scratch) else { return false }
    case .byteJump(let step):
      guard let target = step.target(bytes, facts, scratch) else { return false }
      scratch.cursor = target
    case .byteExtract(let step):
      guard step.extract(bytes, facts, &scratch) else { return false }
    case .byteMath(let step):
      guard step.compute(bytes, facts, &scratch) else { return false }
    case .isDataAt(let step):
      guard step.holds(bytes, facts, scratch) else { return false }
    case .size(let condition):
      guard condition.holds(for: facts.offset &+ UInt64(bytes.byteCount)) else { return false }
    case .base64(let step):
      guard runBase64(step, bytes, &scratch) else { return false }
    case .entropy(let step):
      guard step.holds(bytes) else { return false }
    }
    return run(index + 1, bytes, facts, &scratch)
  }

  // MARK: Contents

  private func runContent(
    _ step: ContentInstruction, _ index: Int, _ bytes: RawSpan, _ facts: BufferFacts,
    _ scratch: inout PayloadScratch
  ) -> Bool {
    let cursor = scratch.cursor
    guard var window = step.window(bytes.byteCount, facts, cursor, scratch) else {
      return step.isNegated && run(index + 1, bytes, facts, &scratch)
    }
    let count = Int(step.literalCount)
    while true {
      let hit = find(step, bytes, window)
      if step.isNegated {
        guard hit == nil else {
          // Trying further occurrences of what came before can still help, unless this one did not
          // depend on them.
          if !step.isRelative { scratch.isDiscontinued = true }
          return false
        }
        return run(index + 1, bytes, facts, &scratch)
      }
      guard let hit else { return false }
      scratch.cursor = hit + count
      note(step, at: hit, &scratch)
      if run(index + 1, bytes, facts, &scratch) { return true }
      guard step.anchorsNext, !scratch.isDiscontinued else { return false }
      scratch.cursor = cursor
      guard hit + 1 <= window.upperBound else { return false }
      window = hit + 1..<window.upperBound
    }
  }

  private func find(_ step: ContentInstruction, _ bytes: RawSpan, _ window: Range<Int>) -> Int? {
    let count = Int(step.literalCount)
    let start = Int(step.literalStart)
    let literal = literals.rawSpan.extracting(start..<start + count)
    guard window.count >= count else { return nil }
    if step.endsWith {
      let position = bytes.byteCount - count
      guard window.upperBound == bytes.byteCount, position >= window.lowerBound else { return nil }
      guard !step.startsWith || position == window.lowerBound else { return nil }
      return ByteSearch.matches(literal, in: bytes, at: position, ignoringCase: step.isCaseInsensitive)
        ? position : nil
    }
    return ByteSearch.find(
      literal, in: bytes, from: window.lowerBound, to: window.upperBound,
      ignoringCase: step.isCaseInsensitive)
  }

  private func note(_ step: ContentInstruction, at position: Int, _ scratch: inout PayloadScratch) {
    guard step.replacementStart >= 0 else { return }
    let start = Int(step.replacementStart)
    let replacement = Array(literals[start..<start + Int(step.literalCount)])
    scratch.replacements.append(PayloadReplacement(position: position, bytes: replacement))
  }

  // MARK: Expressions

  private func runExpression(
    _ step: ExpressionInstruction, _ index: Int, _ bytes: RawSpan, _ facts: BufferFacts,
    _ scratch: inout PayloadScratch
  ) -> Bool {
    let expression = expressions[Int(step.index)]
    let cursor = scratch.cursor
    var start = step.isRelative ? min(cursor, bytes.byteCount) : 0
    while true {
      // A relative expression does not see what lies before the cursor.
      let subject = step.isRelative ? bytes.extracting(min(cursor, bytes.byteCount)..<bytes.byteCount) : bytes
      let base = bytes.byteCount - subject.byteCount
      let outcome = expression.match(subject, from: start - base, scratch: scratch.matchData)
      guard case .match(let range) = outcome else {
        if case .limit = outcome { scratch.expressionLimitCount &+= 1 }
        if step.isNegated, case .noMatch = outcome { return run(index + 1, bytes, facts, &scratch) }
        return false
      }
      if step.isNegated { return false }
      capture(expression, subject, &scratch)
      scratch.cursor = base + range.upperBound
      if run(index + 1, bytes, facts, &scratch) { return true }
      guard step.anchorsNext, !scratch.isDiscontinued else { return false }
      scratch.cursor = cursor
      start = base + range.lowerBound + 1
      guard start <= bytes.byteCount else { return false }
    }
  }

  private func capture(
    _ expression: RegularExpression, _ subject: RawSpan, _ scratch: inout PayloadScratch
  ) {
    for (index, name) in expression.captureNames.enumerated() {
      guard let bytes = expression.group(index + 1, of: subject, scratch: scratch.matchData) else { continue }
      scratch.captures.append(PayloadCapture(scope: name.scope, name: name.name, bytes: bytes))
    }
  }

  // MARK: Base64

  private func runBase64(
    _ step: Base64Instruction, _ bytes: RawSpan, _ scratch: inout PayloadScratch
  ) -> Bool {
    let (start, overflow) = (step.isRelative ? scratch.cursor : 0).addingReportingOverflow(Int(step.offset))
    guard !overflow, start >= 0, start < bytes.byteCount else { return false }
    var end = bytes.byteCount
    if step.byteCount > 0, Int(step.byteCount) < end - start { end = start + Int(step.byteCount) }
    var decoded: [UInt8] = []
    swap(&decoded, &scratch.decoded)
    decoded.removeAll(keepingCapacity: true)
    defer { swap(&decoded, &scratch.decoded) }
    Base64.decode(bytes.extracting(start..<end), skippingBlanks: step.isRFC2045, into: &decoded)
    guard !decoded.isEmpty else { return false }
    guard step.nested >= 0 else { return true }
    let cursor = scratch.cursor
    scratch.cursor = 0
    defer { scratch.cursor = cursor }
    return nested[Int(step.nested)].run(0, decoded.rawSpan, BufferFacts(), &scratch)
  }
}

extension ContentInstruction {
  /// Where the literal may lie, or nil when that is nowhere.
  func window(
    _ count: Int, _ facts: BufferFacts, _ cursor: Int, _ scratch: borrowing PayloadScratch
  ) -> Range<Int>? {
    isRelative ? relativeWindow(count, cursor, scratch) : absoluteWindow(count, facts, scratch)
  }

  private func relativeWindow(
    _ count: Int, _ cursor: Int, _ scratch: borrowing PayloadScratch
  ) -> Range<Int>? {
    let distance = self.distance.map { scratch.value($0) } ?? 0
    let start = max(0, cursor + distance)
    var end = count
    if let within { end = min(end, cursor + distance + scratch.value(within)) }
    if let depth { end = min(end, cursor + scratch.value(depth)) }
    let low = offset.map { max(start, cursor + scratch.value($0)) } ?? start
    return low < end ? low..<end : nil
  }

  private func absoluteWindow(
    _ count: Int, _ facts: BufferFacts, _ scratch: borrowing PayloadScratch
  ) -> Range<Int>? {
    // Positions in the rule count from the start of the whole buffer; what was let go lies before 0.
    let base = Int(clamping: facts.offset)
    var start = offset.map { scratch.value($0) } ?? 0
    var end = depth.map { depth in
      // Suricata's `depth` counts from `offset`.
      start + scratch.value(depth)
    }
    if startsWith {
      start = 0
      end = Int(literalCount)
    }
    let low = max(0, offset != nil || startsWith ? start - base : 0)
    let high = min(count, end.map { $0 - base } ?? count)
    if startsWith, base > 0 { return nil }
    return low < high ? low..<high : nil
  }
}

extension PayloadScratch {
  /// The value, clamped to what positions can be (±2^40), so that sums of a few cannot overflow.
  func value(_ operand: Operand) -> Int {
    switch operand {
    case .constant(let value): Int(min(max(value, -(1 << 40)), 1 << 40))
    case .variable(let index):
      // Distances read from traffic are 32-bit two's complement, as in Suricata.
      Int(Int32(truncatingIfNeeded: variables[Int(index)]))
    }
  }

  func unsigned(_ operand: Operand) -> UInt64 {
    switch operand {
    case .constant(let value): UInt64(bitPattern: value)
    case .variable(let index): variables[Int(index)]
    }
  }
}
