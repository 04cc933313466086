import ArgumentParser
import Control
import Engine

struct CtlCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ctl", abstract: "Speak to the running daemon: reload, stats, shutdown.")

  enum Verb: String, ExpressibleByArgument, CaseIterable { case reload, stats, shutdown }

  @Option(name: .long, help: "Configuration file, for the path of the control socket.")
  var config: String?

  @Option(name: .customLong("set"), help: "A setting over the configuration: KEY=VALUE.")
  var settings: [String] = []

  @Option(name: .long, help: "The control socket itself.")
  var socket: String?

  @Argument(help: "reload, stats or shutdown.")
  var verb: Verb

  func run() throws {
    let path = try socket ?? controlSocket()
    guard let command = Control.ControlCommand(rawValue: verb.rawValue) else { return }
    let answer: ControlAnswer
    do throws(ControlError) {
      answer = try ControlClient.ask(command, socket: path)
    } catch {
      throw CommandFailure.environment(error.message)
    }
    guard answer.isDone else { throw CommandFailure.input(answer.text.filter { $0 != "\n" }) }
    StandardOutput.write(answer.text)
  }

  private func controlSocket() throws -> String {
    do throws(SettingsError) {
      return try Settings.load(file: config, overrides: settings, flowSeed: 0).control.socket
    } catch {
      throw CommandFailure.input(error.message)
    }
  }
}
