import Traffic

// Labels and service headers: MPLS and the network service header.

extension PacketDecoder {
  /// - Source: RFC 3032 section 2.1; the payload's first nibble tells what it is.
  func decodeMPLS(_ bytes: RawSpan, at start: Int, _ packet: inout DecodedPacket) {
    guard enterLayer(&packet) else { return }
    var offset = start
    // Four octets an entry: the loop ends with the packet.
    while true {
      guard bytes.byteCount - offset >= 4 else {
        packet.events.insert(.mplsHeaderTooSmall)
        return
      }
      let entry = bytes.u32(at: offset)
      offset += 4
      if entry & 0x100 != 0 {
        return decodeMPLSPayload(label: entry >> 12, bytes, at: offset, &packet)
      }
    }
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
    guard bytes.byteCount - offset >= 4 else {
      packet.events.insert(.mplsPacketTooSmall)
      return
    }
    switch bytes.u8(at: offset) >> 4 {
    case 4: decodeIPv4(bytes, at: offset, &packet)
    case 6: decodeIPv6(bytes, at: offset, &packet)
    // A pseudowire: the control word (RFC 4385 section 3), then an Ethernet frame.
    case 0: decodeEthernet(bytes, at: offset + 4, &packet)
    default: packet.events.insert(.mplsUnknownPayloadType)
    }
  }

  /// - Source: RFC 8300 section 2; lengths count words of four octets.
  func decodeNSH(_ bytes: RawSpan, at start: Int, _ packet: inout DecodedPacket) {
    let available = bytes.byteCount - start
    guard available >= 8 else { return packet.events.insert(.nshHeaderTooSmall) }
    guard enterLayer(&packet) else { return }
    guard bytes.u8(at: start) >> 6 == 0 else { return packet.events.insert(.nshUnsupportedVersion) }
    let length = Int(bytes.u8(at: start + 1) & 0x3f) * 4
    guard length >= 8, length < available else { return packet.events.insert(.nshBadHeaderLength) }
    switch bytes.u8(at: start + 2) & 0x0f {
    case 0: return packet.events.insert(.nshReservedType)
    case 1: if length != 24 { return packet.events.insert(.nshBadHeaderLength) }
    case 2, 15: break
    default: return packet.events.insert(.nshUnsupportedType)
    }
    switch bytes.u8(at: start + 3) {
    case 1: decodeIPv4(bytes, at: start + length, &packet)
    case 2: decodeIPv6(bytes, at: start + length, &packet)
    case 3: decodeEthernet(bytes, at: start + length, &packet)
    case 5: decodeMPLS(bytes, at: start + length, &packet)
    case 4: packet.events.insert(.nshUnsupportedType)
    default: packet.events.insert(.nshUnknownPayload)
    }
  }
}
