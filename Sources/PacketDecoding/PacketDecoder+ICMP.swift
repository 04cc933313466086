import Traffic

extension PacketDecoder {
  /// - Source: RFC 792, RFC 950, RFC 1256.
  func decodeICMPv4(_ message: RawSpan, _ packet: inout DecodedPacket) {
    guard message.byteCount >= 8 else { return packet.events.insert(.icmpv4PacketTooSmall) }
    let type = message.u8(at: 0)
    let code = message.u8(at: 1)
    packet.icmp.type = type
    packet.icmp.code = code
    setPayload(headerLength: 8, &packet)
    if settings.verifiesChecksums, !packet.isChecksumLeftToCard {
      packet.transportChecksum = Checksum.fold(Checksum.sum(message)) == 0xffff ? .valid : .invalid
    }
    switch type {
    case 0, 8, 13, 14, 15, 16, 17, 18:
      packet.icmp.identifier = message.u16(at: 4)
      packet.icmp.sequence = message.u16(at: 6)
      packet.icmp.hasIdentifier = true
      if code != 0 { packet.events.insert(.icmpv4UnknownCode) }
    case 3, 4, 5, 11, 12:
      let codeMax: UInt8 = type == 3 ? 15 : type == 5 ? 3 : type == 11 ? 1 : 0
      guard code <= codeMax else { return packet.events.insert(.icmpv4UnknownCode) }
      if type == 3, code == 4 { packet.icmp.mtu = UInt32(message.u16(at: 6)) }
      quotedIPv4(message.extracting(8..<message.byteCount), &packet)
    case 9: if code != 0, code != 16 { packet.events.insert(.icmpv4UnknownCode) }
    case 10: if code != 0 { packet.events.insert(.icmpv4UnknownCode) }
    default: packet.events.insert(.icmpv4UnknownType)
    }
  }

  private func quotedIPv4(_ quoted: RawSpan, _ packet: inout DecodedPacket) {
    guard quoted.byteCount >= 20 else {
      if quoted.byteCount > 0 { packet.events.insert(.icmpv4TruncatedPacket) }
      return
    }
    guard quoted.u8(at: 0) >> 4 == 4 else { return packet.events.insert(.icmpv4UnknownVersion) }
    let headerLength = Int(quoted.u8(at: 0) & 0x0f) * 4
    guard headerLength >= 20, headerLength <= quoted.byteCount else {
      return packet.events.insert(.icmpv4TruncatedPacket)
    }
    packet.icmp.quotedSource = IPAddress(ipv4: quoted.u32(at: 12))
    packet.icmp.quotedDestination = IPAddress(ipv4: quoted.u32(at: 16))
    packet.icmp.quotedProtocol = quoted.u8(at: 9)
    quotedPorts(quoted.extracting(headerLength..<quoted.byteCount), &packet)
  }

  private func quotedPorts(_ transport: RawSpan, _ packet: inout DecodedPacket) {
    let hasPorts =
      switch packet.icmp.quotedProtocol {
      case IPProtocol.tcp, IPProtocol.udp, IPProtocol.sctp: true
      default: false
      }
    guard !hasPorts || transport.byteCount >= 4 else { return }
    if hasPorts {
      packet.icmp.quotedSourcePort = transport.u16(at: 0)
      packet.icmp.quotedDestinationPort = transport.u16(at: 2)
    }
    packet.icmp.hasQuoted = true
  }

  /// - Source: RFC 4443, RFC 4861, RFC 2710, RFC 3810.
  func decodeICMPv6(_ message: RawSpan, _ packet: inout DecodedPacket) {
    guard message.byteCount >= 8 else { return packet.events.insert(.icmpv6PacketTooSmall) }
    let type = message.u8(at: 0)
    let code = message.u8(at: 1)
    packet.icmp.type = type
    packet.icmp.code = code
    setPayload(headerLength: 8, &packet)
    if settings.verifiesChecksums, !packet.isChecksumLeftToCard {
      let pseudo = Checksum.pseudoHeader(
        packet.source, packet.destination, ipProtocol: IPProtocol.icmpv6, length: message.byteCount)
      let sum = Checksum.fold(Checksum.sum(message, initial: pseudo))
      packet.transportChecksum = sum == 0xffff ? .valid : .invalid
    }
    switch type {
    case 1, 2, 3, 4:
      let codeMax: UInt8 = type == 1 ? 6 : type == 2 ? 0 : type == 3 ? 1 : 2
      guard code <= codeMax else { return packet.events.insert(.icmpv6UnknownCode) }
      if type == 2 { packet.icmp.mtu = message.u32(at: 4) }
      quotedIPv6(message.extracting(8..<message.byteCount), &packet)
    case 128, 129:
      packet.icmp.identifier = message.u16(at: 4)
      packet.icmp.sequence = message.u16(at: 6)
      packet.icmp.hasIdentifier = true
      if code != 0 { packet.events.insert(.icmpv6UnknownCode) }
    case 130, 131, 132:
      // RFC 2710 section 3: hop limit 1 on link-local messages.
      if packet.timeToLive != 1 { packet.events.insert(.icmpv6MLDInvalidHopLimit) }
      if code != 0 { packet.events.insert(.icmpv6UnknownCode) }
    case 133...137, 141...149:
      if code != 0 { packet.events.insert(.icmpv6UnknownCode) }
    case 138...140, 150...159: break
    case 100, 101, 200, 201: packet.events.insert(.icmpv6ExperimentationType)
    case 5...99, 103...126, 160...199: packet.events.insert(.icmpv6UnassignedType)
    default: packet.events.insert(.icmpv6UnknownType)
    }
  }

  private func quotedIPv6(_ quoted: RawSpan, _ packet: inout DecodedPacket) {
    guard quoted.byteCount >= 40 else {
      if quoted.byteCount > 0 { packet.events.insert(.icmpv6TruncatedPacket) }
      return
    }
    guard quoted.u8(at: 0) >> 4 == 6 else { return packet.events.insert(.icmpv6UnknownVersion) }
    packet.icmp.quotedSource = IPAddress(high: quoted.u64(at: 8), low: quoted.u64(at: 16))
    packet.icmp.quotedDestination = IPAddress(high: quoted.u64(at: 24), low: quoted.u64(at: 32))
    packet.icmp.quotedProtocol = quoted.u8(at: 6)
    quotedPorts(quoted.extracting(40..<quoted.byteCount), &packet)
  }
}
