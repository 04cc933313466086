import Traffic

/// What the decoder is to do beyond the headers; immutable.
public struct DecoderSettings: Sendable {
  /// Verify IPv4, TCP, UDP and ICMP checksums.
  public var verifiesChecksums = true
  /// UDP ports whose payload is decoded as VXLAN (RFC 7348), Geneve (RFC 8926), Teredo (RFC 4380).
  public var vxlanPorts: [UInt16] = [4789]
  public var genevePorts: [UInt16] = [6081]
  /// nil is any port: what Teredo carries shows by itself.
  public var teredoPorts: [UInt16]? = [3544]

  public init() {}
}

/// Turns the bytes of a packet into ``DecodedPacket``: stateless, total, without allocation.
///
/// Whatever the bytes are, decoding ends; what is wrong with them is an event and stops the decoding
/// at that layer, so that the layers below keep what they found.
public struct PacketDecoder: Sendable {
  public var settings: DecoderSettings

  /// Headers (link, tags, labels, IP, tunnels) decoded in one packet and those around it; at this one
  /// `too_many_layers` is raised and decoding stops (Suricata `decoder.max-layers`).
  static let layersMax: UInt8 = 16
  /// Packets within packets; deeper ones are not looked into. Above what ``layersMax`` allows, save
  /// for tunnels inside reassembled datagrams, where this is what ends the recursion.
  public static let tunnelDepthMax: UInt8 = 16

  public init(settings: DecoderSettings = DecoderSettings()) { self.settings = settings }

  /// - Parameters:
  ///   - bytes: as captured, from the link header on.
  ///   - isChecksumPartial: the transport checksum is left to the network card: there is nothing to verify.
  public func decode(
    _ bytes: RawSpan, link: LinkType, time: Timestamp, isChecksumPartial: Bool = false
  ) -> DecodedPacket {
    var packet = DecodedPacket()
    packet.isChecksumLeftToCard = isChecksumPartial
    packet.time = time
    packet.linkType = link
    switch link {
    case .ethernet: decodeEthernet(bytes, at: 0, &packet)
    case .linuxCooked: decodeCooked(bytes, &packet)
    case .linuxCookedV2: decodeCookedV2(bytes, &packet)
    case .raw, .rawBSD, .rawOpenBSD, .ipv4, .ipv6: decodeRaw(bytes, at: 0, &packet)
    case .null, .loop: decodeLoopback(bytes, &packet)
    case .ppp, .pppHDLC: decodePPP(bytes, at: 0, &packet)
    case .pppEthernet: decodePPPoESession(bytes, at: 0, &packet)
    case .ciscoHDLC: decodeCiscoHDLC(bytes, at: 0, &packet)
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
    packet.layerCount = outer.layerCount
    guard packet.tunnelDepth <= Self.tunnelDepthMax else {
      packet.events.insert(.tooManyLayers)
      return packet
    }
    let offset = Int(outer.innerOffset)
    let end = Int(outer.innerEnd)
    guard offset >= 0, offset <= end, end <= bytes.byteCount else { return packet }
    let bytes = bytes.extracting(0..<end)
    switch outer.inner {
    case .none: break
    case .ethernet:
      decodeEthernet(bytes, at: offset, &packet)
    case .vlan:
      decodeEtherType(0x8100, bytes, at: offset, &packet)
    case .erspan:
      decodeERSPAN(bytes, at: offset, &packet)
    case .arp:
      packet.etherType = 0x0806
      decodeARP(bytes, at: offset, &packet)
    case .ipv4: decodeIPv4(bytes, at: offset, &packet)
    case .ipv6: decodeIPv6(bytes, at: offset, &packet)
    case .ppp: decodePPP(bytes, at: offset, &packet)
    }
    return packet
  }

  /// Counts a header; false where the packet has too many of them.
  func enterLayer(_ packet: inout DecodedPacket) -> Bool {
    packet.layerCount &+= 1
    if packet.layerCount < Self.layersMax { return true }
    packet.events.insert(.tooManyLayers)
    return false
  }

  /// - Parameter end: where the packet inside ends in the captured bytes.
  func setInner(_ kind: InnerPacket, at offset: Int, end: Int, _ packet: inout DecodedPacket) {
    packet.inner = kind
    packet.innerOffset = Int32(truncatingIfNeeded: offset)
    packet.innerEnd = Int32(truncatingIfNeeded: end)
  }
}
