import AppLayer
import Detection
import FlowTracking
import PacketDecoding
import Traffic

extension PacketPath {
  /// What records of this packet share; made only where something is to be written.
  mutating func context(
    _ packet: DecodedPacket, length: Int, _ lookup: FlowLookup? = nil, _ flow: FlowInspection? = nil
  ) -> EventContext {
    var context = EventContext(time: packet.time, packet: packet)
    context.packetNumber = packetNumber
    context.packetLength = length
    if packet.tunnelDepth > 0 || packet.isReassembled { context.tunnel = tunnel }
    if let lookup {
      context.direction = lookup.direction
      context.flow = record(flows[lookup.index], lookup.index, flow)
      context.appLayer = flow?.appLayer
      context.decryption = flow?.decryption
    }
    return context
  }

  /// What records of the packet inside say of the outermost one around it.
  mutating func tunnelRecord(_ outer: borrowing DecodedPacket) -> TunnelRecord {
    let means: String
    switch outer.ipProtocol {
    case IPProtocol.gre: means = "gre tunnel"
    case IPProtocol.udp:
      if outer.inner == .ipv6 {
        means = "teredo tunnel"
      } else {
        let port = outer.destinationPort
        means = settings.decoder.genevePorts.contains(port) ? "geneve encapsulation" : "vxlan encapsulation"
      }
    default: means = outer.ipVersion == 6 ? "ipv6 tunnel" : "ipv4 tunnel"
    }
    if var known = tunnel {
      known.means = means
      return known
    }
    var record = TunnelRecord(
      ends: outer.tuple, hasPorts: outer.isTCP ? true : outer.isUDP, means: means)
    record.packetNumber = packetNumber
    return record
  }

  /// Records of a datagram made of fragments tell of the last of them as they do of a tunnel.
  mutating func datagramRecord(_ fragment: borrowing DecodedPacket) -> TunnelRecord {
    var record = TunnelRecord(ends: fragment.tuple, hasPorts: false, means: "defrag")
    record.packetNumber = packetNumber
    return record
  }

  mutating func record(_ flow: Flow, _ index: FlowIndex, _ inspection: FlowInspection?) -> FlowRecord {
    var record = FlowRecord(
      id: flow.flowID, tuple: flow.tuple, start: flow.startTime, last: flow.lastTime)
    record.ipVersion = flow.ipVersion
    record.toServer.packets = flow.toServer.packetCount
    record.toServer.bytes = flow.toServer.byteCount
    record.toServer.tcpFlags = flow.toServer.tcpFlags
    record.toServer.timeToLiveMin = flow.toServer.timeToLiveMin
    record.toServer.timeToLiveMax = flow.toServer.timeToLiveMax
    record.toClient.packets = flow.toClient.packetCount
    record.toClient.bytes = flow.toClient.byteCount
    record.toClient.tcpFlags = flow.toClient.tcpFlags
    record.toClient.timeToLiveMin = flow.toClient.timeToLiveMin
    record.toClient.timeToLiveMax = flow.toClient.timeToLiveMax
    record.state = flow.state.eveName
    switch flow.disposition {
    case .inspect: break
    case .pass: record.action = "pass"
    case .drop, .reject: record.action = "drop"
    }
    record.isMidstream = flow.isMidstream
    if flow.tuple.ipProtocol == IPProtocol.tcp {
      let session = flows.session(index)
      if session.state != .none { record.tcpState = session.state.eveName }
      record.outOfBand.toServer = reassembler.outOfBandCount(flow: index.rawValue, direction: .toServer)
      record.outOfBand.toClient = reassembler.outOfBandCount(flow: index.rawValue, direction: .toClient)
    }
    record.icmpType = flow.icmpType
    record.icmpCode = flow.icmpCode
    if flow.toClient.packetCount > 0 {
      record.icmpResponse = (type: flow.icmpResponseType, code: flow.icmpResponseCode)
    }
    record.vlan = Array([flow.vlan0, flow.vlan1].prefix(Int(flow.vlanCount)))
    guard let inspection else { return record }
    record.hasAlerted = inspection.hasAlerted
    record.isElephant = inspection.rate.isElephant
    record.frameEnds = inspection.frameEnds
    record.transactionCount = inspection.transactionCount
    // Of a flow that is dropped the newest were never told.
    if let newest = inspection.appLayer?.transactions.last {
      record.transactionCount = max(record.transactionCount, newest.id &+ 1)
    }
    record.linkAddresses = inspection.linkAddresses
    stream.noteVariables(inspection.detection, in: &record)
    record.exceptionPolicies = inspection.exceptionPolicies
    record.hasGap = inspection.hasGap
    record.released = inspection.releaseReason
    if let counts = inspection.kernelCounts { record.take(counts) }
    if let appLayer = inspection.appLayer {
      record.appProtocol = appLayer.appProtocol
      record.appProtocolToServer = appLayer.protocolToServer
      record.appProtocolToClient = appLayer.protocolToClient
    }
    return record
  }

  mutating func noteLinkAddresses(
    _ packet: borrowing DecodedPacket, _ bytes: RawSpan, _ direction: Direction, _ flow: FlowInspection
  ) {
    let start = Int(packet.linkOffset)
    guard start >= 0, start + 14 <= bytes.byteCount else { return }
    let destination = UInt64(bytes.u16(at: start)) << 32 | UInt64(bytes.u32(at: start + 2))
    let source = UInt64(bytes.u16(at: start + 6)) << 32 | UInt64(bytes.u32(at: start + 8))
    if direction == .toServer {
      flow.linkAddresses.note(client: source, server: destination)
    } else {
      flow.linkAddresses.note(client: destination, server: source)
    }
  }

  mutating func logDrop(
    _ verdict: PacketVerdict, _ flow: FlowInspection?, _ context: borrowing EventContext, _ bytes: RawSpan
  ) {
    counters.dropped &+= 1
    if verdict.verdict == .reject { counters.rejected &+= 1 }
    guard settings.logs.drops, let reason = verdict.reason else { return }
    if let flow, !settings.logs.dropsWholeFlows {
      let isLogged = context.direction == .toServer ? flow.isDropLogged.toServer : flow.isDropLogged.toClient
      if isLogged, verdict.rule == nil { return }
      if context.direction == .toServer {
        flow.isDropLogged.toServer = true
      } else {
        flow.isDropLogged.toClient = true
      }
    }
    let rule = verdict.rule.flatMap { stream.detector.ruleSet.info($0) }
    flow?.journal.note(
      "packet dropped (\(reason.rawValue))" + (rule.map { ": sid \($0.sid) \($0.message)" } ?? ""),
      at: context.time)
    let event = DropEvent(
      reason: reason.rawValue, rule: rule, transactionID: verdict.transactionID,
      verdict: VerdictRecord(action: "drop", rejecting: verdict.rejectAction, context.packet))
    sink.emit(.drop(event), context, bytes: bytes)
  }

  /// Tells of a packet that the `tag` of a rule asks for.
  mutating func reportTag(
    _ packet: DecodedPacket, _ bytes: RawSpan, _ lookup: FlowLookup?, _ flow: FlowInspection?, _ length: Int
  ) {
    guard stream.detector.takesTag(packet, octets: length, state: flow?.detection) else { return }
    sink.emit(.taggedPacket, context(packet, length: length, lookup, flow), bytes: bytes)
  }

  // MARK: Anomalies

  /// What is told of a packet whatever its flow.
  mutating func reportDecodeEvents(_ packet: DecodedPacket, _ bytes: RawSpan) {
    if packet.isARP, settings.logs.arp {
      sink.emit(.arp, context(packet, length: bytes.byteCount), bytes: bytes)
    }
    guard !packet.events.isEmpty, settings.logs.anomalies else { return }
    let context = context(packet, length: bytes.byteCount)
    for event in DecodeEvent.allCases {
      for _ in 0..<packet.events.count(event) {
        let anomaly = AnomalyEvent(kind: .decode, name: "decoder." + event.ruleName)
        sink.emit(.anomaly(anomaly), context, bytes: bytes)
      }
    }
  }

  mutating func reportStreamEvents(
    _ events: StreamEventSet, _ packet: DecodedPacket, _ bytes: RawSpan,
    _ lookup: FlowLookup, _ flow: FlowInspection, _ length: Int
  ) {
    guard !events.isEmpty, settings.logs.anomalies else { return }
    let context = context(packet, length: length, lookup, flow)
    for event in StreamEvent.allCases where events.contains(event) {
      let anomaly = AnomalyEvent(kind: .stream, name: "stream." + event.ruleName)
      sink.emit(.anomaly(anomaly), context, bytes: bytes)
    }
  }
}
