import Testing

@testable import Diversion

/// Answers from a list and writes down what it was asked.
private final class RecordedCommands: CommandRunner {
  private(set) var commands: [Command] = []
  private let answer: (Command) -> CommandResult

  init(_ answer: @escaping (Command) -> CommandResult) { self.answer = answer }

  func run(_ command: Command) throws(DiversionError) -> CommandResult {
    commands.append(command)
    return answer(command)
  }
}

@Suite struct RuleTextTests {
  @Test func `Behind the choice of routes only the client leg is not tracked, and nothing goes to the listener`() {
    let lines = DiversionPlan(variant: .translatingRouter).ruleFile
    #expect(lines.contains("-A FORWARD -j SLUICE-INSPECT"))
    #expect(lines.contains("-A SLUICE-RAW-OUT -m mark --mark 0x100/0x300 -j CT --notrack"))
    #expect(lines.contains("--ctstate DNAT -j MARK --set-xmark 0x200/0x200"))
    #expect(!lines.contains("TPROXY"))
  }

  @Test func `A bridge queues its own frames and lifts marked ones`() {
    let plan = DiversionPlan(variant: .bridge(name: "br7", address: "02:00:00:00:00:07"))
    #expect(plan.ruleFile.contains("-A SLUICE-THROUGH ! -i br7 -j RETURN"))
    #expect(!plan.ruleFile.contains("TPROXY"))
    #expect(plan.script.contains("meta mark & 0x1 == 0x1 ether daddr set 02:00:00:00:00:07"))
    #expect(plan.script.contains("ip -4 route add default dev br7 table 7172"))
    #expect(plan.faults.isEmpty)
    #expect(!DiversionPlan(variant: .bridge(name: "a b", address: "")).faults.isEmpty)
  }

  @Test func `A host queues what comes in and goes out, but not its loopback nor its own refusals`() {
    let lines = DiversionPlan(variant: .host).ruleFile
    #expect(lines.contains("-A SLUICE-OUT -o lo -j RETURN"))
    #expect(lines.contains("-A SLUICE-OUT -m mark ! --mark 0x0/0x300 -j RETURN"))
    #expect(lines.contains("-A OUTPUT -j SLUICE-OUT") && lines.contains("-A INPUT -j SLUICE-THROUGH"))
    #expect(!lines.contains("PREROUTING"))
  }

  @Test func `The rules of one queue are these`() {
    let plan = DiversionPlan(queues: 3...3, failOpen: false)
    #expect(
      plan.ruleFile == """
        *raw
        :SLUICE-RAW-IN - [0:0]
        :SLUICE-RAW-OUT - [0:0]
        -A SLUICE-RAW-IN -p tcp -m socket --transparent -j CT --notrack
        -A SLUICE-RAW-OUT -m mark ! --mark 0x0/0x300 -j CT --notrack
        -A PREROUTING -j SLUICE-RAW-IN
        -A OUTPUT -j SLUICE-RAW-OUT
        COMMIT
        *mangle
        :SLUICE-DELIVER - [0:0]
        :SLUICE-INSPECT - [0:0]
        :SLUICE-THROUGH - [0:0]
        -A SLUICE-THROUGH -m connmark --mark 0x2/0x2 -j RETURN
        -A SLUICE-THROUGH -i lo -j RETURN
        -A SLUICE-THROUGH -m addrtype --dst-type LOCAL -j RETURN
        -A SLUICE-THROUGH -m addrtype --dst-type MULTICAST -j RETURN
        -4 -A SLUICE-THROUGH -m addrtype --dst-type BROADCAST -j RETURN
        -A SLUICE-THROUGH -j SLUICE-INSPECT
        -A SLUICE-INSPECT -p tcp ! --syn -m socket --transparent -j SLUICE-DELIVER
        -A SLUICE-INSPECT -p tcp -m mark --mark 0x1/0x1 -j TPROXY --on-port 8443 --tproxy-mark 0x1/0x1
        -A SLUICE-INSPECT -m mark --mark 0x2/0x2 -j CONNMARK --save-mark --nfmask 0x2 --ctmask 0x2
        -A SLUICE-INSPECT -m mark --mark 0x2/0x2 -j ACCEPT
        -A SLUICE-INSPECT -m connmark --mark 0x2/0x2 -j ACCEPT
        -A SLUICE-INSPECT -j NFQUEUE --queue-num 3
        -A SLUICE-DELIVER -j MARK --set-xmark 0x1/0x1
        -A SLUICE-DELIVER -j ACCEPT
        -A PREROUTING -j SLUICE-THROUGH
        COMMIT
        *filter
        :SLUICE-ALLOW - [0:0]
        -A SLUICE-ALLOW -m mark --mark 0x1/0x1 -j ACCEPT
        -A SLUICE-ALLOW -p tcp -m mark ! --mark 0x0/0x300 -j ACCEPT
        -I INPUT 1 -j SLUICE-ALLOW
        -I OUTPUT 1 -j SLUICE-ALLOW
        COMMIT

        """)
  }

  @Test func `More than fifteen ports take more than one rule`() {
    let lines = DiversionPlan(interceptPorts: Array(1...16)).rules.map(\.line)
    #expect(lines.contains { $0.contains("--dports 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15 -j TPROXY") })
    #expect(lines.contains { $0.contains("--dports 16 -j TPROXY") })
    #expect(!DiversionPlan().rules.contains { $0.arguments.contains("--dports") })
  }

  @Test func `Every queue but the last has a match in each family`() {
    let lines = DiversionPlan(queues: 0...2).rules.map(\.line).filter { $0.contains("NFQUEUE") }
    #expect(lines.count == 5)
    #expect(lines.last == "-A SLUICE-INSPECT -j NFQUEUE --queue-num 2 --queue-bypass")
  }

  @Test func `A program that is missing or may not do it is named`() {
    let denied = RecordedCommands { _ in
      CommandResult(status: 4, errors: "iptables-save v1.8.9: Could not fetch rule set: Permission denied\n")
    }
    let error = #expect(throws: DiversionError.self) {
      try Diversion(plan: DiversionPlan(), commands: denied).up()
    }
    #expect(error?.description.hasSuffix("Permission denied (this needs root)") == true)
    #expect(denied.commands.map(\.program) == ["iptables-save"])
    #expect(throws: DiversionError.programMissing("no-such-program")) {
      try SystemCommands().run(Command("no-such-program"))
    }
  }

  @Test func `Nothing is written when only looking`() throws {
    let empty = RecordedCommands { _ in CommandResult(status: 0) }
    let status = try Diversion(plan: DiversionPlan(), commands: empty).status()
    #expect(!status.isUp)
    #expect(!status.isAnythingThere)
    #expect(Set(empty.commands.map(\.text)).isDisjoint(with: ["iptables-restore", "ip6tables-restore"]))
    #expect(empty.commands.allSatisfy { !$0.arguments.contains("add") && $0.input.isEmpty })
  }
}

@Suite struct SavedFilterTests {
  private let text = """
    # Generated by iptables-save
    *mangle
    :PREROUTING ACCEPT [0:0]
    :SLUICE-MEMO - [0:0]
    :SLUICE-OLD - [0:0]
    -A PREROUTING -p udp -j MARK --set-xmark 0x5/0xff
    -A PREROUTING -j SLUICE-OLD
    -A PREROUTING -j SLUICE-OLD
    -A SLUICE-MEMO -m comment --comment "sysctl net.x 1 0" -j RETURN
    -A SLUICE-MEMO -m comment --comment "route 16 8 9" -j RETURN
    -A SLUICE-MEMO -m comment --comment "table raw" -j RETURN
    -A SLUICE-OLD -j ACCEPT
    COMMIT
    """

  @Test func `What is Sluice's is told from what is others'`() {
    let saved = SavedFilter(text: text)
    #expect(saved.foreignRules.map(\.line) == ["-A PREROUTING -p udp -j MARK --set-xmark 0x5/0xff"])
    #expect(saved.owned.jumps.count == 2)
    #expect(saved.owned.chains[.mangle]?.keys.sorted() == ["SLUICE-MEMO", "SLUICE-OLD"])
    #expect(!saved.isBare(.mangle))
    #expect(saved.owned.memo.settings == [Memo.Setting(name: "net.x", before: "1", set: "0")])
    #expect(saved.owned.memo.routes == [Memo.Route(mark: 16, table: 8, priority: 9)])
    #expect(saved.owned.memo.createdTables == [.raw])
  }

  @Test func `Taking away removes each jump, then empties and removes the chains`() {
    #expect(
      OwnedFilter().transition(from: SavedFilter(text: text).owned) == """
        *mangle
        -D PREROUTING -j SLUICE-OLD
        -D PREROUTING -j SLUICE-OLD
        -F SLUICE-MEMO
        -F SLUICE-OLD
        -X SLUICE-MEMO
        -X SLUICE-OLD
        COMMIT

        """)
    #expect(OwnedFilter().transition(from: OwnedFilter()) == "")
  }

  @Test func `Mark bits of a rule are those it reads and those it writes`() {
    #expect(MarkUse.bits(ofRule: "-A X -m mark --mark 0x4/0xc -j MARK --set-xmark 0x10/0x20") == 0x3c)
    #expect(MarkUse.bits(ofRule: "-A X -j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff") == 0xff)
    #expect(MarkUse.bits(ofRule: "-A X -j CONNMARK --save-mark") == .max)
    #expect(MarkUse.bits(ofRule: "-A X -j HMARK --hmark-mod 4") == .max)
    #expect(MarkUse.bits(ofRule: "-A X -p tcp --dport 80 -j ACCEPT") == 0)
  }
}

@Suite struct SystemCommandsTests {
  @Test func `Input, both outputs and the status come through whole`() throws {
    let text = String(repeating: "0123456789abcdef", count: 40_000)
    let script = "cat; echo complaint >&2; exit 7"
    let result = try SystemCommands().run(Command("/bin/sh", ["-c", script], input: text))
    #expect(result == CommandResult(status: 7, output: text, errors: "complaint\n"))
  }

  @Test func `A program that doesn't read its input is no error`() throws {
    let text = String(repeating: "x", count: 1_000_000)
    #expect(try SystemCommands().run(Command("true", input: text)).status == 0)
  }

  @Test func `A program ended by a signal says so`() throws {
    #expect(try SystemCommands().run(Command("/bin/sh", ["-c", "kill -9 $$"])).status == 137)
  }

  @Test func `Endless output and endless waiting have an end`() {
    #expect(throws: DiversionError.self) {
      try SystemCommands(outputBytesMax: 100_000).run(Command("/bin/sh", ["-c", "while :; do echo y; done"]))
    }
    #expect(throws: DiversionError.self) {
      try SystemCommands(timeoutSeconds: 1).run(Command("sleep", ["60"]))
    }
  }
}
