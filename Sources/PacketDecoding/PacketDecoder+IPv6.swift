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

  /// - Source: RFC 8200 section 4.
  private func decodeIPv6Extensions(
    _ bytes: RawSpan, at start: Int, end: Int, _ packet: inout DecodedPacket
  ) {
    var offset = start
    var next = packet.ipProtocol
    var seen = ExtensionsSeen()
    for _ in 0..<Self.layersMax {
      packet.ipProtocol = next
      packet.networkHeaderLength = Int32(truncatingIfNeeded: offset - Int(packet.networkOffset))
      switch next {
      case 0, 43, 60:
        guard end - offset >= 8 else { return truncated(&packet) }
        let length = (Int(bytes.u8(at: offset + 1)) + 1) * 8
        guard length <= end - offset else { return truncated(&packet) }
        seen.note(next, &packet)
        if next == 43 {
          if bytes.u8(at: offset + 2) == 0 { packet.events.insert(.ipv6RoutingType0) }
        } else {
          checkOptions(bytes.extracting(offset + 2..<offset + length), isHopByHop: next == 0, &packet)
        }
        next = bytes.u8(at: offset)
        offset += length
      case 44:
        guard end - offset >= 8 else { return truncated(&packet) }
        if seen.note(next, &packet) { return }
        let field = bytes.u16(at: offset + 2)
        packet.fragmentOffset = Int32(field & 0xfff8)
        packet.moreFragments = field & 1 != 0
        packet.fragmentID = bytes.u32(at: offset + 4)
        packet.isFragment = true
        next = bytes.u8(at: offset)
        if packet.fragmentOffset == 0, !packet.moreFragments {
          // RFC 6946: an atomic fragment is a whole datagram.
          packet.events.insert(.ipv6ExtensionUselessFragment)
          packet.isFragment = false
        } else if packet.moreFragments, (end - offset - 8) % 8 != 0 {
          packet.events.insert(.ipv6FragmentInvalidLength)
        }
        offset += 8
        if packet.isFragment {
          packet.ipProtocol = next
          packet.networkHeaderLength = Int32(truncatingIfNeeded: offset - Int(packet.networkOffset))
          return decodeTransport(bytes, at: offset, end: end, &packet)
        }
      case 51:
        guard end - offset >= 12 else { return truncated(&packet) }
        let length = (Int(bytes.u8(at: offset + 1)) + 2) * 4
        guard length >= 12, length <= end - offset else { return truncated(&packet) }
        seen.note(next, &packet)
        if bytes.u16(at: offset + 2) != 0 { packet.events.insert(.ipv6ExtensionAHReservedNotNull) }
        next = bytes.u8(at: offset)
        offset += length
      case 59:
        if end > offset { packet.events.insert(.ipv6DataAfterNoneHeader) }
        packet.payloadOffset = Int32(truncatingIfNeeded: offset)
        packet.payloadLength = Int32(truncatingIfNeeded: end - offset)
        return
      case 135, 139, 140:
        // Mobility, HIP, shim6: generic header format.
        guard end - offset >= 8 else { return truncated(&packet) }
        let length = (Int(bytes.u8(at: offset + 1)) + 1) * 8
        guard length <= end - offset else { return truncated(&packet) }
        next = bytes.u8(at: offset)
        offset += length
      default:
        return decodeTransport(bytes, at: offset, end: end, &packet)
      }
    }
    packet.events.insert(.tooManyLayers)
  }

  private func truncated(_ packet: inout DecodedPacket) {
    packet.events.insert(.ipv6TruncatedExtensionHeader)
  }

  /// Options of hop-by-hop and destination headers (RFC 8200 section 4.2).
  private func checkOptions(_ options: RawSpan, isHopByHop: Bool, _ packet: inout DecodedPacket) {
    var index = 0
    var hasOther = false
    while index < options.byteCount {
      let kind = options.u8(at: index)
      if kind == 0 {
        index += 1
        continue
      }
      guard index + 1 < options.byteCount else {
        packet.events.insert(.ipv6ExtensionInvalidOptionLength)
        return
      }
      let length = Int(options.u8(at: index + 1))
      guard length <= options.byteCount - index - 2 else {
        packet.events.insert(.ipv6ExtensionInvalidOptionLength)
        return
      }
      switch kind {
      case 1: if length == 0 { packet.events.insert(.ipv6ZeroLengthPadN) }
      case 5:
        hasOther = true
        if length != 2 { packet.events.insert(.ipv6ExtensionInvalidOptionLength) }
      case 0xc2:
        hasOther = true
        if length != 4 { packet.events.insert(.ipv6ExtensionInvalidOptionLength) }
      case 0xc9, 0x04, 0x07, 0x63:
        hasOther = true
      default:
        hasOther = true
        packet.events.insert(isHopByHop ? .ipv6HopByHopUnknownOption : .ipv6DestinationUnknownOption)
      }
      index += 2 + length
    }
    if !hasOther {
      packet.events.insert(isHopByHop ? .ipv6HopByHopOnlyPadding : .ipv6DestinationOnlyPadding)
    }
  }
}

/// Which extension headers a packet has had already; a second one is an event.
private struct ExtensionsSeen {
  private var hopByHop = false
  private var routing = false
  private var destination = 0
  private var fragment = false
  private var authentication = false

  /// - Returns: true for a duplicate.
  @discardableResult
  mutating func note(_ header: UInt8, _ packet: inout DecodedPacket) -> Bool {
    switch header {
    case 0:
      if hopByHop { packet.events.insert(.ipv6ExtensionDuplicateHopByHop) }
      defer { hopByHop = true }
      return hopByHop
    case 43:
      if routing { packet.events.insert(.ipv6ExtensionDuplicateRouting) }
      defer { routing = true }
      return routing
    case 60:
      // Twice is allowed: before a routing header and at the end.
      destination += 1
      if destination > 2 { packet.events.insert(.ipv6ExtensionDuplicateDestination) }
      return destination > 2
    case 44:
      if fragment { packet.events.insert(.ipv6ExtensionDuplicateFragment) }
      defer { fragment = true }
      return fragment
    default:
      if authentication { packet.events.insert(.ipv6ExtensionDuplicateAH) }
      defer { authentication = true }
      return authentication
    }
  }
}
