import Traffic

extension PacketDecoder {
  /// - Source: RFC 9293 section 3.2, RFC 7323, RFC 2018, RFC 7413, RFC 2385, RFC 5925. One octet left over at the end is
  ///   padding; a length that cannot be ends the list.
  func decodeTCPOptions(_ options: RawSpan, _ packet: inout DecodedPacket) {
    // What nearly all packets of open connections carry: two octets of padding and a timestamp.
    if options.byteCount == 12, options.u32(at: 0) == 0x0101_080a {
      return note(option: 8, options.extracting(4..<12), &packet)
    }
    var index = 0
    var seen: UInt64 = 0
    while index < options.byteCount {
      let kind = options.u8(at: index)
      if kind == 0 { return }
      if kind == 1 {
        index += 1
        continue
      }
      guard index + 1 < options.byteCount else { return }
      let length = Int(options.u8(at: index + 1))
      guard length >= 2, length <= options.byteCount - index else {
        return packet.events.insert(.tcpOptionInvalidLength)
      }
      let value = options.extracting(index + 2..<index + length)
      index += length
      guard Self.isRightLength(kind, length) else {
        packet.events.insert(.tcpOptionInvalidLength)
        continue
      }
      guard let slot = Self.slot(kind, value) else { continue }
      if seen & (1 << slot) != 0 {
        packet.events.insert(.tcpOptionDuplicate)
      } else {
        seen |= 1 << slot
        note(option: kind, value, &packet)
      }
    }
  }

  private static func isRightLength(_ kind: UInt8, _ length: Int) -> Bool {
    switch kind {
    case 2: length == 4
    case 3: length == 3
    case 4: length == 2
    // SACK without blocks says nothing, but stacks send it.
    case 5: length == 2 || (length >= 10 && length <= 34 && (length - 2) % 8 == 0)
    case 8: length == 10
    case 19: length == 18
    case 29: length >= 4
    // Fast Open: an empty request or a cookie of 4 to 16 octets.
    case 34: length == 2 || (length >= 6 && length <= 18 && length % 2 == 0)
    case 253, 254: length == 4 || length == 12
    default: true
    }
  }

  /// Options that may stand once, by a number below 64; the experimental ones where they are Fast Open.
  private static func slot(_ kind: UInt8, _ value: RawSpan) -> UInt64? {
    switch kind {
    case 2, 3, 4, 5, 8, 19, 29, 34: UInt64(kind)
    case 253, 254: value.byteCount >= 2 && value.u16(at: 0) == 0xf989 ? 34 : nil
    default: nil
    }
  }

  private func note(option kind: UInt8, _ value: RawSpan, _ packet: inout DecodedPacket) {
    switch kind {
    case 2: packet.tcp.maximumSegmentSize = value.u16(at: 0)
    // RFC 7323 section 2.3: a larger shift is used as 14.
    case 3:
      if value.u8(at: 0) > 14 { packet.events.insert(.tcpOptionWindowScaleOverMax) }
      packet.tcp.windowScale = min(value.u8(at: 0), 14)
    case 4: packet.tcp.sackPermitted = true
    case 8:
      packet.tcp.hasTimestamp = true
      packet.tcp.timestampValue = value.u32(at: 0)
      packet.tcp.timestampEcho = value.u32(at: 4)
    case 19, 29: packet.tcp.hasSignature = true
    case 34, 253, 254: packet.tcp.hasFastOpen = true
    default: break
    }
  }
}
