import PacketDecoding
import TestSupport
import Testing
import Traffic

@Suite struct ICMPTests {
  private func v4(_ type: UInt8, _ code: UInt8 = 0, rest: [UInt8] = [0, 0, 0, 0], _ payload: [UInt8] = []) -> DecodedPacket {
    decode(IPv4Packet(client, server, ICMPv4Message(type: type, code: code, rest: rest, payload: payload)))
  }

  private func v6(
    _ type: UInt8, _ code: UInt8 = 0, rest: [UInt8] = [0, 0, 0, 0], _ payload: [UInt8] = [], hopLimit: UInt8 = 255
  ) -> DecodedPacket {
    let message = ICMPv6Message(type: type, code: code, rest: rest, payload: payload)
    return decode(IPv6Packet(client6, server6, message).with { $0.hopLimit = hopLimit })
  }

  @Test(arguments: [0, 8, 13, 14, 15, 16, 17, 18] as [UInt8])
  func queriesCarryAnIdentifier(type: UInt8) {
    let packet = v4(type, rest: [0x12, 0x34, 0, 7])
    #expect(packet.eventNames == [])
    #expect(packet.isICMP)
    #expect(packet.icmp.type == type)
    #expect(packet.icmp.hasIdentifier)
    #expect(packet.icmp.identifier == 0x1234)
    #expect(packet.icmp.sequence == 7)
    #expect(v4(type, 1).eventNames == ["icmpv4.unknown_code"])
  }

  @Test(arguments: [(3, 15), (4, 0), (5, 3), (11, 1), (12, 0)] as [(UInt8, UInt8)])
  func errorsQuoteTheirCause(type: UInt8, codeMax: UInt8) {
    let cause = udp("hello", from: 1111, to: 2222).bytes
    let packet = v4(type, codeMax, cause)
    #expect(packet.eventNames == [])
    #expect(packet.icmp.hasQuoted)
    #expect(packet.icmp.quotedSource == client)
    #expect(packet.icmp.quotedDestination == server)
    #expect(packet.icmp.quotedProtocol == 17)
    #expect(packet.icmp.quotedSourcePort == 1111)
    #expect(packet.icmp.quotedDestinationPort == 2222)
    #expect(v4(type, codeMax + 1, cause).eventNames == ["icmpv4.unknown_code"])
    #expect(v4(type, 0, Array(cause.prefix(19))).eventNames == ["icmpv4.ipv4_trunc_pkt"])
    #expect(v4(type, 0, [0x65] + cause.dropFirst()).eventNames == ["icmpv4.ipv4_unknown_ver"])
    #expect(v4(type, 0, [0x4f] + cause.dropFirst()).eventNames == ["icmpv4.ipv4_trunc_pkt"])
    // Without its ports the quotation names no flow.
    #expect(!v4(type, 0, Array(cause.prefix(23))).icmp.hasQuoted)
  }

  @Test func fragmentationNeededTellsTheMTU() {
    #expect(v4(3, 4, rest: [0, 0, 0x05, 0x78], udp().bytes).icmp.mtu == 1400)
  }

  @Test func otherTypesOfICMPv4() {
    #expect(v4(9, 16).eventNames == [])
    #expect(v4(9, 1).eventNames == ["icmpv4.unknown_code"])
    #expect(v4(10, 1).eventNames == ["icmpv4.unknown_code"])
    for type: UInt8 in [1, 2, 6, 7, 19, 40, 255] { #expect(v4(type).eventNames == ["icmpv4.unknown_type"]) }
  }

  @Test func aMessageOneOctetShortIsTooSmall() {
    let seven = [UInt8](repeating: 0, count: 7)
    #expect(decode(IPv4Packet(client, server, RawTransport(ipProtocol: 1, seven))).eventNames == ["icmpv4.pkt_too_small"])
    #expect(decode(IPv6Packet(client6, server6, RawTransport(ipProtocol: 58, seven))).eventNames == ["icmpv6.pkt_too_small"])
  }

  @Test func thePayloadBeginsAfterEightOctets() {
    let bytes = EthernetFrame(IPv4Packet(client, server, ICMPv4Message.echo(identifier: 1, sequence: 1, payload: [5, 6]))).bytes
    #expect(decode(bytes).payloadBytes(bytes) == [5, 6])
  }

  // MARK: ICMPv6

  @Test(arguments: [(1, 6), (2, 0), (3, 1), (4, 2)] as [(UInt8, UInt8)])
  func errorsOfICMPv6QuoteTheirCause(type: UInt8, codeMax: UInt8) {
    let cause = udp6().bytes
    let packet = v6(type, codeMax, rest: [0, 0, 0x05, 0], cause)
    #expect(packet.eventNames == [])
    #expect(packet.icmp.hasQuoted)
    #expect(packet.icmp.quotedSource == client6)
    #expect(packet.icmp.quotedDestinationPort == 53)
    #expect(packet.icmp.mtu == (type == 2 ? 1280 : 0))
    #expect(v6(type, codeMax + 1, cause).eventNames == ["icmpv6.unknown_code"])
    #expect(v6(type, 0, Array(cause.prefix(39))).eventNames == ["icmpv6.ipv6_trunc_pkt"])
    #expect(v6(type, 0, [0x45] + cause.dropFirst()).eventNames == ["icmpv6.ipv6_unknown_version"])
  }

  @Test func echoesOfICMPv6CarryAnIdentifier() {
    let packet = v6(128, rest: [1, 2, 3, 4])
    #expect(packet.icmp.hasIdentifier)
    #expect(packet.icmp.identifier == 0x0102)
    #expect(packet.icmp.sequence == 0x0304)
    #expect(v6(129, 1).eventNames == ["icmpv6.unknown_code"])
  }

  @Test(arguments: [130, 131, 132] as [UInt8])
  func listenerMessagesDoNotCrossRouters(type: UInt8) {
    #expect(v6(type, hopLimit: 1).eventNames == [])
    #expect(v6(type, hopLimit: 2).eventNames == ["icmpv6.mld_message_with_invalid_hl"])
  }

  @Test func otherTypesOfICMPv6() {
    for type: UInt8 in 133...137 {
      #expect(v6(type).eventNames == [])
      #expect(v6(type, 1).eventNames == ["icmpv6.unknown_code"])
    }
    for type: UInt8 in [100, 101, 200, 201] { #expect(v6(type).eventNames == ["icmpv6.experimentation_type"]) }
    for type: UInt8 in [5, 99, 103, 126, 160, 199] { #expect(v6(type).eventNames == ["icmpv6.unassigned_type"]) }
    for type: UInt8 in [0, 102, 127, 202, 255] { #expect(v6(type).eventNames == ["icmpv6.unknown_type"]) }
    for type: UInt8 in [143, 150, 155, 159] { #expect(v6(type).eventNames == []) }
  }
}
