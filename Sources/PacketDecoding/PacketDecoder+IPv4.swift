import Traffic

extension PacketDecoder {
  /// - Source: RFC 791 section 3.1.
  func decodeIPv4(_ bytes: RawSpan, at start: Int, _ packet: inout DecodedPacket) {
    let available = bytes.byteCount - start
    guard available >= 20 else {
      packet.events.insert(.ipv4PacketTooSmall)
      return
    }
    guard bytes.u8(at: start) >> 4 == 4 else {
      packet.events.insert(.ipv4WrongIPVersion)
      return
    }
    let headerLength = Int(bytes.u8(at: start) & 0x0f) * 4
    let totalLength = Int(bytes.u16(at: start + 2))
    guard headerLength >= 20 else {
      packet.events.insert(.ipv4HeaderTooSmall)
      return
    }
    guard totalLength >= headerLength else {
      packet.events.insert(.ipv4TotalLengthTooSmall)
      return
    }
    guard available >= totalLength else {
      packet.events.insert(.ipv4TruncatedPacket)
      return
    }
    guard enterLayer(&packet) else { return }
    if headerLength > 20 {
      let options = bytes.extracting(start + 20..<start + headerLength)
      guard decodeIPv4Options(options, &packet) else { return }
    }
    packet.ipVersion = 4
    packet.networkOffset = Int32(truncatingIfNeeded: start)
    packet.networkHeaderLength = Int32(headerLength)
    packet.typeOfService = bytes.u8(at: start + 1)
    packet.fragmentID = UInt32(bytes.u16(at: start + 4))
    packet.timeToLive = bytes.u8(at: start + 8)
    packet.ipProtocol = bytes.u8(at: start + 9)
    packet.source = IPAddress(ipv4: bytes.u32(at: start + 12))
    packet.destination = IPAddress(ipv4: bytes.u32(at: start + 16))
    let fragment = bytes.u16(at: start + 6)
    packet.reservedFragmentBit = fragment & 0x8000 != 0
    packet.dontFragment = fragment & 0x4000 != 0
    packet.moreFragments = fragment & 0x2000 != 0
    packet.fragmentOffset = Int32(fragment & 0x1fff) * 8
    packet.isFragment = packet.moreFragments || packet.fragmentOffset > 0
    if settings.verifiesChecksums {
      let sum = Checksum.sum(bytes.extracting(start..<start + headerLength))
      packet.networkChecksum = Checksum.fold(sum) == 0xffff ? .valid : .invalid
    }
    decodeTransport(bytes, at: start + headerLength, end: start + totalLength, &packet)
  }
}
