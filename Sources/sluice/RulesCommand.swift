import ArgumentParser
import Engine
import EventOutput

struct RulesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rules", abstract: "Work with rules: test, explain, compare, tell what they cost.",
    subcommands: [RulesTestCommand.self, RulesExplainCommand.self, RulesDiffCommand.self, RulesProfileCommand.self])
}

struct RulesTestCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "test",
    abstract: "Run the tests that stand beside rules in comments; exits with 1 when one fails.")

  @Option(
    name: .long, help: ArgumentHelp("Configuration file (YAML; a suricata.yaml loads too).", valueName: "file"), completion: .file(extensions: ["yaml", "yml"]))
  var config: String?

  @Option(name: .customLong("set"), help: ArgumentHelp("A setting over the configuration: KEY=VALUE, with dotted keys.", valueName: "key=value"))
  var settings: [String] = []

  @Flag(name: .long, help: "Print the result as one JSON object.")
  var json = false

  @Argument(help: "Rule files, directories or patterns; all of them form one rule set.", completion: .file())
  var paths: [String]

  func run() throws {
    let report: RuleTestReport
    do throws(SettingsError) {
      let settings = try Settings.load(file: config, overrides: settings, flowSeed: 0)
      for warning in settings.warnings { StandardError.write("warning: \(warning)\n") }
      report = try RuleTestRun(settings: settings, paths: paths).run()
    } catch {
      throw CommandFailure.input(error.message)
    }
    StandardOutput.write(json ? Self.json(report) + "\n" : Self.text(report))
    if !report.failures.isEmpty { throw ExitCode(1) }
  }

  private static func text(_ report: RuleTestReport) -> String {
    report.failures.map { $0.description + "\n" }.joined()
      + "\(report.passed) passed, \(report.failures.count) failed\n"
  }

  private static func json(_ report: RuleTestReport) -> String {
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("passed")
    writer.number(report.passed)
    writer.key("failed")
    writer.number(report.failures.count)
    writer.beginArray("failures")
    for failure in report.failures { write(failure, &writer) }
    writer.endArray()
    writer.endObject()
    return String(decoding: writer.bytes, as: UTF8.self)
  }

  private static func write(_ failure: RuleTestFailure, _ writer: inout JSONWriter) {
    writer.beginObject()
    writer.key("file")
    writer.string(text: failure.file)
    writer.key("line")
    writer.number(failure.line)
    if let sid = failure.sid {
      writer.key("sid")
      writer.number(sid)
    }
    let texts: [(StaticString, String?)] = [
      ("kind", failure.kind), ("expected", failure.expected), ("reason", failure.reason),
      ("text", failure.text.isEmpty ? nil : failure.text),
    ]
    for (key, text) in texts {
      guard let text else { continue }
      writer.key(key)
      writer.string(text: text)
    }
    writer.beginArray("fired")
    for sid in failure.fired { writer.number(sid) }
    writer.endArray()
    writer.endObject()
  }
}
