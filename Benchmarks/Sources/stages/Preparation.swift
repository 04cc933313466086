import AppLayer
import Detection
import FlowTracking
import Inspection
import PacketDecoding
import StreamReassembly
import Traffic

/// What each stage is handed by the one before it, made once.
struct Preparation {
  /// A packet as tracking leaves it.
  struct Tracked {
    var packet: DecodedPacket
    var lookup: FlowLookup
    /// Its flow in ``Preparation/flows``; nil where it has none.
    var flow: Int?
    /// All that is known of the flow but its application.
    var facts = FlowFacts()
    var isInStream = false
    var streamEvents = StreamEventSet()
    /// What it brings to the flow's streams: places in ``Preparation/pieces``.
    var pieces = 0..<0
    /// The same of what is told once its session is over.
    var lastPieces = 0..<0
  }

  /// A segment on its way into reassembly.
  struct Segment {
    enum Ending { case none, direction, session }

    var flow: UInt32
    var segment: StreamSegment
    /// In the capture.
    var payload: Range<Int>
    /// What was there of the flow's streams is forgotten first.
    var startsOver: Bool
    var ending = Ending.none
  }

  /// A chunk or a datagram.
  struct Piece {
    /// In ``Preparation/octets``.
    var range: Range<Int>
    var direction: Direction
    var offset: UInt64
    var gapBefore: UInt64
    var isEnd: Bool
    var isRawOnly: Bool
    var time: Timestamp

    /// As reassembly has delivered it.
    /// - Parameter octets: those of the preparation.
    @_lifetime(copy octets)
    func chunk(_ octets: RawSpan) -> StreamChunk {
      StreamChunk(
        bytes: octets.extracting(range), direction: direction, offset: offset, gapBefore: gapBefore, isEnd: isEnd,
        isRawOnly: isRawOnly, time: time)
    }
  }

  struct Flow {
    var tuple: FlowTuple
    var isMidstream: Bool
    var isTCP: Bool
    var lastTime: Timestamp
    /// In ``Preparation/pieces``.
    var pieces: [Int] = []
  }

  private(set) var tracked: [Tracked] = []
  private(set) var segments: [Segment] = []
  private(set) var pieces: [Piece] = []
  private(set) var octets: [UInt8] = []
  private(set) var flows: [Flow] = []

  /// By place in the flow table: the flow there, and whether it was established before the packet in hand.
  private var places: [(flow: Int, wasEstablished: Bool)] = []
  private var startsOver: Set<UInt32> = []

  init(_ input: Input, _ settings: InspectionSettings) {
    let decoder = PacketDecoder(settings: settings.decoder)
    var table = FlowTable(settings: settings.flows)
    var reassembler = StreamReassembler(settings: settings.reassembly)
    for (number, raw) in input.packets.enumerated() {
      let bytes = input.octets.rawSpan.extracting(raw.range)
      let packet = decoder.decode(bytes, link: raw.link, time: raw.time)
      let lookup = table.follow(packet, number: UInt64(number) + 1, length: raw.length, time: raw.time)
      var one = Tracked(packet: packet, lookup: lookup, flow: nil)
      if lookup.hasFlow {
        note(&one, table, &reassembler)
        if packet.isTCP { reassemble(&one, raw, input, table, &reassembler) } else { takeDatagram(&one, bytes) }
      }
      tracked.append(one)
    }
  }

  // MARK: Flow

  private mutating func note(_ one: inout Tracked, _ table: borrowing FlowTable, _ reassembler: inout StreamReassembler) {
    let flow = table[one.lookup.index]
    let place = one.lookup.index.index
    while places.count <= place { places.append((0, false)) }
    if one.lookup.isNew {
      places[place] = (flows.count, false)
      reassembler.reset(flow: one.lookup.index.rawValue)
      startsOver.insert(one.lookup.index.rawValue)
      flows.append(
        Flow(
          tuple: flow.tuple, isMidstream: flow.isMidstream, isTCP: one.packet.isTCP, lastTime: one.packet.time))
    }
    let number = places[place].flow
    flows[number].lastTime = one.packet.time
    one.flow = number
    var facts = FlowFacts()
    facts.id = flow.flowID
    facts.packetDirection = one.lookup.direction
    // As the path has it: the packet that completes a handshake is no part of what it begins, but for data it brings.
    let isNow = flow.state != .new
    let wasBefore = places[place].wasEstablished
    places[place].wasEstablished = isNow
    facts.isEstablished = one.packet.isTCP ? wasBefore || isNow && one.packet.payloadLength > 0 : isNow
    facts.isMidstream = flow.isMidstream
    facts.packets = .init(toServer: flow.toServer.packetCount, toClient: flow.toClient.packetCount)
    facts.bytes = .init(toServer: flow.toServer.byteCount, toClient: flow.toClient.byteCount)
    facts.start = flow.startTime
    one.facts = facts
  }

  // MARK: Streams

  private mutating func reassemble(
    _ one: inout Tracked, _ raw: Input.Packet, _ input: Input, _ table: borrowing FlowTable,
    _ reassembler: inout StreamReassembler
  ) {
    let (packet, lookup) = (one.packet, one.lookup)
    let place = lookup.index.rawValue
    one.streamEvents = lookup.tcp.events
    if lookup.tcp.flags.contains(.sessionStarted) {
      reassembler.reset(flow: place)
      startsOver.insert(place)
    }
    guard lookup.tcp.isAccepted else { return }
    var segment = StreamSegment(packet, direction: lookup.direction)
    segment.deliversNow = lookup.tcp.flags.contains(.oneSided)
    let start = raw.range.lowerBound + Int(packet.payloadOffset)
    // Data on a SYN belongs to the stream with TCP fast open alone (RFC 7413).
    let isSynData = packet.tcp.has(TCPFields.syn) && !table.session(lookup.index).isFastOpen
    let payload = start..<start + (isSynData ? 0 : Int(packet.payloadLength))
    var step = Segment(
      flow: place, segment: segment, payload: payload, startsOver: startsOver.remove(place) != nil)
    if lookup.tcp.isSessionEnded { step.ending = packet.tcp.has(TCPFields.rst) ? .direction : .session }
    let before = pieces.count
    let result = reassembler.add(flow: place, segment, payload: input.octets.rawSpan.extracting(payload)) { append($0, one) }
    if step.ending == .direction {
      reassembler.finish(flow: place, direction: lookup.direction, time: packet.time) { append($0, one) }
    }
    one.pieces = before..<pieces.count
    one.streamEvents.formUnion(result.events)
    one.isInStream = !payload.isEmpty && !result.isRefused && !result.isBeyondDepth
    if lookup.tcp.isSessionEnded { reassembler.finish(flow: place, time: packet.time) { append($0, one) } }
    one.lastPieces = one.pieces.upperBound..<pieces.count
    segments.append(step)
  }

  private mutating func takeDatagram(_ one: inout Tracked, _ bytes: RawSpan) {
    guard one.packet.isUDP, !one.lookup.isQuoted else { return }
    let before = pieces.count
    append(
      StreamChunk(
        bytes: one.packet.payload(of: bytes), direction: one.lookup.direction, offset: 0, time: one.packet.time),
      one)
    one.pieces = before..<pieces.count
  }

  private mutating func append(_ chunk: borrowing StreamChunk, _ one: Tracked) {
    guard let flow = one.flow else { return }
    let start = octets.count
    octets.append(chunk.bytes)
    flows[flow].pieces.append(pieces.count)
    pieces.append(
      Piece(
        range: start..<octets.count, direction: chunk.direction, offset: chunk.offset, gapBefore: chunk.gapBefore,
        isEnd: chunk.isEnd, isRawOnly: chunk.isRawOnly, time: chunk.time))
  }
}

extension FlowTable {
  /// What the path asks of its table for each packet: to end what is over, then to find or make the packet's flow.
  @inline(__always)
  mutating func follow(_ packet: borrowing DecodedPacket, number: UInt64, length: Int, time: Timestamp) -> FlowLookup {
    begin(packet: number)
    expire(now: time) { _, _, _ in }
    let lookup = track(packet, packetLength: length, time: time)
    guard lookup.outcome == .supersedes else { return lookup }
    remove(lookup.index, reason: lookup.endReason)
    return track(packet, packetLength: length, time: time)
  }
}
