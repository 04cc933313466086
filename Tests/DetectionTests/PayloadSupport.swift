import RuleLanguage
import Traffic

@testable import Detection

/// A program over one buffer, written as in a rule: `content:"a"; nocase;`.
///
/// - Throws: the first error, of syntax or of a value.
func program(_ options: String) throws -> PayloadProgram {
  let rule = try RuleFile.parseRule("alert ip any any -> any any (\(options) sid:1;)")
  var builder = PayloadProgramBuilder()
  var variables = PayloadVariables()
  for option in rule.options where option.name != "sid" { try builder.add(option, variables: &variables) }
  return try builder.finish()
}

/// What running a program left behind.
struct PayloadRun {
  var isMatch: Bool
  var captures: [PayloadCapture]
  var replacements: [PayloadReplacement]
  var exhausted: UInt64
}

func run(_ program: PayloadProgram, _ bytes: [UInt8], offset: UInt64 = 0, isComplete: Bool = true) -> PayloadRun {
  var scratch = PayloadScratch()
  scratch.beginRule()
  var buffer = bytes
  for transform in program.transforms { buffer = transform.apply(buffer.rawSpan, scratch: scratch) }
  let isMatch = program.matches(
    buffer.rawSpan, facts: BufferFacts(offset: offset, isComplete: isComplete), scratch: &scratch)
  return PayloadRun(
    isMatch: isMatch, captures: scratch.captures, replacements: scratch.replacements,
    exhausted: scratch.budgetExhaustedCount)
}

func matches(_ options: String, _ text: String, offset: UInt64 = 0, isComplete: Bool = true) throws -> Bool {
  run(try program(options), Array(text.utf8), offset: offset, isComplete: isComplete).isMatch
}

func matches(_ options: String, _ bytes: [UInt8], offset: UInt64 = 0) throws -> Bool {
  run(try program(options), bytes, offset: offset).isMatch
}

extension BufferTransform {
  /// The transformed bytes, in room of their own.
  func apply(_ bytes: RawSpan, scratch: borrowing PayloadScratch) -> [UInt8] {
    // What is there already must make no difference.
    var result = Array("leftover".utf8)
    apply(bytes, into: &result, scratch: scratch)
    return result
  }
}
