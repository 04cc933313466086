import ArgumentParser
import Glibc
import Interception

/// The process that holds the authority's key; the daemon starts it.
struct AuthorityCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "authority", shouldDisplay: false)

  @Option(name: .long, help: .private) var key: String
  @Option(name: .long, help: .private) var certificate: String
  @Option(name: .long, help: .private) var user: String
  @Argument(help: .private) var descriptors: [Int32]

  func run() throws {
    let keeper = AuthorityKeeper(keyPath: key, certificatePath: certificate, user: user, descriptors: descriptors)
    let status = keeper.run()
    if status != 0 { throw ExitCode(status) }
  }
}
