import Capture
import Diversion
import Glibc

/// Forwarding, reverse paths, bridges, and the interfaces that traffic comes by.
extension Doctor {
  mutating func examineForwarding() {
    guard mode == .router else { return }
    for name in ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"] {
      switch sysctl(name) {
      case 0?: wrong("\(name) is 0: nothing is forwarded", mend: "sysctl -w \(name)=1")
      case nil: note("\(name) is not there: this kernel does not know that protocol")
      default: good("\(name) is 1")
      }
    }
    let routes = try? commands.run(Command("ip", ["-4", "route", "show", "default"]))
    if routes?.status == 0, routes?.output.isEmpty == true {
      note("there is no default route: only networks at the interfaces are reached", mend: "ip route add default via ADDRESS")
    }
  }

  /// With strict filtering a packet is dropped unless answers to it would go out where it came in: the larger of an
  /// interface's value and that of all counts.
  /// - Source: Linux, Documentation/networking/ip-sysctl.rst, `rp_filter`.
  mutating func examineReversePaths() {
    guard mode == .router else { return }
    let forAll = sysctl("net.ipv4.conf.*.rp_filter") ?? 0
    let strict = interfaces().filter { max(forAll, sysctl("net.ipv4.conf.*.rp_filter", interface: $0) ?? 0) == 1 }
    guard let first = strict.first else { return good("reverse paths are not filtered strictly") }
    note(
      "rp_filter is 1 on \(strict.joined(separator: ", ")): packets that come another way than answers go are dropped before they are seen",
      mend: forAll == 1 ? "sysctl -w net.ipv4.conf.all.rp_filter=2" : "sysctl -w net.ipv4.conf.\(first).rp_filter=2")
  }

  /// Frames meet the queue by br_netfilter alone; beside a router or on a host they had better not.
  mutating func examineBridges() {
    let names = ["net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables"]
    if mode == .bridge {
      if sysctl(names[0]) == nil { wrong("kernel: br_netfilter is not there", mend: "modprobe br_netfilter") }
      for name in names where sysctl(name) == 0 {
        wrong("\(name) is 0: frames pass without being seen", mend: "sysctl -w \(name)=1")
      }
      return
    }
    let bridges = interfaces().filter { access("/sys/class/net/\($0)/bridge") }
    guard !bridges.isEmpty, names.contains(where: { sysctl($0) == 1 }) else { return }
    note(
      "frames that \(bridges.joined(separator: ", ")) forwards meet the queue too (br_netfilter)",
      mend: "sysctl -w net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0, unless containers need it")
  }

  mutating func examineListenedInterfaces() {
    for name in settings.capture.interfaces {
      if unsafe if_nametoindex(name) == 0 {
        wrong("interface \(name) is not there", mend: "set capture.interfaces to names that ip link shows")
      } else {
        good("interface \(name)")
      }
    }
  }

  /// Those that traffic comes by: sizes that do not fit, and merging of packets.
  mutating func examineInterfaces() {
    let concerned: [String]
    switch mode {
    case .tap: concerned = settings.capture.interfaces.filter { access("/sys/class/net/\($0)") }
    case .bridge: concerned = ports(of: settings.capture.bridge)
    default: concerned = interfaces().filter { !access("/sys/class/net/\($0)/bridge") }
    }
    for name in concerned { examineMerging(name) }
    examineSizes(concerned)
  }

  private mutating func examineSizes(_ names: [String]) {
    let sizes = names.compactMap { name in number("/sys/class/net/\(name)/mtu").map { (name: name, octets: $0) } }
    for one in sizes where one.octets < 1280 && mode != .tap {
      wrong(
        "\(one.name) carries packets of \(one.octets) octets: too few for IPv6 (1280)", mend: "ip link set dev \(one.name) mtu 1500")
    }
    guard let least = sizes.min(by: { $0.octets < $1.octets }), let most = sizes.max(by: { $0.octets < $1.octets }),
      least.octets != most.octets
    else { return }
    let what = "\(least.name) carries packets of \(least.octets) octets, \(most.name) of \(most.octets)"
    if mode == .bridge {
      wrong("\(what): larger frames are lost in between", mend: "ip link set dev \(least.name) mtu \(most.octets)")
    } else if mode == .router {
      note("\(what): larger packets are cut up or refused with ICMP, which firewalls must let through")
    }
  }

  /// Super-segments are what makes a queue fast; those of LRO cannot be taken apart again.
  private mutating func examineMerging(_ name: String) {
    guard let result = try? commands.run(Command("ethtool", ["-k", name])), result.status == 0 else { return }
    func isOff(_ feature: String) -> Bool? {
      result.output.split(separator: "\n").first { $0.hasPrefix(feature + ":") }.map { $0.contains(": off") }
    }
    if isOff("large-receive-offload") == false, mode != .tap {
      wrong(
        "\(name): large-receive-offload is on, which spoils packets that are forwarded", mend: "ethtool -K \(name) lro off")
    }
    if isOff("generic-receive-offload") == true {
      note("\(name): generic-receive-offload is off: each packet costs a verdict of its own", mend: "ethtool -K \(name) gro on")
    }
  }

  // MARK: Reading

  private func access(_ path: String) -> Bool { unsafe Glibc.access(path, F_OK) == 0 }

  private func names(in folder: String) -> [String] {
    guard let opened = unsafe opendir(folder) else { return [] }
    defer { unsafe closedir(opened) }
    var names: [String] = []
    while let entry = unsafe readdir(opened) {
      // SAFETY: the name ends in a zero inside the entry, which lives until the next call.
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names.sorted()
  }

  /// Those that are up, without loopback.
  private func interfaces() -> [String] {
    names(in: "/sys/class/net").filter { name in
      // IFF_UP, IFF_LOOPBACK.
      guard let text = line("/sys/class/net/\(name)/flags"), let flags = UInt32(text.dropFirst(2), radix: 16) else { return false }
      return flags & 1 != 0 && flags & 8 == 0
    }
  }

  private func ports(of bridge: String) -> [String] { names(in: "/sys/class/net/\(bridge)/brif") }
}
