import Detection
import Engine

/// What is answered of rules.
enum RuleAnswers {
  private static let countDefault = 20
  private static let countMax = 10_000

  /// The dearest rules since the start, and those past their budget.
  static func dearest(_ daemon: Daemon, _ words: [String]) -> ControlAnswer {
    var count = countDefault
    if let word = words.first {
      guard let number = Int(word), (1...countMax).contains(number) else {
        return ControlAnswer(isDone: false, text: "rules takes a number from 1 to \(countMax), not \(word.prefix(40))")
      }
      count = number
    }
    let costs = daemon.ruleCosts()
    return ControlAnswer(
      isDone: true,
      text: RuleTable.text(costs.dearest(count), of: costs.nanoseconds) + excesses(daemon.ruleExcesses))
  }

  static func excesses(_ records: [RuleExcessRecord]) -> String {
    guard !records.isEmpty else { return "" }
    return "\npast their budget:\n"
      + records.map { "\($0.gid):\($0.sid)  \($0.outcome)  \($0.reason)  \($0.message)\n" }.joined()
  }
}
