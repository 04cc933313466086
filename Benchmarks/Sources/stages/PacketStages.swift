import FlowTracking
import Inspection
import PacketDecoding
import StreamReassembly
import Traffic

/// Headers of each packet, checksums verified.
final class DecodeStage: Stage {
  let name = "decode"
  let unit = "packet"
  private let input: Input
  private let decoder: PacketDecoder
  private let wanted: Int

  init(_ input: Input, _ preparation: Preparation, _ settings: InspectionSettings) {
    self.input = input
    decoder = PacketDecoder(settings: settings.decoder)
    wanted = preparation.tracked.reduce(0) { $0 + Int($1.packet.payloadLength) }
  }

  var unitCount: Int { input.packets.count }
  var octetCount: Int { input.octets.count }

  func round(_ number: Int64) throws(StageError) {
    try expect("octets of payload", measured(), wanted)
  }

  @inline(never)
  private func measured() -> Int {
    var octets = 0
    let captured = input.octets
    for packet in input.packets {
      let decoded = decoder.decode(captured.rawSpan.extracting(packet.range), link: packet.link, time: packet.time)
      octets &+= Int(decoded.payloadLength)
    }
    return octets
  }
}

/// The flow of each packet, TCP's states, and the end of flows.
final class FlowStage: Stage {
  let name = "flow"
  let unit = "packet"
  private let packets: [Preparation.Tracked]
  private let lengths: [Int]
  private let input: Input
  private let wanted: UInt64
  private let acceptedWanted: Int
  private var table: FlowTable
  private var packetNumber: UInt64 = 0

  init(_ input: Input, _ preparation: Preparation, _ expectation: Expectation, _ settings: InspectionSettings) {
    self.input = input
    packets = preparation.tracked
    lengths = input.packets.map(\.length)
    wanted = expectation.flows
    acceptedWanted = preparation.segments.count
    table = FlowTable(settings: settings.flows)
  }

  var unitCount: Int { packets.count }
  var octetCount: Int { input.octets.count }

  func round(_ number: Int64) throws(StageError) {
    let before = table.counters.flowsCreated
    try expect("accepted segments", measured(input.roundNanoseconds &* number), acceptedWanted)
    try expect("flows", table.counters.flowsCreated - before, wanted)
  }

  @inline(never)
  private func measured(_ later: Int64) -> Int {
    var accepted = 0
    let (packets, lengths) = (packets, lengths)
    for index in packets.indices {
      packetNumber &+= 1
      let lookup = table.follow(
        packets[index].packet, number: packetNumber, length: lengths[index],
        time: packets[index].packet.time.later(by: later))
      if lookup.hasFlow, lookup.tcp.isAccepted { accepted &+= 1 }
    }
    return accepted
  }
}

/// Segments put in order, what is contiguous delivered.
final class ReassemblyStage: Stage {
  let name = "reassembly"
  let unit = "segment"
  private let input: Input
  private let segments: [Preparation.Segment]
  private let flows: [UInt32]
  private let end: Timestamp
  private let wanted: UInt64
  private var reassembler: StreamReassembler

  init(_ input: Input, _ preparation: Preparation, _ expectation: Expectation, _ settings: InspectionSettings) {
    self.input = input
    segments = preparation.segments
    flows = Set(segments.map(\.flow)).sorted()
    end = preparation.tracked.last?.packet.time ?? Timestamp(nanoseconds: 0)
    wanted = expectation.deliveredOctets
    reassembler = StreamReassembler(settings: settings.reassembly)
  }

  var unitCount: Int { segments.count }
  var octetCount: Int { segments.reduce(0) { $0 + $1.payload.count } }

  func round(_ number: Int64) throws(StageError) {
    let before = reassembler.counters.deliveredBytes
    try expect("octets in chunks", measured(), reassembler.counters.deliveredBytes - before)
    try expect("octets delivered", reassembler.counters.deliveredBytes - before, wanted)
  }

  @inline(never)
  private func measured() -> UInt64 {
    var octets: UInt64 = 0
    let captured = input.octets
    for step in segments {
      if step.startsOver { reassembler.reset(flow: step.flow) }
      _ = reassembler.add(flow: step.flow, step.segment, payload: captured.rawSpan.extracting(step.payload)) {
        octets &+= $0.deliveredCount
      }
      switch step.ending {
      case .none: break
      case .direction:
        reassembler.finish(flow: step.flow, direction: step.segment.direction, time: step.segment.time) {
          octets &+= $0.deliveredCount
        }
        fallthrough
      case .session:
        reassembler.finish(flow: step.flow, time: step.segment.time) { octets &+= $0.deliveredCount }
      }
    }
    for flow in flows {
      reassembler.finish(flow: flow, time: end) { octets &+= $0.deliveredCount }
      reassembler.reset(flow: flow)
    }
    return octets
  }
}

extension StreamChunk {
  /// Octets of the stream; what lies behind its end is none of it.
  fileprivate var deliveredCount: UInt64 { isRawOnly ? 0 : UInt64(bytes.byteCount) }
}
