import ArgumentParser
import Diversion
import Engine

struct SetupCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "setup", abstract: "Divert traffic to the daemon: up, down, status, print.",
    discussion: "status ends with 0 when everything is there, with 1 when something is missing, with 3 when nothing is there.")

  enum Verb: String, ExpressibleByArgument, CaseIterable { case up, down, status, print }

  @Option(
    name: .long, help: ArgumentHelp("Configuration file.", valueName: "file"), completion: .file(extensions: ["yaml", "yml"]))
  var config: String?

  @Option(name: .customLong("set"), help: ArgumentHelp("A setting over the configuration: KEY=VALUE.", valueName: "key=value"))
  var settings: [String] = []

  @Argument(help: "up sets up all or nothing; down takes away what up added; print shows it only.")
  var verb: Verb

  func run() throws {
    let settings: Engine.Settings
    do throws(SettingsError) {
      settings = try Settings.load(file: config, overrides: self.settings, flowSeed: 0)
    } catch {
      throw CommandFailure.input(error.message)
    }
    let isUp: (isUp: Bool, isAnythingThere: Bool)
    do throws(DiversionError) {
      let tells = verb == .up || verb == .print
      let plan = try settings.diversionPlan(on: SystemCommands()) { if tells { StandardError.write($0 + "\n") } }
      guard let plan else {
        StandardOutput.write("mode \(settings.capture.mode.rawValue) needs nothing of the kernel\n")
        return
      }
      isUp = try run(verb, Diversion(plan: plan, commands: SystemCommands()))
    } catch {
      throw CommandFailure.environment(error.description)
    }
    if !isUp.isUp { throw ExitCode(isUp.isAnythingThere ? 1 : 3) }
  }

  private func run(_ verb: Verb, _ diversion: Diversion<SystemCommands>) throws(DiversionError) -> (isUp: Bool, isAnythingThere: Bool) {
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
      return (status.isUp, status.isAnythingThere)
    }
    return (true, true)
  }
}
