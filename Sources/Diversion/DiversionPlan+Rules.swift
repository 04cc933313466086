extension DiversionPlan {
  /// Where the kernel's chains lead into Sluice's.
  var jumps: [FilterJump] {
    let tracking = [
      FilterJump(table: .raw, from: "PREROUTING", to: ChainName.rawInput, first: false),
      FilterJump(table: .raw, from: "OUTPUT", to: ChainName.rawOutput, first: false),
    ]
    let delivery = [
      FilterJump(table: .filter, from: "INPUT", to: ChainName.allow, first: true),
      FilterJump(table: .filter, from: "OUTPUT", to: ChainName.allow, first: true),
    ]
    switch variant {
    case .router, .bridge:
      return tracking + [FilterJump(table: .mangle, from: "PREROUTING", to: ChainName.through, first: false)] + delivery
    case .translatingRouter:
      return tracking
        + [
          FilterJump(table: .mangle, from: "PREROUTING", to: ChainName.through, first: false),
          FilterJump(table: .mangle, from: "FORWARD", to: ChainName.inspect, first: false),
        ] + delivery
    case .host:
      return [
        FilterJump(table: .mangle, from: "INPUT", to: ChainName.through, first: false),
        FilterJump(table: .mangle, from: "OUTPUT", to: ChainName.output, first: false),
      ]
    }
  }

  /// Every rule but those that lead into the chains and those that keep a memo.
  var rules: [FilterRule] {
    switch variant {
    case .router, .bridge: trackingRules + throughRules + inspectionRules + deliveryRules
    case .translatingRouter: translatingTrackingRules + [socketRule(ChainName.through)] + forwardRules + deliveryRules
    case .host: hostRules
    }
  }

  /// Client leg and server leg share one 5-tuple, which connection tracking would take for one connection
  /// that went mad. The SYN of a port that is intercepted unseen is known beforehand to be such.
  private var trackingRules: [FilterRule] {
    var rules = [
      rule(
        .raw, ChainName.rawInput, ["-p", "tcp", "-m", "socket", "--transparent", "-j", "CT", "--notrack"]),
      rule(
        .raw, ChainName.rawOutput,
        [
          "-m", "mark", "!", "--mark", "0x0/" + marks.socketMask.hexadecimal, "-j", "CT", "--notrack",
        ]),
    ]
    for ports in portGroups {
      rules.append(
        rule(
          .raw, ChainName.rawInput,
          ["-p", "tcp", "--syn", "-m", "addrtype", "!", "--dst-type", "LOCAL", "-m", "multiport"]
            + ["--dports", ports, "-j", "CT", "--notrack"]))
    }
    return rules
  }

  /// Only the client leg is not tracked: the server leg is the connection that addresses are translated for.
  private var translatingTrackingRules: [FilterRule] {
    let client = marks.clientLeg.hexadecimal + "/" + marks.socketMask.hexadecimal
    return [
      rule(.raw, ChainName.rawInput, ["-p", "tcp", "-m", "socket", "--transparent", "--restore-skmark"]),
      rule(.raw, ChainName.rawInput, ["-p", "tcp", "-m", "mark", "--mark", client, "-j", "CT", "--notrack"]),
      rule(.raw, ChainName.rawOutput, ["-m", "mark", "--mark", client, "-j", "CT", "--notrack"]),
    ]
  }

  /// What isn't through traffic goes back to the chain it came from; what the kernel passes by itself
  /// too, before anything that costs.
  private var throughRules: [FilterRule] {
    func back(_ match: [String], _ family: AddressFamily? = nil) -> FilterRule {
      rule(.mangle, ChainName.through, match + ["-j", "RETURN"], family)
    }
    var rules = [back(["-m", "connmark", "--mark", marks.release.markAndMask])]
    if case .bridge(let name, _) = variant { rules.append(back(["!", "-i", name])) }
    return rules + [
      back(["-i", "lo"]),
      back(["-m", "addrtype", "--dst-type", "LOCAL"]),
      back(["-m", "addrtype", "--dst-type", "MULTICAST"]),
      back(["-m", "addrtype", "--dst-type", "BROADCAST"], .ipv4),
      rule(.mangle, ChainName.through, ["-j", ChainName.inspect]),
    ]
  }

  /// Not a bare SYN: it may use the 5-tuple of a connection that is over, and is a new one.
  private func socketRule(_ chain: String) -> FilterRule {
    rule(.mangle, chain, ["-p", "tcp", "!", "--syn", "-m", "socket", "--transparent", "-j", ChainName.deliver])
  }

  private var inspectionRules: [FilterRule] {
    let deliver = ["-m", "mark", "--mark", marks.deliver.markAndMask]
    let listener = [
      "-j", "TPROXY", "--on-port", String(listenPort), "--tproxy-mark", marks.deliver.markAndMask,
    ]
    // On a bridge the frame is lifted to this machine behind these chains.
    let delivered = variant.isBridge ? inspect(deliver + ["-j", "ACCEPT"]) : inspect(["-p", "tcp"] + deliver + listener)
    var rules = [socketRule(ChainName.inspect), delivered] + releaseRules
    for ports in portGroups where !variant.isBridge {
      rules.append(inspect(["-p", "tcp", "--syn", "-m", "multiport", "--dports", ports] + listener))
    }
    return rules + queueRules
  }

  /// A packet that comes back with the release mark sets it on its connection; the rest of it passes.
  private var releaseRules: [FilterRule] {
    let release = ["-m", "mark", "--mark", marks.release.markAndMask]
    return [
      inspect(
        release + [
          "-j", "CONNMARK", "--save-mark", "--nfmask", marks.release.hexadecimal, "--ctmask",
          marks.release.hexadecimal,
        ]),
      inspect(release + ["-j", "ACCEPT"]),
      inspect(["-m", "connmark", "--mark", marks.release.markAndMask, "-j", "ACCEPT"]),
    ]
  }

  /// A connection whose destination is translated here is only inspected: the bit tells the daemon.
  private var forwardRules: [FilterRule] {
    let translated = inspect(
      ["-m", "conntrack", "--ctstate", "DNAT", "-j", "MARK", "--set-xmark", marks.serverLeg.markAndMask])
    return releaseRules + [translated] + queueRules
  }

  private var hostRules: [FilterRule] {
    let own = ["-m", "mark", "!", "--mark", "0x0/" + marks.socketMask.hexadecimal, "-j", "RETURN"]
    return [
      rule(.mangle, ChainName.through, ["-i", "lo", "-j", "RETURN"]),
      rule(.mangle, ChainName.through, ["-j", ChainName.inspect]),
      rule(.mangle, ChainName.output, ["-o", "lo", "-j", "RETURN"]),
      rule(.mangle, ChainName.output, own),
      rule(.mangle, ChainName.output, ["-j", ChainName.inspect]),
    ] + releaseRules + queueRules
  }

  /// A match for each queue but the last, which takes all that is left.
  private var queueRules: [FilterRule] {
    var rules: [FilterRule] = []
    for (index, number) in queues.enumerated().dropLast() {
      for family in AddressFamily.allCases {
        let code = FlowSpread(family: family, queueCount: queues.count).bytecode(queueIndex: index)
        rules.append(inspect(["-m", "bpf", "--bytecode", code] + queueTarget(number), family))
      }
    }
    return rules + [inspect(queueTarget(queues.upperBound))]
  }

  private func queueTarget(_ number: UInt16) -> [String] {
    ["-j", "NFQUEUE", "--queue-num", String(number)] + (failOpen ? ["--queue-bypass"] : [])
  }

  /// Delivered packets are not for this machine by their address, so a firewall that lets in only what it knows
  /// would drop them; the same on the way out.
  private var deliveryRules: [FilterRule] {
    [
      rule(.mangle, ChainName.deliver, ["-j", "MARK", "--set-xmark", marks.deliver.markAndMask]),
      rule(.mangle, ChainName.deliver, ["-j", "ACCEPT"]),
      rule(.filter, ChainName.allow, ["-m", "mark", "--mark", marks.deliver.markAndMask, "-j", "ACCEPT"]),
      rule(
        .filter, ChainName.allow,
        ["-p", "tcp", "-m", "mark", "!", "--mark", "0x0/" + marks.socketMask.hexadecimal, "-j", "ACCEPT"]),
    ]
  }

  /// The multiport match takes at most 15 ports.
  private var portGroups: [String] {
    let ports = Set(interceptPorts).sorted()
    return stride(from: 0, to: ports.count, by: 15).map { start in
      ports[start..<min(start + 15, ports.count)].map(String.init).joined(separator: ",")
    }
  }

  private func inspect(_ arguments: [String], _ family: AddressFamily? = nil) -> FilterRule {
    rule(.mangle, ChainName.inspect, arguments, family)
  }

  private func rule(
    _ table: FilterTable, _ chain: String, _ arguments: [String], _ family: AddressFamily? = nil
  ) -> FilterRule {
    FilterRule(table: table, chain: chain, family: family, arguments: arguments)
  }
}
