import ArgumentParser
import Engine

struct RulesDiffCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "diff",
    abstract: "Compare two rule sets on captures: new, lost and changed alerts, would-be drops, cost.",
    discussion: "Exits with 1 when the alerts differ. Rules that the configuration names are left out.")

  @Option(
    name: .long, help: ArgumentHelp("Configuration file (YAML; a suricata.yaml loads too).", valueName: "file"), completion: .file(extensions: ["yaml", "yml"]))
  var config: String?

  @Option(name: .customLong("set"), help: ArgumentHelp("A setting over the configuration: KEY=VALUE, with dotted keys.", valueName: "key=value"))
  var settings: [String] = []

  @Flag(name: .long, help: "Print the result as one JSON object.")
  var json = false

  @Argument(help: "The rules as they are: a file, directory or pattern.", completion: .file())
  var before: String

  @Argument(help: "The rules as they would be.", completion: .file())
  var after: String

  @Argument(help: "pcap or pcapng files (also .gz, .zst), or directories.", completion: .file())
  var captures: [String]

  func run() throws {
    let difference: RuleSetDifference
    do throws(SettingsError) {
      let settings = try Settings.load(file: config, overrides: settings, flowSeed: 0)
      for warning in settings.warnings { StandardError.write("warning: \(warning)\n") }
      difference = try RuleSetDifference(settings: settings, before: before, after: after, captures: captures)
    } catch {
      throw CommandFailure.input(error.message)
    }
    for line in difference.warnings { StandardError.write("warning: \(line)\n") }
    StandardOutput.write(json ? difference.json + "\n" : difference.text)
    if !difference.isSame { throw ExitCode(1) }
  }
}
