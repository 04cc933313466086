import RuleLanguage
import Traffic

// Evaluation of the steps that read numbers: byte_test, byte_jump, byte_extract, byte_math, isdataat.
// - Source: Suricata "Payload Keywords".

extension NumberShape {
  /// Where the number starts: from the cursor or the start of the whole buffer.
  fileprivate func start(_ offset: Int, _ facts: BufferFacts, _ cursor: Int) -> Int {
    isRelative ? cursor + offset : offset - Int(clamping: facts.offset)
  }
}

extension ByteTest {
  func holds(_ bytes: RawSpan, _ facts: BufferFacts, _ scratch: borrowing PayloadScratch) -> Bool {
    let position = shape.start(scratch.value(offset), facts, scratch.cursor)
    let asked = scratch.value(byteCount)
    let count = asked == 0 && shape.base != .binary ? 23 : min(asked, shape.base == .binary ? 8 : 23)
    // With `string`, what is there of the digits counts.
    let readable = shape.base == .binary ? count : min(count, max(0, bytes.byteCount - max(0, position)))
    guard let number = shape.read(bytes, at: position, count: readable) else { return false }
    return comparison.holds(number, scratch.unsigned(value)) != isNegated
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
  /// The new cursor, which may be the very end of the buffer; nil when the jump leads outside.
  func target(_ bytes: RawSpan, _ facts: BufferFacts, _ scratch: borrowing PayloadScratch) -> Int? {
    let position = shape.start(scratch.value(offset), facts, scratch.cursor)
    let count = scratch.value(byteCount)
    var number: UInt64 = 0
    if count > 0 {
      guard let value = shape.read(bytes, at: position, count: count) else { return nil }
      number = value
    }
    let (scaled, overflow) = number.multipliedReportingOverflow(by: UInt64(bitPattern: multiplier))
    guard !overflow, scaled < 1 << 40 else { return nil }
    var jump = Int(scaled)
    if isAligned, jump % 4 != 0 { jump += 4 - jump % 4 }
    jump += scratch.value(postOffset)
    let base = fromBeginning ? 0 : fromEnd ? bytes.byteCount : position + max(0, count)
    let target = base + jump
    return target >= 0 && target <= bytes.byteCount ? target : nil
  }
}

extension ByteExtract {
  func extract(_ bytes: RawSpan, _ facts: BufferFacts, _ scratch: inout PayloadScratch) -> Bool {
    let position = shape.start(Int(offset), facts, scratch.cursor)
    guard let number = shape.read(bytes, at: position, count: Int(byteCount)) else { return false }
    var value = number &* multiplier
    if alignment > 0, value % alignment != 0 { value &+= alignment - value % alignment }
    scratch.variables[Int(variable)] = value
    scratch.cursor = position + Int(byteCount)
    return true
  }
}

extension ByteMath {
  func compute(_ bytes: RawSpan, _ facts: BufferFacts, _ scratch: inout PayloadScratch) -> Bool {
    let position = shape.start(Int(offset), facts, scratch.cursor)
    let count = scratch.value(byteCount)
    guard let left = shape.read(bytes, at: position, count: count) else { return false }
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
    scratch.variables[Int(result)] = number
    scratch.cursor = position + count
    return true
  }
}

extension IsDataAt {
  func holds(_ bytes: RawSpan, _ facts: BufferFacts, _ scratch: borrowing PayloadScratch) -> Bool {
    let wanted = scratch.value(position)
    let index = isRelative ? scratch.cursor + wanted : wanted - Int(clamping: facts.offset)
    return (index < bytes.byteCount) != isNegated
  }
}
