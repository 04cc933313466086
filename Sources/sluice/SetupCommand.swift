import ArgumentParser
import Diversion
import Engine

struct SetupCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "setup", abstract: "Divert through traffic to the daemon: up, down, status, print.")

  enum Verb: String, ExpressibleByArgument, CaseIterable { case up, down, status, print }

  @Option(name: .long, help: "Configuration file.")
  var config: String?

  @Option(name: .customLong("set"), help: "A setting over the configuration: KEY=VALUE.")
  var settings: [String] = []

  @Argument(help: "up sets up all or nothing; down takes away what up added; print shows it only.")
  var verb: Verb

  func run() throws {
    let plan: DiversionPlan
    do throws(SettingsError) {
      plan = try Settings.load(file: config, overrides: settings, flowSeed: 0).diversionPlan
    } catch {
      throw CommandFailure.input(error.message)
    }
    let diversion = Diversion(plan: plan, commands: SystemCommands())
    do throws(DiversionError) {
      try run(verb, diversion)
    } catch {
      throw CommandFailure.environment(error.description)
    }
  }

  private func run(_ verb: Verb, _ diversion: Diversion<SystemCommands>) throws(DiversionError) {
    switch verb {
    case .up: for note in try diversion.up() { StandardError.write(note + "\n") }
    case .down: for note in try diversion.down() { StandardError.write(note + "\n") }
    case .print: StandardOutput.write(diversion.plan.script)
    case .status:
      let status = try diversion.status()
      for line in status.present { StandardOutput.write("present  \(line)\n") }
      for line in status.missing { StandardOutput.write("missing  \(line)\n") }
      for line in status.notes { StandardOutput.write("note     \(line)\n") }
      StandardOutput.write(status.isUp ? "up\n" : status.isAnythingThere ? "incomplete\n" : "down\n")
    }
  }
}
