import Traffic

// Link layers (Ethernet, Linux cooked, raw, BSD loopback, Cisco HDLC) and the tags behind them.

extension PacketDecoder {
  func decodeEthernet(_ bytes: RawSpan, at start: Int, _ packet: inout DecodedPacket) {
    guard bytes.byteCount - start >= 14 else {
      packet.events.insert(.ethernetPacketTooSmall)
      return
    }
    guard enterLayer(&packet) else { return }
    packet.linkOffset = Int32(truncatingIfNeeded: start)
    decodeEtherType(bytes.u16(at: start + 12), bytes, at: start + 14, &packet)
  }

  /// - Source: libpcap LINKTYPE_LINUX_SLL.
  func decodeCooked(_ bytes: RawSpan, _ packet: inout DecodedPacket) {
    guard bytes.byteCount >= 16 else {
      packet.events.insert(.sllPacketTooSmall)
      return
    }
    decodeEtherType(bytes.u16(at: 14), bytes, at: 16, &packet)
  }

  /// - Source: libpcap LINKTYPE_LINUX_SLL2.
  func decodeCookedV2(_ bytes: RawSpan, _ packet: inout DecodedPacket) {
    guard bytes.byteCount >= 20 else {
      packet.events.insert(.sll2PacketTooSmall)
      return
    }
    decodeEtherType(bytes.u16(at: 0), bytes, at: 20, &packet)
  }

  func decodeRaw(_ bytes: RawSpan, at start: Int, _ packet: inout DecodedPacket) {
    guard bytes.byteCount > start else {
      packet.events.insert(.ipv4PacketTooSmall)
      return
    }
    switch bytes.u8(at: start) >> 4 {
    case 4: decodeIPv4(bytes, at: start, &packet)
    case 6: decodeIPv6(bytes, at: start, &packet)
    default: packet.events.insert(.ipRawInvalidVersion)
    }
  }

  /// The address family is in the byte order of the capturing machine for NULL, in network order for LOOP.
  func decodeLoopback(_ bytes: RawSpan, _ packet: inout DecodedPacket) {
    guard bytes.byteCount >= 4 else {
      packet.events.insert(.loopbackPacketTooSmall)
      return
    }
    // Families are small numbers: whichever order yields one is the order it was written in.
    let value = bytes.u32(at: 0)
    switch value < 0x1_0000 ? value : value.byteSwapped {
    case 2: decodeIPv4(bytes, at: 4, &packet)
    case 10, 24, 28, 30: decodeIPv6(bytes, at: 4, &packet)
    default: packet.events.insert(.loopbackUnsupportedType)
    }
  }

  /// Address, control, then an EtherType.
  /// - Source: libpcap LINKTYPE_C_HDLC.
  func decodeCiscoHDLC(_ bytes: RawSpan, at start: Int, _ packet: inout DecodedPacket) {
    guard bytes.byteCount - start >= 4 else {
      packet.events.insert(.ciscoHDLCPacketTooSmall)
      return
    }
    guard enterLayer(&packet) else { return }
    decodeEtherType(bytes.u16(at: start + 2), bytes, at: start + 4, &packet)
  }

  /// What `etherType` says stands at `start`, through tags until an end is found.
  ///
  /// Each tag takes at least four octets and counts as a layer, so that this ends.
  func decodeEtherType(
    _ etherType: UInt16, _ bytes: RawSpan, at start: Int, _ packet: inout DecodedPacket
  ) {
    var type = etherType
    var offset = start
    var unknownType = DecodeEvent.ethernetUnknownEtherType
    while true {
      packet.etherType = type
      switch type {
      case 0x0800: return decodeIPv4(bytes, at: offset, &packet)
      case 0x86dd: return decodeIPv6(bytes, at: offset, &packet)
      case 0x8100, 0x88a8, 0x9100:
        guard let next = decodeVLAN(bytes, at: &offset, &packet) else { return }
        type = next
        unknownType = .vlanUnknownType
      case 0x8864: return decodePPPoESession(bytes, at: offset, &packet)
      case 0x8863: return decodePPPoEDiscovery(bytes, at: offset, &packet)
      case 0x8847, 0x8848: return decodeMPLS(bytes, at: offset, &packet)
      case 0x894f: return decodeNSH(bytes, at: offset, &packet)
      case 0x0806: return decodeARP(bytes, at: offset, &packet)
      case 0x88e7:
        // IEEE 802.1ah: a service tag of 4 octets, then a frame of its own.
        guard let next = skipTag(18, bytes, at: &offset, .ieee8021ahHeaderTooSmall, &packet) else { return }
        type = next
      case 0x8903:
        // Cisco FabricPath (DCE): a tag of 2 octets, then a frame of its own.
        guard let next = skipTag(16, bytes, at: &offset, .dcePacketTooSmall, &packet) else { return }
        type = next
      case 0x8926:
        guard let next = skipTag(6, bytes, at: &offset, .vntagHeaderTooSmall, &packet) else { return }
        type = next
        unknownType = .vntagUnknownType
      case 0x893f:
        // IEEE 802.1BR.
        guard let next = skipTag(8, bytes, at: &offset, .etagHeaderTooSmall, &packet) else { return }
        type = next
        unknownType = .etagUnknownType
      case 0x6558:
        // Transparent Ethernet bridging.
        return setInner(.ethernet, at: offset, end: bytes.byteCount, &packet)
      default:
        // Below 0x600 it is a length (IEEE 802.3); such frames carry no IP.
        packet.events.insert(unknownType)
        return
      }
    }
  }

  private func decodeVLAN(_ bytes: RawSpan, at offset: inout Int, _ packet: inout DecodedPacket) -> UInt16? {
    guard bytes.byteCount - offset >= 4 else {
      packet.events.insert(.vlanHeaderTooSmall)
      return nil
    }
    guard enterLayer(&packet) else { return nil }
    guard packet.push(vlan: bytes.u16(at: offset)) else {
      packet.events.insert(.vlanTooManyLayers)
      return nil
    }
    offset += 4
    return bytes.u16(at: offset - 2)
  }

  /// The EtherType in the last two octets of a tag of `length` octets, which `offset` is moved over.
  private func skipTag(
    _ length: Int, _ bytes: RawSpan, at offset: inout Int, _ tooSmall: DecodeEvent,
    _ packet: inout DecodedPacket
  ) -> UInt16? {
    guard bytes.byteCount - offset >= length else {
      packet.events.insert(tooSmall)
      return nil
    }
    guard enterLayer(&packet) else { return nil }
    offset += length
    return bytes.u16(at: offset - 2)
  }
}
