import Traffic

/// What the decoder is to do beyond the headers; immutable.
public struct DecoderSettings: Sendable {
  /// Verify IPv4, TCP, UDP and ICMP checksums.
  public var verifiesChecksums = true
  /// UDP ports whose payload is decoded as VXLAN (RFC 7348), Geneve (RFC 8926), Teredo (RFC 4380).
  public var vxlanPorts: [UInt16] = [4789]
  public var genevePorts: [UInt16] = [6081]
  public var teredoPorts: [UInt16] = [3544]

  public init() {}
}

/// Turns the bytes of a packet into ``DecodedPacket``: stateless, total, without allocation.
///
/// Whatever the bytes are, decoding ends; what is wrong with them is an event and stops the decoding
/// at that layer, so that the layers below keep what they found.
public struct PacketDecoder: Sendable {
  public var settings: DecoderSettings

  /// Layers that one packet may nest (VLAN tags, MPLS, PPPoE) before decoding stops.
  static let layersMax = 16
  /// Packets within packets; deeper ones are not looked into (Suricata's default is 16 layers).
  public static let tunnelDepthMax: UInt8 = 5

  public init(settings: DecoderSettings = DecoderSettings()) { self.settings = settings }

  /// - Parameter bytes: as captured, from the link header on.
  public func decode(_ bytes: RawSpan, link: LinkType, time: Timestamp) -> DecodedPacket {
    var packet = DecodedPacket()
    packet.time = time
    packet.linkType = link
    packet.payloadLength = 0
    switch link {
    case .ethernet: decodeEthernet(bytes, at: 0, &packet)
    case .linuxCooked: decodeCooked(bytes, &packet)
    case .linuxCookedV2: decodeCookedV2(bytes, &packet)
    case .raw, .rawBSD, .rawOpenBSD, .ipv4, .ipv6: decodeRaw(bytes, at: 0, &packet)
    case .null, .loop: decodeLoopback(bytes, link, &packet)
    case .ppp, .pppHDLC: decodePPP(bytes, at: 0, &packet)
    default: packet.events.insert(.unsupportedLinkType)
    }
    return packet
  }

  /// Decodes the packet inside `outer`, whose `inner` says what it is; `bytes` are the outer's.
  public func decodeInner(of outer: DecodedPacket, _ bytes: RawSpan) -> DecodedPacket {
    var packet = DecodedPacket()
    packet.time = outer.time
    packet.linkType = outer.linkType
    packet.tunnelDepth = outer.tunnelDepth &+ 1
    packet.vlan0 = outer.vlan0
    packet.vlan1 = outer.vlan1
    packet.vlan2 = outer.vlan2
    packet.vlanCount = outer.vlanCount
    guard packet.tunnelDepth <= Self.tunnelDepthMax else {
      packet.events.insert(.tooManyLayers)
      return packet
    }
    let offset = Int(outer.innerOffset)
    guard offset >= 0, offset <= bytes.byteCount else { return packet }
    switch outer.inner {
    case .none: break
    case .ethernet:
      packet.vlanCount = 0
      packet.vlan0 = 0
      packet.vlan1 = 0
      packet.vlan2 = 0
      decodeEthernet(bytes, at: offset, &packet)
    case .ipv4: decodeIPv4(bytes, at: offset, &packet)
    case .ipv6: decodeIPv6(bytes, at: offset, &packet)
    case .ppp: decodePPP(bytes, at: offset, &packet)
    }
    return packet
  }
}
