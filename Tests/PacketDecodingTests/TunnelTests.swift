import PacketDecoding
import TestSupport
import Testing
import Traffic

@Suite struct TunnelTests {
  private let inner = udp("inside", from: 7, to: 9)

  /// Outer and inner packet where there are two.
  private func pair(_ packet: any NetworkPacket) throws -> (DecodedPacket, DecodedPacket) {
    let all = decodeAll(packet)
    try #require(all.count == 2)
    return (all[0], all[1])
  }

  @Test func ipInIPIsDecodedFourWays() throws {
    for outer: any NetworkPacket in [IPv4Packet(server, client, inner), IPv6Packet(server6, client6, inner)] {
      let (first, second) = try pair(outer)
      #expect(first.inner == .ipv4)
      #expect(first.tunnelDepth == 0)
      #expect(second.tunnelDepth == 1)
      #expect(second.source == client)
      #expect(second.sourcePort == 7)
      #expect(second.transportChecksum == .valid)
    }
    for outer: any NetworkPacket in [IPv4Packet(server, client, udp6()), IPv6Packet(server6, client6, udp6())] {
      let (first, second) = try pair(outer)
      #expect(first.inner == .ipv6)
      #expect(second.source == client6)
      #expect(second.isUDP)
    }
  }

  @Test func whatIsWrongWithIPInIPv6IsAnEvent() {
    func events(_ next: UInt8, _ bytes: [UInt8]) -> [String] {
      decode(IPv6Packet(client6, server6, RawTransport(ipProtocol: next, bytes))).eventNames
    }
    #expect(events(4, Array(inner.bytes.prefix(19))) == ["ipv6.ipv4_in_ipv6_too_small"])
    #expect(events(4, udp6().bytes) == ["ipv6.ipv4_in_ipv6_wrong_version"])
    #expect(events(41, Array(udp6().bytes.prefix(39))) == ["ipv6.ipv6_in_ipv6_too_small"])
    #expect(events(41, inner.bytes + udp6().bytes) == ["ipv6.ipv6_in_ipv6_wrong_version"])
  }

  @Test func thePacketInsideEndsWhereTheOuterOneSays() throws {
    // The inner length reaches into the padding of the frame.
    let long = inner.with { $0.totalLength = inner.bytes.count + 4 }
    var frame = EthernetFrame(IPv4Packet(server, client, long))
    frame.paddedTo = 200
    let all = decodeAll(frame.bytes)
    try #require(all.count == 2)
    #expect(all[1].eventNames == ["ipv4.trunc_pkt"])
  }

  @Test func tunnelsInTunnelsHaveAnEnd() {
    var packet: any NetworkPacket & TransportPayload = inner
    for _ in 0..<30 { packet = IPv4Packet(server, client, packet) }
    let all = decodeAll(packet)
    #expect(all.last?.eventNames == ["too_many_layers"])
    // Ethernet and 14 headers of IP.
    #expect(all.count == 15)
    #expect(all.dropLast().allSatisfy { $0.ipVersion == 4 })
  }

  // MARK: GRE

  private func gre(_ bytes: [UInt8]) -> [DecodedPacket] {
    decodeAll(IPv4Packet(server, client, RawTransport(ipProtocol: 47, bytes)))
  }

  @Test func greVersion0IsRead() throws {
    for key: UInt32? in [nil, 5] {
      for sequence: UInt32? in [nil, 6] {
        var packet = GREPacket(inner, key: key, sequence: sequence)
        for hasChecksum in [false, true] {
          packet.hasChecksum = hasChecksum
          let (_, second) = try pair(IPv4Packet(server, client, packet))
          #expect(second.sourcePort == 7)
        }
      }
    }
    #expect(try pair(IPv4Packet(server, client, GREPacket(udp6()))).1.ipVersion == 6)
    // Routing: checksum, offset, one entry of four octets, the empty one.
    let routed = gre([0x40, 0, 0x08, 0, 0, 0, 0, 0] + [0, 1, 0, 4, 9, 9, 9, 9] + [0, 0, 0, 0] + inner.bytes)
    #expect(routed.last?.sourcePort == 7)
  }

  @Test func framesAndTagsInGREAreRead() throws {
    let bridged = gre([0, 0, 0x65, 0x58] + EthernetFrame(inner, vlan: 8).bytes)
    #expect(bridged.last?.vlan0 == 8)
    #expect(bridged.last?.sourcePort == 7)
    let tagged = gre([0, 0, 0x81, 0, 0, 9, 0x08, 0] + inner.bytes)
    #expect(tagged.last?.vlan0 == 9)
    #expect(tagged.last?.sourcePort == 7)
    let request: [UInt8] = [0, 1, 8, 0, 6, 4, 0, 1] + [UInt8](repeating: 1, count: 20)
    #expect(gre([0, 0, 8, 6] + request).last?.isARP == true)
    #expect(gre([0, 0, 8, 6] + request.dropLast()).last?.eventNames == ["arp.invalid_pkt"])
    let ppp = gre([0, 0, 0x88, 0x0b, 0xff, 3, 0, 0x21] + inner.bytes)
    #expect(ppp.last?.sourcePort == 7)
  }

  @Test func greVersion1CarriesPPP() {
    // Key and sequence, version 1, PPP; payload length, call, sequence.
    let header: [UInt8] = [0x30, 0x01, 0x88, 0x0b, 0, 40, 0, 1, 0, 0, 0, 3]
    #expect(gre(header + [0xff, 3, 0, 0x21] + inner.bytes).last?.sourcePort == 7)
    // With an acknowledgement, and without payload.
    #expect(gre([0x30, 0x81] + header[2...] + [0, 0, 0, 9, 0, 0x21] + inner.bytes).last?.sourcePort == 7)
    #expect(gre([0x20, 0x81, 0x88, 0x0b, 0, 0, 0, 1, 0, 0, 0, 9]).count == 1)
  }

  @Test(arguments: [
    ([0, 0, 8], "gre.pkt_too_small"), ([0, 2, 8, 0], "gre.wrong_version"), ([0, 7, 8, 0], "gre.wrong_version"),
    ([1, 0, 8, 0], "gre.version0_recur"), ([0, 0x08, 8, 0], "gre.version0_flags"),
    ([0xb0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "gre.version0_hdr_too_big"),
    ([0x40, 0, 8, 0, 0, 0, 0, 0, 0, 1, 0], "gre.version0_malformed_sre_hdr"),
    ([0x40, 0, 8, 0, 0, 0, 0, 0, 0, 1, 0, 9, 1], "gre.version0_malformed_sre_hdr"),
    ([0xa0, 1, 0x88, 0x0b], "gre.version1_chksum"), ([0x60, 1, 0x88, 0x0b], "gre.version1_route"),
    ([0x28, 1, 0x88, 0x0b], "gre.version1_ssr"), ([0x21, 1, 0x88, 0x0b], "gre.version1_recur"),
    ([0x20, 0x09, 0x88, 0x0b], "gre.version1_flags"), ([0x20, 1, 8, 0], "gre.version1_wrong_protocol"),
    ([0, 1, 0x88, 0x0b], "gre.version1_no_key"), ([0x30, 1, 0x88, 0x0b, 0, 9, 0, 1], "gre.version1_hdr_too_big"),
    ([0, 0, 0x22, 0xeb, 0, 0, 0, 0], "erspan.unsupported_version"),
  ] as [([UInt8], String)])
  func whatIsWrongWithGREIsAnEvent(bytes: [UInt8], name: String) {
    let all = gre(bytes)
    #expect(all.first?.eventNames == [name])
    #expect(all.count == 1)
  }

  @Test func reservedBitsDoNotHideThePacketInside() {
    let all = gre([1, 0, 8, 0] + inner.bytes)
    #expect(all.first?.eventNames == ["gre.version0_recur"])
    #expect(all.last?.sourcePort == 7)
  }

  // MARK: ERSPAN

  @Test func mirroredFramesAreRead() {
    let first = gre([0, 0, 0x88, 0xbe] + EthernetFrame(inner, vlan: 3).bytes)
    #expect(first.last?.vlan0 == 3)
    #expect(first.last?.sourcePort == 7)
    // Sequence; version 1 with VLAN 23, session, index.
    let header: [UInt8] = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 23, 0, 1, 0, 0, 0, 0]
    let second = gre(header + EthernetFrame(inner).bytes)
    #expect(second.last?.vlan0 == 23)
    #expect(second.last?.vlanCount == 1)
    #expect(second.last?.sourcePort == 7)
    #expect(gre(Array(header.prefix(15))).last?.eventNames == ["erspan.header_too_small"])
    #expect(gre(header[..<8] + [0x20] + header[9...] + EthernetFrame(inner).bytes).last?.eventNames == ["erspan.unsupported_version"])
  }

  // MARK: Over UDP

  private func tunnel(_ bytes: [UInt8], port: UInt16, fromPort: UInt16 = 50_000) -> [DecodedPacket] {
    decodeAll(IPv4Packet(server, client, UDPDatagram(from: fromPort, to: port, bytes)))
  }

  private let vxlanHeader: [UInt8] = [0x08, 0, 0, 0, 0, 0, 42, 0]

  @Test func vxlanIsReadOnItsPortAlone() {
    let bytes = vxlanHeader + EthernetFrame(inner, vlan: 4).bytes
    #expect(tunnel(bytes, port: 4789).last?.sourcePort == 7)
    #expect(tunnel(bytes, port: 4789).last?.vlan0 == 4)
    #expect(tunnel(bytes, port: 50_001, fromPort: 4789).count == 2)
    #expect(tunnel(bytes, port: 4790).count == 1)
  }

  @Test func whatIsNoVXLANIsLeftAlone() {
    let frame = EthernetFrame(inner).bytes
    #expect(tunnel(vxlanHeader + frame.prefix(13), port: 4789).count == 1)
    #expect(tunnel([0] + vxlanHeader.dropFirst() + frame, port: 4789).count == 1)
    #expect(tunnel(vxlanHeader.dropLast() + [1] + frame, port: 4789).count == 1)
    let odd = EthernetFrame(RawNetworkPacket(etherType: 0x1234, bytes: [1])).bytes
    #expect(tunnel(vxlanHeader + odd, port: 4789).first?.eventNames == ["vxlan.unknown_payload_type"])
  }

  @Test func geneveIsRead() {
    func geneve(_ type: UInt16, _ rest: [UInt8], options: [UInt8] = []) -> [DecodedPacket] {
      let header: [UInt8] = [UInt8(options.count / 4), 0, UInt8(type >> 8), UInt8(type & 0xff), 0, 0, 42, 0]
      return tunnel(header + options + rest, port: 6081)
    }
    #expect(geneve(0x6558, EthernetFrame(inner).bytes).last?.sourcePort == 7)
    #expect(geneve(0x0800, inner.bytes, options: [1, 2, 3, 1, 9, 9, 9, 9]).last?.sourcePort == 7)
    #expect(geneve(0x86dd, udp6().bytes).last?.ipVersion == 6)
    #expect(geneve(0x1234, [1, 2]).first?.eventNames == ["geneve.unknown_payload_type"])
    #expect(geneve(0x0806, [1, 2]).first?.eventNames == [])
    // An option that is longer than the header, a version, reserved bits.
    #expect(geneve(0x0800, inner.bytes, options: [1, 2, 3, 1]).count == 1)
    #expect(tunnel([0x40, 0, 8, 0, 0, 0, 42, 0] + inner.bytes, port: 6081).count == 1)
    #expect(tunnel([0, 1, 8, 0, 0, 0, 42, 0] + inner.bytes, port: 6081).count == 1)
    #expect(tunnel([0, 0, 8, 0, 0, 0, 42, 1] + inner.bytes, port: 6081).count == 1)
    #expect(tunnel([0, 0, 8, 0, 0, 0, 42], port: 6081).count == 1)
    #expect(tunnel([0x3f, 0, 8, 0, 0, 0, 42, 0], port: 6081).count == 1)
  }

  @Test func teredoIsRead() {
    let packet = udp6().bytes
    let origin: [UInt8] = [0, 0, 1, 2, 3, 4, 5, 6]
    // Type, lengths of identifier and value, those, nonce, confirmation.
    let authentication: [UInt8] = [0, 1, 1, 2, 9, 8, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0]
    // What authenticates negotiates only.
    #expect(tunnel(authentication + packet, port: 3544).count == 1)
    for head: [UInt8] in [[], origin] {
      #expect(tunnel(head + packet, port: 3544).last?.ipVersion == 6)
      #expect(tunnel(head + packet, port: 50_001, fromPort: 3544).last?.source == client6)
    }
    #expect(tunnel(packet, port: 3545).count == 1)
    #expect(tunnel(packet + [0], port: 3544).count == 1)
    #expect(tunnel(Array(packet.dropLast()), port: 3544).count == 1)
    #expect(tunnel([0, 1, 255, 255] + packet, port: 3544).count == 1)
  }

  @Test func portsOfTunnelsAreSettings() {
    let bytes = EthernetFrame(
      IPv4Packet(server, client, UDPDatagram(from: 1, to: 8472, vxlanHeader + EthernetFrame(inner).bytes))
    ).bytes
    #expect(decode(bytes).inner == .none)
    #expect(decode(bytes) { $0.vxlanPorts = [4789, 8472] }.inner == .ipv4)
  }
}
