import PacketDecoding
import TestSupport
import Testing
import Traffic

@Suite struct IPv6Tests {
  @Test func theHeaderIsRead() {
    let bytes = EthernetFrame(
      udp6().with {
        $0.trafficClass = 0xb8
        $0.flowLabel = 0xfffff
        $0.hopLimit = 3
      }
    ).bytes
    let packet = decode(bytes)
    #expect(packet.eventNames == [])
    #expect(packet.ipVersion == 6)
    #expect(packet.source == client6)
    #expect(packet.destination == server6)
    #expect(packet.typeOfService == 0xb8)
    #expect(packet.timeToLive == 3)
    #expect(packet.networkHeaderLength == 40)
    #expect(packet.payloadBytes(bytes) == Array("hello".utf8))
  }

  @Test func whatCannotBeIsAnEvent() {
    let right = udp6().bytes
    func events(_ change: (inout [UInt8]) -> Void) -> [String] {
      var bytes = right
      change(&bytes)
      return decode(RawNetworkPacket(etherType: 0x86dd, bytes: bytes)).eventNames
    }
    #expect(events { _ in } == [])
    #expect(events { $0.removeLast($0.count - 39) } == ["ipv6.pkt_too_small"])
    #expect(events { $0[0] = 0x45 } == ["ipv6.wrong_ip_version"])
    #expect(events { $0.removeLast() } == ["ipv6.trunc_pkt"])
    #expect(events { $0.set16(0xffff, at: 4) } == ["ipv6.trunc_pkt"])
    #expect(events { $0[6] = 1 } == ["ipv6.icmpv4"])
    #expect(events { $0[6] = 200 } == ["ipv6.unknown_next_header"])
    #expect(events { $0[6] = 59 } == ["ipv6.data_after_none_header"])
  }

  private func decoded(_ headers: IPv6ExtensionHeader...) -> DecodedPacket {
    decode(udp6().with { $0.extensionHeaders = headers })
  }

  /// Router alert (type 5, length 2, value 0) and two octets of padding.
  private let alert: [UInt8] = [5, 2, 0, 0, 0, 0]

  @Test func extensionHeadersAreSkipped() {
    let packet = decoded(
      .hopByHop(options: alert), .destinationOptions(alert),
      .routing(type: 2, segmentsLeft: 1, addresses: [client6]), .destinationOptions(alert),
      // Authentication: length in words less two, reserved, SPI, sequence.
      IPv6ExtensionHeader(type: 51, body: [1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]),
      // Mobility: any body.
      IPv6ExtensionHeader(type: 135, body: [0, 0, 0, 0, 0, 0, 0]))
    // The destination header in front of a router alert is unusual, not wrong.
    #expect(packet.eventNames == [])
    #expect(packet.isUDP)
    #expect(packet.networkHeaderLength == 40 + 8 + 8 + 24 + 8 + 12 + 8)
    #expect(packet.transportChecksum == .valid)
  }

  @Test func aHundredHeadersAreSkipped() {
    let packet = decode(
      udp6().with { $0.extensionHeaders = Array(repeating: .init(type: 139, body: [0, 0, 0, 0, 0, 0, 0]), count: 100) })
    #expect(packet.isUDP)
    #expect(packet.networkHeaderLength == 840)
  }

  @Test func duplicateHeadersAreEvents() {
    let routing = IPv6ExtensionHeader.routing(type: 2, segmentsLeft: 0, addresses: [])
    let authentication = IPv6ExtensionHeader(type: 51, body: [1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2])
    let options = IPv6ExtensionHeader.destinationOptions(alert)
    let hop = IPv6ExtensionHeader.hopByHop(options: alert)
    #expect(decoded(hop, hop).eventNames == ["ipv6.exthdr_dupl_hh"])
    #expect(decoded(routing, routing).eventNames == ["ipv6.exthdr_dupl_rh"])
    #expect(decoded(authentication, authentication).eventNames == ["ipv6.exthdr_dupl_ah"])
    #expect(decoded(options, options).eventNames == [])
    #expect(decoded(options, options, options).eventNames == ["ipv6.exthdr_dupl_dh"])
    #expect(decoded(options, options, options).isUDP)
  }

  @Test func oddHeadersAreEvents() {
    let zero = IPv6ExtensionHeader.routing(type: 0, segmentsLeft: 1, addresses: [client6])
    #expect(decoded(zero).eventNames == ["ipv6.rh_type_0"])
    let reserved = IPv6ExtensionHeader(type: 51, body: [1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2])
    #expect(decoded(reserved).eventNames == ["ipv6.exthdr_ah_res_not_null"])
  }

  @Test(arguments: [
    ([1, 4, 0, 0, 0, 0], "ipv6.hopopts_only_padding"),
    ([0, 0, 0, 0, 0, 0], "ipv6.hopopts_only_padding"),
    ([5, 2, 0, 0, 1, 0], "ipv6.zero_len_padn"),
    ([5, 2, 0, 0, 1, 9], "ipv6.exthdr_invalid_optlen"),
    ([5, 2, 0, 0, 0, 1], "ipv6.exthdr_invalid_optlen"),
    ([5, 1, 0, 9, 1, 0], "ipv6.exthdr_invalid_optlen"),
    ([0xc2, 3, 0, 0, 0, 0], "ipv6.exthdr_invalid_optlen"),
    ([0x3e, 4, 0, 0, 0, 0], "ipv6.hopopts_unknown_opt"),
  ] as [([UInt8], String)])
  func hopByHopOptionsAreChecked(bytes: [UInt8], name: String) {
    let packet = decoded(IPv6ExtensionHeader(type: 0, body: [0] + bytes))
    #expect(packet.eventNames.contains(name))
    #expect(packet.isUDP)
  }

  @Test func destinationOptionsHaveNamesOfTheirOwn() {
    #expect(decoded(IPv6ExtensionHeader(type: 60, body: [0, 1, 4, 0, 0, 0, 0])).eventNames == ["ipv6.dstopts_only_padding"])
    #expect(decoded(IPv6ExtensionHeader(type: 60, body: [0, 0x3e, 4, 0, 0, 0, 0])).eventNames == ["ipv6.dstopts_unknown_opt"])
    // Home address: 16 octets.
    let home = IPv6ExtensionHeader.destinationOptions([0xc9, 16] + client6.networkBytes)
    #expect(decoded(home).eventNames == [])
  }

  @Test func truncatedHeadersAreEvents() {
    func events(next: UInt8, _ rest: [UInt8]) -> [String] {
      decode(IPv6Packet(client6, server6, RawTransport(ipProtocol: next, rest))).eventNames
    }
    for header: UInt8 in [0, 43, 44, 51, 60, 135, 139, 140] {
      #expect(events(next: header, []) == ["ipv6.trunc_exthdr"])
      #expect(events(next: header, [17, 0, 0, 0, 0, 0, 0]) == ["ipv6.trunc_exthdr"])
      #expect(events(next: header, [17, 255] + [UInt8](repeating: 0, count: 14)).contains("ipv6.trunc_exthdr") || header == 44)
    }
    // An atomic fragment with nothing that could be a header behind it.
    #expect(events(next: 44, [17, 0, 0, 0, 0, 0, 0, 1, 0]) == ["ipv6.trunc_exthdr", "ipv6.exthdr_useless_fh"])
  }

  // MARK: Fragments

  @Test func fragmentsKeepTheirPlaceAndAreNotLookedInto() {
    let parts = udp6(String(repeating: "a", count: 60)).fragments(size: 24, identification: 77).map { decode($0) }
    #expect(parts.map(\.fragmentOffset) == [0, 24, 48])
    #expect(parts.map(\.moreFragments) == [true, true, false])
    #expect(parts.allSatisfy { $0.isFragment && !$0.hasTransport && $0.fragmentID == 77 })
    #expect(parts.allSatisfy { $0.ipProtocol == IPProtocol.ipv6Fragment && $0.eventNames.isEmpty })
    #expect(parts.map(\.payloadLength) == [24, 24, 20])
  }

  @Test func anAtomicFragmentIsAWholeDatagram() {
    let packet = decoded(.fragment(offset: 0, more: false, identification: 1))
    #expect(packet.eventNames == ["ipv6.exthdr_useless_fh"])
    #expect(!packet.isFragment)
    #expect(packet.isUDP)
  }

  @Test func aSecondFragmentHeaderIsFollowed() {
    let atomic = IPv6ExtensionHeader.fragment(offset: 0, more: false, identification: 1)
    let whole = decoded(atomic, atomic)
    #expect(whole.eventNames == ["ipv6.exthdr_dupl_fh", "ipv6.exthdr_useless_fh"])
    #expect(whole.events.count(.ipv6ExtensionUselessFragment) == 1)
    #expect(whole.isUDP)
    // What receivers would reassemble is not taken for a whole datagram.
    let part = decoded(atomic, .fragment(offset: 8, more: false, identification: 2))
    #expect(part.isFragment)
    #expect(part.fragmentOffset == 8)
    #expect(!part.hasTransport)
  }

  @Test func oddFragmentsAreEvents() {
    let middle = IPv6ExtensionHeader.fragment(offset: 0, more: true, identification: 1)
    let odd = IPv6Packet(client6, server6, RawTransport(ipProtocol: 17, [1, 2, 3])).with { $0.extensionHeaders = [middle] }
    #expect(decode(odd).eventNames == ["ipv6.frag_invalid_length"])
    let reserved = IPv6ExtensionHeader(type: 44, body: [9, 0, 0, 0, 0, 0, 1])
    #expect(decoded(reserved).eventNames == ["ipv6.exthdr_useless_fh", "ipv6.fh_non_zero_reserved_field"])
  }
}
