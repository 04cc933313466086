import AppLayer
import PacketDecoding
import Traffic

/// The new bytes of one direction of a stream, with the tail of those seen before.
public struct StreamPiece: ~Escapable {
  public let window: RawSpan
  /// Where the new bytes begin in `window`.
  public let newFrom: Int
  /// Where `window` begins in the stream.
  public let offset: UInt64
  /// Nothing follows.
  public let isEnd: Bool

  /// - Parameter isAlone: what was seen before is left out.
  @_lifetime(copy window)
  public init(
    window: RawSpan, newFrom: Int, offset: UInt64, isEnd: Bool, isAlone: Bool = false
  ) {
    let skipped = isAlone ? min(newFrom, window.byteCount) : 0
    self.window = window.extracting(skipped...)
    self.newFrom = newFrom &- skipped
    self.offset = offset &+ UInt64(skipped)
    self.isEnd = isEnd
  }

  var hasNews: Bool { window.byteCount > newFrom }

  /// Whether what is new is the packet's payload: nothing that waited came with it, and nothing of it was known.
  func isPayload(of packet: borrowing DecodedPacket, _ bytes: RawSpan) -> Bool {
    packet.payload(of: bytes).holdsSame(as: window.extracting(newFrom...))
  }

  /// The new bytes are not the first of the stream.
  var isLater: Bool { newFrom > 0 || offset > 0 }
}

extension Detector {
  /// Tries the rules on a packet and on what it brought to the stream of its direction, each rule once
  /// and in the order of the rules: one that asks for a flowbit sees it set by one that comes before it,
  /// whichever of packet and stream each of them looks at.
  ///
  /// - Source: Suricata, which goes through one list of candidates for each packet; a rule on the stream
  ///   that matches there is not tried on the packet as well.
  /// - Parameters: as of ``inspectPacket(_:bytes:flow:state:payloadIsInStream:streamEvents:into:)``.
  public mutating func inspect(
    _ packet: DecodedPacket, bytes: RawSpan, stream: borrowing StreamPiece, flow: FlowFacts,
    state: FlowDetection, payloadIsInStream: Bool, streamEvents: StreamEventSet,
    into matches: inout MatchList
  ) {
    guard ruleSet.ruleCount > 0, !state.isPassed else { return }
    counters.packetsInspected &+= 1
    let direction = flow.packetDirection
    let ends = PacketEnds(packet, direction: direction, packetDirection: direction)
    let packetContext = TrialContext(
      packet: packet, ends: ends, flow: flow, state: state, streamEvents: streamEvents,
      packetBytes: bytes, isInStream: packet.isTCP && payloadIsInStream)
    inspectOnce(packetContext, into: &matches)
    prepare(state)
    streamCandidates.removeAll(keepingCapacity: true)
    guard stream.hasNews else {
      if stream.isEnd { state[direction].pending.removeAll() }
      collectPacket(packetContext)
      var none = PendingRules()
      // Without candidates on the stream its context is not looked at.
      return tryInOrder(packetContext, bytes, packetContext, stream, &none, into: &matches)
    }
    let streamContext = TrialContext(
      packet: packet, ends: ends, flow: flow, state: state, packetBytes: bytes.extracting(0..<0))
    var pending = PendingRules()
    swap(&pending, &state[direction].pending)
    let isOne = isInline && ruleSet.groups.scansPacketsWithStreams && packetContext.isInStream && stream.isPayload(of: packet, bytes)
    packetCandidates.removeAll(keepingCapacity: true)
    collectStream(stream, withPacket: isOne, direction, flow, state, streamContext, &pending)
    swap(&candidates, &streamCandidates)
    collectPacket(packetContext, isScanned: isOne)
    tryInOrder(packetContext, bytes, streamContext, stream, &pending, into: &matches)
    if stream.isEnd { pending.removeAll() }
    swap(&pending, &state[direction].pending)
  }

  /// Whether no rule is to be tried on a packet that brings nothing to look at: an acknowledgement, or ciphertext. Most
  /// packets of many flows are such.
  ///
  /// - Parameter appProtocol: the flow's.
  public mutating func hasNothing(
    for packet: borrowing DecodedPacket, _ direction: Direction, _ state: FlowDetection, _ appProtocol: AppProtocol
  ) -> Bool {
    guard ruleSet.ruleCount > 0 else { return true }
    let hasPayload = packet.payloadLength > 0 ? !packet.hidesPayload : false
    guard packet.isTCP, packet.events.isEmpty, !hasPayload, !packet.isFragment, state.generation == ruleSet.generation
    else { return false }
    let isReady =
      direction == .toServer
      ? isReady(state.toServer, appProtocol, packet, direction) : isReady(state.toClient, appProtocol, packet, direction)
    if isReady { counters.packetsInspected &+= 1 }
    return isReady
  }

  /// What is tried once has been, what waits has its bytes still to come, and no rule on headers fits.
  private mutating func isReady(
    _ state: borrowing FlowDetection.DirectionState, _ appProtocol: AppProtocol, _ packet: borrowing DecodedPacket,
    _ direction: Direction
  ) -> Bool {
    let (areAddressesDone, found) = (state.hasBeenInspectedForAddresses, state.foundProtocol)
    guard areAddressesDone || ruleSet.groups.addresses.isEmpty,
      appProtocol == .unknown || found == appProtocol || ruleSet.groups.protocolFound.isEmpty,
      var fitting = state.headerRules
    else { return false }
    let slot = PacketClass(packet).rawValue &* 2 &+ direction.index
    guard ruleSet.groups.packet[slot].count <= UInt64.bitWidth else { return false }
    let size = packet.shownPayloadSize
    while fitting != 0 {
      let rule = ruleSet.groups.packet[slot][fitting.trailingZeroBitCount]
      guard ruleSet.heads[Int(rule)].excludes(payloadSize: size) else { return false }
      fitting &= fitting &- 1
    }
    return true
  }

  /// Goes through three ascending lists at once: rules on headers, candidates on the packet's payload
  /// and events, candidates on the stream.
  private mutating func tryInOrder(
    _ packet: borrowing TrialContext, _ bytes: RawSpan, _ stream: borrowing TrialContext,
    _ piece: borrowing StreamPiece, _ pending: inout PendingRules,
    into matches: inout MatchList
  ) {
    let headers = ruleSet.groups.packet[
      PacketClass(packet.packet).rawValue &* 2 &+ packet.ends.direction.index]
    let payload = packet.packet.payload(of: bytes)
    let size = packet.packet.shownPayloadSize
    var (fitting, header) = fittingHeaders(headers, packet)
    var (candidate, streamed) = (0, 0)
    while true {
      let headerPlace = fitting != 0 ? fitting.trailingZeroBitCount : header
      let nextHeader = headerPlace < headers.count ? headers[headerPlace] : .max
      let nextCandidate = candidate < candidates.count ? candidates[candidate] : .max
      let nextStreamed = streamed < streamCandidates.count ? streamCandidates[streamed] : .max
      let rule = min(nextHeader, nextCandidate, nextStreamed)
      if rule == .max { return }
      if nextHeader == rule {
        if fitting != 0 { fitting &= fitting &- 1 } else { header &+= 1 }
      }
      if nextCandidate == rule { candidate &+= 1 }
      if nextStreamed == rule {
        streamed &+= 1
        if tryOnStream(rule, piece, stream, &pending, into: &matches) == .matched { continue }
      }
      if nextHeader == rule || nextCandidate == rule, !ruleSet.heads[Int(rule)].excludes(payloadSize: size) {
        _ = tryRule(
          rule, payload: payload, facts: BufferFacts(), source: .packet, packet, found: nextCandidate == rule ? .whole : nil,
          into: &matches)
      }
    }
  }

  /// What of the rules on headers comes into question for a flow, found with its first packet: addresses and ports stay
  /// what they are.
  ///
  /// - Returns: the rules among the first 64 that do, by bit, and where those begin that are not among them.
  private mutating func fittingHeaders(
    _ headers: [RuleIndex], _ context: borrowing TrialContext
  ) -> (fitting: UInt64, rest: Int) {
    let ends = context.ends
    // An error message about the flow has ends of its own, and a fragment no ports.
    guard let state = context.state, context.packet.isTCP || context.packet.isUDP, !ends.isFragment else { return (0, 0) }
    let count = min(headers.count, UInt64.bitWidth)
    if let known = state[ends.direction].headerRules { return (known, count) }
    var fitting: UInt64 = 0
    for place in 0..<count where sidesHold(ruleSet.heads[Int(headers[place])], ends) { fitting |= 1 << UInt64(place) }
    state[ends.direction].headerRules = fitting
    return (fitting, count)
  }
}

extension DecodedPacket {
  /// The octets of payload that rules are told of; nil of ciphertext.
  fileprivate var shownPayloadSize: UInt16? { hidesPayload ? nil : UInt16(clamping: max(0, payloadLength)) }
}
