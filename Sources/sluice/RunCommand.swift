import ArgumentParser
import Control
import Engine
import Glibc

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Run the gateway: inspect what the queues bring and what TLS hides.")

  @OptionGroup var options: ConfigurationOptions

  func run() throws {
    DaemonSignals.block()
    let settings = try options.load(flowSeed: 0)
    for warning in settings.warnings { StandardError.write("warning: \(warning)\n") }
    do throws(DaemonError) {
      let daemon = try Daemon(
        Daemon.Sources(
          configuration: options.config, overrides: options.settings, rules: options.rules))
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
