import PacketDecoding
import Traffic

/// Hashes and keys of flows.
struct FlowHash: Sendable {
  private let seed0: UInt64
  private let seed1: UInt64

  init(seed: UInt64) {
    seed0 = Self.spread(seed ^ 0x9e37_79b9_7f4a_7c15)
    seed1 = Self.spread(seed &+ 0xd1b5_4a32_d192_ed03)
  }

  /// The same number for both directions of a flow; unguessable without the seed, so that nobody
  /// can aim at one chain.
  func callAsFunction(_ tuple: FlowTuple) -> UInt32 {
    let (low, high) = Self.ordered(tuple)
    var mixed = Self.fold(low.address.high ^ seed0, low.address.low ^ seed1)
    mixed = Self.fold(mixed ^ high.address.high, high.address.low ^ seed0)
    let ports = UInt64(low.port) << 48 | UInt64(high.port) << 32 | UInt64(tuple.vlan)
    mixed = Self.fold(mixed ^ ports, seed1 ^ UInt64(tuple.ipProtocol))
    return UInt32(truncatingIfNeeded: mixed ^ mixed >> 32)
  }

  private typealias End = (address: IPAddress, port: UInt16)

  private static func ordered(_ tuple: FlowTuple) -> (End, End) {
    let source: End = (tuple.source, tuple.sourcePort)
    let destination: End = (tuple.destination, tuple.destinationPort)
    if source.address != destination.address {
      return source.address < destination.address ? (source, destination) : (destination, source)
    }
    return source.port <= destination.port ? (source, destination) : (destination, source)
  }

  /// The two halves of the 128-bit product, folded.
  private static func fold(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let product = left.multipliedFullWidth(by: right)
    return product.high ^ product.low
  }

  private static func spread(_ value: UInt64) -> UInt64 {
    let mixed = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
    let more = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return more ^ more >> 31
  }
}

/// Which packets belong to which flow.
enum FlowKey {
  /// What besides addresses and ports tells flows apart. By itself, as all settings would be copied for each packet.
  struct Parts: Sendable, BitwiseCopyable {
    let usesVLAN: Bool
    let usesTunnelDepth: Bool

    init(_ settings: FlowTableSettings) {
      usesVLAN = settings.usesVLAN
      usesTunnelDepth = settings.usesTunnelDepth
    }
  }

  /// Flows are those of TCP, UDP, SCTP, ICMP, ESP and of IP in IP; a fragment waits for its datagram.
  static func belongsToFlow(_ packet: borrowing DecodedPacket) -> Bool {
    if packet.ipVersion == 0 { return false }
    if packet.isFragment, !packet.isReassembled { return false }
    if packet.hasTransport { return true }
    switch packet.ipProtocol {
    case IPProtocol.esp, IPProtocol.ipv4, IPProtocol.ipv6: return true
    default: return false
    }
  }

  /// Of protocols without ports or types all packets count as those of whoever began, as Suricata has it.
  static func hasDirections(_ ipProtocol: UInt8) -> Bool {
    switch ipProtocol {
    case IPProtocol.tcp, IPProtocol.udp, IPProtocol.sctp, IPProtocol.icmp, IPProtocol.icmpv6: true
    default: false
    }
  }

  static func isSynAck(_ packet: borrowing DecodedPacket) -> Bool {
    guard packet.isTCP else { return false }
    let both = TCPFields.syn | TCPFields.ack
    return packet.tcp.flags & both == both
  }

  /// The key of a packet as its sender sees it.
  static func key(of packet: borrowing DecodedPacket, _ parts: Parts) -> FlowTuple {
    var tuple = packet.tuple
    tuple.vlan = vlan(of: packet, parts)
    if packet.isICMP {
      // Suricata keys ICMP by type and answering type; the identifier is not part of it.
      tuple.sourcePort = UInt16(packet.icmp.type)
      tuple.destinationPort = UInt16(counterpart(of: packet.icmp.type, ipProtocol: packet.ipProtocol))
    } else if !packet.hasTransport, packet.ipProtocol != IPProtocol.esp {
      tuple.sourcePort = 0
      tuple.destinationPort = 0
    }
    return tuple
  }

  /// The flow that an ICMP error is about, as the sender of the quoted packet sees it.
  static func quotedKey(of packet: borrowing DecodedPacket, _ parts: Parts) -> FlowTuple {
    FlowTuple(
      source: packet.icmp.quotedSource, destination: packet.icmp.quotedDestination,
      sourcePort: packet.icmp.quotedSourcePort, destinationPort: packet.icmp.quotedDestinationPort,
      ipProtocol: packet.icmp.quotedProtocol, vlan: vlan(of: packet, parts))
  }

  /// The VLANs, and in the four bits that their 12-bit identifiers leave, how deep in tunnels the
  /// packet lies.
  private static func vlan(of packet: borrowing DecodedPacket, _ parts: Parts) -> UInt32 {
    let depth = parts.usesTunnelDepth ? UInt32(min(packet.tunnelDepth, 15)) << 12 : 0
    return parts.usesVLAN ? (packet.vlanKey & 0x0fff_0fff) | depth : depth
  }

  /// The ICMP type that answers `type` (RFC 792, 950, 1256, 4443, 4861); 0 for those without.
  static func counterpart(of type: UInt8, ipProtocol: UInt8) -> UInt8 {
    if ipProtocol == IPProtocol.icmp {
      switch type {
      case 8: return 0
      case 0: return 8
      case 13: return 14
      case 14: return 13
      case 15: return 16
      case 16: return 15
      case 17: return 18
      case 18: return 17
      case 10: return 9
      case 9: return 10
      default: return 0
      }
    }
    switch type {
    case 128: return 129
    case 129: return 128
    case 133: return 134
    case 134: return 133
    case 135: return 136
    case 136: return 135
    default: return 0
    }
  }

  /// Destination unreachable, source quench, redirect, time exceeded, parameter problem: these begin no
  /// flow. Errors of ICMPv6 do, as Suricata has it.
  static func isICMPError(_ packet: borrowing DecodedPacket) -> Bool {
    guard packet.isICMP, packet.ipProtocol == IPProtocol.icmp else { return false }
    switch packet.icmp.type {
    case 3, 4, 5, 11, 12: return true
    default: return false
    }
  }

  /// The error tells an end of a TCP or UDP flow that the other cannot be reached, and belongs to it.
  static func isUnreachable(_ packet: borrowing DecodedPacket) -> Bool {
    guard packet.icmp.hasQuoted, packet.isICMP, packet.ipProtocol == IPProtocol.icmp else { return false }
    let quoted = packet.icmp.quotedProtocol
    return packet.icmp.type == 3 && (quoted == IPProtocol.tcp || quoted == IPProtocol.udp)
  }
}
