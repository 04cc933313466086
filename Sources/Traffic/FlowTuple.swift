/// What tells one flow from another: addresses, ports, protocol, VLANs.
///
/// For ICMP the ports hold type and code (source: type, destination: code) or, for queries, the identifier.
public struct FlowTuple: Sendable, Hashable, BitwiseCopyable {
  public var source: IPAddress
  public var destination: IPAddress
  public var sourcePort: UInt16
  public var destinationPort: UInt16
  /// The transport protocol number (IANA), as in the IP header.
  public var ipProtocol: UInt8
  /// Outer and inner VLAN identifiers, 0 where there is none.
  public var vlan: UInt32

  @inlinable
  public init(
    source: IPAddress, destination: IPAddress, sourcePort: UInt16, destinationPort: UInt16,
    ipProtocol: UInt8, vlan: UInt32 = 0
  ) {
    self.source = source
    self.destination = destination
    self.sourcePort = sourcePort
    self.destinationPort = destinationPort
    self.ipProtocol = ipProtocol
    self.vlan = vlan
  }

  /// By words: what the compiler derives calls memcmp(3) for each address.
  @inlinable
  public static func == (left: FlowTuple, right: FlowTuple) -> Bool {
    let addresses =
      (left.source.high ^ right.source.high) | (left.source.low ^ right.source.low)
      | (left.destination.high ^ right.destination.high) | (left.destination.low ^ right.destination.low)
    return addresses == 0 && left.sourcePort == right.sourcePort && left.destinationPort == right.destinationPort
      && left.ipProtocol == right.ipProtocol && left.vlan == right.vlan
  }

  /// The same flow seen from the other end.
  @inlinable
  public var reversed: FlowTuple {
    FlowTuple(
      source: destination, destination: source, sourcePort: destinationPort,
      destinationPort: sourcePort, ipProtocol: ipProtocol, vlan: vlan)
  }
}
