import Foundation
import RuleLanguage
import Testing

@testable import Detection

/// Reads the payload options of a whole rule file named by SLUICE_RULES; left out otherwise.
@Suite struct PayloadCorpusTests {
  static let path = ProcessInfo.processInfo.environment["SLUICE_RULES"]

  @Test(.enabled(if: path != nil)) func allPayloadOptionsAreUnderstood() throws {
    let data = try Data(contentsOf: URL(fileURLWithPath: try #require(Self.path)))
    var reader = RuleFileReader(Array(data), fileName: "rules")
    var ruleCount = 0
    var stepCount = 0
    var refusals: [String] = []
    while let item = reader.next() {
      guard case .rule(let rule) = item else { continue }
      ruleCount += 1
      do throws(RuleValueError) { stepCount += try Self.read(rule) } catch {
        refusals.append("\(rule.sid): \(error.message)")
      }
    }
    #expect(ruleCount > 0 && stepCount > ruleCount / 2)
    #expect(refusals == [])
  }

  /// - Returns: how many steps the rule has.
  private static func read(_ rule: RuleSyntax) throws(RuleValueError) -> Int {
    var builder = PayloadProgramBuilder()
    var variables = PayloadVariables()
    var count = 0
    for option in rule.options {
      // A transform behind steps makes another buffer of the same one.
      if BufferTransform.keywords.contains(option.name), builder.hasSteps {
        count += try builder.finish().steps.count
        builder = PayloadProgramBuilder()
      }
      if PayloadProgramBuilder.keywords.contains(option.name) {
        try builder.add(option, variables: &variables)
      } else if KeywordTable.buffers[option.name] != nil || KeywordTable.headers[option.name] != nil {
        // Another buffer: its transforms come first again.
        count += try builder.finish().steps.count
        builder = PayloadProgramBuilder()
      }
    }
    return count + (try builder.finish().steps.count)
  }
}
