import ArgumentParser
import Control
import Engine
import Glibc
import Traffic

/// Looks at everything the daemon needs of the machine, and says how to mend what is wrong.
struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "What of kernel, settings, rules and certificates is wrong, and how to mend it.",
    discussion: "Ends with 0 when nothing is wrong, with 3 when something is. Changes nothing.")

  @OptionGroup var options: ConfigurationOptions

  func run() throws {
    let settings = try options.load(flowSeed: 0)
    var doctor = Doctor(settings: settings, configuration: options.config, now: Timestamp(seconds: Int64(time(nil))))
    doctor.examine()
    doctor.examineDaemon(socket: settings.control.socket)
    for finding in doctor.findings { StandardOutput.write(finding.text) }
    let wrong = doctor.findings.filter { $0.isWrong }.count
    StandardOutput.write(wrong == 0 ? "nothing is wrong\n" : "\(wrong) wrong\n")
    if wrong > 0 { throw ExitCode(3) }
  }
}

extension Doctor {
  /// What the daemon tells of itself.
  fileprivate mutating func examineDaemon(socket: String) {
    do throws(ControlError) {
      let answer = try ControlClient.ask(.stats, socket: socket)
      let counters = answer.text.split(separator: "\n").map { $0.split(separator: " ") }
      func value(_ name: String) -> UInt64 { counters.first { $0.first == name[...] }?.last.flatMap { UInt64($0) } ?? 0 }
      good("the daemon runs, \(value("uptime")) s, \(value("sluice.rules.loaded")) rules, \(value("sluice.capture.packets")) packets")
      let refused = value("sluice.rules.total") &- min(value("sluice.rules.total"), value("sluice.rules.loaded"))
      if refused > 0 { wrong("\(refused) rules were refused", mend: "sluice check\(option)") }
      if value("sluice.supervisor.restarts") > 0 {
        wrong("the daemon had to be started again \(value("sluice.supervisor.restarts")) times", mend: "journalctl -u sluice")
      }
      if value("sluice.output.lost_bytes") > 0 {
        wrong("\(value("sluice.output.lost_bytes")) octets of records were lost", mend: "write fewer types (outputs), or to a faster disk")
      }
      if value("sluice.takeover.failures") > 0 {
        wrong("\(value("sluice.takeover.failures")) connections could not be taken over", mend: "sluice ctl stats; see docs/inline.md")
      }
    } catch {
      wrong("the daemon does not answer: \(error.message)", mend: "systemctl start sluice, or sluice run\(option)")
    }
  }
}
