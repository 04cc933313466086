import PacketDecoding
import TestSupport
import Testing
import Traffic

@Suite struct IPv4Tests {
  @Test func theHeaderIsRead() {
    let packet = decode(
      udp().with {
        $0.typeOfService = 0x2e
        $0.identification = 0xbeef
        $0.timeToLive = 7
        $0.reservedFlag = true
      })
    #expect(packet.eventNames == [])
    #expect(packet.ipVersion == 4)
    #expect(packet.ipProtocol == IPProtocol.udp)
    #expect(packet.source == client)
    #expect(packet.destination == server)
    #expect(packet.typeOfService == 0x2e)
    #expect(packet.fragmentID == 0xbeef)
    #expect(packet.timeToLive == 7)
    #expect(packet.dontFragment)
    #expect(packet.reservedFragmentBit)
    #expect(!packet.isFragment)
    #expect(packet.networkHeaderLength == 20)
  }

  @Test func whatCannotBeIsAnEvent() {
    let right = udp().bytes
    func events(_ change: (inout [UInt8]) -> Void) -> [String] {
      var bytes = right
      change(&bytes)
      return decode(RawNetworkPacket(etherType: 0x0800, bytes: bytes)).eventNames
    }
    #expect(events { _ in } == [])
    #expect(events { $0.removeLast($0.count - 19) } == ["ipv4.pkt_too_small"])
    #expect(events { $0[0] = 0x65 } == ["ipv4.wrong_ip_version"])
    #expect(events { $0[0] = 0x44 } == ["ipv4.hlen_too_small"])
    #expect(events { $0.set16(19, at: 2) } == ["ipv4.iplen_smaller_than_hlen"])
    #expect(events { $0.removeLast() } == ["ipv4.trunc_pkt"])
    #expect(events { $0.set16(0xffff, at: 2) } == ["ipv4.trunc_pkt"])
  }

  @Test func octetsAfterTheDatagramAreNoPayload() {
    var frame = EthernetFrame(udp("hi"))
    frame.paddedTo = 60
    let packet = decode(frame.bytes)
    #expect(packet.payloadBytes(frame.bytes) == Array("hi".utf8))
  }

  @Test func fragmentsKeepTheirPlaceAndAreNotLookedInto() {
    let parts = udp(String(repeating: "a", count: 60)).fragments(size: 24).map { decode($0) }
    #expect(parts.map(\.fragmentOffset) == [0, 24, 48])
    #expect(parts.map(\.moreFragments) == [true, true, false])
    #expect(parts.allSatisfy { $0.isFragment && !$0.hasTransport && $0.sourcePort == 0 })
    #expect(parts.map(\.payloadLength) == [24, 24, 20])
  }

  @Test func icmpv6InIPv4IsAnEvent() {
    let packet = IPv4Packet(client, server, RawTransport(ipProtocol: 58, [128, 0, 0, 0, 0, 0, 0, 0]))
    #expect(decode(packet).eventNames == ["ipv4.icmpv6"])
  }

  @Test func anUnknownProtocolCarriesItsPayload() {
    let bytes = EthernetFrame(IPv4Packet(client, server, RawTransport(ipProtocol: 200, [1, 2, 3]))).bytes
    let packet = decode(bytes)
    #expect(packet.eventNames == [])
    #expect(!packet.hasTransport)
    #expect(packet.payloadBytes(bytes) == [1, 2, 3])
  }

  // MARK: Options

  private func options(_ bytes: [UInt8]) -> DecodedPacket { decode(udp().with { $0.options = bytes }) }

  @Test(arguments: [
    ([7, 7, 4, 0, 0, 0, 0, 1], .recordRoute), ([131, 7, 4, 0, 0, 0, 0, 0], .looseSourceRoute),
    ([137, 7, 8, 0, 0, 0, 0, 0], .strictSourceRoute), ([68, 8, 5, 0, 0, 0, 0, 0], .timestamp),
    ([136, 4, 0, 1, 1, 1, 1, 1], .streamID), ([148, 4, 0, 0, 1, 1, 1, 1], .routerAlert),
    ([130, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], .security),
    ([133, 4, 1, 2, 0, 0, 0, 0], .extendedSecurity),
    ([134, 10, 0, 0, 0, 1, 1, 4, 0, 1, 0, 0, 0, 0, 0, 0], .commercialSecurity),
  ] as [([UInt8], IPOptionSet)])
  func optionsAreNamed(bytes: [UInt8], name: IPOptionSet) {
    let packet = options(bytes)
    #expect(packet.eventNames == [])
    #expect(packet.ipOptions.contains(name))
    #expect(packet.networkHeaderLength == Int32(20 + bytes.count))
    #expect(packet.isUDP)
  }

  @Test func optionsOfOneOctetAreNamed() {
    let packet = options([1, 1, 1, 1, 1, 1, 1, 0])
    #expect(packet.ipOptions == [.noOperation, .endOfList])
    #expect(packet.eventNames == [])
  }

  @Test(arguments: [
    ([1, 1, 1, 1], "ipv4.opt_pad_required"),
    ([1, 1, 1, 1, 1, 1, 1, 7], "ipv4.opt_eol_required"),
    ([7, 1, 4, 0, 0, 0, 0, 0], "ipv4.opt_invalid_len"),
    ([7, 9, 4, 0, 0, 0, 0, 0], "ipv4.opt_invalid_len"),
    ([7, 2, 1, 1, 1, 1, 1, 1], "ipv4.opt_invalid_len"),
    ([68, 4, 5, 0, 0, 0, 0, 0], "ipv4.opt_invalid_len"),
    ([148, 3, 0, 1, 1, 1, 1, 1], "ipv4.opt_invalid_len"),
    ([136, 5, 0, 0, 0, 1, 1, 1], "ipv4.opt_invalid_len"),
    ([130, 3, 0, 1, 1, 1, 1, 1], "ipv4.opt_invalid_len"),
    ([25, 7, 0, 0, 0, 0, 0, 1], "ipv4.opt_invalid_len"),
    ([134, 8, 0, 0, 0, 1, 1, 2], "ipv4.opt_invalid_len"),
    ([7, 7, 3, 0, 0, 0, 0, 1], "ipv4.opt_malformed"),
    ([7, 7, 12, 0, 0, 0, 0, 1], "ipv4.opt_malformed"),
    ([68, 8, 4, 0, 0, 0, 0, 0], "ipv4.opt_malformed"),
    ([68, 8, 9, 1, 0, 0, 0, 0], "ipv4.opt_malformed"),
    ([134, 12, 0, 0, 0, 1, 1, 7, 0, 0, 0, 0, 0, 0, 0, 0], "ipv4.opt_malformed"),
    ([134, 10, 0, 0, 0, 1, 9, 4, 0, 0, 0, 0, 0, 0, 0, 0], "ipv4.opt_malformed"),
    ([99, 4, 0, 0, 1, 1, 1, 1], "ipv4.opt_invalid"),
    ([148, 4, 0, 0, 148, 4, 0, 0], "ipv4.opt_duplicate"),
  ] as [([UInt8], String)])
  func whatIsWrongWithAnOptionIsAnEvent(bytes: [UInt8], name: String) {
    let packet = options(bytes)
    #expect(packet.eventNames == [name])
    // The datagram is looked into all the same, save where a length cannot be: hosts drop it.
    let isLengthWrong = bytes[0] > 1 && (bytes[1] < 2 || Int(bytes[1]) > bytes.count)
    #expect(packet.isUDP == !isLengthWrong)
  }
}
