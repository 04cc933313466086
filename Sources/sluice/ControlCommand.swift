import ArgumentParser
import Control
import Engine

struct CtlCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ctl", abstract: "Speak to the running daemon.",
    discussion: """
      reload             compile rules and policy anew and put them in force
      stats, metrics     counters, by name or as Prometheus reads them
      flows [FLOW]       flows of now, largest first
      top                flows by what they carry just now, until Ctrl-C
      rules [COUNT]      the rules that cost most, and those past their budget
      explain FLOW       what was decided about a flow, and why
      release FLOW       give a flow to the kernel from its next packet on
      recall FLOW        call a released flow back
      shutdown           end

      FLOW is 'all', a flow_id, or one or two ends: 10.0.0.7, 10.0.0.7:443, [2001:db8::1]:443, :443.
      """)

  enum Verb: String, ExpressibleByArgument, CaseIterable {
    case reload, stats, metrics, flows, top, rules, explain, release, recall, shutdown
  }

  @Option(
    name: .long, help: ArgumentHelp("Configuration file, for the path of the control socket.", valueName: "file"), completion: .file(extensions: ["yaml", "yml"]))
  var config: String?

  @Option(name: .customLong("set"), help: ArgumentHelp("A setting over the configuration: KEY=VALUE.", valueName: "key=value"))
  var settings: [String] = []

  @Option(name: .long, help: "The control socket itself.")
  var socket: String?

  @Option(name: .long, help: "How often top looks; 0 for ever.")
  var times = 0

  @Argument(help: "What to do.")
  var verb: Verb

  @Argument(help: "Which flow.")
  var flow: [String] = []

  func run() throws {
    let path = try socket ?? controlSocket()
    if verb == .top { return try FlowTop(socket: path).run(times: times) }
    guard let command = Control.ControlCommand(rawValue: verb.rawValue) else { return }
    let words = flow.flatMap { $0.split(whereSeparator: { " ,>".contains($0) }).map(String.init) }.filter { $0 != "-" }
    let answer: ControlAnswer
    do throws(ControlError) {
      answer = try ControlClient.ask(command, words, socket: path)
    } catch {
      throw CommandFailure.environment(error.message)
    }
    guard answer.isDone else { throw CommandFailure.input(answer.text.split(separator: "\n").joined(separator: "; ")) }
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
