import FlowTracking
import PacketDecoding
import TestSupport
import Testing
import Traffic

@Test func bothDirectionsMeetTheSameFlow() {
  var scene = Scene()
  let first = scene.track(udp(alice, bob, 5000, 53))
  let answer = scene.track(udp(bob, alice, 53, 5000))
  #expect(first.outcome == .new && first.direction == .toServer)
  #expect(answer.outcome == .existing && answer.direction == .toClient)
  #expect(answer.index == first.index)
  let flow = scene.table[first.index]
  #expect(flow.tuple.source == alice && flow.tuple.destinationPort == 53)
  #expect(flow.toServer.packetCount == 1 && flow.toClient.packetCount == 1)
  // 14 Ethernet + 20 IPv4 + 8 UDP + 3 payload
  #expect(flow.toServer.byteCount == 45)
  #expect(flow.state == .established)
}

@Test func otherPortsAddressesAndProtocolsAreOtherFlows() {
  var scene = Scene()
  var places = Set<FlowIndex>()
  places.insert(scene.track(udp(alice, bob, 5000, 53)).index)
  places.insert(scene.track(udp(alice, bob, 5001, 53)).index)
  places.insert(scene.track(udp(alice, bob, 53, 5000)).index)
  places.insert(scene.track(udp(alice, ip("192.0.2.81"), 5000, 53)).index)
  places.insert(
    scene.track(IPv4Packet(alice, bob, TCPSegment(from: 5000, to: 53, flags: [.syn]))).index)
  #expect(places.count == 5)
  #expect(scene.table.count == 5)
}

@Test func vlansSeparateFlowsUnlessToldOtherwise() {
  for usesVLAN in [true, false] {
    var scene = Scene { $0.usesVLAN = usesVLAN }
    let time = Timestamp(seconds: 100)
    let plain = scene.track(udp(alice, bob, 5000, 53))
    let tagged = scene.track(
      BuiltPacket(
        time: time,
        bytes: EthernetFrame(udp(alice, bob, 5000, 53), vlans: [VLANTag(12)]).bytes))
    #expect((plain.index == tagged.index) == !usesVLAN)
    if usesVLAN { #expect(scene.table[tagged.index].vlan0 == 12) }
  }
}

@Test func identifiersFollowFromTheSeedAloneAndFitJSONNumbers() {
  var identifiers: [[UInt64]] = []
  for _ in 0..<2 {
    var scene = Scene()
    identifiers.append(
      (0..<200).map { (port: UInt16) in
        let index = scene.track(udp(alice, bob, 5000 + port, 53)).index
        return scene.table[index].flowID
      })
  }
  #expect(identifiers[0] == identifiers[1])
  #expect(Set(identifiers[0]).count == 200)
  #expect(identifiers[0].allSatisfy { $0 < 1 << 53 })
}

@Test func echoRequestAndReplyAreOneFlow() {
  var scene = Scene()
  let request = scene.track(
    IPv4Packet(alice, bob, ICMPv4Message.echo(identifier: 7, sequence: 1)))
  let reply = scene.track(
    IPv4Packet(bob, alice, ICMPv4Message.echo(reply: true, identifier: 7, sequence: 1)))
  #expect(reply.index == request.index && reply.direction == .toClient)
  let flow = scene.table[request.index]
  #expect(flow.icmpType == 8 && flow.icmpResponseType == 0)
  let six = (ip("2001:db8::1"), ip("2001:db8::2"))
  let request6 = scene.track(
    IPv6Packet(six.0, six.1, ICMPv6Message.echo(identifier: 7, sequence: 1)))
  let reply6 = scene.track(
    IPv6Packet(six.1, six.0, ICMPv6Message.echo(reply: true, identifier: 7, sequence: 1)))
  #expect(reply6.index == request6.index && reply6.direction == .toClient)
}

@Test func anICMPErrorBelongsToTheFlowItQuotes() {
  var scene = Scene()
  let query = udp(alice, bob, 5000, 53)
  let flow = scene.track(query)
  let error = scene.track(IPv4Packet(bob, alice, ICMPv4Message.error(code: 3, about: query)))
  #expect(error.outcome == .existing && error.index == flow.index && error.isQuoted)
  #expect(error.direction == .toClient)
  let stranger = scene.track(
    IPv4Packet(bob, alice, ICMPv4Message.error(code: 3, about: udp(alice, bob, 6000, 53))))
  #expect(stranger.outcome == .none)
  #expect(scene.table.count == 1)
}

@Test func flowsTimeOutByProtocolAndState() {
  var scene = Scene()
  _ = scene.track(udp(alice, bob, 1, 53), seconds: 100)
  _ = scene.track(udp(alice, bob, 2, 53), seconds: 100)
  _ = scene.track(udp(bob, alice, 53, 2), seconds: 101)
  var ended: [UInt16] = []
  func sweep(_ table: inout FlowTable, _ second: Int64) {
    table.expire(now: Timestamp(seconds: second)) { _, flow, reason in
      #expect(reason == .timeout)
      ended.append(flow.tuple.sourcePort)
    }
  }
  sweep(&scene.table, 130)
  #expect(ended.isEmpty)
  // New UDP flows last 30 seconds.
  sweep(&scene.table, 132)
  #expect(ended == [1])
  sweep(&scene.table, 401)
  #expect(ended == [1])
  // Established ones 300.
  sweep(&scene.table, 403)
  #expect(ended == [1, 2])
  #expect(scene.table.count == 0)
  #expect(scene.table.counters.flowsTimedOut == 2)
}

@Test func aPacketPutsTheTimeoutOff() {
  var scene = Scene()
  var ended = 0
  for second in stride(from: Int64(100), to: 200, by: 20) {
    _ = scene.track(udp(alice, bob, 1, 53), seconds: second)
    scene.table.expire(now: Timestamp(seconds: second + 1)) { _, _, _ in ended += 1 }
  }
  #expect(ended == 0)
  scene.table.expire(now: Timestamp(seconds: 212)) { _, _, _ in ended += 1 }
  #expect(ended == 1)
}

@Test func aJumpInTimeEndsEverythingOnce() {
  var scene = Scene()
  for port in 1...500 { _ = scene.track(udp(alice, bob, UInt16(port), 53), seconds: 100) }
  var ended = 0
  scene.table.expire(now: Timestamp(seconds: 9_000_000_000)) { _, _, _ in ended += 1 }
  #expect(ended == 500)
  // And time that runs backwards harms nothing.
  _ = scene.track(udp(alice, bob, 1, 53), seconds: -5)
  scene.table.expire(now: Timestamp(seconds: -4)) { _, _, _ in ended += 1 }
  #expect(ended == 500)
}

@Test func expiryStopsAtItsLimitAndGoesOnLater() {
  var scene = Scene()
  for port in 1...100 { _ = scene.track(udp(alice, bob, UInt16(port), 53), seconds: 100) }
  var ended = 0
  let now = Timestamp(seconds: 200)
  scene.table.expire(now: now, limit: 30) { _, _, _ in ended += 1 }
  #expect(ended == 30)
  scene.table.expire(now: now) { _, _, _ in ended += 1 }
  #expect(ended == 100)
}

@Test func aTimedOutFlowIsSupersededByTheNextPacket() {
  var scene = Scene()
  let old = scene.track(udp(alice, bob, 1, 53), seconds: 100)
  let late = scene.track(udp(alice, bob, 1, 53), seconds: 131)
  #expect(late.outcome == .supersedes && late.endReason == .timeout && late.index == old.index)
  #expect(scene.table[old.index].toServer.packetCount == 1)
  let gone = scene.table.remove(late.index, reason: late.endReason)
  let fresh = scene.track(udp(alice, bob, 1, 53), seconds: 131)
  #expect(fresh.outcome == .new)
  #expect(scene.table[fresh.index].flowID != gone?.flowID)
}

@Test func aFullTableSaysSoAndPruningMakesRoom() {
  var scene = Scene { $0.flowCountMax = 3 }
  for port: UInt16 in 1...3 { _ = scene.track(udp(alice, bob, port, 53), seconds: 100 + Int64(port)) }
  #expect(scene.track(udp(alice, bob, 4, 53), seconds: 110).outcome == .full)
  #expect(scene.table.counters.memcapHits == 1)
  // Existing flows go on.
  #expect(scene.track(udp(alice, bob, 1, 53), seconds: 110).outcome == .existing)
  var pruned: [UInt16] = []
  scene.table.prune(limit: 2) { _, flow, reason in
    #expect(reason == .forced)
    pruned.append(flow.tuple.sourcePort)
  }
  #expect(pruned.count == 2)
  #expect(scene.track(udp(alice, bob, 4, 53), seconds: 110).outcome == .new)
}

@Test func aReleasedFlowTimesOutAsOne() {
  var scene = Scene()
  let flow = scene.track(udp(alice, bob, 1, 53), seconds: 100)
  _ = scene.track(udp(bob, alice, 53, 1), seconds: 100)
  scene.table.bypass(flow.index)
  #expect(scene.table[flow.index].state == .bypassed)
  var ended = 0
  scene.table.expire(now: Timestamp(seconds: 202)) { _, _, _ in ended += 1 }
  #expect(ended == 1)
}

@Test func theTableAgreesWithADictionaryUnderChurn() {
  var scene = Scene { $0.flowCountMax = 10_000 }
  var generator = SeededGenerator(seed: 11)
  var oracle: [UInt16: FlowIndex] = [:]
  for _ in 0..<20_000 {
    let port = UInt16.random(in: 1...3000, using: &generator)
    if let index = oracle[port], Bool.random(using: &generator) {
      scene.table.remove(index, reason: .forced)
      oracle[port] = nil
    } else {
      let lookup = scene.track(udp(alice, bob, port, 53))
      #expect((lookup.outcome == .existing) == (oracle[port] != nil))
      if let known = oracle[port] { #expect(known == lookup.index) }
      oracle[port] = lookup.index
    }
  }
  #expect(scene.table.count == oracle.count)
  var ended = 0
  scene.table.removeAll { _, _, _ in ended += 1 }
  #expect(ended == oracle.count)
  #expect(scene.table.count == 0)
}

@Test func whatIsInATunnelIsAnotherFlowThanTheLikeOutside() {
  for usesTunnelDepth in [true, false] {
    var settings = FlowTableSettings(seed: 1)
    settings.usesTunnelDepth = usesTunnelDepth
    var table = FlowTable(settings: settings)
    let decoder = PacketDecoder()
    let inner = udp(alice, bob, 5000, 53)
    let bytes = IPv4Packet(alice, bob, inner).bytes
    let time = Timestamp(seconds: 1)
    let outer = decoder.decode(bytes.rawSpan, link: .raw, time: time)
    let tunnel = table.track(outer, packetLength: bytes.count, time: time)
    let inside = table.track(
      decoder.decodeInner(of: outer, bytes.rawSpan), packetLength: 31, time: time)
    let plain = inner.bytes
    let outside = table.track(
      decoder.decode(plain.rawSpan, link: .raw, time: time), packetLength: 31, time: time)
    #expect(tunnel.outcome == .new && inside.outcome == .new)
    #expect((inside.index == outside.index) == !usesTunnelDepth)
  }
}

@Test func securityAssociationsAreFlowsOfTheirOwn() {
  var scene = Scene()
  func esp(_ index: UInt8) -> IPv4Packet {
    // SPI 0x000001xx, sequence number 1.
    IPv4Packet(alice, bob, RawTransport(ipProtocol: 50, [0, 0, 1, index, 0, 0, 0, 1, 9, 9]))
  }
  let first = scene.track(esp(1))
  #expect(scene.track(esp(1)).index == first.index)
  #expect(scene.track(esp(2)).outcome == .new)
  #expect(scene.table[first.index].tuple.destinationPort == 0x0101)
}

@Test func packetsWithoutAddressesAndFragmentsBelongToNoFlow() {
  var scene = Scene()
  let whole = IPv4Packet(alice, bob, UDPDatagram(from: 1, to: 53, Array(repeating: 9, count: 100)))
  for fragment in whole.fragments(size: 40) {
    #expect(scene.track(fragment).outcome == .none)
  }
  let nonsense = BuiltPacket(time: Timestamp(seconds: 1), bytes: [1, 2, 3])
  #expect(scene.track(nonsense).outcome == .none)
  #expect(scene.table.count == 0)
}

@Test func timeToLiveAndFlagsAreKeptForEachSide() {
  var scene = Scene()
  var talk = TCPConversation()
  talk.handshake()
  let index = scene.play(talk)[0].index
  let flow = scene.table[index]
  #expect(flow.toServer.tcpFlags == 0x12 && flow.toClient.tcpFlags == 0x12)
  #expect(flow.toServer.timeToLiveMin == 64 && flow.toServer.timeToLiveMax == 64)
  #expect(flow[.toClient].packetCount == 1)
}
