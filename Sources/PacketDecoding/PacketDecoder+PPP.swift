import Traffic

extension PacketDecoder {
  /// - Source: RFC 1661 section 2, RFC 1662 section 3.1; address and control may be left out.
  func decodePPP(_ bytes: RawSpan, at start: Int, _ packet: inout DecodedPacket) {
    guard bytes.byteCount - start >= 2 else {
      packet.events.insert(.pppPacketTooSmall)
      return
    }
    switch bytes.u8(at: start) {
    case 0xff: decodePPPProtocol(bytes, at: start + 2, &packet)
    // Serial captures mix PPP with Cisco's framing, told apart by the address.
    case 0x0f, 0x8f: decodeCiscoHDLC(bytes, at: start, &packet)
    default: decodePPPProtocol(bytes, at: start, &packet)
    }
  }

  private func decodePPPProtocol(_ bytes: RawSpan, at start: Int, _ packet: inout DecodedPacket) {
    // An odd first octet is a protocol field compressed to one (RFC 1661 section 6.5).
    let isCompressed = bytes.byteCount > start && bytes.u8(at: start) & 1 == 1
    guard isCompressed || bytes.byteCount - start >= 2 else {
      packet.events.insert(.pppPacketTooSmall)
      return
    }
    guard enterLayer(&packet) else { return }
    let number = isCompressed ? UInt16(bytes.u8(at: start)) : bytes.u16(at: start)
    let next = start + (isCompressed ? 1 : 2)
    let available = bytes.byteCount - next
    switch number {
    case 0x0021:
      guard available >= 20 else { return packet.events.insert(.pppIPv4TooSmall) }
      decodeIPv4(bytes, at: next, &packet)
    case 0x0057:
      guard available >= 40 else { return packet.events.insert(.pppIPv6TooSmall) }
      decodeIPv6(bytes, at: next, &packet)
    case 0x002f:
      // Van Jacobson, uncompressed: an IPv4 header with the protocol number replaced.
      guard available >= 20 else { return packet.events.insert(.pppVJUncompressedTooSmall) }
      if bytes.u8(at: next) >> 4 == 4 { decodeIPv4(bytes, at: next, &packet) }
    case 0x0281, 0x0283: decodeMPLS(bytes, at: next, &packet)
    case 0x002d, 0x002b, 0x0023, 0x0025, 0x0027, 0x0029, 0x0031, 0x0033, 0x0035, 0x0205, 0x0231,
      0x0233, 0x8021, 0x8023, 0x8025, 0x8027, 0x8029, 0x802b, 0x8033, 0x8035, 0x8057, 0x8281,
      0xc021, 0xc023, 0xc025, 0xc223:
      // Assigned, but nothing that carries IP.
      packet.events.insert(.pppUnsupportedProtocol)
    default: packet.events.insert(.pppWrongType)
    }
  }

  /// - Source: RFC 2516 section 4.
  func decodePPPoESession(_ bytes: RawSpan, at start: Int, _ packet: inout DecodedPacket) {
    guard bytes.byteCount - start >= 7 else {
      packet.events.insert(.pppoePacketTooSmall)
      return
    }
    guard enterLayer(&packet) else { return }
    decodePPPProtocol(bytes, at: start + 6, &packet)
  }

  /// - Source: RFC 2516 section 5; tags have two octets each of type and length.
  func decodePPPoEDiscovery(_ bytes: RawSpan, at start: Int, _ packet: inout DecodedPacket) {
    guard bytes.byteCount - start >= 6 else {
      packet.events.insert(.pppoePacketTooSmall)
      return
    }
    switch bytes.u8(at: start + 1) {
    case 0x09, 0x07, 0x19, 0x65, 0xa7: break
    default: return packet.events.insert(.pppoeWrongCode)
    }
    let length = Int(bytes.u16(at: start + 4))
    guard length <= bytes.byteCount - start - 6 else { return packet.events.insert(.pppoeMalformedTags) }
    var offset = start + 6
    let end = offset + length
    while end - offset >= 4 {
      offset += 4 + Int(bytes.u16(at: offset + 2))
      guard offset <= end else { return packet.events.insert(.pppoeMalformedTags) }
    }
  }
}
