import PacketDecoding
import RuleLanguage
import Traffic

extension PacketCondition {
  /// - Source: Suricata "IP Keywords", "TCP keywords", "ICMP keywords" and the like.
  func holds(
    _ packet: DecodedPacket, bytes: RawSpan, streamEvents: StreamEventSet, flow: FlowFacts?
  ) -> Bool {
    if packet.isStandIn, needsHeaders { return false }
    switch self {
    case .payloadSize(let condition):
      // What is said to be of another size is there at all; below a size counts without a payload too.
      if packet.hidesPayload { return false }
      if case .notEqual = condition, packet.payloadLength <= 0 { return false }
      return condition.holds(for: UInt64(max(0, packet.payloadLength)))
    case .tcpFlags(let condition): return packet.isTCP && condition.holds(packet.tcp.flags)
    case .tcpSequence(let number): return packet.isTCP && packet.tcp.sequence == number
    case .tcpAcknowledgement(let number):
      return packet.isTCP && packet.tcp.acknowledgement == number
    case .tcpWindow(let window, let isNegated):
      return packet.isTCP && (packet.tcp.window == window) != isNegated
    case .tcpMSS(let condition):
      return packet.isTCP && packet.tcp.maximumSegmentSize > 0
        && condition.holds(for: UInt64(packet.tcp.maximumSegmentSize))
    case .tcpWindowScale(let condition):
      return packet.isTCP && packet.tcp.windowScale != 255
        && condition.holds(for: UInt64(packet.tcp.windowScale))
    case .icmpType(let condition): return packet.isICMP && condition.holds(for: UInt64(packet.icmp.type))
    case .icmpCode(let condition): return packet.isICMP && condition.holds(for: UInt64(packet.icmp.code))
    case .icmpID(let number):
      return packet.isICMP && packet.icmp.hasIdentifier && packet.icmp.identifier == number
    case .icmpSequence(let number):
      return packet.isICMP && packet.icmp.hasIdentifier && packet.icmp.sequence == number
    case .icmpv6MTU(let condition):
      return packet.isICMP && packet.ipVersion == 6 && packet.icmp.mtu > 0
        && condition.holds(for: UInt64(packet.icmp.mtu))
    case .decodeEvent(let event): return packet.events.contains(event)
    case .streamEvent(let event): return streamEvents.contains(event)
    case .flowEvent(let events):
      return flow.map { !$0.appLayerEvents.isDisjoint(with: events) } ?? false
    case .checksum(let condition): return condition.holds(packet, bytes)
    case .remoteCall(let condition): return condition.holds(packet, bytes)
    case .timeToLive, .typeOfService, .fragmentID, .fragmentOffset, .fragmentBits, .ipOption,
      .anyIPOption, .ipProtocol, .sameAddress, .vlanID, .vlanLayers:
      return networkHolds(packet)
    }
  }

  /// What a packet that was never on a wire does not tell.
  private var needsHeaders: Bool {
    switch self {
    case .payloadSize, .tcpSequence, .tcpAcknowledgement, .tcpWindow, .tcpMSS, .tcpWindowScale,
      .icmpType, .icmpCode, .icmpID, .icmpSequence, .icmpv6MTU, .decodeEvent, .checksum, .remoteCall, .timeToLive,
      .typeOfService, .fragmentID, .fragmentOffset, .fragmentBits, .ipOption, .anyIPOption:
      return true
    case .tcpFlags, .streamEvent, .flowEvent, .ipProtocol, .sameAddress, .vlanID, .vlanLayers:
      return false
    }
  }

  private func networkHolds(_ packet: DecodedPacket) -> Bool {
    switch self {
    case .timeToLive(let condition):
      return packet.ipVersion != 0 && condition.holds(for: UInt64(packet.timeToLive))
    case .typeOfService(let value, let isNegated):
      return packet.ipVersion == 4 && (packet.typeOfService == value) != isNegated
    case .fragmentID(let number): return packet.ipVersion == 4 && packet.fragmentID == number
    case .fragmentOffset(let condition):
      // The keyword counts in units of 8 octets, as the header does.
      return packet.ipVersion != 0 && condition.holds(for: UInt64(max(0, packet.fragmentOffset) / 8))
    case .fragmentBits(let condition):
      guard packet.ipVersion == 4 else { return false }
      let bits =
        (packet.moreFragments ? FragmentBitsCondition.more : 0)
        | (packet.dontFragment ? FragmentBitsCondition.dont : 0)
        | (packet.reservedFragmentBit ? FragmentBitsCondition.reserved : 0)
      return condition.holds(bits)
    case .ipOption(let option): return packet.ipVersion == 4 && packet.ipOptions.contains(option)
    case .anyIPOption: return packet.ipVersion == 4 && packet.ipOptions.rawValue != 0
    case .ipProtocol(let condition): return packet.ipVersion != 0 && condition.holds(packet.ipProtocol)
    case .sameAddress: return packet.ipVersion != 0 && packet.source == packet.destination
    case .vlanID(let condition, let layer): return vlanHolds(packet, condition, layer)
    case .vlanLayers(let condition): return condition.holds(for: UInt64(packet.vlanCount))
    default: return false
    }
  }

  private func vlanHolds(
    _ packet: DecodedPacket, _ condition: NumericCondition, _ layer: VLANLayer
  ) -> Bool {
    let count = Int(packet.vlanCount)
    func holds(_ index: Int) -> Bool {
      guard index >= 0, index < count else { return false }
      let id = index == 0 ? packet.vlan0 : index == 1 ? packet.vlan1 : packet.vlan2
      return condition.holds(for: UInt64(id))
    }
    switch layer {
    case .any: return holds(0) || holds(1) || holds(2)
    case .all: return count > 0 && (0..<count).allSatisfy(holds)
    case .index(let index): return holds(index < 0 ? count &+ index : index)
    }
  }
}

extension ChecksumCondition {
  /// - Source: Suricata, the `…-csum` keywords; what cannot be checked counts as neither.
  func holds(_ packet: DecodedPacket, _ bytes: RawSpan) -> Bool {
    guard packet.ipVersion == ipVersion, ipProtocol == 0 || packet.ipProtocol == ipProtocol else { return false }
    return packet.checksum(place, in: bytes) == (isValid ? .valid : .invalid)
  }
}

extension RemoteCallCondition {
  /// - Source: RFC 5531 section 9 (call), section 11 (over TCP behind a mark of four octets).
  func holds(_ packet: DecodedPacket, _ bytes: RawSpan) -> Bool {
    guard packet.isTCP || packet.isUDP else { return false }
    let payload = packet.payload(of: bytes)
    let start = packet.isTCP ? 4 : 0
    guard payload.byteCount >= start + 24 else { return false }
    guard payload.u32(at: start + 4) == 0, payload.u32(at: start + 8) == 2 else { return false }
    return payload.u32(at: start + 12) == program
      && version.map { $0 == payload.u32(at: start + 16) } ?? true
      && procedure.map { $0 == payload.u32(at: start + 20) } ?? true
  }
}
