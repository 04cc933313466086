import Inspection
import TestSupport
import Testing
import Traffic

/// What happens where something cannot be done as it should.
@Suite struct PolicyTests {
  private static let rules =
    #"alert tcp any any -> any any (msg:"word"; content:"hello"; sid:1;)"#

  private static func midstream(
    _ policy: ExceptionPolicy, picksUp: Bool = false, isInline: Bool = true
  ) -> PathScene {
    PathScene.run(
      PathScene.exchange(hasHandshake: false).packets, rules: rules, isInline: isInline
    ) {
      $0.exceptionPolicies.midstream = policy
      $0.flows.tcp.midstream = picksUp
    }
  }

  @Test func `a session not seen from its start is dropped where the policy says so`() {
    let scene = Self.midstream(.dropFlow)
    #expect(scene.stopped.count == scene.verdicts.count)
    #expect(scene.verdicts.first?.reason == .streamMidstream)
    #expect(scene.sids == [])
    #expect(
      scene.sink.flows.map(\.exceptionPolicies)
        == [[ExceptionPolicyUse(target: "stream_midstream", policy: "drop_flow")]])
  }

  @Test func `a policy that ignores is told of the flow and changes nothing`() {
    let scene = Self.midstream(.ignore, picksUp: true)
    #expect(scene.sids == [1])
    #expect(scene.stopped == [])
    #expect(
      scene.sink.flows.map(\.exceptionPolicies)
        == [[ExceptionPolicyUse(target: "stream_midstream", policy: "ignore")]])
  }

  @Test func `a passed session goes by without rules and is still recorded`() {
    for isInline in [true, false] {
      let scene = Self.midstream(.passFlow, picksUp: true, isInline: isInline)
      #expect(scene.sids == [])
      #expect(scene.sink.flows.map(\.action) == ["pass"])
      #expect(scene.sink.transactionCount == 1)
    }
  }

  @Test func `a bypassed session is released and neither inspected nor recorded`() {
    let scene = Self.midstream(.bypass, picksUp: true)
    #expect(scene.verdicts.allSatisfy { $0.verdict == .release })
    #expect(scene.sink.flows.map(\.state) == ["bypassed"])
    #expect(scene.sink.transactionCount == 0)
  }

  @Test func `a policy that blocks does nothing where nothing can be stopped`() {
    let scene = Self.midstream(.dropFlow, picksUp: true, isInline: false)
    #expect(scene.stopped == [])
    #expect(scene.sids == [1])
  }

  @Test func `a segment that TCP refuses is dropped inline, and let be where that is off`() {
    var web = TCPConversation()
    web.handshake()
    web.inject(.toServer, Array("far away".utf8), offset: 50_000_000)
    let strict = PathScene.run(web.packets, rules: Self.rules)
    #expect(strict.stopped == [4])
    #expect(strict.verdicts[3].reason == .streamError)
    let lax = PathScene.run(web.packets, rules: Self.rules) { $0.dropsInvalidSegments = false }
    #expect(lax.stopped == [])
  }

  @Test func `established begins behind the packet that completes the handshake`() {
    let rules = """
      alert tcp any any -> any any (msg:"not yet"; flow:not_established; sid:1;)
      alert tcp any any -> any any (msg:"from here on"; flow:established; sid:2;)
      """
    let scene = PathScene.run(PathScene.exchange().packets, rules: rules)
    #expect(scene.sink.alerts.filter { $0.sid == 1 }.map(\.packet) == [1, 2, 3])
    #expect(scene.sink.alerts.first { $0.sid == 2 }?.packet == 4)
    #expect(scene.sink.alerts.count == scene.verdicts.count)
  }

  /// Octets ahead of a hole, then the hole, then those octets again, as senders do.
  private static func ahead(_ policy: ExceptionPolicy) -> PathScene {
    var web = TCPConversation()
    web.handshake()
    web.acknowledges = false
    web.inject(.toServer, Array("lo and more".utf8), offset: 3)
    web.inject(.toServer, Array("hel".utf8), offset: 0)
    web.inject(.toServer, Array("lo and more".utf8), offset: 3)
    return PathScene.run(web.packets, rules: rules) {
      $0.reassembly.memcapBytes = 8
      $0.exceptionPolicies.reassemblyMemcap = policy
    }
  }

  @Test func `data that would wait and has no room is dropped, and seen when it comes again`() {
    let scene = Self.ahead(.dropPacket)
    #expect(scene.stopped == [4])
    #expect(scene.verdicts[3].reason == .streamReassembly)
    #expect(scene.sids == [1])
  }

  @Test func `data that has no room to wait goes by where the policy ignores it`() {
    let scene = Self.ahead(.ignore)
    #expect(scene.stopped == [])
    #expect(
      scene.sink.flows.map(\.exceptionPolicies)
        == [[ExceptionPolicyUse(target: "stream_reassembly_memcap", policy: "ignore")]])
  }

  @Test func `a parser that gives up in one direction, then in the other, meets the policy twice`() {
    var web = TCPConversation()
    web.handshake()
    web.acknowledges = false
    web.send(.toServer, TLSClientHello(serverName: "a.example").records())
    web.send(.toClient, TLSServerHello().records())
    web.send(.toServer, "no record")
    web.send(.toServer, "nothing that anybody parses")
    web.send(.toClient, "no record either")
    let scene = PathScene.run(web.packets, rules: Self.rules) { $0.exceptionPolicies.appLayerError = .dropPacket }
    #expect(scene.stopped == [6, 8])
    #expect(scene.verdicts[7].reason == .applicationError)
  }
}
