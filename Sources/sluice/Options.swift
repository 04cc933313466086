import ArgumentParser
import Detection
import Engine
import RuleLanguage

/// Options that commands with a configuration share.
struct ConfigurationOptions: ParsableArguments {
  @Option(
    name: .long, help: ArgumentHelp("Configuration file (YAML; a suricata.yaml loads too).", valueName: "file"), completion: .file(extensions: ["yaml", "yml"]))
  var config: String?

  @Option(name: .customLong("set"), help: ArgumentHelp("A setting over the configuration: KEY=VALUE, with dotted keys.", valueName: "key=value"))
  var settings: [String] = []

  @Option(
    name: [.long, .customShort("r")],
    help: ArgumentHelp(
      "Rule file, directory or pattern, besides those of the configuration; may be given several times.",
      valueName: "path"),
    completion: .file())
  var rules: [String] = []

  func load(flowSeed: UInt64) throws -> Settings {
    do throws(SettingsError) {
      return try Settings.load(file: config, overrides: settings, flowSeed: flowSeed)
    } catch {
      throw CommandFailure.input(error.message)
    }
  }
}

extension RuleDiagnostic {
  /// One line for a person: where, what, and what would be right.
  var printed: String { description + "\n" }
}
