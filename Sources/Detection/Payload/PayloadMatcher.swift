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
      guard Self.holds(condition, facts.offset &+ UInt64(bytes.byteCount), facts.isComplete) else {
        return false
      }
    case .base64(let step):
      guard runBase64(step, bytes, &scratch) else { return false }
    case .entropy(let step):
      guard let entropy = step.entropy(of: bytes) else { return false }
      scratch.captures.append(
        PayloadCapture(scope: .entropy, name: bufferName, bytes: Array(entropy.description.utf8)))
      guard step.holds(for: entropy) else { return false }
    case .asn1(let step):
      guard step.holds(bytes, facts, cursor: scratch.cursor) else { return false }
    case .dataset(let test):
      var found: PayloadCapture?
      let holds = datasets[Int(test)].holds(bytes) {
        found = PayloadCapture(scope: .context, name: $0, bytes: $1)
      }
      guard holds else { return false }
      if let found { scratch.captures.append(found) }
    }
    return run(index + 1, bytes, facts, &scratch)
  }

  /// A buffer that is not whole yet has at least the length it has now.
  private static func holds(_ condition: NumericCondition, _ count: UInt64, _ isComplete: Bool) -> Bool {
    guard !isComplete else { return condition.holds(for: count) }
    switch condition {
    case .greater, .greaterOrEqual: return condition.holds(for: count)
    case .notEqual(let other): return count > other
    case .notBetween(_, let high): return count >= high
    case .equal, .less, .lessOrEqual, .between, .bits, .notBits: return false
    }
  }

  // MARK: Contents

  private func runContent(
    _ step: ContentInstruction, _ index: Int, _ bytes: RawSpan, _ facts: BufferFacts,
    _ scratch: inout PayloadScratch
  ) -> Bool {
    let cursor = scratch.cursor
    var window = step.window(bytes.byteCount, facts, cursor, scratch)
    if scratch.foundStep == index {
      window = window.clamped(to: scratch.unseenEnd > 0 ? 0..<scratch.foundRange.upperBound : scratch.foundRange)
    }
    // All of it lies before these bytes: what stood there is not known, negated or not.
    guard window.upperBound > 0 || facts.offset == 0 || step.isUnbounded else { return false }
    if step.isNegated {
      guard find(step, index, bytes, window, &scratch) != nil else { return run(index + 1, bytes, facts, &scratch) }
      giveUp(unlessRelative: step, &scratch)
      return false
    }
    while let hit = find(step, index, bytes, window, &scratch) {
      let noted = scratch.replacements.count
      scratch.cursor = hit + Int(step.literalCount)
      note(step, at: hit, &scratch)
      if run(index + 1, bytes, facts, &scratch) { return true }
      scratch.forget(replacementsFrom: noted)
      scratch.cursor = cursor
      guard step.anchorsNext, !scratch.isDiscontinued else { return false }
      window = hit + 1..<max(hit + 1, window.upperBound)
    }
    giveUp(unlessRelative: step, &scratch)
    // Later occurrences of those before it lie further back, where this one was looked for in vain.
    if step.isRelative, isMonotone, step.within == nil, step.depth == nil { scratch.isDiscontinued = true }
    return false
  }

  /// Where contents before this one lie makes no difference to it, so that trying others of theirs is
  /// vain. With variables it can make one.
  private func giveUp(unlessRelative step: ContentInstruction, _ scratch: inout PayloadScratch) {
    if !step.isRelative, !hasVariables { scratch.isDiscontinued = true }
  }

  private func find(
    _ step: ContentInstruction, _ index: Int, _ bytes: RawSpan, _ window: Range<Int>, _ scratch: inout PayloadScratch
  ) -> Int? {
    let count = Int(step.literalCount)
    guard window.count >= count else { return nil }
    if step.endsWith {
      let start = Int(step.literalStart)
      let literal = literals.rawSpan.extracting(start..<start + count)
      let position = bytes.byteCount - count
      guard window.upperBound == bytes.byteCount, position >= window.lowerBound else { return nil }
      guard !step.startsWith || position == window.lowerBound else { return nil }
      return ByteSearch.matches(literal, in: bytes, at: position, ignoringCase: step.isCaseInsensitive)
        ? position : nil
    }
    var from = window.lowerBound
    if scratch.foundStep == index, from < scratch.foundRange.lowerBound {
      // Before the first place that is known of it lies in what was not scanned, or nowhere.
      let end = min(window.upperBound, scratch.unseenEnd)
      if let hit = search(step, bytes, from, end, &scratch) { return hit }
      from = min(window.upperBound, scratch.foundRange.lowerBound)
    } else if scratch.foundStep == index, from > scratch.foundRange.lowerBound, let known = scratch.foundEnds {
      // From one place to the next, without a look at what is between them.
      let next = (0..<known.count).first { Int(known.ends[$0]) - count >= from }
      from = next.map { Int(known.ends[$0]) - count } ?? window.upperBound
    }
    return search(step, bytes, from, window.upperBound, &scratch)
  }

  private func search(
    _ step: ContentInstruction, _ bytes: RawSpan, _ from: Int, _ to: Int, _ scratch: inout PayloadScratch
  ) -> Int? {
    guard from < to else { return nil }
    let hit = find(step, in: bytes, from: from, to: to)
    scratch.searchedBytes &+= UInt64((hit.map { $0 + Int(step.literalCount) } ?? to) - from)
    return hit
  }

  /// The first place of a content's literal in `from..<to`.
  func find(_ step: ContentInstruction, in bytes: RawSpan, from: Int, to: Int) -> Int? {
    let start = Int(step.literalStart)
    let literal = literals.rawSpan.extracting(start..<start + Int(step.literalCount))
    return ByteSearch.find(
      literal, in: bytes, from: from, to: to, ignoringCase: step.isCaseInsensitive, anchors: step.anchors)
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
    // A relative expression does not see what lies before the cursor.
    let base = step.isRelative ? max(0, min(cursor, bytes.byteCount)) : 0
    let subject = bytes.extracting(base..<bytes.byteCount)
    var start = 0
    while start <= subject.byteCount {
      let outcome = expression.match(subject, from: start, scratch: scratch.matchData)
      guard case .match(let range) = outcome else {
        if case .limit = outcome { scratch.expressionLimitCount &+= 1 }
        if step.isNegated, case .noMatch = outcome { return run(index + 1, bytes, facts, &scratch) }
        return false
      }
      if step.isNegated { return false }
      let captured = scratch.captures.count
      if !expression.captures.isEmpty { capture(expression, subject, &scratch) }
      scratch.cursor = base + range.upperBound
      if run(index + 1, bytes, facts, &scratch) { return true }
      scratch.forget(capturesFrom: captured)
      scratch.cursor = cursor
      guard step.anchorsNext, !scratch.isDiscontinued else { return false }
      start = range.lowerBound + 1
    }
    return false
  }

  private func capture(
    _ expression: RegularExpression, _ subject: RawSpan, _ scratch: inout PayloadScratch
  ) {
    for capture in expression.captures {
      guard let bytes = expression.group(capture.group, of: subject, scratch: scratch.matchData) else { continue }
      scratch.captures.append(PayloadCapture(scope: capture.scope, name: capture.name, bytes: bytes))
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
    let (cursor, foundStep) = (scratch.cursor, scratch.foundStep)
    scratch.cursor = 0
    scratch.foundStep = -1
    let holds = nested[Int(step.nested)].run(0, decoded.rawSpan, BufferFacts(), &scratch)
    scratch.cursor = cursor
    scratch.foundStep = foundStep
    // What is vain to try on in these bytes is not in others; the budget stays spent.
    if scratch.budget >= 0 { scratch.isDiscontinued = false }
    return holds
  }
}

extension ContentInstruction {
  /// No position in the rule bounds where it may end.
  fileprivate var isUnbounded: Bool { depth == nil && within == nil && !startsWith }

  /// Where the literal may lie, clipped to the buffer; empty where that is nowhere.
  func window(
    _ count: Int, _ facts: BufferFacts, _ cursor: Int, _ scratch: borrowing PayloadScratch
  ) -> Range<Int> {
    // Positions in the rule count from the start of the whole buffer; what was let go lies before 0.
    let base = Int(clamping: facts.offset)
    var low = 0
    var high = count
    if isRelative {
      // Nothing has matched at 0: the start of the buffer is what this counts from.
      let from = cursor > 0 ? cursor : -base
      let distance = self.distance.map { scratch.value($0) } ?? 0
      low = from + distance
      if let within { high = from + distance + scratch.value(within) }
    } else if startsWith {
      low = -base
      high = Int(literalCount) - base
    } else {
      // Suricata's `depth` counts from `offset`.
      let start = offset.map { scratch.value($0) } ?? 0
      if offset != nil { low = start - base }
      if let depth { high = start + scratch.value(depth) - base }
    }
    high = max(0, min(high, count))
    return min(max(low, 0), high)..<high
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
