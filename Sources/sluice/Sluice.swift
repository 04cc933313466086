import ArgumentParser
import Engine
import Glibc

@main
struct Sluice: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sluice",
    abstract: "Inline intrusion prevention that also looks inside TLS.",
    version: "0.1.0",
    subcommands: [
      RunCommand.self, EvalCommand.self, CheckCommand.self, RulesCommand.self, KeywordsCommand.self,
      PolicyCommand.self, SetupCommand.self, CACommand.self, CtlCommand.self, DoctorCommand.self, LabCommand.self,
      CompletionCommand.self, AuthorityCommand.self,
    ])

  /// Exit status: 0 done, 1 something wrong with the input, 2 usage, 3 environment.
  static func main() {
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch let failure as CommandFailure {
      StandardError.write("sluice: \(failure.message)\n")
      Glibc.exit(failure.status)
    } catch {
      let status = exitCode(for: error)
      let text = fullMessage(for: error)
      if status == .success {
        StandardOutput.write(text + "\n")
        Glibc.exit(0)
      }
      if !text.isEmpty { StandardError.write(text + "\n") }
      Glibc.exit(status == .validationFailure ? 2 : status.rawValue)
    }
  }
}

/// A command that could not do its work.
struct CommandFailure: Error {
  var status: Int32
  var message: String

  /// The input is wrong: rules, captures, configuration.
  static func input(_ message: String) -> CommandFailure { CommandFailure(status: 1, message: message) }
  static func usage(_ message: String) -> CommandFailure { CommandFailure(status: 2, message: message) }
  /// Kernel, privileges, ports.
  static func environment(_ message: String) -> CommandFailure {
    CommandFailure(status: 3, message: message)
  }
}
