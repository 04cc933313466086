import CSluiceLinux
import Capture
import Diversion
import Glibc
import Traffic

/// Looks at everything the daemon needs of the machine. Changes nothing.
///
/// Each finding that is wrong bears the command that mends it, as it is to be typed. What depends on the operator's wishes
/// is noted and not called wrong.
public struct Doctor {
  let settings: Settings
  /// The file that the settings came from, for the commands.
  let configuration: String?
  let commands: SystemCommands
  /// Seconds since 1970.
  let now: Int64
  public private(set) var findings: [Finding] = []

  public init(settings: Settings, configuration: String?, now: Timestamp) {
    self.settings = settings
    self.configuration = configuration
    self.now = now.seconds
    commands = SystemCommands(timeoutSeconds: 10)
  }

  /// What commands of Sluice's need to find the same settings.
  public var option: String { configuration.map { " --config \($0)" } ?? "" }
  var mode: CaptureSettings.Mode { settings.capture.mode }
  var usesQueues: Bool { mode == .router || mode == .bridge || mode == .host }
  var opensTLS: Bool { settings.interception.isEnabled && mode != .host && mode != .tap }

  /// All but what only the daemon can tell.
  public mutating func examine() {
    examineRights()
    examineConfinement()
    if usesQueues {
      examinePrograms()
      examineQueues()
      examineTracking()
      examineForwarding()
      examineReversePaths()
      examineBridges()
      examineDiversion()
    }
    if mode == .tap { examineListenedInterfaces() }
    if usesQueues || mode == .tap { examineInterfaces() }
    if opensTLS { examineInterception() }
    examineTime()
    examineRules()
    examineLimits()
  }

  public mutating func good(_ what: String) { findings.append(Finding(kind: .good, what: what)) }
  public mutating func note(_ what: String, mend: String? = nil) {
    findings.append(Finding(kind: .noted, what: what, mend: mend))
  }
  public mutating func wrong(_ what: String, mend: String) {
    findings.append(Finding(kind: .wrong, what: what, mend: mend))
  }

  // MARK: Reading

  /// The first line of a small file; nil where there is none.
  func line(_ path: String) -> String? {
    TextFile.read(path).flatMap { octets in
      octets.split(separator: UInt8(ascii: "\n"), maxSplits: 1).first.map { String(decoding: $0, as: UTF8.self) }
    }
  }

  func number(_ path: String) -> Int? {
    line(path).flatMap { Int($0.filter { !$0.isWhitespace }) }
  }

  /// A setting of the kernel's by its dotted name; names of interfaces may hold dots, so they come by themselves.
  func sysctl(_ name: String, interface: String? = nil) -> Int? {
    let path = name.split(separator: ".").map { $0 == "*" ? interface ?? "all" : String($0) }.joined(separator: "/")
    return number("/proc/sys/" + path)
  }
}
