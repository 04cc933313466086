import Traffic

// Tunnels name the packet inside; the caller decodes it on its own.

extension PacketDecoder {
  /// - Source: RFC 2784, RFC 2890 (version 0), RFC 2637 section 4.1 (version 1, PPTP).
  func decodeGRE(_ datagram: RawSpan, _ packet: inout DecodedPacket) {
    guard datagram.byteCount >= 4 else { return packet.events.insert(.grePacketTooSmall) }
    let flags = datagram.u8(at: 0)
    let versionFlags = datagram.u8(at: 1)
    let type = datagram.u16(at: 2)
    let hasChecksum = flags & 0x80 != 0
    let hasRouting = flags & 0x40 != 0
    let hasKey = flags & 0x20 != 0
    let hasSequence = flags & 0x10 != 0
    var length = 4
    switch versionFlags & 0x07 {
    case 0:
      if flags & 0x07 != 0 { return packet.events.insert(.greVersion0Recursion) }
      if versionFlags & 0xf8 != 0 { return packet.events.insert(.greVersion0Flags) }
      length += (hasChecksum || hasRouting ? 4 : 0) + (hasKey ? 4 : 0) + (hasSequence ? 4 : 0)
      if hasRouting {
        guard let routed = skipRouting(datagram, from: length) else {
          return packet.events.insert(.greVersion0MalformedRouting)
        }
        length = routed
      }
      guard length <= datagram.byteCount else { return packet.events.insert(.greVersion0HeaderTooBig) }
    case 1:
      if hasChecksum { return packet.events.insert(.greVersion1Checksum) }
      if hasRouting { return packet.events.insert(.greVersion1Route) }
      if flags & 0x08 != 0 { return packet.events.insert(.greVersion1StrictRoute) }
      if flags & 0x07 != 0 { return packet.events.insert(.greVersion1Recursion) }
      if versionFlags & 0x78 != 0 { return packet.events.insert(.greVersion1Flags) }
      if type != 0x880b { return packet.events.insert(.greVersion1WrongProtocol) }
      if !hasKey { return packet.events.insert(.greVersion1NoKey) }
      length += 4 + (hasSequence ? 4 : 0) + (versionFlags & 0x80 != 0 ? 4 : 0)
      guard length <= datagram.byteCount else { return packet.events.insert(.greVersion1HeaderTooBig) }
    default: return packet.events.insert(.greWrongVersion)
    }
    let offset = Int(packet.transportOffset) + length
    if length < datagram.byteCount { setGREInner(type, datagram, length, offset, &packet) }
  }

  private func setGREInner(
    _ type: UInt16, _ datagram: RawSpan, _ length: Int, _ offset: Int, _ packet: inout DecodedPacket
  ) {
    packet.innerOffset = Int32(truncatingIfNeeded: offset)
    switch type {
    case 0x0800: packet.inner = .ipv4
    case 0x86dd: packet.inner = .ipv6
    case 0x6558: packet.inner = .ethernet
    case 0x880b: packet.inner = .ppp
    case 0x88be:
      // ERSPAN: type I has no header of its own (no GRE sequence number), type II has 8 octets.
      let hasSequence = datagram.u8(at: 0) & 0x10 != 0
      guard hasSequence else {
        packet.inner = .ethernet
        return
      }
      guard datagram.byteCount - length >= 8 else { return packet.events.insert(.erspanHeaderTooSmall) }
      guard datagram.u8(at: length) >> 4 == 1 else {
        return packet.events.insert(.erspanUnsupportedVersion)
      }
      packet.inner = .ethernet
      packet.innerOffset = Int32(truncatingIfNeeded: offset + 8)
    case 0x22eb: packet.events.insert(.erspanUnsupportedVersion)
    default: break
    }
  }

  /// Source route entries end with one of address family 0 and length 0 (RFC 1701).
  private func skipRouting(_ datagram: RawSpan, from start: Int) -> Int? {
    var offset = start
    for _ in 0..<Self.layersMax {
      guard datagram.byteCount - offset >= 4 else { return nil }
      let family = datagram.u16(at: offset)
      let length = Int(datagram.u8(at: offset + 3))
      offset += 4
      if family == 0, length == 0 { return offset }
      guard length <= datagram.byteCount - offset else { return nil }
      offset += length
    }
    return nil
  }

  /// VXLAN, Geneve and Teredo by port.
  func decodeUDPTunnel(_ bytes: RawSpan, _ packet: inout DecodedPacket) {
    let payload = packet.payload(of: bytes)
    let offset = Int(packet.payloadOffset)
    if settings.vxlanPorts.contains(packet.destinationPort) {
      decodeVXLAN(payload, offset, &packet)
    } else if settings.genevePorts.contains(packet.destinationPort) {
      decodeGeneve(payload, offset, &packet)
    } else if settings.teredoPorts.contains(packet.destinationPort)
      || settings.teredoPorts.contains(packet.sourcePort)
    {
      decodeTeredo(payload, offset, &packet)
    }
  }

  /// - Source: RFC 7348 section 5: flags with the I bit, VNI, an Ethernet frame.
  private func decodeVXLAN(_ payload: RawSpan, _ offset: Int, _ packet: inout DecodedPacket) {
    guard payload.byteCount >= 8 + 14, payload.u8(at: 0) & 0x08 != 0, payload.u8(at: 7) == 0 else { return }
    packet.inner = .ethernet
    packet.innerOffset = Int32(truncatingIfNeeded: offset + 8)
    let type = payload.u16(at: 8 + 12)
    if ![0x0800, 0x86dd, 0x0806, 0x8100, 0x88a8, 0x9100].contains(type) {
      packet.events.insert(.vxlanUnknownPayloadType)
    }
  }

  /// - Source: RFC 8926 section 3.4.
  private func decodeGeneve(_ payload: RawSpan, _ offset: Int, _ packet: inout DecodedPacket) {
    guard payload.byteCount >= 8, payload.u8(at: 0) >> 6 == 0, payload.u8(at: 7) == 0 else { return }
    let length = 8 + Int(payload.u8(at: 0) & 0x3f) * 4
    guard length < payload.byteCount else { return }
    packet.innerOffset = Int32(truncatingIfNeeded: offset + length)
    switch payload.u16(at: 2) {
    case 0x6558: packet.inner = .ethernet
    case 0x0800: packet.inner = .ipv4
    case 0x86dd: packet.inner = .ipv6
    default: packet.events.insert(.geneveUnknownPayloadType)
    }
  }

  /// - Source: RFC 4380 section 5.1.1: optional authentication and origin, then an IPv6 packet that
  ///   must fill the rest exactly.
  private func decodeTeredo(_ payload: RawSpan, _ offset: Int, _ packet: inout DecodedPacket) {
    var start = 0
    if payload.byteCount >= 4, payload.u16(at: 0) == 0x0001 {
      start = 13 + Int(payload.u8(at: 2)) + Int(payload.u8(at: 3))
    }
    if payload.byteCount >= start + 8, payload.u16(at: start) == 0 { start += 8 }
    guard payload.byteCount >= start + 40, payload.u8(at: start) >> 4 == 6,
      Int(payload.u16(at: start + 4)) == payload.byteCount - start - 40
    else { return }
    packet.inner = .ipv6
    packet.innerOffset = Int32(truncatingIfNeeded: offset + start)
  }
}
