import Glibc
import Synchronization
import Testing

@testable import Diversion

/// Runs programs, but the one command at a given place among those that change something ends with an error.
private final class FailingCommands: CommandRunner {
  private let failing: Int
  private(set) var changes = 0

  init(failing: Int) { self.failing = failing }

  func run(_ command: Command) throws(DiversionError) -> CommandResult {
    let isChange =
      command.program.hasSuffix("-restore") || command.arguments.contains("-w") && command.program == "sysctl"
      || ["add", "del", "replace"].contains(where: command.arguments.contains)
    if isChange {
      changes += 1
      if changes == failing { return CommandResult(status: 4, errors: "RULE_REPLACE failed") }
    }
    return try SystemCommands().run(command)
  }
}

@Suite(.enabled(if: NetworkNamespace.isAvailable, "needs root, iptables, iproute2"))
struct FailureTests {
  /// Lets each command that changes something fail in turn, until there is none left to fail.
  /// - Returns: how many failed, and the first that left something behind.
  private func failEach(from old: DiversionPlan?, to new: DiversionPlan) throws -> (Int, String?) {
    try NetworkNamespace.inside {
      if let old { _ = try Diversion(plan: old, commands: SystemCommands()).up() }
      let before = Kernel.state
      for place in 1...100 {
        do {
          _ = try Diversion(plan: new, commands: FailingCommands(failing: place)).up()
          return (place - 1, nil)
        } catch {
          let after = Kernel.state
          if after != before { return (place, "after the failure of change \(place): \(after)") }
        }
      }
      return (100, "no end")
    }
  }

  @Test func `Wherever up fails, everything is as before`() throws {
    let (failures, difference) = try failEach(from: nil, to: DiversionPlan())
    #expect(failures >= 8)  // two rule files, two routes, two rules, two settings
    #expect(difference == nil)
  }

  @Test func `Wherever a change of plan fails, the old plan stands`() throws {
    let other = DiversionPlan(queues: 0...3, routeTable: 7200, rulePriority: 72, sysctls: [.noTimeWait])
    let (failures, difference) = try failEach(from: DiversionPlan(), to: other)
    #expect(failures >= 6)
    #expect(difference == nil)
  }

  @Test func `The error says which command failed and what it said`() throws {
    let message = try NetworkNamespace.inside {
      do throws(DiversionError) {
        _ = try Diversion(plan: DiversionPlan(), commands: FailingCommands(failing: 1)).up()
        return "no error"
      } catch {
        return error.description
      }
    }
    #expect(message == "iptables-restore -w 10 --noflush ended with status 4: RULE_REPLACE failed")
  }

  private func clash(_ arrange: @escaping () -> Void) throws -> (message: String, isUnchanged: Bool) {
    try NetworkNamespace.inside {
      arrange()
      let before = Kernel.state
      do throws(DiversionError) {
        _ = try Diversion(plan: DiversionPlan(), commands: SystemCommands()).up()
        return ("no error", false)
      } catch {
        return (error.description, Kernel.state == before)
      }
    }
  }

  @Test func `Marks of others are clashes`() throws {
    let whole = try clash {
      Kernel.run("iptables", "-t", "mangle", "-A", "PREROUTING", "-p", "udp", "-j", "MARK", "--set-mark", "5")
    }
    #expect(
      whole.message.contains("'-A PREROUTING -p udp -j MARK --set-xmark 0x5/0xffffffff' in table mangle"))
    #expect(whole.isUnchanged)
    let restored = try clash {
      Kernel.run("ip6tables", "-t", "mangle", "-A", "OUTPUT", "-j", "CONNMARK", "--restore-mark")
    }
    #expect(restored.message.contains("ip6tables rule '-A OUTPUT -j CONNMARK --restore-mark"))
    let looked = try clash {
      Kernel.run("iptables", "-A", "FORWARD", "-m", "mark", "--mark", "0x100/0x100", "-j", "DROP")
    }
    #expect(looked.message.contains("uses mark bits 0x100"))
  }

  @Test func `Rules and routes of others are clashes`() throws {
    let rule = try clash {
      Kernel.run("ip", "rule", "add", "from", "10.9.0.0/16", "lookup", "5", "pref", "71")
    }
    #expect(rule.message.contains("'from 10.9.0.0/16 lookup 5' has priority 71 already"))
    #expect(rule.isUnchanged)
    let route = try clash {
      Kernel.run("ip", "-6", "route", "add", "unreachable", "fd00::/8", "table", "7171")
    }
    #expect(route.message.contains("is in table 7171"))
    let mark = try clash { Kernel.run("ip", "rule", "add", "fwmark", "1", "lookup", "5", "pref", "900") }
    #expect(mark.message.contains("looks at mark bits of Sluice's"))
    #expect(mark.isUnchanged)
  }

  @Test func `A plan that can't be is refused before anything is touched`() {
    let plan = DiversionPlan(listenPort: 0, routeTable: 254, rulePriority: 0, families: [])
    #expect(plan.faults.count == 4)
    #expect(throws: DiversionError.unusable(faults: plan.faults)) {
      try Diversion(plan: plan, commands: SystemCommands()).up()
    }
  }
}
