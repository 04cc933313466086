import ArgumentParser
import CSluiceLinux
import Control
import Engine
import Glibc
import Interception

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Run the gateway: inspect what the queues bring and what TLS hides.")

  @OptionGroup var options: ConfigurationOptions

  @Flag(name: .long, help: "Without the process that starts the daemon again when it crashes.")
  var unsupervised = false

  @Flag(name: .long, help: .private)
  var worker = false

  @Option(name: .long, help: .private)
  var restarts: UInt64 = 0

  func run() throws {
    guard worker || unsupervised else {
      var arguments: [String] = []
      if let config = options.config { arguments += ["--config", config] }
      for setting in options.settings { arguments += ["--set", setting] }
      for path in options.rules { arguments += ["--rules", path] }
      var supervisor = Supervisor(arguments: arguments)
      let status = supervisor.run()
      if status != 0 { throw ExitCode(status) }
      return
    }
    OpenSSLMemory.keepBuffers()
    if worker { _ = sluice_end_with_parent() }
    DaemonSignals.block()
    Confinement.raiseDescriptorLimit()
    let settings = try options.load(flowSeed: 0)
    for warning in settings.warnings { StandardError.write("warning: \(warning)\n") }
    let authority: AuthorityProcess?
    do throws(DaemonError) {
      authority = try AuthorityProcess.start(settings)
    } catch {
      throw CommandFailure.environment(error.message)
    }
    let unhidden = AuthorityProcess.hideKey(settings)
    for note in Confinement.enter(settings) { StandardError.write("warning: \(note)\n") }
    if AuthorityProcess.keyIsReadable(settings) {
      StandardError.write("warning: the daemon itself could still read \(settings.interception.caKey) (\(unhidden ?? "")); see docs/decisions/processes.md\n")
    }
    do throws(DaemonError) {
      var sources = Daemon.Sources(
        configuration: options.config, overrides: options.settings, rules: options.rules)
      sources.isSupervised = worker
      sources.restarts = restarts
      sources.authority = authority
      let daemon = try Daemon(sources)
      let control: ControlServer
      do throws(ControlError) {
        control = try ControlServer(path: settings.control.socket, daemon: daemon)
      } catch {
        daemon.abandon()
        throw DaemonError.environment(error.message)
      }
      let metrics: MetricsServer?
      do throws(ControlError) {
        metrics = try settings.control.metrics.map { (listen) throws(ControlError) in
          try MetricsServer(listen: listen, daemon: daemon)
        }
      } catch {
        daemon.abandon()
        control.stop()
        throw DaemonError.environment(error.message)
      }
      do throws(DaemonError) {
        try daemon.run()
      } catch {
        metrics?.stop()
        control.stop()
        throw error
      }
      metrics?.stop()
      control.stop()
      if daemon.isBusy { Glibc._exit(0) }
    } catch {
      switch error {
      case .input(let message): throw CommandFailure.input(message)
      case .environment(let message): throw CommandFailure.environment(message)
      // Rules are still being compiled, on a thread that must not see the process taken apart.
      case .stopped: Glibc._exit(0)
      }
    }
  }
}
