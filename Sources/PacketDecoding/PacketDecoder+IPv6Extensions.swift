import Traffic

extension PacketDecoder {
  /// - Source: RFC 8200 section 4. Each header takes at least eight octets, so that the loop ends with
  ///   the packet; receivers set no smaller limit.
  func decodeIPv6Extensions(
    _ bytes: RawSpan, at start: Int, end: Int, _ packet: inout DecodedPacket
  ) {
    var offset = start
    var next = packet.ipProtocol
    var previous = next
    var seen = ExtensionsSeen()
    while Self.isExtension(next) {
      guard end - offset >= 2 else { return truncated(&packet, after: previous) }
      let length = next == 44 ? 8 : Self.extensionLength(next, bytes.u8(at: offset + 1))
      guard length <= end - offset else { return truncated(&packet, after: previous) }
      previous = next
      let header = bytes.extracting(offset..<offset + length)
      switch next {
      case 0, 60:
        if !seen.note(next, &packet) {
          checkOptions(header.extracting(2..<length), isHopByHop: next == 0, &packet)
        }
      case 43:
        if !seen.note(next, &packet), header.u8(at: 2) == 0 { packet.events.insert(.ipv6RoutingType0) }
      case 44:
        let isSecond = seen.note(next, &packet)
        decodeFragmentHeader(header, length: end - offset, isSecond: isSecond, &packet)
      case 51:
        if header.u16(at: 2) != 0 { packet.events.insert(.ipv6ExtensionAHReservedNotNull) }
        seen.note(next, &packet)
      default: break
      }
      next = header.u8(at: 0)
      offset += length
      packet.ipProtocol = next
      packet.networkHeaderLength = Int32(truncatingIfNeeded: offset - Int(packet.networkOffset))
      // What follows in a fragment is a part of the original payload, whatever `next` says of it.
      if packet.isFragment {
        packet.ipProtocol = IPProtocol.ipv6Fragment
        return decodeTransport(bytes, at: offset, end: end, &packet)
      }
    }
    if next == 59 {
      if end > offset { packet.events.insert(.ipv6DataAfterNoneHeader) }
    } else if offset > start, end - offset < 2 {
      return truncated(&packet, after: previous)
    }
    decodeTransport(bytes, at: offset, end: end, &packet)
  }

  /// Hop-by-hop, routing, fragment, authentication, destination options, mobility, HIP, shim6.
  private static func isExtension(_ header: UInt8) -> Bool {
    switch header {
    case 0, 43, 44, 51, 60, 135, 139, 140: true
    default: false
    }
  }

  /// Octets of an extension header with the length field `units` (RFC 8200 section 4; RFC 4302 section 2.2).
  private static func extensionLength(_ header: UInt8, _ units: UInt8) -> Int {
    header == 51 ? 12 + max(0, Int(units) - 1) * 4 : 8 + Int(units) * 8
  }

  /// - Parameter length: octets from this header to the end of the packet.
  private func decodeFragmentHeader(
    _ header: RawSpan, length: Int, isSecond: Bool, _ packet: inout DecodedPacket
  ) {
    if header.u8(at: 1) != 0 { packet.events.insert(.ipv6FragmentReservedNotZero) }
    let field = header.u16(at: 2)
    packet.fragmentOffset = Int32(field & 0xfff8)
    packet.moreFragments = field & 1 != 0
    packet.fragmentID = header.u32(at: 4)
    packet.isFragment = packet.fragmentOffset > 0 || packet.moreFragments
    if !packet.isFragment {
      // RFC 6946: an atomic fragment is a whole datagram.
      if !isSecond { packet.events.insert(.ipv6ExtensionUselessFragment) }
    } else if packet.moreFragments, length % 8 != 0 {
      packet.events.insert(.ipv6FragmentInvalidLength)
    }
  }

  /// - Parameter header: the last one that could be read; it stands for what the packet carries.
  private func truncated(_ packet: inout DecodedPacket, after header: UInt8) {
    packet.ipProtocol = header
    packet.events.insert(.ipv6TruncatedExtensionHeader)
  }

  /// Options of hop-by-hop and destination headers (RFC 8200 section 4.2).
  private func checkOptions(_ options: RawSpan, isHopByHop: Bool, _ packet: inout DecodedPacket) {
    var index = 0
    var hasPadding = false
    var hasOther = false
    while index < options.byteCount {
      let kind = options.u8(at: index)
      if kind == 0 {
        hasPadding = true
        index += 1
        continue
      }
      guard index + 1 < options.byteCount else {
        packet.events.insert(.ipv6ExtensionInvalidOptionLength)
        break
      }
      let length = Int(options.u8(at: index + 1))
      guard length <= options.byteCount - index - 2, length >= Self.optionLengthMin(kind) else {
        packet.events.insert(.ipv6ExtensionInvalidOptionLength)
        break
      }
      switch kind {
      case 1:
        hasPadding = true
        if length == 0 { packet.events.insert(.ipv6ZeroLengthPadN) }
      case 5, 0xc2, 0xc9: hasOther = true
      default:
        hasOther = true
        packet.events.insert(isHopByHop ? .ipv6HopByHopUnknownOption : .ipv6DestinationUnknownOption)
      }
      index += 2 + length
    }
    if hasPadding, !hasOther {
      packet.events.insert(isHopByHop ? .ipv6HopByHopOnlyPadding : .ipv6DestinationOnlyPadding)
    }
  }

  /// Router alert (RFC 2711), jumbo payload (RFC 2675), home address (RFC 6275 section 6.3).
  private static func optionLengthMin(_ kind: UInt8) -> Int {
    switch kind {
    case 5: 2
    case 0xc2: 4
    case 0xc9: 16
    default: 0
    }
  }
}

/// Which extension headers a packet has had already; a second one is an event.
private struct ExtensionsSeen {
  private var hopByHop = false
  private var routing = false
  private var destinationCount = 0
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
      destinationCount += 1
      if destinationCount > 2 { packet.events.insert(.ipv6ExtensionDuplicateDestination) }
      return destinationCount > 2
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
