import AppLayer
import Inspection
import PacketDecoding
import Traffic

/// Which way the addresses of a record point.
enum AddressSense {
  /// As the packet in hand travels.
  case packet
  /// From client to server.
  case flow
  /// From who sends to who receives, in that direction of the flow.
  case direction(Direction)
}

/// What all records begin with.
/// - Source: Suricata 8, EVE JSON format, "Common Section".
struct EVEHeader {
  var timestamps = TimestampText()
  let communityID: UInt16?
  let logsEthernet: Bool
  let versionName: String?
  /// Stands in the next record in place of the client's address.
  var forwardedFor: IPAddress?

  init(_ settings: EVESettings) {
    communityID = settings.communityID
    logsEthernet = settings.logsEthernet
    versionName = settings.versionName
  }

  /// Opens the record's object and writes the common members.
  mutating func begin(
    _ type: StaticString, _ context: borrowing EventContext, _ sense: AddressSense,
    hasPacket: Bool = true, bytes: RawSpan, into json: inout JSONWriter
  ) {
    json.beginObject()
    json.key("timestamp")
    json.string { timestamps.append(context.time, to: &$0) }
    if let flow = context.flow { json.member("flow_id", flow.id) }
    if let parent = context.appLayer?.parentID, parent != 0 { json.member("parent_id", parent) }
    if let name = context.interfaceName { json.member("in_iface", text: name) }
    if hasPacket, context.packetNumber > 0, Self.isCaptured(context.packet) { json.member("pcap_cnt", context.packetNumber) }
    json.member("event_type", type)
    writeVLANs(context, into: &json)
    // Suricata leaves the version out of these alone.
    let isNetflow = if case .direction = sense { !hasPacket } else { false }
    writeEnds(context, sense, hasPacket, isNetflow: isNetflow, into: &json)
    if hasPacket { writeSource(context, into: &json) }
    if logsEthernet {
      if hasPacket { writeFrame(context, sense, bytes, into: &json) } else { writeFrames(context, sense, into: &json) }
    }
    if let versionName { json.member("suricata_version", text: versionName) }
  }

  /// The addresses of the frame, turned round where the record points the other way.
  private func writeFrame(
    _ context: borrowing EventContext, _ sense: AddressSense, _ bytes: RawSpan,
    into json: inout JSONWriter
  ) {
    let packet = context.packet
    let header = Int(packet.linkOffset)
    guard header >= 0, bytes.byteCount >= header + 14 else {
      if bytes.byteCount == 0 { writeFrameEnds(context, sense, into: &json) }
      return
    }
    let isTurned =
      switch sense {
      case .packet: false
      case .flow: Self.trueDirection(context) == .toClient
      case .direction(let direction): Self.trueDirection(context) != direction
      }
    json.beginObject("ether")
    json.member("ether_type", bytes.u16(at: header + 12))
    for (key, start) in [("src_mac", isTurned ? 0 : 6), ("dest_mac", isTurned ? 6 : 0)]
      as [(StaticString, Int)]
    {
      let place = header + start
      json.key(key)
      Self.write(
        linkAddress: UInt64(bytes.u16(at: place)) << 32 | UInt64(bytes.u32(at: place + 2)), into: &json)
    }
    json.endObject()
  }

  /// Without a packet: the addresses that the flow began with.
  private func writeFrameEnds(
    _ context: borrowing EventContext, _ sense: AddressSense, into json: inout JSONWriter
  ) {
    guard let ends = context.flow?.frameEnds else { return }
    let isFromServer =
      switch sense {
      case .flow: false
      case .packet: context.direction == .toClient
      case .direction(let direction): direction == .toClient
      }
    json.beginObject("ether")
    for (key, address) in [
      ("src_mac", isFromServer ? ends.server : ends.client), ("dest_mac", isFromServer ? ends.client : ends.server),
    ] as [(StaticString, UInt64)] {
      json.key(key)
      json.string { out in
        for index in 0..<6 {
          if index > 0 { out.append(UInt8(ascii: ":")) }
          JSONText.appendHex(UInt8(truncatingIfNeeded: address >> UInt64(40 - 8 * index)), to: &out)
        }
      }
    }
    json.endObject()
  }

  private static func trueDirection(_ context: borrowing EventContext) -> Direction {
    context.appLayer?.isReversed == true ? context.direction.opposite : context.direction
  }

  /// All addresses that the frames of a flow carried.
  private func writeFrames(_ context: borrowing EventContext, _ sense: AddressSense, into json: inout JSONWriter) {
    guard var addresses = Self.oriented(context)?.linkAddresses, !addresses.client.isEmpty else { return }
    if case .direction(.toClient) = sense { addresses.swapSides() }
    json.beginObject("ether")
    json.beginArray("dest_macs")
    for address in addresses.server { Self.write(linkAddress: address, into: &json) }
    json.endArray()
    json.beginArray("src_macs")
    for address in addresses.client { Self.write(linkAddress: address, into: &json) }
    json.endArray()
    json.endObject()
  }

  /// - Parameter linkAddress: 48 bits, the first octet highest.
  static func write(linkAddress: UInt64, into json: inout JSONWriter) {
    json.string { out in
      for index in 0..<6 {
        if index > 0 { out.append(UInt8(ascii: ":")) }
        JSONText.appendHex(UInt8(truncatingIfNeeded: linkAddress >> UInt64(40 - 8 * index)), to: &out)
      }
    }
  }

  /// Packets inside others, and those made of fragments, stand in no capture themselves.
  private static func isCaptured(_ packet: DecodedPacket) -> Bool {
    packet.tunnelDepth == 0 && !packet.isReassembled
  }

  private func writeVLANs(_ context: borrowing EventContext, into json: inout JSONWriter) {
    let packet = context.packet
    let tags =
      packet.vlanCount > 0
      ? Array([packet.vlan0, packet.vlan1, packet.vlan2].prefix(Int(packet.vlanCount)))
      : context.flow?.vlan ?? []
    guard !tags.isEmpty else { return }
    json.beginArray("vlan")
    for tag in tags { json.number(tag) }
    json.endArray()
  }

  private func writeEnds(
    _ context: borrowing EventContext, _ sense: AddressSense, _ hasPacket: Bool, isNetflow: Bool,
    into json: inout JSONWriter
  ) {
    let packet = context.packet
    guard var tuple = Self.tuple(context, sense) else { return }
    if let forwardedFor {
      if context.direction == .toServer { tuple.source = forwardedFor } else { tuple.destination = forwardedFor }
    }
    let number = tuple.ipProtocol
    let version = packet.ipVersion != 0 ? packet.ipVersion : context.flow?.ipVersion ?? 0
    Self.member("src_ip", tuple.source, version, into: &json)
    let hasPorts =
      number == IPProtocol.tcp || number == IPProtocol.udp || number == IPProtocol.sctp
    if hasPorts { json.member("src_port", tuple.sourcePort) }
    Self.member("dest_ip", tuple.destination, version, into: &json)
    if hasPorts { json.member("dest_port", tuple.destinationPort) }
    json.key("proto")
    Self.writeProtocol(number, into: &json)
    if number == IPProtocol.icmp || number == IPProtocol.icmpv6 {
      writeICMP(context, sense, into: &json)
    }
    if number == IPProtocol.esp, !hasPacket {
      // The upper and the lower half of the index stand in the place of ports.
      json.member("spi", UInt32(tuple.sourcePort) << 16 | UInt32(tuple.destinationPort))
    }
    if version != 0, !isNetflow { json.member("ip_v", version) }
    // Only what belongs to a flow has a name for it.
    if let communityID, context.flow != nil {
      json.key("community_id")
      json.string { CommunityID.append(tuple, seed: communityID, to: &$0) }
    }
  }

  private func writeICMP(_ context: borrowing EventContext, _ sense: AddressSense, into json: inout JSONWriter) {
    if context.packet.isICMP {
      json.member("icmp_type", context.packet.icmp.type)
      json.member("icmp_code", context.packet.icmp.code)
    } else if let flow = context.flow {
      if case .direction(.toClient) = sense, let response = flow.icmpResponse {
        json.member("icmp_type", response.type)
        json.member("icmp_code", response.code)
        return
      }
      json.member("icmp_type", flow.icmpType)
      json.member("icmp_code", flow.icmpCode)
      if case .direction = sense { return }
      if let response = flow.icmpResponse {
        json.member("response_icmp_type", response.type)
        json.member("response_icmp_code", response.code)
      }
    }
  }

  /// Where the packet came from; records without a packet have none.
  private func writeSource(_ context: borrowing EventContext, into json: inout JSONWriter) {
    if context.packetLength > 0 {
      let unwrapped = context.packet.isReassembled ? "defrag" : "wire/pcap"
      json.member("pkt_src", text: context.tunnel?.means ?? unwrapped)
    } else if context.decryption == nil, context.packet.ipVersion != 0 {
      json.member("pkt_src", "stream (flow timeout)")
    }
  }

  static func tuple(_ context: borrowing EventContext, _ sense: AddressSense) -> FlowTuple? {
    let packet = context.packet.ipVersion != 0 ? context.packet.tuple : nil
    switch sense {
    case .packet:
      guard packet == nil, let flow = context.flow?.tuple else { return packet }
      return context.direction == .toServer ? flow : flow.reversed
    case .flow: return clientTuple(context) ?? packet
    case .direction(let direction):
      guard let flow = clientTuple(context) else { return packet }
      return direction == .toServer ? flow : flow.reversed
    }
  }

  /// The flow from client to server, as the application protocol shows who is who.
  private static func clientTuple(_ context: borrowing EventContext) -> FlowTuple? {
    guard let tuple = context.flow?.tuple else { return nil }
    return context.appLayer?.isReversed == true ? tuple.reversed : tuple
  }

  /// The flow with its sides exchanged where the side that was taken for the client speaks as a server.
  static func oriented(_ context: borrowing EventContext) -> FlowRecord? {
    guard var flow = context.flow else { return nil }
    if context.appLayer?.isReversed == true {
      flow.tuple = flow.tuple.reversed
      swap(&flow.toServer, &flow.toClient)
      swap(&flow.appProtocolToServer, &flow.appProtocolToClient)
      flow.hasGap = (flow.hasGap.toClient, flow.hasGap.toServer)
      flow.linkAddresses.swapSides()
    }
    return flow
  }

  /// - Parameter version: of the packet; an address of IPv6 that maps one of IPv4 is written in full.
  static func member(_ key: StaticString, _ address: IPAddress, _ version: UInt8 = 0, into json: inout JSONWriter) {
    json.key(key)
    json.string { JSONText.appendAddress(address, isIPv6: version == 6, to: &$0) }
  }

  static func writeProtocol(_ number: UInt8, into json: inout JSONWriter) {
    switch number {
    case IPProtocol.tcp: json.string("TCP")
    case IPProtocol.udp: json.string("UDP")
    case IPProtocol.icmp: json.string("ICMP")
    case IPProtocol.icmpv6: json.string("IPv6-ICMP")
    case IPProtocol.sctp: json.string("SCTP")
    case IPProtocol.gre: json.string("GRE")
    case IPProtocol.esp: json.string("ESP")
    case IPProtocol.ah: json.string("AH")
    case 2: json.string("IGMP")
    case IPProtocol.ipv4: json.string("IP-in-IP")
    case IPProtocol.ipv6: json.string("IPv6")
    case IPProtocol.ipv6Fragment: json.string("IPv6-Frag")
    default: json.string { JSONText.appendDecimal(UInt64(number), width: 3, to: &$0) }
    }
  }
}
