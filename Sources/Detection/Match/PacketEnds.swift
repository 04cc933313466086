import AppLayer
import PacketDecoding
import Traffic

/// What rule heads are compared with, worked out once for each packet or chunk.
struct PacketEnds: Sendable {
  var source: IPAddress
  var destination: IPAddress
  var sourcePort: UInt16
  var destinationPort: UInt16
  var protocols: ProtocolMask
  var ipVersion: UInt8
  var isReassembled: Bool
  /// A fragment: it has no ports to be compared.
  var isFragment: Bool
  var direction: Direction
  var time: Timestamp

  /// - Parameter direction: of what is inspected; the packet may travel the other way, when it
  ///   acknowledged the bytes in hand.
  init(_ packet: DecodedPacket, direction: Direction, packetDirection: Direction) {
    let isSwapped = direction != packetDirection
    source = isSwapped ? packet.destination : packet.source
    destination = isSwapped ? packet.source : packet.destination
    sourcePort = isSwapped ? packet.destinationPort : packet.sourcePort
    destinationPort = isSwapped ? packet.sourcePort : packet.destinationPort
    ipVersion = packet.ipVersion
    isReassembled = packet.isReassembled
    isFragment = packet.isFragment && !packet.hasTransport
    self.direction = direction
    time = packet.time
    protocols = Self.mask(packet)
  }

  private static func mask(_ packet: DecodedPacket) -> ProtocolMask {
    guard packet.ipVersion != 0 else { return .noIP }
    switch packet.ipProtocol {
    case IPProtocol.tcp: return .tcp
    case IPProtocol.udp: return .udp
    case IPProtocol.icmp, IPProtocol.icmpv6: return .icmp
    case IPProtocol.sctp: return .sctp
    default: return .other
    }
  }

  /// The same seen in the other direction, or as it is.
  func facing(_ direction: Direction) -> PacketEnds {
    guard direction != self.direction else { return self }
    var other = self
    swap(&other.source, &other.destination)
    swap(&other.sourcePort, &other.destinationPort)
    other.direction = direction
    return other
  }

  /// The port of the side that serves, by which rules are grouped.
  var serverPort: UInt16 { direction == .toServer ? destinationPort : sourcePort }
}

extension Detector {
  /// Whether the header, the `flow` keyword and the application protocol of a rule hold.
  mutating func headHolds(_ rule: RuleIndex, _ ends: PacketEnds, _ flow: FlowFacts?) -> Bool {
    let head = ruleSet.heads[Int(rule)]
    guard !head.protocols.isDisjoint(with: ends.protocols) else { return false }
    guard head.ipVersion == 0 || head.ipVersion == ends.ipVersion else { return false }
    if !head.flow.isEmpty, !Self.flowHolds(head.flow, ends, flow) { return false }
    if !head.appProtocols.isAny {
      // A WebSocket in a stream of HTTP/2 is one, whatever the flow around it is called.
      guard let flow,
        head.appProtocols.contains(flow.appProtocol)
          || flow.appProtocol == .http2 && head.appProtocols.contains(.websocket)
      else { return false }
    }
    return sidesHold(head, ends)
  }

  /// Whether addresses and ports of a rule hold, one way or the other where it says so.
  mutating func sidesHold(_ head: RuleHead, _ ends: PacketEnds) -> Bool {
    if ends.isFragment, head.sourcePorts != 0 || head.destinationPorts != 0 { return false }
    if sidesHold(
      head, ends.source, ends.sourcePort, ends.destination, ends.destinationPort)
    {
      return true
    }
    return head.isBothWays
      && sidesHold(head, ends.destination, ends.destinationPort, ends.source, ends.sourcePort)
  }

  private static func flowHolds(
    _ condition: FlowCondition, _ ends: PacketEnds, _ flow: FlowFacts?
  ) -> Bool {
    if condition.contains(.onlyFragment), !ends.isReassembled { return false }
    if condition.contains(.noFragment), ends.isReassembled { return false }
    guard let flow else {
      return condition.isDisjoint(with: .needsFlow)
    }
    if condition.contains(.toServer), ends.direction != .toServer { return false }
    if condition.contains(.toClient), ends.direction != .toClient { return false }
    if condition.contains(.established), !flow.isEstablished { return false }
    if condition.contains(.notEstablished), flow.isEstablished { return false }
    return true
  }

  private mutating func sidesHold(
    _ head: RuleHead, _ source: IPAddress, _ sourcePort: UInt16, _ destination: IPAddress,
    _ destinationPort: UInt16
  ) -> Bool {
    if head.destinationPorts != 0,
      !ruleSet.portSets[Int(head.destinationPorts)].contains(destinationPort)
    {
      return false
    }
    if head.sourcePorts != 0, !ruleSet.portSets[Int(head.sourcePorts)].contains(sourcePort) {
      return false
    }
    if head.sources != 0,
      !ruleSet.addressSets[Int(head.sources)].contains(high: source.high, low: source.low)
    {
      return false
    }
    if head.destinations != 0,
      !ruleSet.addressSets[Int(head.destinations)].contains(
        high: destination.high, low: destination.low)
    {
      return false
    }
    return true
  }
}
