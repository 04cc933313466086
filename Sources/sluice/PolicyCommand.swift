import ArgumentParser
import Engine
import Traffic

struct PolicyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "policy", abstract: "The policy for TLS connections: explain it, and see what was learned.",
    subcommands: [
      PolicyExplainCommand.self, PolicyLearnedCommand.self, PolicyApproveCommand.self, PolicyForgetCommand.self,
    ])
}

struct PolicyExplainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract: "Say what is done with a TLS connection to a server, and which entry decides.")

  @Option(
    name: .long, help: ArgumentHelp("Configuration file.", valueName: "file"), completion: .file(extensions: ["yaml", "yml"]))
  var config: String?

  @Option(name: .customLong("set"), help: ArgumentHelp("A setting over the configuration: KEY=VALUE.", valueName: "key=value"))
  var settings: [String] = []

  @Option(name: .long, help: "The client's address.")
  var client: String?

  @Option(name: .long, help: "The server's address.")
  var server: String?

  @Option(name: .long, help: "The server's port.")
  var port: UInt16 = 443

  @Option(name: .long, help: "A protocol the client offers by ALPN; may be given several times.")
  var alpn: [String] = []

  @Argument(help: "The name the client asks for (SNI), or '-' for none.")
  var host: String

  func run() throws {
    var question = PolicyQuestion(name: host == "-" ? nil : host)
    question.port = port
    if let client { question.client = try address(client) }
    if let server { question.server = try address(server) }
    if !alpn.isEmpty { question.alpn = alpn }
    let answer: (decision: String, reason: String, steps: [String])
    do throws(SettingsError) {
      let settings = try Settings.load(file: config, overrides: settings, flowSeed: 0)
      let (decision, steps) = TLSPolicy(settings.policy).explain(question)
      answer = (String(describing: decision.action), decision.reason, steps)
    } catch {
      throw CommandFailure.input(error.message)
    }
    let from = client.map { " from \($0)" } ?? ""
    StandardOutput.write("\(host)\(from): \(answer.decision): \(answer.reason)\n")
    for step in answer.steps { StandardOutput.write("  \(step)\n") }
  }

  private func address(_ text: String) throws -> IPAddress {
    guard let address = IPAddress(text) else { throw CommandFailure.usage("\(text) is no address") }
    return address
  }
}
