import ArgumentParser
import Engine
import Glibc

struct LabCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lab",
    abstract: "Show an attack blocked inside TLS, between network namespaces on this machine alone.")

  @Flag(name: .long, help: "Leave everything standing after the last step, until Ctrl-C.")
  var keep = false

  func run() throws {
    var lab = Lab(
      show: { StandardOutput.write($0 + "\n") }, complain: { StandardError.write($0 + "\n") })
    lab.keeps = keep
    let status = lab.run()
    // The lab has said why.
    if status != 0 { Glibc.exit(status) }
  }
}
