import Glibc

/// Measures the stations of the path one by one on the traffic of a capture.
///
///     stages [--rules FILE]... [--set KEY=VALUE]... [--rounds N] [--stage NAME] CAPTURE
///
/// Each stage takes the whole capture N times, after a round that warms it up. `--stage` runs one alone and times
/// nothing, for stages.py, which counts.
@main
struct Stages {
  private var rules: [String] = []
  private var overrides: [String] = []
  private var rounds = 20
  private var only: String?
  private var capture: String?

  static func main() {
    do throws(StageError) {
      var stages = Stages()
      try stages.read(Array(CommandLine.arguments.dropFirst()))
      try stages.run()
    } catch {
      var message = "stages: \(error)\n"
      _ = message.withUTF8 { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
      exit(1)
    }
  }

  private mutating func read(_ arguments: [String]) throws(StageError) {
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      switch argument {
      case "--rules", "--set", "--rounds", "--stage":
        guard let value = rest.popFirst() else { throw StageError("\(argument) takes a value") }
        switch argument {
        case "--rules": rules.append(value)
        case "--set": overrides.append(value)
        case "--stage": only = value
        default:
          guard let count = Int(value), count > 0 else { throw StageError("--rounds takes a number from 1") }
          rounds = count
        }
      default:
        guard capture == nil, !argument.hasPrefix("-") else { throw StageError("what is \(argument)?") }
        capture = argument
      }
    }
  }

  private func run() throws(StageError) {
    guard let capture else { throw StageError("which capture?") }
    let input = try Input(path: capture)
    let setup = try Setup(rules: rules, overrides: overrides)
    let stages = try makeStages(input, setup)
    if let only {
      guard let stage = stages.first(where: { $0.name == only }) else { throw StageError("there is no stage \(only)") }
      for number in 0...rounds { try stage.round(Int64(number)) }
    } else {
      print(Self.row("stage", "unit", "units", "octets a unit", "ns a unit"))
      for stage in stages {
        if let scan = stage as? ScanStage { try scan.timeRest(rounds: rounds) }
        let nanoseconds = try stage.nanoseconds(rounds: rounds) / UInt64(max(1, stage.unitCount))
        let octets = stage.octetCount / max(1, stage.unitCount)
        print(Self.row(stage.name, stage.unit, String(stage.unitCount), String(octets), String(nanoseconds)))
      }
    }
  }

  private func makeStages(_ input: Input, _ setup: Setup) throws(StageError) -> [any Stage] {
    let plain = setup.withoutRules
    let settings = setup.settings.inspection
    let expectation = try Expectation(input, plain)
    let preparation = Preparation(input, settings)
    var stages: [any Stage] = [
      DecodeStage(input, preparation, settings), FlowStage(input, preparation, expectation, settings),
      ReassemblyStage(input, preparation, expectation, settings),
    ]
    if only?.hasPrefix("parse") ?? true { stages += try ParseStage.all(preparation, expectation, settings) }
    stages.append(PathStage(input, expectation, plain))
    if setup.ruleSet.ruleCount > 0 {
      let expected = try Expectation(input, setup)
      stages.append(ScanStage(input, preparation, expected, setup))
      stages.append(PathStage(input, expected, setup))
    }
    return stages
  }

  /// Words to the left, numbers to the right; at least two spaces between columns, which stages.py reads.
  private static func row(_ columns: String...) -> String {
    zip(columns, [-18, -12, 8, 13, 10]).map { text, width in
      let padding = String(repeating: " ", count: max(0, abs(width) - text.count))
      return width < 0 ? text + padding : padding + text
    }.joined(separator: "  ")
  }
}
