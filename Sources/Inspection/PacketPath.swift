import AppLayer
import Detection
import FlowTracking
import PacketDecoding
import RuleLanguage
import StreamReassembly
import Traffic

/// The way of a packet: decode → flow → stream → protocols → detection → verdict.
///
/// One for each worker; nothing in it is shared but the rule set and what rules remember across flows.
///
/// Methods are mutating also where they change nothing: of a part of something that is being changed the compiler lends a
/// copy, which took a tenth of the time (docs/decisions/detection-speed.md).
public struct PacketPath: ~Copyable {
  let settings: InspectionSettings
  let decoder: PacketDecoder
  var flows: FlowTable
  var defragmenter: Defragmenter
  var reassembler: StreamReassembler
  var stream: StreamPath
  let sink: any EventSink
  let expectedFlows: ExpectedFlows
  /// By flow index; nil where a flow needs none.
  var inspections: [FlowInspection?] = []
  public internal(set) var counters = PacketPathCounters()
  /// The packet around the one in hand.
  var tunnel: TunnelRecord?
  /// Flows that are over, for explanations.
  var pastFlows = PastFlows()
  /// Number of the packet in hand, from 1.
  var packetNumber: UInt64 = 0
  /// Flows looked at for their timeout with each packet, so that no packet waits for long. Where nobody waits, all
  /// that are due are ended at once: then it is the time alone that says with which packet a flow ends.
  public var expiryLimit = 64
  /// The last second in which it was looked what is over.
  var lookedAtSecond = Int64.min
  /// nil where this path sees all packets.
  public var share: PathShare?

  public init(
    settings: InspectionSettings, ruleSet: RuleSet, shared: SharedDetectionState, sink: any EventSink
  ) {
    self.settings = settings
    self.sink = sink
    expectedFlows = shared.expectedFlows
    decoder = PacketDecoder(settings: settings.decoder)
    flows = FlowTable(settings: settings.flows)
    defragmenter = Defragmenter(settings: settings.defragmentation)
    reassembler = StreamReassembler(settings: settings.reassembly)
    stream = StreamPath(
      detector: Detector(ruleSet: ruleSet, shared: shared), settings: settings, sink: sink)
    reassembler.keepsHistory = stream.looksAtStreams
  }

  /// Takes another rule set; flows keep their state.
  public mutating func replace(ruleSet: RuleSet) {
    stream.replace(ruleSet: ruleSet)
    reassembler.keepsHistory = stream.looksAtStreams
  }

  /// Takes one packet through the whole path.
  ///
  /// - Parameters:
  ///   - bytes: as captured, from the link header on.
  ///   - length: octets on the wire, where the capture cut some off.
  ///   - isChecksumPartial: the transport checksum is left to the network card and not to be verified.
  public mutating func process(
    _ bytes: RawSpan, link: LinkType, time: Timestamp, length: Int? = nil,
    isChecksumPartial: Bool = false
  ) -> PacketVerdict {
    packetNumber &+= 1
    flows.begin(packet: packetNumber)
    counters.packets &+= 1
    counters.bytes &+= UInt64(bytes.byteCount)
    if time.seconds > lookedAtSecond || flows.mayExpire(at: time) { expire(now: time) }
    let packet = decoder.decode(bytes, link: link, time: time, isChecksumPartial: isChecksumPartial)
    return process(packet, bytes, length: length ?? bytes.byteCount)
  }

  /// Takes a decoded packet through the path, then the packet inside it.
  private mutating func process(
    _ packet: DecodedPacket, _ bytes: RawSpan, length: Int
  ) -> PacketVerdict {
    if packet.isFragment { return processFragment(packet, bytes, length: length) }
    guard packet.inner != .none else { return track(packet, bytes, length: length) }
    counters.tunnelled &+= 1
    let outerTunnel = tunnel
    tunnel = tunnelRecord(packet)
    let innerLength = Int(packet.innerEnd &- packet.innerOffset)
    // The packet inside comes first: what becomes of it becomes of the one around it.
    let inner = process(decoder.decodeInner(of: packet, bytes), bytes, length: innerLength)
    tunnel = outerTunnel
    return track(packet, bytes, length: length, inner: inner)
  }

  /// The next packet has this number, where this path does not see all packets of its capture.
  public mutating func skip(to number: UInt64) { packetNumber = number &- 1 }

  // MARK: Fragments

  private mutating func processFragment(
    _ packet: DecodedPacket, _ bytes: RawSpan, length: Int
  ) -> PacketVerdict {
    counters.fragments &+= 1
    var packet = packet
    let policy = hostPolicy(packet.destination)?.fragments ?? .bsd
    let result = defragmenter.add(packet, bytes, policy: policy)
    packet.events.formUnion(result.events)
    var whole: PacketVerdict?
    switch result.outcome {
    case .held, .rejected: break
    case .noRoom: return trackUnheld(packet, bytes, length: length)
    case .reassembled:
      counters.reassembledDatagrams &+= 1
      let (decoded, datagram) = reassembled(from: packet, bytes)
      let outerTunnel = tunnel
      defer { tunnel = outerTunnel }
      if tunnel == nil { tunnel = datagramRecord(packet) }
      whole = process(decoded, datagram.rawSpan, length: datagram.count)
    }
    // Rules on IP see the fragment itself, those on what it carries the whole datagram.
    return track(packet, bytes, length: length, inner: whole)
  }

  /// A fragment that there is no memory for.
  private mutating func trackUnheld(
    _ packet: DecodedPacket, _ bytes: RawSpan, length: Int
  ) -> PacketVerdict {
    var unheld = PacketVerdict()
    applyPacketPolicy(settings.exceptionPolicies.defragMemcap, .defragMemcap, &unheld)
    switch settings.exceptionPolicies.defragMemcap {
    case .passPacket, .passFlow: return unheld
    case .ignore, .bypass, .dropPacket, .dropFlow, .reject: break
    }
    guard unheld.isStopped else { return track(packet, bytes, length: length) }
    logDrop(unheld, nil, context(packet, length: bytes.byteCount), bytes)
    return unheld
  }

  /// The datagram behind the link header of its last fragment, as it would have come in one packet.
  private mutating func reassembled(from fragment: DecodedPacket, _ bytes: RawSpan) -> (DecodedPacket, [UInt8]) {
    let header = Int(fragment.networkOffset)
    let hasLink = fragment.tunnelDepth == 0 && header > 0 && header <= bytes.byteCount
    var datagram = hasLink ? bytes.extracting(0..<header).copied() : []
    datagram.append(defragmenter.reassembled)
    var whole = decoder.decode(
      datagram.rawSpan, link: hasLink ? fragment.linkType : .raw, time: fragment.time)
    whole.isReassembled = true
    whole.vlan0 = fragment.vlan0
    whole.vlan1 = fragment.vlan1
    whole.vlan2 = fragment.vlan2
    whole.vlanCount = fragment.vlanCount
    whole.tunnelDepth = fragment.tunnelDepth
    whole.isFragment = false
    whole.linkOffset = -1
    return (whole, datagram)
  }

  mutating func hostPolicy(_ address: IPAddress) -> HostPolicy? {
    settings.hostPolicies.first { $0.addresses.contains(high: address.high, low: address.low) }
  }

  // MARK: Flow

  /// Finds the packet's flow and goes on with it, or inspects the packet alone.
  private mutating func track(
    _ packet: DecodedPacket, _ bytes: RawSpan, length: Int, inner: PacketVerdict? = nil
  ) -> PacketVerdict {
    share?.note(packet)
    reportDecodeEvents(packet, bytes)
    guard packet.ipVersion != 0 else {
      counters.undecoded &+= 1
      return inspectAlone(packet, bytes, inner)
    }
    var lookup = flows.track(packet, packetLength: length, time: packet.time)
    if lookup.outcome == .supersedes {
      if let flow = flows.remove(lookup.index, reason: lookup.endReason) {
        endFlow(lookup.index, flow, reason: lookup.endReason)
      }
      lookup = flows.track(packet, packetLength: length, time: packet.time)
    }
    if lookup.outcome == .full {
      if makeRoom() > 0 { lookup = flows.track(packet, packetLength: length, time: packet.time) }
      if lookup.outcome == .full { return inspectWithoutFlow(packet, bytes, inner) }
    }
    guard lookup.hasFlow else { return inspectAlone(packet, bytes, inner) }
    return inspect(packet, bytes, lookup, length: length, inner: inner)
  }

  /// A packet that there is no room for a flow for.
  private mutating func inspectWithoutFlow(
    _ packet: DecodedPacket, _ bytes: RawSpan, _ inner: PacketVerdict?
  ) -> PacketVerdict {
    let policy = settings.exceptionPolicies.flowMemcap
    var verdict = PacketVerdict()
    adopt(inner, &verdict)
    applyPacketPolicy(policy, .flowMemcap, &verdict)
    switch policy {
    case .passPacket, .passFlow: return verdict
    case .ignore, .bypass, .dropPacket, .dropFlow, .reject: break
    }
    guard verdict.reason == .flowMemcap else { return inspectAlone(packet, bytes, inner) }
    logDrop(verdict, nil, context(packet, length: bytes.byteCount), bytes)
    return verdict
  }

  /// A packet without a flow meets the rules on packets only.
  private mutating func inspectAlone(
    _ packet: DecodedPacket, _ bytes: RawSpan, _ inner: PacketVerdict?
  ) -> PacketVerdict {
    var verdict = PacketVerdict()
    adopt(inner, &verdict)
    stream.isPacketStopped = verdict.isStopped
    defer { stream.isPacketStopped = false }
    stream.inspectPacket(
      packet, bytes: bytes, facts: nil, flow: nil, payloadIsInStream: false,
      streamEvents: StreamEventSet())
    defer { reportTag(packet, bytes, nil, nil, bytes.byteCount) }
    guard stream.hasMatches || verdict.isStopped else { return verdict }
    let context = context(packet, length: bytes.byteCount)
    if stream.hasMatches {
      let decision = stream.decide(nil, facts: nil, packet: packet)
      stream.tell(decision, nil, context: context, bytes: bytes)
      apply(decision, nil, packet, &verdict)
    }
    if verdict.isStopped { logDrop(verdict, nil, context, bytes) }
    return verdict
  }
}
