import Diversion
import Glibc

/// Shows Sluice at work on one machine: three network namespaces, an attack in each direction inside TLS, and the
/// events that prove what became of it.
///
/// Everything it makes (namespaces, processes, a folder) is gone when `run` returns, also after Ctrl-C and after a
/// failure. Needs root, and the programs ip, sysctl, ss, nginx, openssl and curl.
public struct Lab {
  /// Leaves everything standing after the last step, until Ctrl-C.
  public var keeps = false
  private let show: (String) -> Void
  private let complain: (String) -> Void

  /// - Parameters:
  ///   - show: takes a line for standard output.
  ///   - complain: takes a line for standard error.
  public init(show: @escaping (String) -> Void, complain: @escaping (String) -> Void) {
    self.show = show
    self.complain = complain
  }

  /// Builds the lab, takes every step, and takes it down again.
  /// - Returns: an exit status: 0 when all came out as it has to, 1 when not, 3 when this machine can't do it.
  public func run() -> Int32 {
    guard geteuid() == 0 else {
      complain("sluice lab makes network namespaces: it needs root")
      return 3
    }
    let interruption = LabInterruption()
    do throws(LabError) {
      guard let program = Self.program else { throw .environment("/proc/self/exe can't be read") }
      guard let rules = Self.rules(beside: program) else {
        throw .environment("Sluice's rules are neither in /etc/sluice/rules nor beside \(program)")
      }
      let workshop = try LabWorkshop(interruption: interruption)
      defer { workshop.remove() }
      let network = LabNetwork()
      defer { network.down() }
      return try build(workshop, network, program, rules) ? 0 : 1
    } catch {
      complain("sluice lab: \(error)")
      return 3
    }
  }

  private func build(
    _ workshop: LabWorkshop, _ network: LabNetwork, _ program: String, _ rules: String
  ) throws(LabError) -> Bool {
    let here = LabFamily.ipv4
    show("client \(here.client) -- gateway with Sluice -- \(LabServer.name) \(here.server), in namespaces")
    try network.up(workshop)
    try LabServer.prepare(workshop)
    let server = try LabServer.start(in: network, workshop)
    defer { server.end() }
    let gateway = LabGateway(program: program, network: network, workshop: workshop)
    try workshop.makeFolder("log")
    try gateway.prepare(rules: rules)
    show("starting Sluice with the rules of \(rules)")
    let daemon = try gateway.start()
    defer { daemon.end() }
    let isGood = try takeSteps(network, gateway, workshop)
    if daemon.poll() != nil {
      throw .environment("the gateway ended on its own: \(workshop.read("sluice.log"))")
    }
    if keeps { stay(network, workshop) } else { try gateway.stop() }
    return isGood
  }

  private func takeSteps(
    _ network: LabNetwork, _ gateway: LabGateway, _ workshop: LabWorkshop
  ) throws(LabError) -> Bool {
    let judge = LabJudge(
      client: LabClient(network: network, workshop: workshop), gateway: gateway, workshop: workshop)
    var counts = (good: 0, bad: 0)
    for family in LabFamily.allCases {
      for step in try LabStep.all(workshop) {
        let finding = try judge.take(step, family)
        let isGood = finding.faults.isEmpty
        if isGood { counts.good += 1 } else { counts.bad += 1 }
        show("\(isGood ? "ok  " : "FAIL") \(family.rawValue) \(step.name)")
        for line in finding.seen { show("       \(line)") }
        for fault in finding.faults { show("       WRONG: \(fault)") }
      }
    }
    show("\(counts.good) passed, \(counts.bad) failed")
    return counts.bad == 0
  }

  private func stay(_ network: LabNetwork, _ workshop: LabWorkshop) {
    let authority = workshop.path(LabGateway.authority)
    let server = "\(LabServer.name):443:\(LabFamily.ipv4.server)"
    show("The lab stands until Ctrl-C. Try:")
    show(
      "  ip netns exec \(network.client) curl --cacert \(authority) --resolve \(server) https://\(LabServer.name)/"
    )
    show("  tail -f \(workshop.path("log/eve.json"))")
    workshop.interruption.wait()
  }

  // MARK: Where things are

  private static var program: String? {
    var path = [UInt8](repeating: 0, count: 4096)
    let count = unsafe path.withUnsafeMutableBytes { buffer in
      unsafe buffer.withMemoryRebound(to: CChar.self) { characters in
        // SAFETY: readlink writes at most the count that it is given.
        unsafe characters.baseAddress.map { unsafe readlink("/proc/self/exe", $0, characters.count) } ?? -1
      }
    }
    return count > 0 ? String(decoding: path[..<count], as: UTF8.self) : nil
  }

  /// The tree that a program was built in has the rules that belong to it; an installed one has its own.
  private static func rules(beside program: String) -> String? {
    var folder = program[...]
    while let slash = folder.lastIndex(of: "/") {
      folder = folder[..<slash]
      let candidate = folder + "/rules"
      if unsafe access(candidate + "/web-attacks.rules", R_OK) == 0 { return String(candidate) }
    }
    let installed = "/etc/sluice/rules"
    return unsafe access(installed + "/web-attacks.rules", R_OK) == 0 ? installed : nil
  }
}
