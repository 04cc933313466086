import Traffic

// Tunnels name the packet inside; the caller decodes it on its own.

extension PacketDecoder {
  /// - Source: RFC 2784, RFC 2890 (version 0), RFC 2637 section 4.1 (version 1, PPTP).
  func decodeGRE(_ datagram: RawSpan, _ packet: inout DecodedPacket) {
    guard datagram.byteCount >= 4 else { return packet.events.insert(.grePacketTooSmall) }
    guard enterLayer(&packet) else { return }
    let length =
      switch datagram.u8(at: 1) & 0x07 {
      case 0: greHeaderLength0(datagram, &packet)
      case 1: greHeaderLength1(datagram, &packet)
      default: greHeaderLengthUnknown(&packet)
      }
    guard let length, length < datagram.byteCount else { return }
    let kind: InnerPacket
    switch datagram.u16(at: 2) {
    case 0x0800: kind = .ipv4
    case 0x86dd: kind = .ipv6
    case 0x6558: kind = .ethernet
    case 0x8100: kind = .vlan
    case 0x0806: kind = .arp
    case 0x880b: kind = .ppp
    // ERSPAN type I has neither a header of its own nor a GRE sequence number; type II has both.
    case 0x88be: kind = datagram.u8(at: 0) & 0x10 != 0 ? .erspan : .ethernet
    case 0x22eb: return packet.events.insert(.erspanUnsupportedVersion)
    default: return
    }
    let start = Int(packet.transportOffset)
    setInner(kind, at: start + length, end: start + datagram.byteCount, &packet)
  }

  /// Bits that RFC 2784 reserves are an event, but receivers ignore them, and so does the decoder.
  private func greHeaderLength0(_ datagram: RawSpan, _ packet: inout DecodedPacket) -> Int? {
    let flags = datagram.u8(at: 0)
    if flags & 0x07 != 0 { packet.events.insert(.greVersion0Recursion) }
    if datagram.u8(at: 1) & 0xf8 != 0 { packet.events.insert(.greVersion0Flags) }
    let hasRouting = flags & 0x40 != 0
    var length = 4
    if flags & 0x80 != 0 || hasRouting { length += 4 }
    if flags & 0x20 != 0 { length += 4 }
    if flags & 0x10 != 0 { length += 4 }
    guard length <= datagram.byteCount else {
      packet.events.insert(.greVersion0HeaderTooBig)
      return nil
    }
    guard hasRouting else { return length }
    guard let routed = skipRouting(datagram, from: length) else {
      packet.events.insert(.greVersion0MalformedRouting)
      return nil
    }
    return routed
  }

  private func greHeaderLength1(_ datagram: RawSpan, _ packet: inout DecodedPacket) -> Int? {
    let flags = datagram.u8(at: 0)
    let versionFlags = datagram.u8(at: 1)
    let fault: DecodeEvent? =
      if flags & 0x80 != 0 {
        .greVersion1Checksum
      } else if flags & 0x40 != 0 {
        .greVersion1Route
      } else if flags & 0x08 != 0 {
        .greVersion1StrictRoute
      } else if flags & 0x07 != 0 {
        .greVersion1Recursion
      } else if versionFlags & 0x78 != 0 {
        .greVersion1Flags
      } else if datagram.u16(at: 2) != 0x880b {
        .greVersion1WrongProtocol
      } else if flags & 0x20 == 0 {
        .greVersion1NoKey
      } else {
        nil
      }
    if let fault {
      packet.events.insert(fault)
      return nil
    }
    // The key is payload length and call; sequence and acknowledgement numbers may follow.
    let length = 8 + (flags & 0x10 != 0 ? 4 : 0) + (versionFlags & 0x80 != 0 ? 4 : 0)
    guard length <= datagram.byteCount else {
      packet.events.insert(.greVersion1HeaderTooBig)
      return nil
    }
    // A packet without payload only acknowledges.
    return datagram.u16(at: 4) == 0 ? nil : length
  }

  private func greHeaderLengthUnknown(_ packet: inout DecodedPacket) -> Int? {
    packet.events.insert(.greWrongVersion)
    return nil
  }

  /// Source route entries end with one of address family 0 and length 0 (RFC 1701). Each takes at
  /// least four octets.
  private func skipRouting(_ datagram: RawSpan, from start: Int) -> Int? {
    var offset = start
    while datagram.byteCount - offset >= 4 {
      let family = datagram.u16(at: offset)
      let length = Int(datagram.u8(at: offset + 3))
      offset += 4
      if family == 0, length == 0 { return offset }
      guard length <= datagram.byteCount - offset else { return nil }
      offset += length
    }
    return nil
  }

  /// ERSPAN type II: version and VLAN, session, index; then the mirrored frame.
  func decodeERSPAN(_ bytes: RawSpan, at start: Int, _ packet: inout DecodedPacket) {
    guard bytes.byteCount - start >= 8 else { return packet.events.insert(.erspanHeaderTooSmall) }
    guard enterLayer(&packet) else { return }
    let word = bytes.u16(at: start)
    guard word >> 12 == 1 else { return packet.events.insert(.erspanUnsupportedVersion) }
    if word & 0x0fff != 0, !packet.push(vlan: word) {
      return packet.events.insert(.erspanTooManyVLANLayers)
    }
    decodeEthernet(bytes, at: start + 8, &packet)
  }

  /// VXLAN, Geneve and Teredo by port.
  func decodeUDPTunnel(_ bytes: RawSpan, _ packet: inout DecodedPacket) {
    let offset = Int(packet.payloadOffset)
    if settings.genevePorts.contains(packet.sourcePort, packet.destinationPort) {
      decodeGeneve(packet.payload(of: bytes), offset, &packet)
    } else if settings.vxlanPorts.contains(packet.sourcePort, packet.destinationPort) {
      decodeVXLAN(packet.payload(of: bytes), offset, &packet)
    } else if settings.teredoPorts?.contains(packet.sourcePort, packet.destinationPort) ?? true {
      decodeTeredo(packet.payload(of: bytes), offset, &packet)
    }
  }

  /// - Source: RFC 7348 section 5: flags with the I bit, VNI, an Ethernet frame.
  private func decodeVXLAN(_ payload: RawSpan, _ offset: Int, _ packet: inout DecodedPacket) {
    guard payload.byteCount >= 8 + 14, payload.u8(at: 0) & 0x08 != 0, payload.u8(at: 7) == 0 else { return }
    guard enterLayer(&packet) else { return }
    let kind: InnerPacket
    switch payload.u16(at: 8 + 12) {
    case 0x0800: kind = .ipv4
    case 0x86dd: kind = .ipv6
    case 0x0806: return
    case 0x8100, 0x88a8, 0x9100: kind = .vlan
    default: return packet.events.insert(.vxlanUnknownPayloadType)
    }
    // The packet inside begins behind the frame's header.
    setInner(kind, at: offset + 8 + 14, end: offset + payload.byteCount, &packet)
  }

  /// - Source: RFC 8926 section 3.4. What does not hold to it is taken for some other protocol.
  private func decodeGeneve(_ payload: RawSpan, _ offset: Int, _ packet: inout DecodedPacket) {
    guard payload.byteCount >= 8, payload.u8(at: 0) >> 6 == 0, payload.u8(at: 1) & 0x3f == 0,
      payload.u8(at: 7) == 0
    else { return }
    let length = 8 + Int(payload.u8(at: 0) & 0x3f) * 4
    guard length <= payload.byteCount, Self.fillsGeneveOptions(payload.extracting(8..<length)) else { return }
    guard enterLayer(&packet) else { return }
    let end = offset + payload.byteCount
    switch payload.u16(at: 2) {
    case 0x6558: setInner(.ethernet, at: offset + length, end: end, &packet)
    case 0x0800: setInner(.ipv4, at: offset + length, end: end, &packet)
    case 0x86dd: setInner(.ipv6, at: offset + length, end: end, &packet)
    case 0x0806: break
    default: packet.events.insert(.geneveUnknownPayloadType)
    }
  }

  /// The options, each four octets and as many words as it says, end where the header does.
  private static func fillsGeneveOptions(_ options: RawSpan) -> Bool {
    var index = 0
    while options.byteCount - index >= 4 { index += 4 + Int(options.u8(at: index + 3) & 0x1f) * 4 }
    return index == options.byteCount
  }

  /// - Source: RFC 4380 section 5.1.1: an optional origin, then an IPv6 packet that must fill the rest
  ///   exactly. What carries authentication negotiates and is no tunnel, as Suricata has it.
  private func decodeTeredo(_ payload: RawSpan, _ offset: Int, _ packet: inout DecodedPacket) {
    let start = payload.byteCount >= 8 && payload.u16(at: 0) == 0 ? 8 : 0
    guard payload.byteCount >= start + 40, payload.u8(at: start) >> 4 == 6,
      Int(payload.u16(at: start + 4)) == payload.byteCount - start - 40
    else { return }
    // A hop limit of 0, or options without room for them, are signs of another protocol.
    let next = payload.u8(at: start + 6)
    guard payload.u8(at: start + 7) != 0, next != 0 || payload.u16(at: start + 4) >= 8 else { return }
    guard enterLayer(&packet) else { return }
    setInner(.ipv6, at: offset + start, end: offset + payload.byteCount, &packet)
  }
}

extension [UInt16] {
  /// Either port is in the list, which holds one or two as a rule.
  fileprivate func contains(_ first: UInt16, _ second: UInt16) -> Bool {
    for port in self where port == first || port == second { return true }
    return false
  }
}
