import PacketDecoding
import TestSupport
import Testing
import Traffic

@Suite struct LinkTests {
  @Test func anEthernetFrameWithIPv4IsRead() {
    let bytes = EthernetFrame(udp()).bytes
    let packet = decode(bytes)
    #expect(packet.eventNames == [])
    #expect(packet.etherType == 0x0800)
    #expect(packet.networkOffset == 14)
    #expect(packet.payloadBytes(bytes) == Array("hello".utf8))
    #expect(packet.vlanCount == 0)
  }

  @Test func aFrameOneOctetShortOfItsHeaderIsTooSmall() {
    #expect(decode([UInt8](repeating: 0, count: 13)).eventNames == ["ethernet.pkt_too_small"])
    #expect(decode([]).eventNames == ["ethernet.pkt_too_small"])
  }

  @Test(arguments: [0x88cc, 0x0026, 0xfbb7])
  func unknownEtherTypesAreAnEvent(type: UInt16) {
    let packet = decode(RawNetworkPacket(etherType: type, bytes: [1, 2, 3]))
    #expect(packet.eventNames == ["ethernet.unknown_ethertype"])
    #expect(packet.etherType == type)
    #expect(packet.ipVersion == 0)
  }

  @Test func upToThreeTagsAreRead() {
    let tags = [VLANTag(10, tagType: 0x88a8), VLANTag(20, tagType: 0x9100), VLANTag(30)]
    for count in 1...3 {
      let packet = decode(EthernetFrame(udp(), vlans: Array(tags.prefix(count))).bytes)
      #expect(packet.eventNames == [])
      #expect(Int(packet.vlanCount) == count)
      #expect([packet.vlan0, packet.vlan1, packet.vlan2].prefix(count) == [10, 20, 30].prefix(count))
      #expect(packet.isUDP)
      #expect(packet.vlanKey == UInt32(packet.vlan0) | UInt32(packet.vlan1) << 16)
    }
    let four = decode(EthernetFrame(udp(), vlans: tags + [VLANTag(40)]).bytes)
    #expect(four.eventNames == ["vlan.too_many_layers"])
    #expect(four.vlanCount == 3)
  }

  @Test func theIdentifierLeavesOutPriority() {
    #expect(decode(EthernetFrame(udp(), vlans: [VLANTag(0xfff, priority: 7)]).bytes).vlan0 == 0xfff)
  }

  @Test func aTagOneOctetShortAndOneWithoutAKnownTypeAreEvents() {
    let frame = EthernetFrame(RawNetworkPacket(etherType: 0x8100, bytes: [0, 5, 8])).bytes
    #expect(decode(frame).eventNames == ["vlan.header_too_small"])
    let unknown = EthernetFrame(RawNetworkPacket(etherType: 0x1234, bytes: []), vlan: 5).bytes
    #expect(decode(unknown).eventNames == ["vlan.unknown_type"])
  }

  /// EtherType, octets of the tag with the next EtherType at its end, events for too short and unknown.
  @Test(arguments: [
    (0x88e7, 18, "ieee8021ah.header_too_small", "ethernet.unknown_ethertype"),
    (0x8903, 16, "dce.pkt_too_small", "ethernet.unknown_ethertype"),
    (0x8926, 6, "vntag.header_too_small", "vntag.unknown_type"),
    (0x893f, 8, "etag.header_too_small", "etag.unknown_type"),
  ])
  func tagsOfOtherKindsAreSkipped(type: Int, length: Int, tooSmall: String, unknown: String) {
    let filler = [UInt8](repeating: 0xee, count: length - 2)
    func frame(_ rest: [UInt8]) -> DecodedPacket {
      decode(RawNetworkPacket(etherType: UInt16(type), bytes: filler + rest))
    }
    let whole = frame([0x08, 0x00] + udp().bytes)
    #expect(whole.eventNames == [])
    #expect(whole.isUDP)
    #expect(frame([0x08]).eventNames == [tooSmall])
    #expect(frame([0x12, 0x34]).eventNames == [unknown])
  }

  @Test func linuxCookedCapturesAreRead() {
    // Packet type, ARPHRD, address length, address, protocol.
    let header: [UInt8] = [0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x08, 0x00]
    #expect(decode(header + udp().bytes, link: .linuxCooked).isUDP)
    #expect(decode(Array(header.prefix(15)), link: .linuxCooked).eventNames == ["sll.pkt_too_small"])
  }

  @Test func linuxCookedVersion2CapturesAreRead() {
    // Protocol, reserved, interface, ARPHRD, packet type, address length, address.
    let header: [UInt8] = [0x86, 0xdd, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0]
    #expect(decode(header + udp6().bytes, link: .linuxCookedV2).isUDP)
    #expect(decode(Array(header.prefix(19)), link: .linuxCookedV2).eventNames == ["sll2.pkt_too_small"])
  }

  @Test(arguments: [LinkType.raw, .rawBSD, .rawOpenBSD, .ipv4, .ipv6])
  func rawPacketsAreToldApartByTheirVersion(link: LinkType) {
    #expect(decode(udp().bytes, link: link).ipVersion == 4)
    #expect(decode(udp6().bytes, link: link).ipVersion == 6)
    #expect(decode([0x50, 0, 0], link: link).eventNames == ["ipraw.invalid_ip_version"])
    #expect(decode([], link: link).eventNames == ["ipv4.pkt_too_small"])
  }

  @Test func loopbackFamiliesAreReadInEitherByteOrder() {
    for header: [UInt8] in [[0, 0, 0, 2], [2, 0, 0, 0]] {
      #expect(decode(header + udp().bytes, link: .null).isUDP)
      #expect(decode(header + udp().bytes, link: .loop).isUDP)
    }
    for family: UInt8 in [10, 24, 28, 30] {
      #expect(decode([family, 0, 0, 0] + udp6().bytes, link: .null).isUDP)
    }
    #expect(decode([7, 0, 0, 0] + udp().bytes, link: .null).eventNames == ["ltnull.unsupported_type"])
    #expect(decode([2, 0, 0], link: .null).eventNames == ["ltnull.pkt_too_small"])
  }

  @Test func ciscoFramingIsRead() {
    #expect(decode([0x0f, 0, 0x08, 0x00] + udp().bytes, link: .ciscoHDLC).isUDP)
    #expect(decode([0x0f, 0, 0x86, 0xdd] + udp6().bytes, link: .pppHDLC).isUDP)
    #expect(decode([0x0f, 0, 0x08], link: .ciscoHDLC).eventNames == ["chdlc.pkt_too_small"])
  }

  @Test func aLinkThatIsNotDecodedIsAnEvent() {
    let packet = decode(udp().bytes, link: .ieee80211)
    #expect(packet.eventNames == ["unsupported_link_type"])
    #expect(packet.payloadLength == 0)
  }

  // MARK: PPP

  @Test func protocolsOfPPPAreReadInFullAndCompressed() {
    let headers: [[UInt8]] = [[0xff, 3, 0, 0x21], [0, 0x21], [0x21], [0xff, 3, 0x21], [0, 0x2f]]
    for header in headers { #expect(decode(header + udp().bytes, link: .ppp).isUDP) }
    for header: [UInt8] in [[0xff, 3, 0, 0x57], [0x57]] {
      #expect(decode(header + udp6().bytes, link: .ppp).isUDP)
    }
  }

  @Test(arguments: [
    ([], "ppp.pkt_too_small"), ([0x21], "ppp.pkt_too_small"), ([0xff, 3], "ppp.pkt_too_small"),
    ([0xff, 3, 0], "ppp.pkt_too_small"), ([0, 0x21] + [UInt8](repeating: 0x45, count: 19), "ppp.ip4_pkt_too_small"),
    ([0, 0x57] + [UInt8](repeating: 0x60, count: 39), "ppp.ip6_pkt_too_small"),
    ([0, 0x2f] + [UInt8](repeating: 0x45, count: 19), "ppp.vju_pkt_too_small"),
    ([0xc0, 0x21, 1], "ppp.unsup_proto"), ([0x12, 0x34, 1], "ppp.wrong_type"),
  ] as [([UInt8], String)])
  func whatIsWrongWithPPPIsAnEvent(bytes: [UInt8], name: String) {
    #expect(decode(bytes, link: .ppp).eventNames == [name])
  }

  @Test func sessionsOfPPPoEAreRead() {
    // Version and type, code, session, length, PPP protocol.
    let header: [UInt8] = [0x11, 0, 0, 1, 0, 0x2a, 0, 0x21]
    #expect(decode(RawNetworkPacket(etherType: 0x8864, bytes: header + udp().bytes)).isUDP)
    #expect(decode(header + udp().bytes, link: .pppEthernet).isUDP)
    let short = RawNetworkPacket(etherType: 0x8864, bytes: Array(header.prefix(6)))
    #expect(decode(short).eventNames == ["pppoe.pkt_too_small"])
  }

  @Test func discoveryOfPPPoEIsChecked() {
    func events(_ bytes: [UInt8]) -> [String] {
      decode(RawNetworkPacket(etherType: 0x8863, bytes: bytes)).eventNames
    }
    // PADI with one empty Service-Name tag.
    let right: [UInt8] = [0x11, 0x09, 0, 0, 0, 4, 0x01, 0x01, 0, 0]
    #expect(events(right) == [])
    #expect(events(Array(right.prefix(5))) == ["pppoe.pkt_too_small"])
    #expect(events([0x11, 0x42, 0, 0, 0, 0]) == ["pppoe.wrong_code"])
    #expect(events([0x11, 0x09, 0, 0, 0, 5] + right[6...]) == ["pppoe.malformed_tags"])
    #expect(events([0x11, 0x09, 0, 0, 0, 4, 0x01, 0x01, 0xff, 0xff]) == ["pppoe.malformed_tags"])
  }

  // MARK: MPLS and NSH

  /// One label stack entry; the third octet's lowest bit ends the stack.
  private func label(_ number: Int, isLast: Bool = true) -> [UInt8] {
    var out: [UInt8] = []
    out.append32(number << 12 | (isLast ? 0x100 : 0) | 64)
    return out
  }

  private func mpls(_ bytes: [UInt8]) -> DecodedPacket {
    decode(RawNetworkPacket(etherType: 0x8847, bytes: bytes))
  }

  @Test func labelsAreReadToTheBottomOfTheStack() {
    #expect(mpls(label(100) + udp().bytes).isUDP)
    #expect(mpls(label(100, isLast: false) + label(200) + udp6().bytes).isUDP)
    #expect(mpls(label(0) + udp().bytes).ipVersion == 4)
    #expect(mpls(label(2) + udp6().bytes).ipVersion == 6)
    let pseudowire = mpls(label(100) + [0, 0, 0, 9] + EthernetFrame(udp(), vlan: 7).bytes)
    #expect(pseudowire.isUDP)
    #expect(pseudowire.vlan0 == 7)
  }

  @Test func whatIsWrongWithLabelsIsAnEvent() {
    #expect(mpls([0, 0x10, 0x01]).eventNames == ["mpls.header_too_small"])
    #expect(mpls(label(100, isLast: false)).eventNames == ["mpls.header_too_small"])
    #expect(mpls(label(100) + [0x45, 0, 0]).eventNames == ["mpls.pkt_too_small"])
    #expect(mpls(label(1) + udp().bytes).eventNames == ["mpls.bad_label_router_alert"])
    #expect(mpls(label(3) + udp().bytes).eventNames == ["mpls.bad_label_implicit_null"])
    #expect(mpls(label(5) + udp().bytes).eventNames == ["mpls.bad_label_reserved"])
    #expect(mpls(label(100) + [0x10, 0, 0, 0]).eventNames == ["mpls.unknown_payload_type"])
  }

  @Test func serviceHeadersAreSkipped() {
    // Version, length in words, metadata type, next protocol, service path.
    func nsh(_ words: UInt8, _ metadata: UInt8, _ next: UInt8, _ rest: [UInt8], version: UInt8 = 0) -> DecodedPacket {
      decode(RawNetworkPacket(etherType: 0x894f, bytes: [version << 6, words, metadata, next, 0, 0, 1, 255] + rest))
    }
    #expect(nsh(2, 2, 1, udp().bytes).isUDP)
    #expect(nsh(6, 1, 2, [UInt8](repeating: 0, count: 16) + udp6().bytes).isUDP)
    #expect(nsh(2, 2, 3, EthernetFrame(udp()).bytes).isUDP)
    #expect(decode(RawNetworkPacket(etherType: 0x894f, bytes: [0, 2, 2, 1, 0, 0, 1])).eventNames == ["nsh.header_too_small"])
    #expect(nsh(2, 2, 1, udp().bytes, version: 1).eventNames == ["nsh.unsupported_version"])
    #expect(nsh(63, 2, 1, udp().bytes).eventNames == ["nsh.bad_header_length"])
    #expect(nsh(1, 2, 1, udp().bytes).eventNames == ["nsh.bad_header_length"])
    #expect(nsh(2, 1, 1, udp().bytes).eventNames == ["nsh.bad_header_length"])
    #expect(nsh(2, 0, 1, udp().bytes).eventNames == ["nsh.reserved_type"])
    #expect(nsh(2, 7, 1, udp().bytes).eventNames == ["nsh.unsupported_type"])
    #expect(nsh(2, 2, 99, udp().bytes).eventNames == ["nsh.unknown_payload"])
  }

  @Test func layersWithoutEndAreCutOff() {
    // A pseudowire in a pseudowire in a pseudowire …
    var frame = EthernetFrame(udp()).bytes
    for _ in 0..<20 {
      frame = EthernetFrame(RawNetworkPacket(etherType: 0x8847, bytes: label(100) + [0, 0, 0, 0] + frame)).bytes
    }
    let packet = decode(frame)
    #expect(packet.eventNames == ["too_many_layers"])
    #expect(packet.ipVersion == 0)
  }

  // MARK: ARP

  /// Hardware, protocol, sizes, opcode, sender, target.
  private let request: [UInt8] =
    [0, 1, 0x08, 0, 6, 4, 0, 1] + [2, 0, 0, 0, 0, 1, 192, 0, 2, 1] + [0, 0, 0, 0, 0, 0, 192, 0, 2, 9]

  private func arp(_ bytes: [UInt8]) -> DecodedPacket {
    decode(RawNetworkPacket(etherType: 0x0806, bytes: bytes))
  }

  @Test func messagesOfARPAreRead() throws {
    let bytes = EthernetFrame(RawNetworkPacket(etherType: 0x0806, bytes: request)).bytes
    let packet = decode(bytes)
    #expect(packet.eventNames == [])
    let read = ARPFields(packet, bytes.rawSpan)
    let fields = try #require(read)
    #expect(fields.opcode == 1)
    #expect(fields.senderHardware == 0x0200_0000_0001)
    #expect(fields.senderAddress == client)
    #expect(fields.targetHardware == 0)
    #expect(fields.targetAddress == ip("192.0.2.9"))
    let none = ARPFields(decode(udp()), bytes.rawSpan)
    #expect(none == nil)
  }

  @Test func whatIsWrongWithARPIsAnEvent() {
    func changed(_ index: Int, _ value: UInt8) -> [String] {
      var bytes = request
      bytes[index] = value
      return arp(bytes).eventNames
    }
    #expect(arp(Array(request.prefix(7))).eventNames == ["arp.pkt_too_small"])
    #expect(arp(Array(request.prefix(27))).eventNames == ["arp.invalid_pkt"])
    #expect(changed(1, 6) == ["arp.unsupported_hardware"])
    #expect(changed(2, 0x86) == ["arp.unsupported_protocol"])
    #expect(changed(4, 8) == ["arp.invalid_hardware_size"])
    #expect(changed(5, 16) == ["arp.invalid_protocol_size"])
    #expect(changed(7, 0) == ["arp.unsupported_opcode"])
    #expect(changed(7, 8) == ["arp.unsupported_opcode"])
    #expect(changed(7, 4) == [])
  }
}
