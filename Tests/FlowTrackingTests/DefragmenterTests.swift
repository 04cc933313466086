import FlowTracking
import PacketDecoding
import TestSupport
import Testing
import Traffic

/// A defragmenter that is fed with built packets.
struct FragmentScene: ~Copyable {
  var defragmenter: Defragmenter
  private let decoder = PacketDecoder()

  init(_ change: (inout DefragmenterSettings) -> Void = { _ in }) {
    var settings = DefragmenterSettings()
    change(&settings)
    defragmenter = Defragmenter(settings: settings)
  }

  mutating func add(
    _ packet: any NetworkPacket, policy: FragmentPolicy = .bsd, seconds: Int64 = 100
  ) -> DefragmentResult {
    let bytes = packet.bytes
    let decoded = decoder.decode(bytes.rawSpan, link: .raw, time: Timestamp(seconds: seconds))
    return defragmenter.add(decoded, bytes.rawSpan, policy: policy)
  }

  /// What the reassembled datagram carries after its UDP header.
  func udpPayload() -> [UInt8]? {
    let bytes = defragmenter.reassembled
    let packet = decoder.decode(bytes, link: .raw, time: Timestamp(seconds: 1))
    guard packet.isUDP, !packet.isFragment, packet.events.isEmpty,
      packet.networkChecksum != .invalid
    else { return nil }
    return packet.payload(of: bytes).copied()
  }
}

private var datagram: UDPDatagram { UDPDatagram(from: 1000, to: 53, (0..<200).map { UInt8($0) }) }

@Test func fragmentsInAnyOrderGiveTheDatagramBack() {
  var generator = SeededGenerator(seed: 5)
  let four = IPv4Packet(alice, bob, datagram)
  let six = IPv6Packet(ip("2001:db8::1"), ip("2001:db8::2"), datagram)
  for round in 0..<50 {
    for packets in [four.fragments(size: 48) as [any NetworkPacket], six.fragments(size: 48)] {
      var scene = FragmentScene()
      var outcomes: [DefragmentResult.Outcome] = []
      let order = round == 0 ? packets : packets.shuffled(using: &generator)
      for packet in order { outcomes.append(scene.add(packet).outcome) }
      #expect(outcomes.dropLast().allSatisfy { $0 == .held })
      #expect(outcomes.last == .reassembled)
      #expect(scene.udpPayload() == datagram.payload)
      #expect(scene.defragmenter.count == 0)
      #expect(scene.defragmenter.counters.heldBytes == 0)
    }
  }
}

@Test func headersInFrontOfTheFragmentHeaderStay() {
  var scene = FragmentScene()
  let packet = IPv6Packet(ip("2001:db8::1"), ip("2001:db8::2"), datagram).with {
    $0.extensionHeaders = [.destinationOptions([5, 2, 0, 0])]
  }
  var last = DefragmentResult.Outcome.rejected
  for fragment in packet.fragments(size: 96) { last = scene.add(fragment).outcome }
  #expect(last == .reassembled)
  // 40 fixed + 8 destination options + 8 UDP + 200
  #expect(scene.defragmenter.reassembled.byteCount == 256)
  #expect(scene.defragmenter.reassembled.u8(at: 6) == 60)
  #expect(scene.defragmenter.reassembled.u8(at: 40) == 17)
}

@Test func fragmentsOfDifferentDatagramsAreNotMixed() {
  var scene = FragmentScene()
  let parts = IPv4Packet(alice, bob, datagram).fragments(size: 104)
  #expect(scene.add(parts[0]).outcome == .held)
  #expect(scene.add(parts[1].with { $0.identification = 2 }).outcome == .held)
  #expect(scene.add(parts[1].with { $0.source = ip("10.0.0.9") }).outcome == .held)
  #expect(scene.defragmenter.count == 3)
  #expect(scene.add(parts[1]).outcome == .reassembled)
  #expect(scene.udpPayload() == datagram.payload)
}

/// Units of eight octets, named by the fragment they come from; what each policy makes of them.
@Test(arguments: [
  (FragmentPolicy.first, "AAADDEE"),
  (.last, "ABCCDEE"),
  // C begins after A, so A stands; it begins before D, so it replaces its part of D.
  (.bsd, "AAACDEE"),
  (.bsdRight, "ABCDDEE"),
  (.linux, "AAACDEE"),
  // C does not cover all of D.
  (.windows, "AAADDEE"),
  (.solaris, "AAADDEE"),
])
func laterFragmentsInsideAndAtTheRightFollowThePolicy(_ policy: FragmentPolicy, _ wanted: String) {
  // Arrival: A covers 0…2, D covers 3…4, then B on 1, then C on 2…3, then E the end.
  expectFragments(
    [("A", 0, 3), ("D", 3, 2), ("B", 1, 1), ("C", 2, 2), ("E", 5, 2)], policy, wanted)
}

@Test(arguments: [
  (FragmentPolicy.first, "NAABBBEE"),
  (.last, "NNNNBBEE"),
  (.bsd, "NNNNBBEE"),
  (.bsdRight, "NAABBBEE"),
  (.linux, "NNNNBBEE"),
  // Windows and Solaris yield only where the new fragment covers the old one: A, not B.
  (.windows, "NNNBBBEE"),
  (.solaris, "NNNBBBEE"),
])
func laterFragmentsFromTheLeftFollowThePolicy(_ policy: FragmentPolicy, _ wanted: String) {
  // A on 1…2, B on 3…5, then N over 0…3, then the end.
  expectFragments([("A", 1, 2), ("B", 3, 3), ("N", 0, 4), ("E", 6, 2)], policy, wanted)
}

@Test(arguments: [
  (FragmentPolicy.first, "XAABBEE"),
  (.last, "XNNBBEE"),
  (.bsd, "XAABBEE"),
  (.bsdRight, "XNNBBEE"),
  // Linux lets one of the same beginning replace the old one.
  (.linux, "XNNBBEE"),
  (.windows, "XAABBEE"),
  (.solaris, "XAABBEE"),
])
func theSameFragmentWithOtherDataFollowsThePolicy(_ policy: FragmentPolicy, _ wanted: String) {
  expectFragments(
    [("X", 0, 1), ("A", 1, 2), ("B", 3, 2), ("N", 1, 2), ("E", 5, 2)], policy, wanted)
}

private func expectFragments(
  _ parts: [(Character, Int, Int)], _ policy: FragmentPolicy, _ wanted: String
) {
  var scene = FragmentScene()
  var sawOverlap = false
  var last = DefragmentResult.Outcome.rejected
  for (letter, unit, units) in parts {
    let octet = letter.asciiValue ?? 0
    let packet = IPv4Packet(
      alice, bob, RawTransport(ipProtocol: 253, Array(repeating: octet, count: units * 8))
    ).with {
      $0.dontFragment = false
      $0.fragmentOffset = unit * 8
      $0.moreFragments = letter != "E"
    }
    let result = scene.add(packet, policy: policy)
    if result.events.contains(.ipv4FragmentOverlap) { sawOverlap = true }
    last = result.outcome
  }
  #expect(sawOverlap)
  #expect(last == .reassembled)
  let bytes = scene.defragmenter.reassembled.copied().dropFirst(20)
  let units = stride(from: bytes.startIndex, to: bytes.endIndex, by: 8).map {
    Character(UnicodeScalar(bytes[$0]))
  }
  #expect(String(units) == wanted)
}

@Test func policiesAreFoundByTheNamesOfSystems() {
  #expect(FragmentPolicy(hostOS: "windows2k3") == .windows)
  #expect(FragmentPolicy(hostOS: "Linux") == .linux)
  #expect(FragmentPolicy(hostOS: "plan9") == nil)
}

@Test func aDatagramThatWouldBeTooLargeIsRefused() {
  var scene = FragmentScene()
  let ping = IPv4Packet(alice, bob, RawTransport(ipProtocol: 1, Array(repeating: 0, count: 64))).with {
    $0.dontFragment = false
    $0.fragmentOffset = 65_528
  }
  let result = scene.add(ping)
  #expect(result.outcome == .rejected && result.events.contains(.ipv4FragmentTooLarge))
  #expect(scene.defragmenter.counters.tooLarge == 1)
}

@Test func dataBeyondTheLastFragmentIsRefused() {
  var scene = FragmentScene()
  func part(_ offset: Int, _ count: Int, more: Bool) -> IPv4Packet {
    IPv4Packet(alice, bob, RawTransport(ipProtocol: 253, Array(repeating: 1, count: count))).with {
      $0.dontFragment = false
      $0.fragmentOffset = offset
      $0.moreFragments = more
    }
  }
  #expect(scene.add(part(16, 8, more: false)).outcome == .held)
  let beyond = scene.add(part(24, 8, more: true))
  #expect(beyond.outcome == .rejected && beyond.events.contains(.ipv4FragmentIgnored))
  let otherEnd = scene.add(part(16, 4, more: false))
  #expect(otherEnd.outcome == .rejected && otherEnd.events.contains(.ipv4FragmentOverlap))
  #expect(scene.add(part(0, 16, more: true)).outcome == .reassembled)
}

@Test func waitingEndsAfterTheTimeout() {
  var scene = FragmentScene()
  let parts = IPv4Packet(alice, bob, datagram).fragments(size: 104)
  _ = scene.add(parts[0], seconds: 100)
  #expect(scene.add(parts[1], seconds: 160).outcome == .held)
  #expect(scene.defragmenter.counters.timeouts == 1)
  #expect(scene.defragmenter.count == 1)
}

@Test func atItsLimitsTheOldestDatagramIsGivenUp() {
  var scene = FragmentScene { $0.datagramCountMax = 2 }
  let part = IPv4Packet(alice, bob, datagram).fragments(size: 104)[0]
  for identification: UInt16 in 1...3 {
    _ = scene.add(part.with { $0.identification = identification })
  }
  #expect(scene.defragmenter.count == 2)
  #expect(scene.defragmenter.counters.evicted == 1)
  var small = FragmentScene { $0.memcapBytes = 300 }
  for identification: UInt16 in 1...5 {
    _ = small.add(part.with { $0.identification = identification })
  }
  #expect(small.defragmenter.counters.heldBytes <= 300)
  #expect(small.defragmenter.counters.evicted > 0)
}

@Test func damagedFragmentsNeverBreakReassembly() {
  var mutator = Mutator(seed: 9)
  let decoder = PacketDecoder()
  var defragmenter = Defragmenter()
  let packets =
    IPv4Packet(alice, bob, datagram).fragments(size: 24).map(\.bytes)
    + IPv6Packet(ip("2001:db8::1"), ip("2001:db8::2"), datagram).fragments(size: 24).map(\.bytes)
  var reassembled = 0
  for round in 0..<100_000 {
    let original = packets[Int.random(in: 0..<packets.count, using: &mutator.generator)]
    let bytes = round % 3 == 0 ? original : mutator.mutate(original)
    let time = Timestamp(seconds: Int64(round / 100))
    let packet = decoder.decode(bytes.rawSpan, link: .raw, time: time)
    guard packet.isFragment else { continue }
    let policy = FragmentPolicy.allCases[round % 7]
    if defragmenter.add(packet, bytes.rawSpan, policy: policy).outcome == .reassembled {
      reassembled += 1
      #expect(defragmenter.reassembled.byteCount <= 65_575)
    }
  }
  #expect(reassembled > 0)
}
