import PacketDecoding
import TestSupport
import Testing
import Traffic

/// Whatever the bytes are, decoding ends, and what it says lies inside them.
@Suite struct MutationTests {
  static let links: [LinkType] = [
    .ethernet, .null, .loop, .ppp, .pppHDLC, .pppEthernet, .raw, .ipv4, .ipv6, .rawBSD, .ciscoHDLC,
    .linuxCooked, .linuxCookedV2, .ieee80211,
  ]

  /// One packet of each kind that leads to a decoder of its own.
  static let seeds: [[UInt8]] = {
    let options: [TCPOption] = [.maximumSegmentSize(1460), .sackPermitted, .timestamps(value: 1, echo: 2)]
    let tcp = TCPSegment(from: 1, to: 80, flags: [.ack], options: options, payload: [1, 2, 3])
    let inner = udp()
    let frame = EthernetFrame(inner).bytes
    let extended = udp6().with {
      $0.extensionHeaders = [
        .hopByHop(options: [5, 2, 0, 0]), .routing(type: 0, segmentsLeft: 1, addresses: [client6]),
        .destinationOptions(), .fragment(offset: 0, more: false, identification: 1),
        IPv6ExtensionHeader(type: 51, body: [1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]),
      ]
    }
    func over(_ port: UInt16, _ bytes: [UInt8]) -> IPv4Packet {
      IPv4Packet(server, client, UDPDatagram(from: 1, to: port, bytes))
    }
    func gre(_ bytes: [UInt8]) -> IPv4Packet {
      IPv4Packet(server, client, RawTransport(ipProtocol: 47, bytes))
    }
    let packets: [any NetworkPacket] = [
      IPv4Packet(client, server, tcp), IPv6Packet(client6, server6, tcp), extended,
      inner.with { $0.options = [68, 8, 5, 0, 0, 0, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0] },
      inner.with { $0.options = [134, 10, 0, 0, 0, 1, 1, 4, 0, 1, 0, 0] },
      IPv4Packet(client, server, ICMPv4Message(type: 3, code: 4, payload: inner.bytes)),
      IPv6Packet(client6, server6, ICMPv6Message(type: 2, code: 0, payload: udp6().bytes)),
      IPv4Packet(server, client, inner), IPv6Packet(server6, client6, udp6()),
      gre([0x70, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 4, 9, 9, 9, 9, 0, 0, 0, 0] + inner.bytes),
      gre([0x30, 1, 0x88, 0x0b, 0, 40, 0, 1, 0, 0, 0, 3, 0xff, 3, 0, 0x21] + inner.bytes),
      gre([0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 23, 0, 1, 0, 0, 0, 0] + frame),
      over(4789, [8, 0, 0, 0, 0, 0, 1, 0] + frame), over(3544, [0, 0, 1, 2, 3, 4, 5, 6] + udp6().bytes),
      over(6081, [2, 0, 0x65, 0x58, 0, 0, 1, 0, 1, 2, 3, 1, 9, 9, 9, 9] + frame),
      RawNetworkPacket(etherType: 0x8847, bytes: [0, 6, 0x40, 64, 0, 6, 0x41, 64, 0, 0, 0, 0] + frame),
      RawNetworkPacket(etherType: 0x8864, bytes: [0x11, 0, 0, 1, 0, 0x2a, 0, 0x21] + inner.bytes),
      RawNetworkPacket(etherType: 0x8863, bytes: [0x11, 9, 0, 0, 0, 8, 1, 1, 0, 4, 1, 2, 3, 4]),
      RawNetworkPacket(etherType: 0x894f, bytes: [0, 2, 2, 1, 0, 0, 1, 255] + inner.bytes),
      RawNetworkPacket(etherType: 0x8926, bytes: [0, 0, 0, 0, 0x08, 0] + inner.bytes),
      RawNetworkPacket(etherType: 0x88e7, bytes: [UInt8](repeating: 0, count: 16) + [0x08, 0] + inner.bytes),
      RawNetworkPacket(etherType: 0x0806, bytes: [0, 1, 8, 0, 6, 4, 0, 1] + [UInt8](repeating: 1, count: 20)),
    ]
    let frames = packets.map { EthernetFrame($0, outerVLAN: 1, innerVLAN: 2).bytes }
    return frames + packets.map(\.bytes) + [
      [0xff, 3, 0, 0x21] + inner.bytes, [2, 0, 0, 0] + inner.bytes, [0x0f, 0, 8, 0] + inner.bytes,
    ]
  }()

  /// - Returns: false where something the packet says lies outside `count` octets.
  static func isInside(_ packet: DecodedPacket, _ count: Int) -> Bool {
    func range(_ offset: Int32, _ length: Int32) -> Bool {
      offset >= 0 && length >= 0 && Int(offset) + Int(length) <= count
    }
    return range(packet.networkOffset, packet.networkHeaderLength)
      && range(packet.transportOffset, packet.transportHeaderLength)
      && range(packet.payloadOffset, packet.payloadLength)
      && range(packet.innerOffset, 0) && range(packet.innerEnd, 0)
      && (packet.inner == .none || packet.innerOffset <= packet.innerEnd)
      && packet.vlanCount <= 3 && packet.tunnelDepth <= PacketDecoder.tunnelDepthMax + 1
      && (packet.hasTransport == false || packet.ipVersion != 0)
      && (0...65_535).contains(packet.fragmentOffset)
  }

  static func check(_ bytes: [UInt8], _ link: LinkType, _ decoder: PacketDecoder) -> Int {
    var packet = decoder.decode(bytes.rawSpan, link: link, time: Timestamp(seconds: 1))
    var faults = isInside(packet, bytes.count) ? 0 : 1
    while packet.inner != .none {
      packet = decoder.decodeInner(of: packet, bytes.rawSpan)
      if !isInside(packet, bytes.count) { faults += 1 }
    }
    _ = ARPFields(packet, bytes.rawSpan)
    return faults
  }

  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func damagedPacketsNeverTrapAndAllOffsetsLieInside(seed: UInt64) {
    let decoder = PacketDecoder()
    var mutator = Mutator(seed: seed)
    var faults = 0
    for round in 0..<12_500 {
      let source = Self.seeds[round % Self.seeds.count]
      let damaged = mutator.mutate(source)
      faults += Self.check(damaged, .ethernet, decoder)
      let link = Self.links[round / Self.seeds.count % Self.links.count]
      faults += Self.check(damaged, link, decoder)
    }
    #expect(faults == 0)
  }

  @Test func noiseNeverTraps() {
    let decoder = PacketDecoder()
    var generator = SeededGenerator(seed: 9)
    var faults = 0
    for round in 0..<40_000 {
      let bytes = generator.bytes(round % 97)
      faults += Self.check(bytes, Self.links[round % Self.links.count], decoder)
    }
    #expect(faults == 0)
  }

  @Test func everyPrefixOfEveryKindOfPacketDecodes() {
    let decoder = PacketDecoder()
    var faults = 0
    for seed in Self.seeds {
      for count in 0...seed.count {
        for link in Self.links { faults += Self.check(Array(seed.prefix(count)), link, decoder) }
      }
    }
    #expect(faults == 0)
  }

  @Test func theSeedsThemselvesAreReadToTheirEnd() {
    // Otherwise the mutations would not reach the inner decoders.
    let depths = Self.seeds.prefix(22).map { decodeAll($0).count }
    #expect(depths.filter { $0 == 2 }.count == 8)
  }
}
