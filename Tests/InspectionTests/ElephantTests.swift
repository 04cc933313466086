import Inspection
import TestSupport
import Testing
import Traffic

/// `flow.rate-tracking`: which flows count as elephants, and when.
@Suite struct ElephantTests {
  private static let rules = """
    alert tcp any any -> any any (msg:"either"; flow.elephant:either; sid:1;)
    alert tcp any any -> any any (msg:"to server"; flow.elephant:toserver; sid:2;)
    alert tcp any any -> any any (msg:"to client"; flow.elephant:toclient; sid:3;)
    alert tcp any any -> any any (msg:"both"; flow.elephant:both; sid:4;)
    """

  /// Three thousand octets to the client, a thousand at a time, `pause` seconds apart.
  private static func scene(pause: Int64, limit: FlowRateLimit?) -> PathScene {
    var talk = TCPConversation()
    talk.handshake()
    for _ in 0..<3 {
      talk.send(.toClient, Array(repeating: 0x78, count: 1000))
      talk.wait(seconds: pause)
    }
    talk.fin()
    return PathScene.run(talk.packets, rules: rules) { $0.elephantLimit = limit }
  }

  @Test func `a flow counts from the packet on that reaches the rate, in its direction`() {
    // Handshake 1 to 3; data 4, 6 and 8 of 1054 octets each, behind a SYN/ACK.
    let scene = Self.scene(pause: 0, limit: FlowRateLimit(bytes: 2500, seconds: 10))
    #expect(Set(scene.sids) == [1, 3])
    #expect(scene.sink.alerts.first?.packet == 8)
    #expect(scene.sink.flows.map { $0.isElephant.toClient } == [true])
    #expect(scene.sink.flows.map { $0.isElephant.toServer } == [false])
  }

  @Test func `octets of other seconds do not count`() {
    #expect(Self.scene(pause: 2, limit: FlowRateLimit(bytes: 2500, seconds: 2)).sids == [])
    #expect(Self.scene(pause: 2, limit: FlowRateLimit(bytes: 2500, seconds: 10)).sids != [])
    #expect(Self.scene(pause: 100_000, limit: FlowRateLimit(bytes: 2500, seconds: 10)).sids == [])
  }

  @Test func `both directions, or no limit at all`() {
    #expect(Set(Self.scene(pause: 0, limit: FlowRateLimit(bytes: 60, seconds: 1)).sids) == [1, 2, 3, 4])
    let unwatched = Self.scene(pause: 0, limit: nil)
    #expect(unwatched.sids == [] && unwatched.sink.flows.map { $0.isElephant.toClient } == [false])
  }
}
