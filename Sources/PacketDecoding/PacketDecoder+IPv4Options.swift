import Traffic

extension PacketDecoder {
  /// - Source: RFC 791 section 3.1; RFC 1108, RFC 2113, RFC 4782 for later options. What is wrong with
  ///   an option is an event.
  /// - Returns: false where a length cannot be right: no host takes such a packet.
  func decodeIPv4Options(_ options: RawSpan, _ packet: inout DecodedPacket) -> Bool {
    // Suricata's meaning: the list is to fill words of eight octets.
    if options.byteCount % 8 != 0 { packet.events.insert(.ipv4OptionPaddingRequired) }
    var index = 0
    var seen: UInt64 = 0
    while index < options.byteCount {
      let kind = options.u8(at: index)
      if kind == 0 {
        packet.ipOptions.insert(.endOfList)
        return true
      }
      if kind == 1 {
        packet.ipOptions.insert(.noOperation)
        index += 1
        continue
      }
      guard index + 1 < options.byteCount else {
        packet.events.insert(.ipv4OptionEndOfListRequired)
        return true
      }
      let length = Int(options.u8(at: index + 1))
      guard length >= 2, length <= options.byteCount - index else {
        packet.events.insert(.ipv4OptionInvalidLength)
        return false
      }
      // The low six bits tell all options apart that are known here (numbers of RFC 791 without class).
      let bit = UInt64(1) << UInt64(kind & 0x3f)
      let option = Self.option(kind)
      if option == nil {
        packet.events.insert(.ipv4OptionInvalid)
      } else if seen & bit != 0 {
        packet.events.insert(.ipv4OptionDuplicate)
      } else if let fault = Self.fault(kind, options.extracting(index..<index + length)) {
        packet.events.insert(fault)
      } else if let option {
        seen |= bit
        packet.ipOptions.formUnion(option)
      }
      index += length
    }
    return true
  }

  /// The name of a known option, empty for one that `ipopts` has no name for.
  private static func option(_ kind: UInt8) -> IPOptionSet? {
    switch kind {
    case 7: .recordRoute
    case 25: []
    case 68: .timestamp
    case 130: .security
    case 131: .looseSourceRoute
    case 133: .extendedSecurity
    case 134: .commercialSecurity
    case 136: .streamID
    case 137: .strictSourceRoute
    case 148: .routerAlert
    default: nil
    }
  }

  /// - Parameter option: with its kind and length, at least two octets.
  private static func fault(_ kind: UInt8, _ option: RawSpan) -> DecodeEvent? {
    let length = option.byteCount
    switch kind {
    case 7, 131, 137: return routeFault(option)
    case 68: return timestampFault(option)
    case 134: return commercialSecurityFault(option)
    case 25: return length < 8 ? .ipv4OptionInvalidLength : nil
    case 130: return length != 11 ? .ipv4OptionInvalidLength : nil
    case 133: return length < 3 ? .ipv4OptionInvalidLength : nil
    default: return length != 4 ? .ipv4OptionInvalidLength : nil
    }
  }

  /// The pointer counts from one, steps by addresses, and may point just past the option.
  private static func routeFault(_ option: RawSpan) -> DecodeEvent? {
    guard option.byteCount >= 3 else { return .ipv4OptionInvalidLength }
    let pointer = Int(option.u8(at: 2))
    let isRight = pointer >= 4 && pointer % 4 == 0 && pointer <= option.byteCount + 1
    return isRight ? nil : .ipv4OptionMalformed
  }

  private static func timestampFault(_ option: RawSpan) -> DecodeEvent? {
    guard option.byteCount >= 5 else { return .ipv4OptionInvalidLength }
    let pointer = Int(option.u8(at: 2))
    // Flags 1 and 3 put an address before each time.
    let flag = option.u8(at: 3) & 0x0f
    let step = flag == 1 || flag == 3 ? 8 : 4
    let isRight = pointer >= 5 && (pointer - 5) % step == 0 && pointer <= option.byteCount + 1
    return isRight ? nil : .ipv4OptionMalformed
  }

  /// A domain of four octets, then tags of type, length and data.
  /// - Source: FIPS 188.
  private static func commercialSecurityFault(_ option: RawSpan) -> DecodeEvent? {
    guard option.byteCount >= 10 else { return .ipv4OptionInvalidLength }
    var index = 6
    while index < option.byteCount {
      guard option.byteCount - index >= 2 else { return .ipv4OptionMalformed }
      let type = option.u8(at: index)
      let length = Int(option.u8(at: index + 1))
      guard length >= 4, length <= option.byteCount - index else { return .ipv4OptionMalformed }
      switch type {
      case 7: break
      case 1, 2, 5, 6: if option.u8(at: index + 2) != 0 { return .ipv4OptionMalformed }
      default: return .ipv4OptionMalformed
      }
      index += length
    }
    return nil
  }
}
