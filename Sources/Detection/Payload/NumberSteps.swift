import RuleLanguage
import Traffic

// Evaluation of the steps that read numbers: byte_test, byte_jump, byte_extract, byte_math, isdataat.
// - Source: Suricata "Payload Keywords".

extension NumberShape {
  /// Where the number starts: from the cursor or the start of the whole buffer, which is where a cursor is before
  /// anything has matched.
  fileprivate func start(_ offset: Int, _ facts: BufferFacts, _ cursor: Int) -> Int {
    isRelative && cursor > 0 ? cursor + offset : offset - Int(clamping: facts.offset)
  }
}

extension ByteTest {
  func holds(_ bytes: RawSpan, _ facts: BufferFacts, _ scratch: borrowing PayloadScratch) -> Bool {
    let position = shape.start(scratch.value(offset), facts, scratch.cursor)
    guard let number = shape.read(bytes, at: position, count: scratch.value(byteCount)) else { return false }
    return comparison.holds(shape.masked(number.value), scratch.unsigned(value)) != isNegated
  }
}

extension ByteTest.Comparison {
  func holds(_ left: UInt64, _ right: UInt64) -> Bool {
    switch self {
    case .less: left < right
    case .greater: left > right
    case .equal: left == right
    case .lessOrEqual: left <= right
    case .greaterOrEqual: left >= right
    case .and: left & right != 0
    case .or: left ^ right != 0
    }
  }
}

extension ByteJump {
  /// The new cursor: the start where the jump leads before it; nil when it leads behind the buffer, its very
  /// end included.
  ///
  /// - Source: Suricata 8 `byte_jump`: a negative `post_offset` stops at the start of the buffer.
  func target(_ bytes: RawSpan, _ facts: BufferFacts, _ scratch: borrowing PayloadScratch) -> Int? {
    let position = shape.start(scratch.value(offset), facts, scratch.cursor)
    let count = scratch.value(byteCount)
    var number: UInt64 = 0
    var end = position
    if count > 0 || shape.isText {
      guard let read = shape.read(bytes, at: position, count: count) else { return nil }
      number = shape.masked(read.value)
      end = read.end
    }
    let (scaled, overflow) = number.multipliedReportingOverflow(by: UInt64(bitPattern: multiplier))
    // Far above any buffer, far below what the sums here could overflow at.
    guard !overflow, scaled < 1 << 40 else { return nil }
    var jump = Int(scaled)
    if isAligned, jump % 4 != 0 { jump += 4 - jump % 4 }
    jump += scratch.value(postOffset)
    // What was let go of lies before 0.
    let first = 0 - Int(clamping: facts.offset)
    let base = fromBeginning ? first : fromEnd ? bytes.byteCount : end
    let target = max(base + jump, first)
    return target >= 0 && target < bytes.byteCount ? target : nil
  }
}

extension ByteExtract {
  func extract(_ bytes: RawSpan, _ facts: BufferFacts, _ scratch: inout PayloadScratch) -> Bool {
    let position = shape.start(Int(offset), facts, scratch.cursor)
    guard let number = shape.read(bytes, at: position, count: Int(byteCount)) else { return false }
    var value = shape.masked(number.value) &* multiplier
    if alignment > 0, value % alignment != 0 { value &+= alignment - value % alignment }
    scratch.set(variable, value)
    scratch.cursor = number.end
    return true
  }
}

extension ByteMath {
  /// - Source: Suricata applies the bitmask to the result, not to what was read.
  func compute(_ bytes: RawSpan, _ facts: BufferFacts, _ scratch: inout PayloadScratch) -> Bool {
    let position = shape.start(Int(offset), facts, scratch.cursor)
    guard let read = shape.read(bytes, at: position, count: scratch.value(byteCount)) else { return false }
    let left = read.value
    let right = scratch.unsigned(value)
    let number: UInt64
    switch operation {
    case .add: number = left &+ right
    case .subtract: number = left &- right
    case .multiply: number = left &* right
    case .divide:
      guard right != 0 else { return false }
      number = left / right
    case .shiftLeft: number = right < 64 ? left << right : 0
    case .shiftRight: number = right < 64 ? left >> right : 0
    }
    scratch.set(result, shape.masked(number))
    scratch.cursor = read.end
    return true
  }
}

extension IsDataAt {
  /// Relative, at least that many octets follow the cursor; otherwise there is an octet at that index.
  func holds(_ bytes: RawSpan, _ facts: BufferFacts, _ scratch: borrowing PayloadScratch) -> Bool {
    let wanted = scratch.value(position)
    let isThere =
      isRelative
      ? scratch.cursor + wanted <= bytes.byteCount
      : wanted - Int(clamping: facts.offset) < bytes.byteCount
    return isThere != isNegated
  }
}
