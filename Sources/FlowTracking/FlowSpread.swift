import PacketDecoding
import Traffic

/// Which worker has a packet, where one capture is spread over several by flow.
///
/// By both ends of a TCP connection, and by the two addresses of everything else, whichever way packets go: fragments
/// show no ports, and TCP hardly ever comes in fragments. Where it does, by addresses alone.
public enum FlowSpread {
  /// The addresses of the flow that a packet belongs to: its own, save where it tells the end of a flow that the
  /// other end cannot be reached.
  public static func ends(of packet: borrowing DecodedPacket) -> (IPAddress, IPAddress) {
    if !packet.isFragment, FlowKey.isUnreachable(packet) {
      return (packet.icmp.quotedSource, packet.icmp.quotedDestination)
    }
    return (packet.source, packet.destination)
  }

  /// - Parameter usesPorts: connections between the same hosts may have different places.
  /// - Returns: from 0 on, below `count`; the same for both directions of a flow.
  public static func place(_ packet: borrowing DecodedPacket, of count: Int, usesPorts: Bool) -> Int {
    var (source, destination) = ends(of: packet)
    if usesPorts, !packet.isFragment {
      if packet.isTCP {
        source.low &+= UInt64(packet.sourcePort) << 40
        destination.low &+= UInt64(packet.destinationPort) << 40
      } else if FlowKey.isUnreachable(packet), packet.icmp.quotedProtocol == IPProtocol.tcp {
        source.low &+= UInt64(packet.icmp.quotedSourcePort) << 40
        destination.low &+= UInt64(packet.icmp.quotedDestinationPort) << 40
      }
    }
    // Addresses of one network are alike; the multiplications tell their sums apart.
    let (one, other) = (mixed(source), mixed(destination))
    let both = (one &+ other) ^ (one &* other)
    return Int(((both ^ both >> 32) &* 0x9e37_79b9_7f4a_7c15) >> 33) % max(1, count)
  }

  private static func mixed(_ address: IPAddress) -> UInt64 {
    let folded = (address.high &* 0xbf58_476d_1ce4_e5b9) ^ address.low
    let spread = (folded ^ folded >> 31) &* 0x94d0_49bb_1331_11eb
    return (spread ^ spread >> 29) | 1
  }
}
