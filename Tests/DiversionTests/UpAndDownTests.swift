import Testing

@testable import Diversion

/// What others have on the machine: rules before and behind ours, marks that are none of ours, a route.
private func furnish() {
  let rules = """
    *mangle
    :QOS - [0:0]
    -A QOS -p udp -j MARK --set-xmark 0x10000/0xff0000
    -A PREROUTING -j QOS
    -A OUTPUT -j QOS
    COMMIT
    *filter
    :INPUT DROP [0:0]
    -A INPUT -i lo -j ACCEPT
    -A FORWARD -p tcp --dport 25 -j DROP
    COMMIT
    *nat
    -A POSTROUTING -o eth9 -j MASQUERADE
    COMMIT
    """ + "\n"
  _ = Kernel.load(rules)
  _ = Kernel.load(rules, "ip6tables-restore")
  for flag in ["-4", "-6"] {
    Kernel.run("ip", flag, "rule", "add", "fwmark", "0x10000/0xff0000", "lookup", "99", "pref", "50")
    Kernel.run("ip", flag, "route", "add", "unreachable", "default", "table", "99")
  }
}

private func diversion(_ plan: DiversionPlan = DiversionPlan()) -> Diversion<SystemCommands> {
  Diversion(plan: plan, commands: SystemCommands())
}

private let wide = DiversionPlan(
  queues: 4...7, failOpen: false, interceptPorts: [443, 8443, 993], listenPort: 9443, routeTable: 7200,
  rulePriority: 72)

@Suite(.enabled(if: NetworkNamespace.isAvailable, "needs root, iptables, iproute2"))
struct UpAndDownTests {
  @Test(arguments: [DiversionPlan(), wide])
  func `What down leaves is what up found, on an empty machine`(plan: DiversionPlan) throws {
    let (before, up, status, after) = try NetworkNamespace.inside {
      let before = Kernel.state
      _ = try diversion(plan).up()
      let (up, status) = (Kernel.state, try diversion(plan).status())
      let notes = try diversion(plan).down()
      return (before, up, status, notes.isEmpty ? Kernel.state : notes.joined())
    }
    #expect(up != before)
    #expect(status.missing == [])
    #expect(after == before)
  }

  @Test(arguments: [DiversionPlan(), wide])
  func `What down leaves is what up found, among rules of others`(plan: DiversionPlan) throws {
    let (before, status, after) = try NetworkNamespace.inside {
      furnish()
      let before = Kernel.state
      _ = try diversion(plan).up()
      let status = try diversion(plan).status()
      _ = try diversion(plan).down()
      return (before, status, Kernel.state)
    }
    #expect(before.contains("0xff0000"))
    #expect(status.isUp)
    #expect(after == before)
  }

  @Test func `Going up twice is going up once, and going down twice does nothing more`() throws {
    let states = try NetworkNamespace.inside {
      furnish()
      var states = [Kernel.state]
      for _ in 0..<2 {
        _ = try diversion(wide).up()
        states.append(Kernel.state)
      }
      for _ in 0..<2 {
        _ = try diversion(wide).down()
        states.append(Kernel.state)
      }
      return states
    }
    #expect(states[1] == states[2])
    #expect(states[3] == states[0])
    #expect(states[4] == states[0])
  }

  @Test func `Down before any up changes nothing`() throws {
    let (before, after) = try NetworkNamespace.inside {
      let before = Kernel.state
      _ = try diversion().down()
      return (before, Kernel.state)
    }
    #expect(after == before)
  }

  @Test func `Another plan replaces the one before, and down needs to know neither`() throws {
    let (before, status, after) = try NetworkNamespace.inside {
      let before = Kernel.state
      _ = try diversion(wide).up()
      _ = try diversion().up()
      let status = try diversion().status()
      _ = try diversion(wide).up()
      _ = try diversion().down()
      return (before, status, Kernel.state)
    }
    #expect(status.missing == [])
    #expect(after == before)
  }

  @Test func `One family alone leaves the other untouched`() throws {
    let plan = DiversionPlan(families: [.ipv6])
    let (before, up, status, after) = try NetworkNamespace.inside {
      furnish()
      func ipv4() -> SavedFilter { SavedFilter(text: Kernel.run("iptables-save")) }
      let (before, all) = (ipv4(), Kernel.state)
      _ = try diversion(plan).up()
      let up = ipv4()
      let status = try diversion(plan).status()
      _ = try diversion(plan).down()
      return (before, up, status, Kernel.state == all)
    }
    #expect(before == up)
    #expect(status.isUp)
    #expect(after)
  }

  @Test func `Rules that others add meanwhile stay`() throws {
    let after = try NetworkNamespace.inside {
      _ = try diversion().up()
      Kernel.run("iptables", "-t", "raw", "-A", "PREROUTING", "-p", "udp", "-j", "DROP")
      _ = try diversion().down()
      return Kernel.run("iptables-save")
    }
    #expect(after.contains("-A PREROUTING -p udp -j DROP"))
    #expect(!after.contains("SLUICE"))
  }

  @Test func `A setting that was changed meanwhile stays, and down says so`() throws {
    let (notes, value) = try NetworkNamespace.inside {
      _ = try diversion().up()
      Kernel.run("sysctl", "-q", "-w", "net.ipv4.tcp_max_tw_buckets=77")
      return (try diversion().down(), Kernel.run("sysctl", "-n", "net.ipv4.tcp_max_tw_buckets"))
    }
    #expect(notes == ["net.ipv4.tcp_max_tw_buckets was changed meanwhile and stays at 77"])
    #expect(value == "77\n")
  }

  @Test func `Status names what someone took away or added`() throws {
    let status = try NetworkNamespace.inside {
      _ = try diversion().up()
      Kernel.run("iptables", "-t", "mangle", "-F", "SLUICE-DELIVER")
      Kernel.run("iptables", "-t", "mangle", "-A", "SLUICE-INSPECT", "-p", "udp", "-j", "ACCEPT")
      Kernel.run("ip", "-6", "rule", "del", "pref", "71")
      Kernel.run("ip", "-4", "route", "flush", "table", "7171")
      return try diversion().status()
    }
    #expect(status.isAnythingThere)
    #expect(
      status.missing == [
        "iptables -t mangle -A SLUICE-DELIVER -j MARK --set-xmark 0x1/0x1",
        "iptables -t mangle -A SLUICE-DELIVER -j ACCEPT",
        "iptables -t mangle SLUICE-INSPECT: 1 other rules",
        "ip -4 route local default dev lo table 7171",
        "ip -6 rule 71: from all fwmark 0x1/0x1 lookup 7171",
      ])
  }

  @Test func `The rule file for reading is one that both families load`() throws {
    let errors = try NetworkNamespace.inside {
      [Kernel.load(wide.ruleFile), Kernel.load(wide.ruleFile, "ip6tables-restore")]
    }
    #expect(errors == ["", ""])
  }
}
