import AppLayer
import Traffic

/// A name for a flow that other tools compute alike.
/// - Source: Corelight, Community ID Flow Hashing, version 1.
enum CommunityID {
  static func append(_ tuple: FlowTuple, seed: UInt16, to out: inout [UInt8]) {
    var source = tuple.source.networkBytes
    var destination = tuple.destination.networkBytes
    var (sourcePort, destinationPort) = (tuple.sourcePort, tuple.destinationPort)
    var isOneWay = false
    if tuple.ipProtocol == IPProtocol.icmp || tuple.ipProtocol == IPProtocol.icmpv6 {
      (destinationPort, isOneWay) = counterpart(tuple)
      if isOneWay { destinationPort = tuple.destinationPort }
    }
    let isOrdered =
      isOneWay || source.lexicographicallyPrecedes(destination)
      || (source == destination && sourcePort <= destinationPort)
    if !isOrdered {
      swap(&source, &destination)
      swap(&sourcePort, &destinationPort)
    }
    var hashed: [UInt8] = [UInt8(seed >> 8), UInt8(truncatingIfNeeded: seed)]
    hashed += source + destination + [tuple.ipProtocol, 0]
    if hasPorts(tuple.ipProtocol) {
      for port in [sourcePort, destinationPort] {
        hashed += [UInt8(port >> 8), UInt8(truncatingIfNeeded: port)]
      }
    }
    out += "1:".utf8
    JSONText.appendBase64(Digest.sha1.hash(hashed).rawSpan, to: &out)
  }

  private static func hasPorts(_ number: UInt8) -> Bool {
    switch number {
    case IPProtocol.tcp, IPProtocol.udp, IPProtocol.sctp, IPProtocol.icmp, IPProtocol.icmpv6: true
    default: false
    }
  }

  /// The type that answers an ICMP message's type; messages without one go one way.
  private static func counterpart(_ tuple: FlowTuple) -> (UInt16, isOneWay: Bool) {
    let pairs: [(UInt16, UInt16)] =
      tuple.ipProtocol == IPProtocol.icmp
      ? [(8, 0), (13, 14), (15, 16), (17, 18), (10, 9)]
      : [(128, 129), (133, 134), (135, 136), (130, 131), (139, 140), (144, 145)]
    for (request, response) in pairs {
      if tuple.sourcePort == request { return (response, false) }
      if tuple.sourcePort == response { return (request, false) }
    }
    return (tuple.destinationPort, true)
  }
}
