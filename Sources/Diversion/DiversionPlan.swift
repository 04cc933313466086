/// An address family that rules and routes are kept for.
public enum AddressFamily: String, Sendable, CaseIterable, Comparable {
  case ipv4, ipv6

  public static func < (left: Self, right: Self) -> Bool { left == .ipv4 && right == .ipv6 }

  /// `-4` or `-6`, for ip(8) and in front of a line of a rule file.
  var flag: String { self == .ipv4 ? "-4" : "-6" }
  /// The command that loads rules of the family.
  var restoreCommand: String { self == .ipv4 ? "iptables-restore" : "ip6tables-restore" }
  var saveCommand: String { self == .ipv4 ? "iptables-save" : "ip6tables-save" }
  var ruleCommand: String { self == .ipv4 ? "iptables" : "ip6tables" }
  /// The family's name in nftables.
  var nftablesName: String { self == .ipv4 ? "ip" : "ip6" }
}

/// A kernel setting that diversion needs, and why.
public struct SysctlSetting: Sendable, Equatable {
  public let name: String
  public let value: String

  public init(name: String, value: String) {
    self.name = name
    self.value = value
  }

  /// A closed server leg in TIME_WAIT has the 5-tuple of the client's next connection to come from the same
  /// port, and would swallow its SYN-ACK.
  public static let noTimeWait = SysctlSetting(name: "net.ipv4.tcp_max_tw_buckets", value: "0")
  /// The SYN of an intercepted connection is tracked before there is a socket, and nothing follows it there;
  /// seconds that its entry is kept, long enough for a client that sends its SYN anew.
  public static let shortHandshake = SysctlSetting(
    name: "net.netfilter.nf_conntrack_tcp_timeout_syn_sent", value: "30")
}

extension SysctlSetting {
  /// Frames of a bridge go through the chains of iptables.
  public static let bridgeIPv4 = SysctlSetting(name: "net.bridge.bridge-nf-call-iptables", value: "1")
  public static let bridgeIPv6 = SysctlSetting(name: "net.bridge.bridge-nf-call-ip6tables", value: "1")
  /// What a bridge lifts to this machine comes from where no route leads, for the bridge needs no address: any filter of
  /// reverse paths, strict or loose, would drop it. Of an interface's value and that of all the larger counts.
  /// - Source: Linux, Documentation/networking/ip-sysctl.rst, `rp_filter`; sysctl(8) on names with dots.
  public static func anyReversePath(_ interface: String) -> SysctlSetting {
    let name = String(interface.map { $0 == "." ? "/" : $0 })
    return SysctlSetting(name: "net.ipv4.conf.\(name).rp_filter", value: "0")
  }
  /// Connections that the kernel passes by itself are counted by it alone.
  public static let accounting = SysctlSetting(name: "net.netfilter.nf_conntrack_acct", value: "1")
}

/// Where in the kernel packets come to Sluice, and how connections that it takes over reach it.
public enum DiversionVariant: Sendable, Equatable {
  /// Forwarded packets before their route is chosen.
  case router
  /// Forwarded packets behind the choice of their route, where both directions bear the inside addresses:
  /// for a router that translates addresses itself.
  case translatingRouter
  /// Frames that a bridge forwards, through br_netfilter; `address` is the bridge's own.
  case bridge(name: String, address: String)
  /// Packets to and from this machine.
  case host

  var isBridge: Bool { if case .bridge = self { true } else { false } }
}

/// What has to stand in the kernel for packets to come to Sluice when it is a router.
///
/// Order in mangle PREROUTING: what isn't through traffic is left alone; packets of the proxy's own sockets are
/// marked and delivered here; packets that re-enter with the deliver mark go to the listener (TPROXY); with the
/// release mark they set the connection mark and pass, as does the rest of their connection; all else is queued.
///
/// The rules go behind those of others in the same chain, so that a packet bears the others' marks when it
/// is queued. Intercepted connections end at this machine: rules in the FORWARD chain don't see them.
public struct DiversionPlan: Sendable, Equatable {
  /// Where packets are taken out of the kernel.
  public var variant: DiversionVariant
  /// NFQUEUE numbers, one for each worker.
  public var queues: ClosedRange<UInt16>
  /// Whether packets pass uninspected when nobody listens on their queue; otherwise they are dropped.
  public var failOpen: Bool
  /// Destination ports whose SYN goes to the listener at once, without a look from the queue. These
  /// connections fail when there is no listener, also with `failOpen`.
  public var interceptPorts: [UInt16]
  /// Port of the transparent listener, in both families.
  public var listenPort: UInt16
  public var marks: MarkLayout
  /// Routing table that delivers locally, for marked packets.
  public var routeTable: UInt32
  /// Priority of the policy rule that leads there; before any rule that would route the packet elsewhere.
  public var rulePriority: UInt32
  public var families: Set<AddressFamily>
  /// Set by `up`, put back by `down`.
  public var sysctls: [SysctlSetting]

  public init(
    variant: DiversionVariant = .router, queues: ClosedRange<UInt16> = 0...0, failOpen: Bool = true, interceptPorts: [UInt16] = [],
    listenPort: UInt16 = 8443, marks: MarkLayout = .standard, routeTable: UInt32 = 7171,
    rulePriority: UInt32 = 71, families: Set<AddressFamily> = [.ipv4, .ipv6],
    sysctls: [SysctlSetting] = [.noTimeWait, .shortHandshake, .accounting]
  ) {
    self.variant = variant
    self.queues = queues
    self.failOpen = failOpen
    self.interceptPorts = interceptPorts
    self.listenPort = listenPort
    self.marks = marks
    self.routeTable = routeTable
    self.rulePriority = rulePriority
    self.families = families
    self.sysctls = sysctls
  }

  /// Tables 253 to 255 and 0 are the kernel's own, the priorities 0, 32766 and 32767 too.
  static let reservedTables: Set<UInt32> = [0, 253, 254, 255]
  static let reservedPriorities: Set<UInt32> = [0, 32766, 32767]
  /// Each queue costs a rule and a thread; more queues than this are a mistake in the settings.
  public static let queueCountMax = 256

  /// What the operator has to mend before this plan can be used; empty when it can.
  public var faults: [String] {
    var faults: [String] = []
    if case .bridge(let name, let address) = variant {
      if name.isEmpty || name.count > 15 || name.contains(where: { " /\"".contains($0) }) {
        faults.append("the bridge's name '\(name)' is none")
      }
      if !address.isEmpty, address.split(separator: ":").count != 6 {
        faults.append("the bridge's address '\(address)' is none")
      }
    }
    if families.isEmpty { faults.append("no address family is chosen") }
    if listenPort == 0 { faults.append("the listener's port is 0") }
    if interceptPorts.contains(0) { faults.append("0 is among the ports to intercept") }
    if queues.count > Self.queueCountMax {
      faults.append("\(queues.count) queues are more than \(Self.queueCountMax)")
    }
    if Self.reservedTables.contains(routeTable) { faults.append("route table \(routeTable) is the kernel's") }
    if Self.reservedPriorities.contains(rulePriority) {
      faults.append("rule priority \(rulePriority) is the kernel's")
    }
    return faults
  }

  var sortedFamilies: [AddressFamily] { families.sorted() }
}
