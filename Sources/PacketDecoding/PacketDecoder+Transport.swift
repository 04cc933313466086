import Traffic

extension PacketDecoder {
  /// - Parameter end: where the IP datagram ends in `bytes`; what follows is link padding.
  func decodeTransport(_ bytes: RawSpan, at start: Int, end: Int, _ packet: inout DecodedPacket) {
    packet.transportOffset = Int32(truncatingIfNeeded: start)
    packet.payloadOffset = Int32(truncatingIfNeeded: start)
    packet.payloadLength = Int32(truncatingIfNeeded: end - start)
    // The transport header of a fragment is the defragmenter's business.
    guard !packet.isFragment else { return }
    let datagram = bytes.extracting(start..<end)
    switch packet.ipProtocol {
    case IPProtocol.tcp: decodeTCP(datagram, &packet)
    case IPProtocol.udp: decodeUDP(datagram, bytes, &packet)
    case IPProtocol.icmp:
      guard packet.ipVersion == 4 else { return packet.events.insert(.ipv6ICMPv4) }
      decodeICMPv4(datagram, &packet)
    case IPProtocol.icmpv6:
      guard packet.ipVersion == 6 else { return packet.events.insert(.ipv4ICMPv6) }
      decodeICMPv6(datagram, &packet)
    case IPProtocol.sctp: decodeSCTP(datagram, &packet)
    case IPProtocol.gre: decodeGRE(datagram, &packet)
    case IPProtocol.esp:
      guard datagram.byteCount >= 8 else { return packet.events.insert(.espPacketTooSmall) }
      // The security parameters index tells flows apart as ports do: its upper and lower half.
      packet.sourcePort = datagram.u16(at: 0)
      packet.destinationPort = datagram.u16(at: 2)
    case IPProtocol.ipv4:
      if packet.ipVersion == 6 {
        guard datagram.byteCount >= 20 else { return packet.events.insert(.ipv6IPv4InIPv6TooSmall) }
        guard datagram.u8(at: 0) >> 4 == 4 else { return packet.events.insert(.ipv6IPv4InIPv6WrongVersion) }
      }
      setInner(.ipv4, at: start, end: end, &packet)
    case IPProtocol.ipv6:
      if packet.ipVersion == 6 {
        guard datagram.byteCount >= 40 else { return packet.events.insert(.ipv6IPv6InIPv6TooSmall) }
        guard datagram.u8(at: 0) >> 4 == 6 else { return packet.events.insert(.ipv6IPv6InIPv6WrongVersion) }
      }
      setInner(.ipv6, at: start, end: end, &packet)
    case 59: break
    default: if packet.ipVersion == 6 { packet.events.insert(.ipv6UnknownNextHeader) }
    }
  }

  func setPayload(headerLength: Int, _ packet: inout DecodedPacket) {
    packet.hasTransport = true
    packet.transportHeaderLength = Int32(truncatingIfNeeded: headerLength)
    packet.payloadOffset = packet.transportOffset &+ packet.transportHeaderLength
    packet.payloadLength = packet.payloadLength &- packet.transportHeaderLength
  }

  // MARK: TCP

  /// - Source: RFC 9293 section 3.1.
  private func decodeTCP(_ segment: RawSpan, _ packet: inout DecodedPacket) {
    guard segment.byteCount >= 20 else { return packet.events.insert(.tcpPacketTooSmall) }
    let headerLength = Int(segment.u8(at: 12) >> 4) * 4
    // Suricata's meaning of the two names: the segment ends before its header does; the header ends
    // before its fixed part does.
    guard headerLength <= segment.byteCount else { return packet.events.insert(.tcpHeaderTooSmall) }
    guard headerLength >= 20 else { return packet.events.insert(.tcpInvalidOptionLength) }
    packet.sourcePort = segment.u16(at: 0)
    packet.destinationPort = segment.u16(at: 2)
    packet.tcp.sequence = segment.u32(at: 4)
    packet.tcp.acknowledgement = segment.u32(at: 8)
    packet.tcp.flags = segment.u8(at: 13)
    packet.tcp.window = segment.u16(at: 14)
    packet.tcp.urgentPointer = segment.u16(at: 18)
    if headerLength > 20 { decodeTCPOptions(segment.extracting(20..<headerLength), &packet) }
    setPayload(headerLength: headerLength, &packet)
    verify(segment, at: 16, &packet)
  }

  /// Compares the checksum that stands `offset` octets into the segment.
  private func verify(_ segment: RawSpan, at offset: Int, _ packet: inout DecodedPacket) {
    guard settings.verifiesChecksums, !packet.isChecksumLeftToCard else { return }
    let pseudo = Checksum.pseudoHeader(
      packet.source, packet.destination, ipProtocol: packet.ipProtocol, length: segment.byteCount)
    let sum = Checksum.sum(segment, initial: pseudo)
    packet.transportChecksum = Checksum.fold(sum) == 0xffff ? .valid : .invalid
  }

  // MARK: UDP

  /// - Source: RFC 768.
  private func decodeUDP(_ datagram: RawSpan, _ bytes: RawSpan, _ packet: inout DecodedPacket) {
    guard datagram.byteCount >= 8 else { return packet.events.insert(.udpHeaderTooSmall) }
    let length = Int(datagram.u16(at: 4))
    guard length >= 8 else { return packet.events.insert(.udpLengthInvalid) }
    guard length <= datagram.byteCount else { return packet.events.insert(.udpPacketTooSmall) }
    // What follows the length in the IP datagram is no part of it, and no fault either (RFC 768).
    packet.sourcePort = datagram.u16(at: 0)
    packet.destinationPort = datagram.u16(at: 2)
    packet.payloadLength = Int32(length)
    setPayload(headerLength: 8, &packet)
    // A checksum of 0 means that the sender made none (not allowed for IPv6, but seen in tunnels).
    if datagram.u16(at: 6) != 0 { verify(datagram.extracting(0..<length), at: 6, &packet) }
    decodeUDPTunnel(bytes, &packet)
  }

  // MARK: SCTP

  /// - Source: RFC 9260 section 3.1.
  private func decodeSCTP(_ datagram: RawSpan, _ packet: inout DecodedPacket) {
    guard datagram.byteCount >= 12 else { return packet.events.insert(.sctpPacketTooSmall) }
    packet.sourcePort = datagram.u16(at: 0)
    packet.destinationPort = datagram.u16(at: 2)
    setPayload(headerLength: 12, &packet)
  }
}
