import Traffic

// Link layers: Ethernet with tags, Linux cooked, raw, BSD loopback, PPP, PPPoE, MPLS.

extension PacketDecoder {
  func decodeEthernet(_ bytes: RawSpan, at start: Int, _ packet: inout DecodedPacket) {
    guard bytes.byteCount - start >= 14 else {
      packet.events.insert(.ethernetPacketTooSmall)
      return
    }
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
  func decodeLoopback(_ bytes: RawSpan, _ link: LinkType, _ packet: inout DecodedPacket) {
    guard bytes.byteCount >= 4 else {
      packet.events.insert(.loopbackPacketTooSmall)
      return
    }
    let value = bytes.u32(at: 0)
    switch value < 0x1_0000 ? value : value.byteSwapped {
    case 2: decodeIPv4(bytes, at: 4, &packet)
    case 10, 24, 28, 30: decodeIPv6(bytes, at: 4, &packet)
    default: packet.events.insert(.loopbackUnsupportedType)
    }
  }

  /// EtherTypes, through any number of tags up to the limit.
  func decodeEtherType(
    _ etherType: UInt16, _ bytes: RawSpan, at start: Int, _ packet: inout DecodedPacket
  ) {
    var type = etherType
    var offset = start
    for _ in 0..<Self.layersMax {
      packet.etherType = type
      switch type {
      case 0x0800: return decodeIPv4(bytes, at: offset, &packet)
      case 0x86dd: return decodeIPv6(bytes, at: offset, &packet)
      case 0x8100, 0x88a8, 0x9100:
        guard let next = decodeVLAN(bytes, at: &offset, &packet) else { return }
        type = next
      case 0x8864: return decodePPPoESession(bytes, at: offset, &packet)
      case 0x8863: return decodePPPoEDiscovery(bytes, at: offset, &packet)
      case 0x8847, 0x8848: return decodeMPLS(bytes, at: offset, &packet)
      case 0x88e7:
        // IEEE 802.1ah: I-TAG of 4 octets, then a frame of its own.
        guard bytes.byteCount - offset >= 18 else {
          packet.events.insert(.ieee8021ahHeaderTooSmall)
          return
        }
        type = bytes.u16(at: offset + 16)
        offset += 18
      case 0x8926:
        guard bytes.byteCount - offset >= 6 else {
          packet.events.insert(.vntagHeaderTooSmall)
          return
        }
        type = bytes.u16(at: offset + 4)
        offset += 6
      case 0x0806: return decodeARP(bytes, at: offset, &packet)
      case 0x6558:
        // Transparent Ethernet bridging.
        packet.inner = .ethernet
        packet.innerOffset = Int32(truncatingIfNeeded: offset)
        return
      default:
        // Below 0x600 it is a length (IEEE 802.3); such frames carry no IP.
        packet.events.insert(packet.vlanCount > 0 ? .vlanUnknownType : .ethernetUnknownEtherType)
        return
      }
    }
    packet.events.insert(.tooManyLayers)
  }

  private func decodeVLAN(_ bytes: RawSpan, at offset: inout Int, _ packet: inout DecodedPacket) -> UInt16? {
    guard bytes.byteCount - offset >= 4 else {
      packet.events.insert(.vlanHeaderTooSmall)
      return nil
    }
    let identifier = bytes.u16(at: offset) & 0x0fff
    switch packet.vlanCount {
    case 0: packet.vlan0 = identifier
    case 1: packet.vlan1 = identifier
    case 2: packet.vlan2 = identifier
    default:
      packet.events.insert(.vlanTooManyLayers)
      return nil
    }
    packet.vlanCount += 1
    offset += 4
    return bytes.u16(at: offset - 2)
  }

  /// - Source: RFC 826; sizes other than Ethernet and IPv4 are events.
  private func decodeARP(_ bytes: RawSpan, at start: Int, _ packet: inout DecodedPacket) {
    guard bytes.byteCount - start >= 28 else {
      packet.events.insert(.arpPacketTooSmall)
      return
    }
    if bytes.u16(at: start) != 1 { packet.events.insert(.arpUnsupportedHardware) }
    if bytes.u16(at: start + 2) != 0x0800 { packet.events.insert(.arpUnsupportedProtocol) }
    if bytes.u8(at: start + 4) != 6 { packet.events.insert(.arpInvalidHardwareSize) }
    if bytes.u8(at: start + 5) != 4 { packet.events.insert(.arpInvalidProtocolSize) }
    let opcode = bytes.u16(at: start + 6)
    if opcode == 0 || opcode > 10 || opcode == 5 || opcode == 6 || opcode == 7 {
      packet.events.insert(.arpUnsupportedOpcode)
    }
  }

  // MARK: PPP

  /// - Source: RFC 1661 section 2, RFC 1662 section 3.1; address and control may be left out.
  func decodePPP(_ bytes: RawSpan, at start: Int, _ packet: inout DecodedPacket) {
    var offset = start
    guard bytes.byteCount - offset >= 2 else {
      packet.events.insert(.pppPacketTooSmall)
      return
    }
    if bytes.u8(at: offset) == 0xff || bytes.u8(at: offset) == 0x0f || bytes.u8(at: offset) == 0x8f {
      // HDLC framing; Cisco's carries an EtherType.
      let isCisco = bytes.u8(at: offset) != 0xff
      offset += 2
      if isCisco {
        guard bytes.byteCount - offset >= 2 else {
          packet.events.insert(.pppPacketTooSmall)
          return
        }
        return decodeEtherType(bytes.u16(at: offset), bytes, at: offset + 2, &packet)
      }
    }
    decodePPPProtocol(bytes, at: offset, &packet)
  }

  private func decodePPPProtocol(_ bytes: RawSpan, at start: Int, _ packet: inout DecodedPacket) {
    guard bytes.byteCount > start else {
      packet.events.insert(.pppPacketTooSmall)
      return
    }
    // An odd first octet is a protocol field compressed to one (RFC 1661 section 6.5).
    let isCompressed = bytes.u8(at: start) & 1 == 1
    guard isCompressed || bytes.byteCount - start >= 2 else {
      packet.events.insert(.pppPacketTooSmall)
      return
    }
    let number = isCompressed ? UInt16(bytes.u8(at: start)) : bytes.u16(at: start)
    let next = start + (isCompressed ? 1 : 2)
    switch number {
    case 0x0021:
      guard bytes.byteCount - next >= 20 else {
        packet.events.insert(.pppIPv4TooSmall)
        return
      }
      decodeIPv4(bytes, at: next, &packet)
    case 0x0057:
      guard bytes.byteCount - next >= 40 else {
        packet.events.insert(.pppIPv6TooSmall)
        return
      }
      decodeIPv6(bytes, at: next, &packet)
    case 0x002f:
      guard bytes.byteCount - next >= 20 else {
        packet.events.insert(.pppVJUncompressedTooSmall)
        return
      }
      if bytes.u8(at: next) >> 4 == 4 { decodeIPv4(bytes, at: next, &packet) }
    case 0x002d, 0x0023, 0x0025, 0x0027, 0x0029, 0x002b, 0x003d, 0x003f, 0x0043, 0x8021...0x8fff,
      0xc021...0xc23f:
      packet.events.insert(.pppUnsupportedProtocol)
    default: packet.events.insert(.pppWrongType)
    }
  }

  /// - Source: RFC 2516 section 4.
  private func decodePPPoESession(_ bytes: RawSpan, at start: Int, _ packet: inout DecodedPacket) {
    guard bytes.byteCount - start >= 8 else {
      packet.events.insert(.pppoePacketTooSmall)
      return
    }
    decodePPPProtocol(bytes, at: start + 6, &packet)
  }

  private func decodePPPoEDiscovery(_ bytes: RawSpan, at start: Int, _ packet: inout DecodedPacket) {
    guard bytes.byteCount - start >= 6 else {
      packet.events.insert(.pppoePacketTooSmall)
      return
    }
    switch bytes.u8(at: start + 1) {
    case 0x09, 0x07, 0x19, 0x65, 0xa7: break
    default:
      packet.events.insert(.pppoeWrongCode)
      return
    }
    var reader = ByteReader(bytes.extracting(start + 6..<bytes.byteCount))
    var left = Int(bytes.u16(at: start + 4))
    while left >= 4 {
      guard reader.skip(2), let length = reader.u16(), Int(length) <= left - 4, reader.skip(Int(length)) else {
        packet.events.insert(.pppoeMalformedTags)
        return
      }
      left -= 4 + Int(length)
    }
  }

  // MARK: MPLS

  /// - Source: RFC 3032 section 2.1; the payload's first nibble tells what it is.
  func decodeMPLS(_ bytes: RawSpan, at start: Int, _ packet: inout DecodedPacket) {
    var offset = start
    for _ in 0..<Self.layersMax {
      guard bytes.byteCount - offset >= 4 else {
        packet.events.insert(.mplsHeaderTooSmall)
        return
      }
      let entry = bytes.u32(at: offset)
      offset += 4
      guard entry & 0x100 != 0 else { continue }
      return decodeMPLSPayload(label: entry >> 12, bytes, at: offset, &packet)
    }
    packet.events.insert(.tooManyLayers)
  }

  private func decodeMPLSPayload(
    label: UInt32, _ bytes: RawSpan, at offset: Int, _ packet: inout DecodedPacket
  ) {
    switch label {
    case 0: return decodeIPv4(bytes, at: offset, &packet)
    case 1: return packet.events.insert(.mplsBadLabelRouterAlert)
    case 2: return decodeIPv6(bytes, at: offset, &packet)
    case 3: return packet.events.insert(.mplsBadLabelImplicitNull)
    case 4...15: return packet.events.insert(.mplsBadLabelReserved)
    default: break
    }
    guard bytes.byteCount > offset else {
      packet.events.insert(.mplsPacketTooSmall)
      return
    }
    switch bytes.u8(at: offset) >> 4 {
    case 4: decodeIPv4(bytes, at: offset, &packet)
    case 6: decodeIPv6(bytes, at: offset, &packet)
    case 0:
      // A pseudowire: control word (RFC 4385) or an Ethernet frame.
      let isControlWord = bytes.byteCount - offset >= 4 && bytes.u32(at: offset) >> 16 == 0
      packet.inner = .ethernet
      packet.innerOffset = Int32(truncatingIfNeeded: offset + (isControlWord ? 4 : 0))
    default: packet.events.insert(.mplsUnknownPayloadType)
    }
  }
}
