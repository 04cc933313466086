import AppLayer
import Traffic

/// A name for a flow that other tools compute alike.
/// - Source: Corelight, Community ID Flow Hashing, version 1; where Suricata 8 does otherwise, as Suricata: ends are
///   ordered for ICMP of one way, too, whose second port is 0, and for ESP the index stands in the place of a port.
enum CommunityID {
  static func append(_ tuple: FlowTuple, seed: UInt16, to out: inout [UInt8]) {
    var source = tuple.source.networkBytes
    var destination = tuple.destination.networkBytes
    var (sourcePort, destinationPort) = (tuple.sourcePort, tuple.destinationPort)
    switch tuple.ipProtocol {
    case IPProtocol.icmp, IPProtocol.icmpv6: destinationPort = counterpart(tuple)
    case IPProtocol.esp: (sourcePort, destinationPort) = (tuple.destinationPort, 0)
    default: break
    }
    let isOrdered =
      source.lexicographicallyPrecedes(destination)
      || (source == destination && sourcePort <= destinationPort)
    if !isOrdered {
      swap(&source, &destination)
      swap(&sourcePort, &destinationPort)
    }
    var hashed: [UInt8] = [UInt8(seed >> 8), UInt8(truncatingIfNeeded: seed)]
    hashed += source + destination + [tuple.ipProtocol, 0]
    for port in [sourcePort, destinationPort] {
      hashed += [UInt8(port >> 8), UInt8(truncatingIfNeeded: port)]
    }
    out += "1:".utf8
    JSONText.appendBase64(Digest.sha1.hash(hashed).rawSpan, to: &out)
  }

  /// The type that answers an ICMP message's type, or is answered by it; 0 where there is none.
  private static func counterpart(_ tuple: FlowTuple) -> UInt16 {
    let pairs: [(UInt16, UInt16)] =
      tuple.ipProtocol == IPProtocol.icmp
      ? [(8, 0), (13, 14), (15, 16), (17, 18), (10, 9)]
      : [(128, 129), (133, 134), (135, 136), (130, 131), (139, 140), (144, 145)]
    for (request, response) in pairs {
      if tuple.sourcePort == request { return response }
      if tuple.sourcePort == response { return request }
    }
    return 0
  }
}
