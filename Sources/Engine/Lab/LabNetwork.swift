import CSluiceLinux
import Diversion
import Glibc

/// The two ways that packets go in the lab.
enum LabFamily: String, CaseIterable {
  case ipv4 = "IPv4"
  case ipv6 = "IPv6"

  /// Addresses of RFC 1918, 4193, 5737 and 3849, so that nothing on earth is meant by them.
  var client: String { self == .ipv4 ? "10.10.1.2" : "fd00:10:1::2" }
  var server: String { self == .ipv4 ? "203.0.113.2" : "2001:db8:203::2" }
  var gatewayToClient: String { self == .ipv4 ? "10.10.1.1" : "fd00:10:1::1" }
  var gatewayToServer: String { self == .ipv4 ? "203.0.113.1" : "2001:db8:203::1" }
  var prefixLength: String { self == .ipv4 ? "24" : "64" }
  var flag: String { self == .ipv4 ? "-4" : "-6" }
  /// In a URL or before a port.
  var bracketedServer: String { self == .ipv4 ? server : "[\(server)]" }
}

/// Client, gateway and server, each in a network namespace of its own, in a row.
///
/// The names bear the number of this process, so that two labs don't meet.
struct LabNetwork {
  let client: String
  let gateway: String
  let server: String

  init() {
    let prefix = "sluice-lab-\(getpid())-"
    client = prefix + "client"
    gateway = prefix + "gateway"
    server = prefix + "server"
  }

  private var all: [String] { [client, gateway, server] }

  func up(_ workshop: LabWorkshop) throws(LabError) {
    for name in all {
      try workshop.need(Command("ip", ["netns", "add", name]))
      try workshop.need(Command("ip", ["-n", name, "link", "set", "lo", "up"]))
      // Addresses can be used at once; nobody else could have them.
      for key in ["all", "default"] { try set("net.ipv6.conf.\(key).accept_dad=0", in: name, workshop) }
    }
    try connect(client, "client0", workshop)
    try connect(server, "server0", workshop)
    for family in LabFamily.allCases {
      try address(family.client, family, "eth0", in: client, workshop)
      try address(family.server, family, "eth0", in: server, workshop)
      try address(family.gatewayToClient, family, "client0", in: gateway, workshop)
      try address(family.gatewayToServer, family, "server0", in: gateway, workshop)
    }
    for name in [client, server] {
      try workshop.need(Command("ip", ["-n", name, "link", "set", "eth0", "up"]))
    }
    for link in ["client0", "server0"] {
      try workshop.need(Command("ip", ["-n", gateway, "link", "set", link, "up"]))
    }
    for family in LabFamily.allCases {
      try route(family, via: family.gatewayToClient, in: client, workshop)
      try route(family, via: family.gatewayToServer, in: server, workshop)
    }
    try set("net.ipv4.ip_forward=1", in: gateway, workshop)
    try set("net.ipv6.conf.all.forwarding=1", in: gateway, workshop)
  }

  /// Takes all three away, with whatever still runs in them.
  func down() {
    let commands = SystemCommands()
    for name in all {
      let left = try? commands.run(Command("ip", ["netns", "pids", name])).output
      for process in (left ?? "").split(separator: "\n").compactMap({ pid_t($0) }) { kill(process, SIGKILL) }
      _ = try? commands.run(Command("ip", ["netns", "delete", name]))
    }
  }

  /// The command, as it is run in a namespace.
  static func inside(_ name: String, _ command: Command) -> Command {
    Command("ip", ["netns", "exec", name, command.program] + command.arguments, input: command.input)
  }

  private func connect(_ end: String, _ link: String, _ workshop: LabWorkshop) throws(LabError) {
    let pair = ["link", "add", "eth0", "netns", end, "type", "veth", "peer", "name", link, "netns", gateway]
    try workshop.need(Command("ip", pair))
  }

  private func address(
    _ address: String, _ family: LabFamily, _ link: String, in name: String, _ workshop: LabWorkshop
  ) throws(LabError) {
    let arguments = ["-n", name, "address", "add", address + "/" + family.prefixLength, "dev", link]
    try workshop.need(Command("ip", arguments + (family == .ipv6 ? ["nodad"] : [])))
  }

  private func route(
    _ family: LabFamily, via gateway: String, in name: String, _ workshop: LabWorkshop
  ) throws(LabError) {
    try workshop.need(Command("ip", ["-n", name, family.flag, "route", "add", "default", "via", gateway]))
  }

  private func set(_ setting: String, in name: String, _ workshop: LabWorkshop) throws(LabError) {
    try workshop.need(Self.inside(name, Command("sysctl", ["-q", "-w", setting])))
  }
}
