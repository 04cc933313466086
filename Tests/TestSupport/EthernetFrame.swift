import Traffic

/// Something an Ethernet frame (or GRE) carries.
public protocol NetworkPacket {
  var etherType: UInt16 { get }
  var bytes: [UInt8] { get }
}

/// Any octets under any EtherType: ARP, MPLS, nonsense.
public struct RawNetworkPacket: NetworkPacket {
  public var etherType: UInt16
  public var bytes: [UInt8]
  public init(etherType: UInt16, bytes: [UInt8]) {
    self.etherType = etherType
    self.bytes = bytes
  }
}

public struct VLANTag {
  /// 0x8100 (802.1Q) or 0x88a8 (802.1ad, the outer tag of QinQ).
  public var tagType: UInt16
  public var identifier: UInt16
  public var priority: UInt8
  public init(_ identifier: UInt16, tagType: UInt16 = 0x8100, priority: UInt8 = 0) {
    self.identifier = identifier
    self.tagType = tagType
    self.priority = priority
  }
}

/// An Ethernet II frame, without preamble and check sequence, not padded unless asked.
public struct EthernetFrame {
  public var source: [UInt8] = [0x02, 0, 0, 0, 0, 0x01]
  public var destination: [UInt8] = [0x02, 0, 0, 0, 0, 0x02]
  /// Outermost first; two make QinQ.
  public var vlans: [VLANTag]
  public var payload: any NetworkPacket
  /// Zeros after the payload up to this frame length, as short frames get on the wire.
  public var paddedTo = 0

  public init(_ payload: any NetworkPacket, vlans: [VLANTag] = []) {
    self.payload = payload
    self.vlans = vlans
  }

  /// One 802.1Q tag.
  public init(_ payload: any NetworkPacket, vlan: UInt16) {
    self.init(payload, vlans: [VLANTag(vlan)])
  }

  /// An 802.1ad tag outside an 802.1Q tag.
  public init(_ payload: any NetworkPacket, outerVLAN: UInt16, innerVLAN: UInt16) {
    self.init(payload, vlans: [VLANTag(outerVLAN, tagType: 0x88a8), VLANTag(innerVLAN)])
  }

  public var bytes: [UInt8] {
    var out = destination + source
    for tag in vlans {
      out.append16(Int(tag.tagType))
      out.append16(Int(tag.priority) << 13 | Int(tag.identifier & 0xfff))
    }
    out.append16(Int(payload.etherType))
    out += payload.bytes
    return out + Array(repeating: 0, count: max(0, paddedTo - out.count))
  }
}
