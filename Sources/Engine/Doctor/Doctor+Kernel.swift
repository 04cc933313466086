import CSluiceLinux
import Capture
import Diversion
import Glibc

/// The kernel: rights, queues, connection tracking, the rules of diversion.
extension Doctor {
  mutating func examineRights() {
    // CAP_NET_ADMIN and CAP_NET_RAW.
    if sluice_effective_capabilities() & 0x3000 == 0x3000 {
      good("rights: CAP_NET_ADMIN and CAP_NET_RAW")
    } else {
      wrong("rights: this needs CAP_NET_ADMIN and CAP_NET_RAW", mend: "sudo sluice doctor\(option)")
    }
  }

  mutating func examineConfinement() {
    guard settings.control.isConfined else {
      note("the daemon keeps all its rights (control.confine is no)", mend: "set control.confine to yes")
      return
    }
    if line("/proc/sys/kernel/seccomp/actions_avail") == nil {
      note("kernel: system calls cannot be filtered (no seccomp)", mend: "use a kernel with CONFIG_SECCOMP_FILTER")
    }
    if let modules = line("/sys/kernel/security/lsm"), !modules.split(separator: ",").contains("landlock") {
      note("kernel: where the daemon writes cannot be limited (no Landlock)", mend: "add landlock to lsm= on the kernel's command line")
    }
  }

  mutating func examinePrograms() {
    let needed =
      [("iptables-restore", "iptables"), ("ip6tables-restore", "iptables"), ("ip", "iproute2"), ("sysctl", "procps")]
      + (mode == .bridge ? [("nft", "nftables")] : [])
    for (program, package) in needed {
      if (try? commands.run(Command(program, ["--version"]))) == nil {
        wrong("program \(program) is missing", mend: "apt-get install \(package)")
      } else {
        good("program \(program)")
      }
    }
  }

  mutating func examineQueues() {
    do throws(CaptureError) {
      try NFQueue.checkAvailability()
      good("kernel: NFQUEUE")
    } catch {
      wrong("kernel: \(error.description)", mend: "modprobe nfnetlink_queue")
      return
    }
    for place in 0..<settings.capture.queueCount { examineQueue(settings.capture.firstQueue &+ place) }
    let processors = sysconf(Int32(_SC_NPROCESSORS_ONLN))
    if processors > 0, Int(settings.capture.queueCount) > processors {
      note(
        "capture.queues is \(settings.capture.queueCount), with \(processors) processors", mend: "set capture.queues to \(processors)")
    }
  }

  private mutating func examineQueue(_ number: UInt16) {
    guard let queue = (try? QueueStatistics.of(number)) ?? nil else {
      let fate = settings.capture.failsOpen ? "pass uninspected" : "are dropped"
      wrong("queue \(number): nobody listens; packets \(fate)", mend: "systemctl start sluice, or sluice run\(option)")
      return
    }
    // Mostly the number of the process that has it.
    let holder = line("/proc/\(queue.port)/comm").map { " by process \(queue.port) (\($0))" } ?? ""
    let lost = queue.queueDropCount &+ queue.socketDropCount
    if lost > 0 {
      wrong(
        "queue \(number): \(lost) packets found no room (of \(queue.lastPacketID))",
        mend: "set capture.queues to the number of processors, or capture.queue-length above \(settings.capture.queueLength)")
    } else {
      good("queue \(number): bound\(holder), nothing lost of \(queue.lastPacketID) packets")
    }
  }

  mutating func examineTracking() {
    do throws(CaptureError) {
      _ = try Conntrack(hearsEnds: true)
      good("kernel: connection tracking can be asked")
    } catch {
      wrong("kernel: \(error.description)", mend: "modprobe nf_conntrack_netlink")
    }
    guard let used = sysctl("net.netfilter.nf_conntrack_count"), let most = sysctl("net.netfilter.nf_conntrack_max"), most > 0
    else { return }
    if used > most / 5 * 4 {
      wrong(
        "connection tracking holds \(used) of \(most) connections: beyond, new ones are dropped",
        mend: "sysctl -w net.netfilter.nf_conntrack_max=\(most.multipliedReportingOverflow(by: 4).partialValue)")
    } else {
      good("connection tracking holds \(used) of \(most) connections")
    }
  }

  mutating func examineDiversion() {
    do throws(DiversionError) {
      guard let plan = try settings.diversionPlan(on: commands) else { return }
      let diversion = Diversion(plan: plan, commands: commands)
      for clash in try diversion.clashes() { wrong(clash.what, mend: clash.removal) }
      let status = try diversion.status()
      if status.isUp {
        good("diversion is set up (\(status.present.count) parts)")
      } else if status.isAnythingThere {
        wrong("diversion is not complete, missing: \(status.missing[0])", mend: "sluice setup up\(option)")
      } else {
        wrong("diversion is not set up: no packet reaches the daemon", mend: "sluice setup up\(option)")
        examineRules(of: diversion)
      }
    } catch {
      let mend =
        mode == .bridge
        ? "ip link add \(settings.capture.bridge) type bridge, or set capture.bridge" : "sudo sluice doctor\(option)"
      wrong(error.description, mend: mend)
    }
  }

  /// Whether the kernel has what the rules are made of, before they are needed.
  private mutating func examineRules(of diversion: Diversion<SystemCommands>) {
    do throws(DiversionError) {
      try diversion.test()
      good("kernel: it has what diversion needs")
    } catch {
      wrong(
        "kernel: \(error.description)",
        mend: "modprobe -a xt_NFQUEUE xt_TPROXY xt_socket xt_connmark xt_CT xt_bpf xt_addrtype xt_multiport, "
          + "from the package with all modules of this kernel")
    }
  }
}
