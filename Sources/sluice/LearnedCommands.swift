import ArgumentParser
import Control
import Engine

/// Where the daemon listens.
struct ControlPlace: ParsableArguments {
  @Option(
    name: .long, help: ArgumentHelp("Configuration file, for the path of the control socket.", valueName: "file"),
    completion: .file(extensions: ["yaml", "yml"]))
  var config: String?

  @Option(name: .customLong("set"), help: ArgumentHelp("A setting over the configuration: KEY=VALUE.", valueName: "key=value"))
  var settings: [String] = []

  @Option(name: .long, help: "The control socket itself.")
  var socket: String?

  /// Asks the running daemon and prints what it says.
  func ask(_ command: Control.ControlCommand, _ words: [String] = []) throws {
    let path = try socket ?? configured()
    let answer: ControlAnswer
    do throws(ControlError) {
      answer = try ControlClient.ask(command, words, socket: path)
    } catch {
      throw CommandFailure.environment(error.message)
    }
    guard answer.isDone else { throw CommandFailure.input(answer.text.split(separator: "\n").joined(separator: "; ")) }
    StandardOutput.write(answer.lines.hasPrefix("ok\n") ? String(answer.lines.dropFirst(3)) : answer.text)
  }

  private func configured() throws -> String {
    do throws(SettingsError) {
      return try Settings.load(file: config, overrides: settings, flowSeed: 0).control.socket
    } catch {
      throw CommandFailure.input(error.message)
    }
  }
}

struct PolicyLearnedCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "learned",
    abstract: "List what the running daemon has learned of connections that can't be opened.",
    discussion: """
      A line for each client, server and kind of client software: an id, who, what becomes of their connections
      (counting: inspected; awaits-approval: inspected until someone approves; tunnelled until a time), why.
      """)

  @OptionGroup var place: ControlPlace

  func run() throws { try place.ask(.learned) }
}

struct PolicyApproveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "approve", abstract: "Let connections of an entry pass as they are, for as long as entries hold.")

  @OptionGroup var place: ControlPlace

  @Argument(help: "Ids, as `learned` lists them.")
  var ids: [String]

  func run() throws { try place.ask(.approve, ids) }
}

struct PolicyForgetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "forget", abstract: "Inspect connections of an entry again, from the next one on.")

  @OptionGroup var place: ControlPlace

  @Argument(help: "Ids, as `learned` lists them, or 'all'.")
  var ids: [String]

  func run() throws { try place.ask(.forget, ids) }
}
