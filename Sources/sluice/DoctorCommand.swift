import ArgumentParser
import CSluiceLinux
import Capture
import Control
import Diversion
import Engine
import Glibc
import Interception

/// Looks at everything the daemon needs of the machine, and says how to mend what is wrong.
struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "What of kernel, settings, rules and certificates is wrong, and how to mend it.",
    discussion: "Ends with 0 when nothing is wrong, with 3 when something is. Changes nothing.")

  @OptionGroup var options: ConfigurationOptions

  func run() throws {
    let settings = try options.load(flowSeed: 0)
    var doctor = Doctor(settings: settings, configuration: options.config)
    doctor.examine()
    for finding in doctor.findings { StandardOutput.write(finding.text) }
    let wrong = doctor.findings.filter { $0.isWrong }.count
    StandardOutput.write(wrong == 0 ? "nothing is wrong\n" : "\(wrong) wrong\n")
    if wrong > 0 { throw ExitCode(3) }
  }
}

/// One thing that was looked at.
struct Finding {
  enum Kind { case good, noted, wrong }
  var kind: Kind
  var what: String
  /// A command, or words where none can do it.
  var mend: String?

  var isWrong: Bool { kind == .wrong }

  var text: String {
    let word =
      switch kind {
      case .good: "ok     "
      case .noted: "note   "
      case .wrong: "WRONG  "
      }
    return word + what + "\n" + (mend.map { "       mend: \($0)\n" } ?? "")
  }
}

struct Doctor {
  let settings: Engine.Settings
  let configuration: String?
  private(set) var findings: [Finding] = []
  private let commands = SystemCommands(timeoutSeconds: 10)

  init(settings: Engine.Settings, configuration: String?) {
    self.settings = settings
    self.configuration = configuration
  }

  private var option: String { configuration.map { " --config \($0)" } ?? "" }
  private var mode: CaptureSettings.Mode { settings.capture.mode }
  private var usesQueues: Bool { mode == .router || mode == .bridge || mode == .host }

  mutating func examine() {
    examineRights()
    if usesQueues {
      examinePrograms()
      examineQueues()
      examineTracking()
      examineForwarding()
      examineDiversion()
    }
    if mode == .tap { examineInterfaces() }
    if settings.interception.isEnabled, mode != .host, mode != .tap { examineInterception() }
    examineRules()
    examineLimits()
    examineDaemon()
  }

  private mutating func good(_ what: String) { findings.append(Finding(kind: .good, what: what)) }
  private mutating func note(_ what: String, mend: String? = nil) {
    findings.append(Finding(kind: .noted, what: what, mend: mend))
  }
  private mutating func wrong(_ what: String, mend: String) {
    findings.append(Finding(kind: .wrong, what: what, mend: mend))
  }

  // MARK: Kernel

  private mutating func examineRights() {
    // CAP_NET_ADMIN and CAP_NET_RAW.
    if sluice_effective_capabilities() & 0x3000 == 0x3000 {
      good("rights: CAP_NET_ADMIN and CAP_NET_RAW")
    } else {
      wrong("rights: this needs CAP_NET_ADMIN and CAP_NET_RAW", mend: "sudo sluice doctor\(option)")
    }
  }

  private mutating func examinePrograms() {
    let needed = [("iptables-restore", "iptables"), ("ip6tables-restore", "iptables"), ("ip", "iproute2"), ("sysctl", "procps")]
      + (mode == .bridge ? [("nft", "nftables")] : [])
    for (program, package) in needed {
      if (try? commands.run(Command(program, ["--version"]))) == nil {
        wrong("program \(program) is missing", mend: "apt-get install \(package)")
      } else {
        good("program \(program)")
      }
    }
  }

  private mutating func examineQueues() {
    do throws(CaptureError) {
      try NFQueue.checkAvailability()
      good("kernel: NFQUEUE")
    } catch {
      wrong("kernel: \(error.description)", mend: "modprobe nfnetlink_queue")
      return
    }
    for place in 0..<settings.capture.queueCount {
      let number = settings.capture.firstQueue &+ place
      guard let queue = try? QueueStatistics.of(number) else { continue }
      let lost = queue.queueDropCount &+ queue.socketDropCount
      if lost > 0 {
        wrong(
          "queue \(number): \(lost) packets found no room (of \(queue.lastPacketID))",
          mend: "set capture.queues to the number of cores, or capture.queue-length above \(settings.capture.queueLength)")
      } else {
        good("queue \(number): bound, nothing lost of \(queue.lastPacketID) packets")
      }
    }
  }

  private mutating func examineTracking() {
    do throws(CaptureError) {
      _ = try Conntrack(hearsEnds: true)
      good("kernel: connection tracking can be asked")
    } catch {
      wrong("kernel: \(error.description)", mend: "modprobe nf_conntrack_netlink")
    }
    guard let used = number("/proc/sys/net/netfilter/nf_conntrack_count"),
      let most = number("/proc/sys/net/netfilter/nf_conntrack_max"), most > 0
    else { return }
    if used * 10 > most * 8 {
      wrong(
        "connection tracking holds \(used) of \(most) connections: beyond, new ones are dropped",
        mend: "sysctl -w net.netfilter.nf_conntrack_max=\(most * 4)")
    } else {
      good("connection tracking holds \(used) of \(most) connections")
    }
  }

  private mutating func examineForwarding() {
    guard mode == .router else { return }
    for (name, path) in [
      ("net.ipv4.ip_forward", "/proc/sys/net/ipv4/ip_forward"),
      ("net.ipv6.conf.all.forwarding", "/proc/sys/net/ipv6/conf/all/forwarding"),
    ] {
      switch number(path) {
      case 0?: wrong("\(name) is 0: nothing is forwarded", mend: "sysctl -w \(name)=1")
      case nil: note("\(name) is not there: this kernel does not know that protocol")
      default: good("\(name) is 1")
      }
    }
  }

  private mutating func examineDiversion() {
    do throws(DiversionError) {
      guard let plan = try SetupCommand.plan(settings, tells: false) else { return }
      let status = try Diversion(plan: plan, commands: commands).status()
      if status.isUp {
        good("diversion is set up (\(status.present.count) parts)")
      } else if status.isAnythingThere {
        wrong("diversion is not complete, missing: \(status.missing[0])", mend: "sluice setup up\(option)")
      } else {
        wrong("diversion is not set up: no packet reaches the daemon", mend: "sluice setup up\(option)")
      }
    } catch {
      let mend =
        mode == .bridge ? "ip link add \(settings.capture.bridge) type bridge, or set capture.bridge" : "sudo sluice doctor\(option)"
      wrong(error.description, mend: mend)
    }
    guard mode == .bridge else { return }
    if number("/proc/sys/net/bridge/bridge-nf-call-iptables") == nil {
      wrong("kernel: br_netfilter is not there", mend: "modprobe br_netfilter")
    }
  }

  private mutating func examineInterfaces() {
    for name in settings.capture.interfaces {
      if unsafe if_nametoindex(name) == 0 {
        wrong("interface \(name) is not there", mend: "set capture.interfaces to names that ip link shows")
      } else {
        good("interface \(name)")
      }
    }
  }

  // MARK: TLS

  private mutating func examineInterception() {
    if mode != .explicit {
      if let obstacle = RepairedConnection.obstacle() {
        wrong("connections cannot be taken over: \(obstacle)", mend: "run as root, on a kernel with CONFIG_CHECKPOINT_RESTORE")
      } else {
        good("kernel: connections can be taken over (TCP_REPAIR)")
      }
    }
    let key = settings.interception.caKey
    var status = stat()
    if unsafe stat(key, &status) != 0 {
      wrong("the CA's key \(key) is not there: TLS cannot be opened", mend: "sluice ca init\(option)")
    } else if status.st_mode & 0o077 != 0 {
      wrong("others may read the CA's key \(key)", mend: "chmod 600 \(key)")
    } else {
      good("the CA's key \(key)")
    }
    if unsafe access(settings.interception.caCertificate, R_OK) != 0 {
      wrong("the CA's certificate \(settings.interception.caCertificate) cannot be read", mend: "sluice ca init\(option)")
    } else {
      note("clients must trust the CA", mend: "sluice ca export\(option) > sluice-ca.pem, and put it into their stores")
    }
  }

  // MARK: Rules, limits, daemon

  private mutating func examineRules() {
    if settings.rules.files.isEmpty {
      wrong("no rules are set: everything passes", mend: "set rule-files in the configuration")
    } else {
      note("\(settings.rules.files.count) rule files are set", mend: "sluice check\(option) says which rules do not load")
    }
  }

  private mutating func examineLimits() {
    var limit = rlimit()
    unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    if limit.rlim_cur < 65_536, settings.interception.isEnabled {
      note("descriptors are limited to \(limit.rlim_cur), two for each TLS connection", mend: "ulimit -n 1048576 (the unit does)")
    }
    if unsafe access(settings.outputs.directory, W_OK) != 0, errno != ENOENT {
      wrong("\(settings.outputs.directory) cannot be written to", mend: "mkdir -p \(settings.outputs.directory), or set default-log-dir")
    }
  }

  private mutating func examineDaemon() {
    do throws(ControlError) {
      let answer = try ControlClient.ask(.stats, socket: settings.control.socket)
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

  private func number(_ path: String) -> Int? {
    TextFile.read(path).flatMap { Int(String(decoding: $0, as: UTF8.self).filter { !$0.isWhitespace }) }
  }
}
