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
    if headerLength > 20 {
      decodeIPv4Options(bytes.extracting(start + 20..<start + headerLength), &packet)
    }
    if settings.verifiesChecksums {
      let sum = Checksum.sum(bytes.extracting(start..<start + headerLength))
      packet.networkChecksum = Checksum.fold(sum) == 0xffff ? .valid : .invalid
    }
    decodeTransport(bytes, at: start + headerLength, end: start + totalLength, &packet)
  }

  /// - Source: RFC 791 section 3.1, option formats; malformed ones end the list with an event.
  private func decodeIPv4Options(_ options: RawSpan, _ packet: inout DecodedPacket) {
    if options.byteCount % 8 != 0, options.byteCount % 4 != 0 {
      packet.events.insert(.ipv4OptionPaddingRequired)
    }
    var index = 0
    while index < options.byteCount {
      let kind = options.u8(at: index)
      if kind == 0 {
        packet.ipOptions.insert(.endOfList)
        return
      }
      if kind == 1 {
        packet.ipOptions.insert(.noOperation)
        index += 1
        continue
      }
      guard index + 1 < options.byteCount else {
        packet.events.insert(.ipv4OptionInvalid)
        return
      }
      let length = Int(options.u8(at: index + 1))
      guard length >= 2, length <= options.byteCount - index else {
        packet.events.insert(.ipv4OptionInvalidLength)
        return
      }
      note(option: kind, length: length, &packet)
      index += length
    }
  }

  private func note(option kind: UInt8, length: Int, _ packet: inout DecodedPacket) {
    let option: IPOptionSet
    switch kind {
    case 7: option = .recordRoute
    case 68: option = .timestamp
    case 131: option = .looseSourceRoute
    case 137: option = .strictSourceRoute
    case 130: option = .security
    case 133: option = .extendedSecurity
    case 134: option = .commercialSecurity
    case 136: option = .streamID
    case 148: option = .routerAlert
    default:
      packet.events.insert(.ipv4OptionUnknown)
      return
    }
    // Route options hold at least a pointer and one address; fixed ones have their length.
    let isMalformed =
      switch kind {
      case 7, 131, 137: length < 3
      case 68: length < 4
      case 136, 148: length != 4
      case 130: length < 3
      default: false
      }
    if isMalformed { packet.events.insert(.ipv4OptionInvalidLength) }
    if packet.ipOptions.contains(option) { packet.events.insert(.ipv4OptionDuplicate) }
    packet.ipOptions.insert(option)
  }
}
