import Traffic

extension PacketDecoder {
  /// - Source: RFC 8200 section 3.
  func decodeIPv6(_ bytes: RawSpan, at start: Int, _ packet: inout DecodedPacket) {
    let available = bytes.byteCount - start
    guard available >= 40 else {
      packet.events.insert(.ipv6PacketTooSmall)
      return
    }
    let first = bytes.u32(at: start)
    guard first >> 28 == 6 else {
      packet.events.insert(.ipv6WrongIPVersion)
      return
    }
    let payloadLength = Int(bytes.u16(at: start + 4))
    guard available - 40 >= payloadLength else {
      packet.events.insert(.ipv6TruncatedPacket)
      return
    }
    guard enterLayer(&packet) else { return }
    packet.ipVersion = 6
    packet.networkOffset = Int32(truncatingIfNeeded: start)
    packet.networkHeaderLength = 40
    packet.typeOfService = UInt8(truncatingIfNeeded: first >> 20)
    packet.ipProtocol = bytes.u8(at: start + 6)
    packet.timeToLive = bytes.u8(at: start + 7)
    packet.source = IPAddress(high: bytes.u64(at: start + 8), low: bytes.u64(at: start + 16))
    packet.destination = IPAddress(high: bytes.u64(at: start + 24), low: bytes.u64(at: start + 32))
    decodeIPv6Extensions(bytes, at: start + 40, end: start + 40 + payloadLength, &packet)
  }
}
