import PacketDecoding
import Traffic

/// All flows of one worker: a slab of records, found by a seeded hash of both directions.
///
/// Each record has a ``TCPSession`` beside it. Timeouts are kept in a wheel of one-second buckets;
/// a packet touches no bucket unless the flow's state changes, the bucket is set right when it
/// comes due. Time is packet time.
/// Methods that each packet calls are mutating also where they change nothing: the compiler lends others a copy of the table's
/// own fields.
/// - Source: Suricata `flow`, `flow-timeouts`.
/// - Limits: `flowCountMax` flows; beyond that `track` answers `.full` (counter `memcapHits`).
/// - Complexity: O(1) a packet and an expired flow; allocation only while the slab grows.
public struct FlowTable: ~Copyable {
  public let settings: FlowTableSettings
  public internal(set) var counters = FlowTableCounters()
  @usableFromInline var flows: [Flow] = []
  var sessions: [TCPSession] = []
  var links: [FlowLink] = []
  var freeHead = FlowIndex.none
  var wheel = FlowWheel()
  let hash: FlowHash
  private let keyParts: FlowKey.Parts
  /// The shortest timeout of flows that are not closed, nanoseconds.
  private let openTimeoutMin: Int64
  var slots: [UInt64]
  var liveCount = 0
  /// Makes the identifier of the next flow.
  var nextNumber: UInt64 = 0
  /// Flows with a TCP session.
  private var sessionCount = 0

  /// Octets that a session takes, for `stream.memcap`: its own state and that of both streams.
  public static let sessionBytes = MemoryLayout<TCPSession>.stride &+ 256

  public init(settings: FlowTableSettings) {
    self.settings = settings
    hash = FlowHash(seed: settings.seed)
    keyParts = FlowKey.Parts(settings)
    openTimeoutMin = settings.openTimeoutMinSeconds &* 1_000_000_000
    slots = [UInt64](repeating: 0, count: 1024)
  }

  /// Flows held now.
  public var count: Int { liveCount }

  /// Flows that one packet may begin: one for each packet inside it, sixteen at most, and itself.
  private static let flowsPerPacketMax: UInt64 = 32

  /// Flows that the packet in hand begins are numbered after it, so that their identifiers are the same
  /// however the packets of a capture are spread over tables.
  ///
  /// - Parameter number: of the packet, growing; below 2^48, so that no identifier comes twice.
  public mutating func begin(packet number: UInt64) { nextNumber = number &* Self.flowsPerPacketMax }

  /// Finds or makes the flow of a packet, counts the packet on it and runs TCP tracking.
  ///
  /// - Parameter packetLength: octets as captured, for the byte counts.
  /// - Returns: see ``FlowLookup/Outcome``; with `.supersedes` and `.full` nothing was changed.
  public mutating func track(
    _ packet: borrowing DecodedPacket, packetLength: Int, time: Timestamp
  ) -> FlowLookup {
    guard FlowKey.belongsToFlow(packet) else { return FlowLookup(.none) }
    wheel.start(at: time)
    if FlowKey.isUnreachable(packet) {
      return trackQuoted(packet, packetLength: packetLength, time: time)
    }
    let key = FlowKey.key(of: packet, keyParts)
    let keyHash = hash(key)
    if let (index, direction) = find(key, keyHash) {
      // What came before was no part of a connection; who sends the SYN is its client.
      if direction == .toClient, packet.isTCP, packet.tcp.flags & (TCPFields.syn | TCPFields.ack) == TCPFields.syn,
        sessions[index.index].state == .none
      {
        swapSides(index)
        return update(index, .toServer, packet, packetLength: packetLength, time: time, .existing)
      }
      if let reason = reasonToSupersede(index, packet, direction, time) {
        var lookup = FlowLookup(.supersedes, index, direction)
        lookup.endReason = reason
        return lookup
      }
      return update(index, direction, packet, packetLength: packetLength, time: time, .existing)
    }
    if FlowKey.isICMPError(packet) { return FlowLookup(.none) }
    guard liveCount < min(settings.flowCountMax, Int(UInt32.max) - 1) else {
      counters.memcapHits &+= 1
      return FlowLookup(.full)
    }
    // Who answers a SYN that was not seen is the server, where such a connection is followed.
    var isAnswer = FlowKey.isSynAck(packet)
    if !settings.tcp.picksUpSynAck { isAnswer = false }
    let index = insert(isAnswer ? key.reversed : key, keyHash, packet, time)
    return update(
      index, isAnswer ? .toClient : .toServer, packet, packetLength: packetLength, time: time, .new)
  }

  /// The flow that an ICMP error is about, and the direction in which the error travels; counts nothing.
  public mutating func lookupQuoted(_ packet: borrowing DecodedPacket) -> (index: FlowIndex, direction: Direction)? {
    guard packet.icmp.hasQuoted else { return nil }
    let key = FlowKey.quotedKey(of: packet, keyParts)
    guard let (index, quotedDirection) = find(key, hash(key)) else { return nil }
    return (index, quotedDirection.opposite)
  }

  /// The flow with this key as one of its ends sees it, outside of tunnels.
  public mutating func lookup(_ tuple: FlowTuple) -> (index: FlowIndex, direction: Direction)? {
    var key = tuple
    if !settings.usesVLAN { key.vlan = 0 }
    return find(key, hash(key))
  }

  /// The record at `index`; it must be one that `track` gave and that was not removed since.
  ///
  /// Inlined, because a coroutine over so large a record allocates its frame with each access.
  @inlinable
  public subscript(index: FlowIndex) -> Flow {
    _read { yield flows[index.index] }
    _modify { yield &flows[index.index] }
  }

  /// The TCP session beside the record at `index`.
  public func session(_ index: FlowIndex) -> TCPSession { sessions[index.index] }

  /// Of that session; without a copy of it.
  public func tcpState(_ index: FlowIndex) -> TCPState { sessions[index.index].state }

  /// Whether `index` holds a flow.
  public func isLive(_ index: FlowIndex) -> Bool {
    index.index < links.count && links[index.index].isLive
  }

  /// Marks a flow as not to be looked at again; its timeout becomes that of bypassed flows.
  public mutating func bypass(_ index: FlowIndex) { setState(index, .bypassed) }

  /// A bypassed flow is to be looked at again: its TCP session is picked up where it is now.
  public mutating func resume(_ index: FlowIndex) {
    guard isLive(index), flows[index.index].state == .bypassed else { return }
    var session = TCPSession()
    session.mayBePickedUp = true
    if sessions[index.index].state != .none { sessionCount &-= 1 }
    sessions[index.index] = session
    flows[index.index].disposition = .inspect
    setState(index, .established)
  }

  /// Something was seen of the flow elsewhere: it is not silent.
  public mutating func touch(_ index: FlowIndex, at time: Timestamp) {
    guard isLive(index), flows[index.index].lastTime < time else { return }
    flows[index.index].lastTime = time
  }

  /// The places of all flows there are.
  public var liveIndices: [FlowIndex] {
    links.indices.filter { links[$0].isLive }.map { FlowIndex(rawValue: UInt32($0)) }
  }

  /// Exchanges client and server, where something above found that they were taken wrongly
  /// (a connection picked up in its middle).
  public mutating func swapSides(_ index: FlowIndex) {
    guard isLive(index) else { return }
    let flow = flows[index.index]
    flows[index.index].tuple = flow.tuple.reversed
    flows[index.index].toServer = flow.toClient
    flows[index.index].toClient = flow.toServer
    sessions[index.index].swapSides()
  }

  /// Takes a flow out; its place may serve another flow from now on.
  /// - Returns: the record as it was last, nil if there was none.
  @discardableResult
  public mutating func remove(_ index: FlowIndex, reason: FlowEndReason) -> Flow? {
    guard isLive(index) else { return nil }
    let flow = flows[index.index]
    if sessions[index.index].state != .none { sessionCount &-= 1 }
    removeFromIndex(flow.tuple, index)
    wheel.unlink(index, &links)
    links[index.index].isLive = false
    links[index.index].next = freeHead
    freeHead = index
    liveCount &-= 1
    counters.flowsEnded &+= 1
    counters.flowsActive = UInt64(liveCount)
    if reason == .timeout { counters.flowsTimedOut &+= 1 }
    if reason == .reuse { counters.tcpReused &+= 1 }
    return flow
  }
}

// MARK: - Counting packets

extension FlowTable {
  private mutating func trackQuoted(
    _ packet: borrowing DecodedPacket, packetLength: Int, time: Timestamp
  ) -> FlowLookup {
    guard let (index, direction) = lookupQuoted(packet) else { return FlowLookup(.none) }
    count(packet, on: index, direction, packetLength, time)
    var lookup = FlowLookup(.existing, index, direction)
    lookup.isQuoted = true
    return lookup
  }

  private mutating func update(
    _ index: FlowIndex, _ direction: Direction, _ packet: borrowing DecodedPacket,
    packetLength: Int, time: Timestamp, _ outcome: FlowLookup.Outcome
  ) -> FlowLookup {
    var lookup = FlowLookup(outcome, index, direction)
    count(packet, on: index, direction, packetLength, time)
    if packet.isTCP {
      lookup.tcp = trackSession(index, direction, packet, time)
      noteTCP(index, lookup.tcp, packet.tcp.flags, direction)
    } else {
      noteICMP(index, packet, direction)
      let flow = flows[index.index]
      if flow.state == .new, flow.toServer.packetCount > 0, flow.toClient.packetCount > 0 {
        setState(index, .established)
      }
    }
    return lookup
  }

  private mutating func trackSession(
    _ index: FlowIndex, _ direction: Direction, _ packet: borrowing DecodedPacket, _ time: Timestamp
  ) -> TCPTrackResult {
    guard sessions[index.index].state == .none else {
      let result = sessions[index.index].track(packet, direction, time, settings.tcp)
      if sessions[index.index].state == .none { sessionCount &-= 1 }
      return result
    }
    let before = sessions[index.index]
    let result = sessions[index.index].track(packet, direction, time, settings.tcp)
    guard sessions[index.index].state != .none else { return result }
    guard sessionCount < settings.sessionCountMax else {
      sessions[index.index] = before
      counters.sessionMemcapHits &+= 1
      var refused = TCPTrackResult()
      refused.flags = .noRoom
      return refused
    }
    sessionCount &+= 1
    return result
  }

  private mutating func count(
    _ packet: borrowing DecodedPacket, on index: FlowIndex, _ direction: Direction,
    _ packetLength: Int, _ time: Timestamp
  ) {
    let length = UInt64(max(0, packetLength))
    if direction == .toServer {
      flows[index.index].toServer.count(length, packet.timeToLive)
    } else {
      flows[index.index].toClient.count(length, packet.timeToLive)
    }
    // Captures may run backwards; the end of a flow does not.
    if flows[index.index].lastTime < time { flows[index.index].lastTime = time }
  }

  private mutating func noteTCP(
    _ index: FlowIndex, _ result: TCPTrackResult, _ flags: UInt8, _ direction: Direction
  ) {
    if flags & TCPFields.syn != 0 {
      if flags & TCPFields.ack != 0 { counters.tcpSynAck &+= 1 } else { counters.tcpSyn &+= 1 }
    }
    if flags & TCPFields.rst != 0 { counters.tcpRst &+= 1 }
    if result.flags.contains(.badChecksum) { counters.tcpInvalidChecksum &+= 1 }
    if result.flags.contains(.noSession) { counters.tcpNoSession &+= 1 }
    if result.flags.contains(.sessionStarted) { counters.tcpSessions &+= 1 }
    if result.flags.contains(.midstreamPickup) { counters.tcpMidstreamPickups &+= 1 }
    let tcpState = sessions[index.index].state
    if tcpState != .none, !result.flags.contains(.badChecksum) {
      if direction == .toServer {
        flows[index.index].toServer.tcpFlags |= flags
      } else {
        flows[index.index].toClient.tcpFlags |= flags
      }
    }
    flows[index.index].isMidstream = sessions[index.index].isMidstream
    let state: FlowState
    switch tcpState {
    case .none, .synSent, .synReceived: state = .new
    case .established, .finWait1, .finWait2, .closeWait, .closing: state = .established
    case .timeWait, .lastAck, .closed: state = .closed
    }
    if flows[index.index].state != .bypassed { setState(index, state) }
  }

  private mutating func noteICMP(
    _ index: FlowIndex, _ packet: borrowing DecodedPacket, _ direction: Direction
  ) {
    guard packet.isICMP else { return }
    if direction == .toServer, flows[index.index].toServer.packetCount == 1 {
      flows[index.index].icmpType = packet.icmp.type
      flows[index.index].icmpCode = packet.icmp.code
    } else if direction == .toClient, flows[index.index].toClient.packetCount == 1 {
      flows[index.index].icmpResponseType = packet.icmp.type
      flows[index.index].icmpResponseCode = packet.icmp.code
    }
  }

  private mutating func setState(_ index: FlowIndex, _ state: FlowState) {
    guard isLive(index), flows[index.index].state != state else { return }
    flows[index.index].state = state
    wheel.unlink(index, &links)
    wheel.link(index, &links, dueSecond: dueTime(index).seconds &+ 1)
  }

  private mutating func reasonToSupersede(
    _ index: FlowIndex, _ packet: borrowing DecodedPacket, _ direction: Direction, _ time: Timestamp
  ) -> FlowEndReason? {
    // Most packets come sooner than any flow times out that is not closed.
    let mayBeDue =
      time.nanoseconds &- flows[index.index].lastTime.nanoseconds >= openTimeoutMin || flows[index.index].state == .closed
    if mayBeDue, dueTime(index) <= time, flows[index.index].lastTime < time { return .timeout }
    guard packet.isTCP, packet.tcp.flags & (TCPFields.syn | TCPFields.ack) == TCPFields.syn else { return nil }
    if sessions[index.index].isReuse(packet.tcp, direction) { return .reuse }
    // Nothing was seen of how a bypassed connection ended, nor one that is dropped; a SYN says that it did.
    let isUnseen = flows[index.index].state == .bypassed || settings.tcp.renewsSessions && flows[index.index].isDropped
    let isOther = packet.tcp.sequence != sessions[index.index].sender(direction).initialSequence
    return isUnseen && isOther ? .reuse : nil
  }

  /// The last moment at which the flow is not yet timed out.
  mutating func dueTime(_ index: FlowIndex) -> Timestamp {
    let timeouts =
      switch flows[index.index].tuple.ipProtocol {
      case IPProtocol.tcp: settings.tcpTimeouts
      case IPProtocol.udp: settings.udpTimeouts
      case IPProtocol.icmp, IPProtocol.icmpv6: settings.icmpTimeouts
      default: settings.otherTimeouts
      }
    let seconds = timeouts.seconds(flows[index.index].state)
    // Wraps only beyond the year 2262.
    return Timestamp(nanoseconds: flows[index.index].lastTime.nanoseconds &+ seconds &* 1_000_000_000)
  }
}

extension FlowSide {
  fileprivate mutating func count(_ length: UInt64, _ timeToLive: UInt8) {
    timeToLiveMin = packetCount == 0 ? timeToLive : min(timeToLiveMin, timeToLive)
    timeToLiveMax = max(timeToLiveMax, timeToLive)
    packetCount &+= 1
    byteCount &+= length
  }
}
