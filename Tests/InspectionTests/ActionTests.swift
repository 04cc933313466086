import Detection
import Inspection
import RuleLanguage
import TestSupport
import Testing
import Traffic

/// What drop, pass and reject do to the packet in hand and to what follows.
@Suite struct ActionTests {
  @Test func `a drop on a transaction cuts the rest of the flow`() {
    let scene = PathScene.run(
      PathScene.exchange().packets,
      rules: #"drop http any any -> any any (msg:"uri"; http.uri; content:"/evil"; sid:1;)"#)
    #expect(scene.sink.alerts == [.init(sid: 1, packet: 4, isBlocked: true, verdict: "drop")])
    #expect(scene.stopped == Array(4...scene.verdicts.count))
    #expect(scene.verdicts[3].reason == .rules)
    #expect(scene.verdicts[4].reason == .flowDrop)
    #expect(scene.sink.flows.map(\.action) == ["drop"])
    #expect(scene.sink.transactionCount == 0)
    // The one that was dropped is counted, if not told.
    #expect(scene.sink.flows.map(\.transactionCount) == [1])
    #expect(scene.sink.drops.first?.transactionID == 0)
  }

  @Test func `of a flow that is cut no octets are held, whoever waits for their acknowledgement`() {
    let packets = Array(PathScene.exchange().packets.prefix(4))
    let drop = #"drop http any any -> any any (msg:"uri"; http.uri; content:"/evil"; sid:1;)"#
    #expect(PathScene.run(packets, rules: drop).heldBytes == [0, 0, 0, 0])
    let passed = PathScene.run(packets, rules: drop.replacing("/evil", with: "/other")).heldBytes
    #expect((passed.last ?? 0) > 0)
  }

  @Test func `alerts of one packet are told with the same transaction where it is guessed, those of later ones are not`() {
    let scene = PathScene.run(
      PathScene.exchange().packets,
      rules: """
        alert tcp any any -> any any (msg:"a"; flow:to_server; content:"/evil"; sid:1;)
        alert tcp any any -> any any (msg:"b"; flow:to_server; content:"a.example"; sid:2;)
        alert tcp any any -> any any (msg:"c"; flow:to_client; content:"hello"; sid:3;)
        """
    ) { $0.guessesTransaction = true }
    #expect(scene.sids.sorted() == [1, 2, 3])
    #expect(scene.sink.transactionIDs == [0, 0])
  }

  /// As Suricata keeps them (`packet-alert-max`).
  @Test func `of more alerts than are told those of the latest transactions stay`() {
    let requests = (0..<4).map { "GET /evil/\($0) HTTP/1.1\r\nHost: a.example\r\n\r\n" }.joined()
    let scene = PathScene.run(
      PathScene.exchange(request: requests).packets,
      rules: #"alert http any any -> any any (msg:"uri"; http.uri; content:"/evil"; sid:1;)"#
    ) { $0.alertsPerPacketMax = 3 }
    #expect(scene.sink.transactionIDs == [3, 2, 1])
  }

  @Test func `a packet goes on with the mark that its rules give it, and no other does`() {
    let rules = """
      alert http any any -> any any (msg:"uri"; http.uri; content:"/evil"; nfq_set_mark:0x80/0xf0; sid:1;)
      alert tcp any any -> any any (msg:"word"; flow:to_server; content:"/evil"; nfq_set_mark:0x4/0xc; sid:2;)
      """
    let scene = PathScene.run(PathScene.exchange().packets, rules: rules)
    #expect(scene.sids.sorted() == [1, 2])
    #expect(scene.verdicts[3].mark == MarkChange(bits: 0x84, mask: 0xfc))
    #expect(scene.verdicts.filter { $0.mark != nil }.count == 1)
    // What was there stays where no rule says anything of it, and so do bits that are not the rules'.
    #expect(scene.verdicts[3].mark?.applied(to: 0x1ff, sparing: 0x4) == 0x187)
    #expect(PathScene.run(PathScene.exchange().packets, rules: rules, isInline: false).verdicts.allSatisfy { $0.mark == nil })
  }

  @Test func `a drop on a header drops that packet alone`() {
    let scene = PathScene.run(
      PathScene.exchange().packets,
      rules: #"drop tcp any any -> any 80 (msg:"data"; flow:to_server; dsize:>0; sid:1;)"#)
    #expect(scene.stopped == [4])
    #expect(scene.sink.flows.map(\.action) == [""])
  }

  @Test func `a drop about addresses and ports counts for the flow and is told once`() {
    let scene = PathScene.run(
      PathScene.exchange().packets, rules: #"drop tcp any any -> any 80 (msg:"port"; sid:1;)"#)
    #expect(scene.sids == [1])
    #expect(scene.stopped == Array(1...scene.verdicts.count))
  }

  @Test func `where nothing can be stopped a drop is told as allowed and shown on the flow`() {
    let scene = PathScene.run(
      PathScene.exchange().packets,
      rules: #"drop http any any -> any any (msg:"uri"; http.uri; content:"/evil"; sid:1;)"#,
      isInline: false)
    #expect(scene.sink.alerts.map(\.isBlocked) == [false])
    #expect(scene.sink.alerts.map(\.verdict) == ["alert"])
    #expect(scene.stopped == [])
    #expect(scene.sink.drops == [])
    #expect(scene.sink.flows.map(\.action) == ["drop"])
  }

  @Test func `a pass keeps later rules from the flow, whose exchange is still recorded`() {
    let scene = PathScene.run(
      PathScene.exchange().packets,
      rules: """
        pass http any any -> any any (msg:"known"; http.host; content:"a.example"; sid:1;)
        drop http any any -> any any (msg:"response"; http.stat_code; content:"200"; sid:2;)
        """)
    #expect(scene.sids == [])
    #expect(scene.stopped == [])
    #expect(scene.sink.flows.map(\.action) == ["pass"])
    #expect(scene.sink.transactionCount == 1)
  }

  @Test func `a pass that says alert is told`() {
    let scene = PathScene.run(
      PathScene.exchange().packets,
      rules: #"pass tcp any any -> any 80 (msg:"known"; alert; sid:1;)"#)
    #expect(scene.sink.alerts == [.init(sid: 1, packet: 1, isBlocked: false, verdict: "pass")])
  }

  @Test func `what a flow was given first stands`() {
    let scene = PathScene.run(
      PathScene.exchange().packets,
      rules: """
        pass tcp any any -> any any (msg:"pass"; sid:1;)
        drop tcp any any -> any any (msg:"drop"; sid:2;)
        """, actionOrder: [.drop, .pass, .reject, .alert])
    #expect(scene.sids == [2])
    #expect(scene.sink.flows.map(\.action) == ["drop"])
    #expect(scene.stopped.count == scene.verdicts.count)
  }

  @Test func `an action reaches as far as its rule says, whatever matched`() {
    let packet = PathScene.run(
      PathScene.exchange().packets,
      rules: #"drop:packet http any any -> any any (msg:"uri"; http.uri; content:"/evil"; sid:1;)"#)
    #expect(packet.stopped == [4])
    let flow = PathScene.run(
      PathScene.exchange().packets,
      rules: #"drop:flow tcp any any -> any 80 (msg:"data"; flow:to_server; dsize:>0; sid:1;)"#)
    #expect(flow.stopped == Array(4...flow.verdicts.count))
  }

  @Test func `a rule of configuration is not told and keeps records from being written`() {
    let packets = PathScene.exchange().packets
    func counts(_ options: String, _ action: String = "config") -> [Int] {
      let scene = PathScene.run(packets, rules: #"\#(action) http any any -> any any (\#(options) sid:1;)"#)
      return [scene.sink.alerts.count, scene.sink.transactionCount, scene.sink.flows.count]
    }
    let uri = #"http.uri; content:"/evil"; config:logging disable,"#
    #expect(counts(uri + "type tx, scope tx;") == [0, 0, 1])
    #expect(counts(uri + "type tx, scope flow;") == [0, 0, 1])
    #expect(counts(uri + "type flow, scope flow;") == [0, 1, 0])
    #expect(counts(#"msg:"a"; "# + uri + "type tx, scope tx;", "alert") == [1, 0, 1])
    #expect(counts(#"http.uri; content:"/other"; config:logging disable, type tx, scope tx;"#) == [0, 1, 1])
  }

  @Test func `a reject names whom it tells`() {
    for (action, expected) in [("reject", RuleAction.reject), ("rejectdst", .rejectdst), ("rejectboth", .rejectboth)] {
      let scene = PathScene.run(
        PathScene.exchange().packets,
        rules: #"\#(action) http any any -> any any (msg:"uri"; http.uri; content:"/evil"; sid:1;)"#)
      #expect(scene.verdicts[3].verdict == .reject)
      #expect(scene.verdicts[3].rejectAction == expected)
      #expect(scene.verdicts[4].verdict == .drop)
    }
  }

  @Test func `alerts beyond the limit of a packet are not told, but act`() {
    let rules = """
      alert tcp any any -> any any (msg:"a"; dsize:>0; flow:to_server; sid:1;)
      alert tcp any any -> any any (msg:"b"; dsize:>0; flow:to_server; sid:2;)
      drop tcp any any -> any any (msg:"c"; dsize:>0; flow:to_server; sid:3;)
      """
    let scene = PathScene.run(
      PathScene.exchange().packets, rules: rules, actionOrder: [.alert, .drop, .pass, .reject]
    ) { $0.alertsPerPacketMax = 2 }
    #expect(scene.sids == [1, 2])
    #expect(scene.stopped == [4])
  }

  @Test func `a rule on the packet sees the flowbit that one on the stream has set`() {
    let rules = """
      alert tcp any any -> any any (msg:"set"; content:"/evil"; flowbits:set,seen; sid:1;)
      alert tcp any any -> any any (msg:"asks"; flowbits:isset,seen; dsize:>0; sid:2;)
      """
    let scene = PathScene.run(PathScene.exchange().packets, rules: rules)
    #expect(scene.sink.alerts.prefix(2).map(\.sid) == [1, 2])
    #expect(scene.sink.alerts.prefix(2).map(\.packet) == [4, 4])
  }

  @Test func `every packet that is stopped has a reason and a record`() {
    let rules = """
      drop tcp any any -> any any (msg:"data"; flow:to_client; dsize:>0; sid:1;)
      drop http any any -> any any (msg:"uri"; http.uri; content:"/evil"; sid:2;)
      """
    for isEvil in [true, false] {
      let request = "GET /\(isEvil ? "evil" : "fine") HTTP/1.1\r\nHost: a.example\r\n\r\n"
      let scene = PathScene.run(PathScene.exchange(request: request).packets, rules: rules)
      #expect(!scene.stopped.isEmpty)
      #expect(scene.sink.drops.map { Int($0.packet) } == scene.stopped)
      #expect(scene.stopped.allSatisfy { scene.verdicts[$0 - 1].reason != nil })
    }
  }
}
