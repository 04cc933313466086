import Inspection
import TestSupport
import Testing
import Traffic

/// What happens where memory is not enough: each limit at its lowest, with each policy that makes a difference.
@Suite struct MemcapTests {
  private static let rules =
    #"alert ip any any -> any any (msg:"word"; content:"hello"; sid:1;)"#

  // MARK: Fragments

  private static func fragments(_ policy: ExceptionPolicy, isInline: Bool = true) -> PathScene {
    let datagram = UDPDatagram(from: 4000, to: 4001, Array("hello hello hello".utf8))
    let packets = IPv4Packet(ip("10.0.0.1"), ip("192.0.2.1"), datagram).fragments(size: 16)
    return PathScene.run(
      packets.map { BuiltPacket(time: Timestamp(seconds: 1_700_000_000), bytes: EthernetFrame($0).bytes) },
      rules: rules, isInline: isInline
    ) {
      $0.exceptionPolicies.defragMemcap = policy
      $0.defragmentation.memcapBytes = 1
    }
  }

  @Test func `a fragment that there is no memory for is dropped where the policy says so`() {
    for policy in [ExceptionPolicy.dropPacket, .dropFlow] {
      let scene = Self.fragments(policy)
      #expect(scene.stopped == [1, 2])
      #expect(scene.verdicts.map(\.reason) == [.defragMemcap, .defragMemcap])
      #expect(scene.sink.drops.map(\.reason) == ["defrag memcap", "defrag memcap"])
      #expect(scene.memcapHits.fragments == 2)
    }
    let scene = Self.fragments(.reject)
    #expect(scene.verdicts.map(\.verdict) == [.reject, .reject])
    #expect(scene.verdicts.map(\.rejectAction) == [.reject, .reject])
  }

  @Test func `a fragment that there is no memory for goes on where the policy lets it or nothing is stopped`() {
    for policy in [ExceptionPolicy.ignore, .passPacket] {
      let scene = Self.fragments(policy)
      #expect(scene.stopped == [])
      #expect(scene.memcapHits.fragments == 2)
    }
    #expect(Self.fragments(.dropPacket, isInline: false).stopped == [])
  }

  // MARK: TCP sessions

  private static func sessions(_ policy: ExceptionPolicy, countMax: Int = 0, isInline: Bool = true) -> PathScene {
    PathScene.run(PathScene.exchange().packets, rules: rules, isInline: isInline) {
      $0.exceptionPolicies.streamMemcap = policy
      $0.flows.sessionCountMax = countMax
    }
  }

  @Test func `a connection that there is no memory for is dropped where the policy says so`() {
    let scene = Self.sessions(.dropFlow)
    #expect(scene.stopped.count == scene.verdicts.count)
    #expect(scene.verdicts.first?.reason == .streamMemcap)
    #expect(scene.verdicts.last?.reason == .exceptionFlowDrop)
    #expect(scene.sids == [])
    #expect(scene.memcapHits.sessions == 1)
    #expect(
      scene.sink.flows.map(\.exceptionPolicies)
        == [[ExceptionPolicyUse(target: "stream_memcap", policy: "drop_flow")]])
    #expect(Self.sessions(.dropPacket).stopped == [1])
  }

  @Test func `a connection that there is no memory for passes or is left alone as the policy says`() {
    let passed = Self.sessions(.passFlow)
    #expect(passed.stopped == [])
    #expect(passed.sids == [])
    #expect(passed.sink.flows.map(\.action) == ["pass"])
    let bypassed = Self.sessions(.bypass)
    #expect(bypassed.verdicts.allSatisfy { $0.verdict == .release })
    let ignored = Self.sessions(.ignore)
    #expect(ignored.stopped == [])
    // Packets without a session are looked at one by one.
    #expect(ignored.sids == [1])
    #expect(ignored.sink.transactionCount == 0)
  }

  @Test func `a session that is over makes room for another`() {
    let scene = PathScene.run(
      ([40_001, 40_002] as [UInt16]).flatMap { port -> [BuiltPacket] in
        var web = TCPConversation(
          clientPort: port, start: Timestamp(seconds: 1_700_000_000 + Int64(port) * 1000))
        web.handshake()
        web.send(.toServer, "hello")
        web.fin()
        return web.packets
      }, rules: Self.rules
    ) {
      $0.exceptionPolicies.streamMemcap = .dropFlow
      $0.flows.sessionCountMax = 1
    }
    #expect(scene.stopped == [])
    #expect(scene.memcapHits.sessions == 0)
  }

  // MARK: Segments

  private static func segments(_ policy: ExceptionPolicy, isInline: Bool = true) -> PathScene {
    var web = TCPConversation()
    web.handshake()
    // Ahead of a hole, so that it must be held.
    web.inject(.toServer, Array("lo there".utf8), offset: 3)
    web.send(.toServer, "hel")
    web.fin()
    return PathScene.run(web.packets, rules: rules, isInline: isInline) {
      $0.exceptionPolicies.reassemblyMemcap = policy
      $0.reassembly.memcapBytes = 1
    }
  }

  @Test func `a segment that there is no memory for is dropped where the policy says so`() {
    let packet = Self.segments(.dropPacket)
    #expect(packet.stopped == [4])
    #expect(packet.verdicts[3].reason == .streamReassembly)
    #expect(packet.sink.drops.first?.reason == "stream reassembly")
    #expect(packet.memcapHits.segments == 1)
    let flow = Self.segments(.dropFlow)
    #expect(flow.stopped == Array(4...flow.verdicts.count))
    #expect(flow.verdicts[4].reason == .exceptionFlowDrop)
    #expect(
      flow.sink.flows.map(\.exceptionPolicies)
        == [[ExceptionPolicyUse(target: "stream_reassembly_memcap", policy: "drop_flow")]])
    #expect(Self.segments(.reject).verdicts[3].verdict == .reject)
  }

  @Test func `a segment that there is no memory for passes or is left alone as the policy says`() {
    #expect(Self.segments(.ignore).stopped == [])
    #expect(Self.segments(.dropFlow, isInline: false).stopped == [])
    let passed = Self.segments(.passFlow)
    #expect(passed.stopped == [])
    #expect(passed.sink.flows.map(\.action) == ["pass"])
  }

  // MARK: Flows

  private static func flows(_ policy: ExceptionPolicy) -> PathScene {
    let packets = [4001, 4002].map { port in
      IPv4Packet(
        ip("10.0.0.1"), ip("192.0.2.1"), UDPDatagram(from: 4000, to: UInt16(port), Array("hello".utf8)))
    }
    return PathScene.run(
      packets.map { BuiltPacket(time: Timestamp(seconds: 1_700_000_000), bytes: EthernetFrame($0).bytes) },
      rules: rules
    ) {
      $0.exceptionPolicies.flowMemcap = policy
      $0.flows.flowCountMax = 0
    }
  }

  @Test func `a packet that there is no memory for a flow for meets its policy`() {
    let dropped = Self.flows(.dropPacket)
    #expect(dropped.stopped == [1, 2])
    #expect(dropped.verdicts[0].reason == .flowMemcap)
    #expect(dropped.sids == [])
    #expect(Self.flows(.ignore).sids == [1, 1])
    let passed = Self.flows(.passPacket)
    #expect(passed.sids == [])
    #expect(passed.stopped == [])
  }
}
