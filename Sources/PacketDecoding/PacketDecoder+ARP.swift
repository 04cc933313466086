import Traffic

extension PacketDecoder {
  /// - Source: RFC 826; only Ethernet and IPv4 addresses, requests and replies of ARP and RARP.
  func decodeARP(_ bytes: RawSpan, at start: Int, _ packet: inout DecodedPacket) {
    let available = bytes.byteCount - start
    guard available >= 8 else { return packet.events.insert(.arpPacketTooSmall) }
    guard enterLayer(&packet) else { return }
    guard bytes.u16(at: start) == 1 else { return packet.events.insert(.arpUnsupportedHardware) }
    guard bytes.u16(at: start + 2) == 0x0800 else { return packet.events.insert(.arpUnsupportedProtocol) }
    guard available >= 28 else { return packet.events.insert(.arpInvalidPacket) }
    guard bytes.u8(at: start + 4) == 6 else { return packet.events.insert(.arpInvalidHardwareSize) }
    guard bytes.u8(at: start + 5) == 4 else { return packet.events.insert(.arpInvalidProtocolSize) }
    guard (1...4).contains(bytes.u16(at: start + 6)) else {
      return packet.events.insert(.arpUnsupportedOpcode)
    }
    packet.isARP = true
    packet.networkOffset = Int32(truncatingIfNeeded: start)
    packet.networkHeaderLength = 28
  }
}

/// The fields of an ARP message for Ethernet and IPv4 (RFC 826).
public struct ARPFields: Sendable, Hashable {
  /// 1 request, 2 reply, 3 and 4 the same of RARP.
  public let opcode: UInt16
  /// 48 bits, the first octet highest.
  public let senderHardware: UInt64
  public let senderAddress: IPAddress
  public let targetHardware: UInt64
  public let targetAddress: IPAddress

  /// - Parameter bytes: those that `packet` was decoded from.
  /// - Returns: nil where the packet is no ARP message that could be read.
  public init?(_ packet: DecodedPacket, _ bytes: RawSpan) {
    let start = Int(packet.networkOffset)
    guard packet.isARP, bytes.byteCount - start >= 28 else { return nil }
    opcode = bytes.u16(at: start + 6)
    senderHardware = UInt64(bytes.u16(at: start + 8)) << 32 | UInt64(bytes.u32(at: start + 10))
    senderAddress = IPAddress(ipv4: bytes.u32(at: start + 14))
    targetHardware = UInt64(bytes.u16(at: start + 18)) << 32 | UInt64(bytes.u32(at: start + 20))
    targetAddress = IPAddress(ipv4: bytes.u32(at: start + 24))
  }
}
