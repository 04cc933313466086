import PacketDecoding
import Testing

@Suite struct DecodeEventTests {
  @Test func eachEventHasOneNameOfItsOwn() {
    let names = DecodeEvent.allCases.map(\.ruleName)
    #expect(Set(names).count == names.count)
    for event in DecodeEvent.allCases { #expect(DecodeEvent(ruleName: event.ruleName) == event) }
  }

  @Test(arguments: [
    (DecodeEvent.ipv4PacketTooSmall, "ipv4.pkt_too_small"),
    (.ipv4FragmentIgnored, "ipv4.frag_ignored"),
    (.icmpv4UnknownVersion, "icmpv4.ipv4_unknown_ver"),
    (.icmpv6MLDInvalidHopLimit, "icmpv6.mld_message_with_invalid_hl"),
    (.ipv6FragmentReservedNotZero, "ipv6.fh_non_zero_reserved_field"),
    (.ipv6DataAfterNoneHeader, "ipv6.data_after_none_header"),
    (.ipv6IPv6InIPv6WrongVersion, "ipv6.ipv6_in_ipv6_wrong_version"),
    (.tcpOptionDuplicate, "tcp.opt_duplicate"),
    (.udpLengthInvalid, "udp.len_invalid"),
    (.ethernetUnknownEtherType, "ethernet.unknown_ethertype"),
    (.pppUnsupportedProtocol, "ppp.unsup_proto"),
    (.pppoeMalformedTags, "pppoe.malformed_tags"),
    (.greVersion1HeaderTooBig, "gre.version1_hdr_too_big"),
    (.vntagUnknownType, "vntag.unknown_type"),
    (.loopbackUnsupportedType, "ltnull.unsupported_type"),
    (.mplsUnknownPayloadType, "mpls.unknown_payload_type"),
    (.erspanTooManyVLANLayers, "erspan.too_many_vlan_layers"),
    (.tooManyLayers, "too_many_layers"),
    (.arpUnsupportedOpcode, "arp.unsupported_opcode"),
    (.espPacketTooSmall, "esp.pkt_too_small"),
    (.ciscoHDLCPacketTooSmall, "chdlc.pkt_too_small"),
    (.nshUnknownPayload, "nsh.unknown_payload"),
    (.unsupportedLinkType, "unsupported_link_type"),
  ])
  func namesStandAtTheirEvents(event: DecodeEvent, name: String) {
    #expect(event.ruleName == name)
  }

  @Test func namesAreFoundInAnyCaseAndWithTheirPrefix() {
    #expect(DecodeEvent(ruleName: "decoder.IPv4.trunc_pkt") == .ipv4TruncatedPacket)
    #expect(DecodeEvent(ruleName: "IPV4.TRUNC_PKT") == .ipv4TruncatedPacket)
    #expect(DecodeEvent(ruleName: "ipv4.trunc") == nil)
    #expect(DecodeEvent(ruleName: "") == nil)
  }

  @Test func aSetHoldsWhatWasPutIn() {
    for event in DecodeEvent.allCases {
      var set = DecodeEventSet()
      #expect(set.isEmpty)
      set.insert(event)
      #expect(!set.isEmpty)
      #expect(DecodeEvent.allCases.filter { set.contains($0) } == [event])
    }
    var all = DecodeEventSet()
    for event in DecodeEvent.allCases {
      var one = DecodeEventSet()
      one.insert(event)
      all.formUnion(one)
    }
    #expect(DecodeEvent.allCases.allSatisfy { all.contains($0) })
  }

  @Test func streamEventNamesAreUniqueAndFound() {
    let names = StreamEvent.allCases.map(\.ruleName)
    #expect(Set(names).count == names.count)
    for event in StreamEvent.allCases { #expect(StreamEvent(ruleName: "stream." + event.ruleName) == event) }
    #expect(StreamEvent(ruleName: "nothing") == nil)
  }

  @Test func aStreamSetHoldsWhatWasPutIn() {
    for event in StreamEvent.allCases {
      let set = StreamEventSet(event)
      #expect(StreamEvent.allCases.filter { set.contains($0) } == [event])
    }
  }
}
