import PacketDecoding
import StreamReassembly
import TestSupport
import Traffic

/// A reassembler of one flow and all that it has delivered.
final class StreamScene {
  var reassembler: StreamReassembler
  /// By direction: the bytes, with gaps left out.
  var delivered: [[UInt8]] = [[], []]
  var gaps: [[UInt64]] = [[], []]
  var ends = [0, 0]
  var chunkCount = 0
  /// Chunks came in order: each offset is where the last one ended, plus the gap.
  var isConsistent = true
  private var next: [UInt64] = [0, 0]

  init(_ delivery: DeliveryMode, _ change: (inout ReassemblySettings) -> Void = { _ in }) {
    var settings = ReassemblySettings()
    settings.delivery = delivery
    change(&settings)
    reassembler = StreamReassembler(settings: settings)
  }

  @discardableResult
  func add(
    _ direction: Direction = .toServer, at sequence: UInt32, _ payload: [UInt8] = [],
    ack: UInt32? = nil, syn: Bool = false, fin: Bool = false, policy: OverlapPolicy = .bsd,
    now: Bool = false, opaque: Bool = false
  ) -> ReassemblyResult {
    var segment = StreamSegment(
      direction: direction, sequence: sequence, acknowledgement: ack ?? 0,
      hasAcknowledgement: ack != nil, isSyn: syn, isFin: fin, time: Timestamp(seconds: 1),
      policy: policy)
    segment.deliversNow = now
    segment.isOpaque = opaque
    var taken = Taken()
    let result = reassembler.add(flow: 0, segment, payload: payload.rawSpan) { taken.take($0) }
    note(taken)
    return result
  }

  @discardableResult
  func add(
    _ direction: Direction = .toServer, at sequence: UInt32, _ text: String, ack: UInt32? = nil,
    policy: OverlapPolicy = .bsd
  ) -> ReassemblyResult {
    add(direction, at: sequence, Array(text.utf8), ack: ack, policy: policy)
  }

  /// SYN of 1000, SYN/ACK of 5000, ACK: data begins at 1001 and 5001.
  func handshake(client: UInt32 = 1000, server: UInt32 = 5000) {
    add(.toServer, at: client, [], syn: true)
    add(.toClient, at: server, [], ack: client &+ 1, syn: true)
    add(.toServer, at: client &+ 1, [], ack: server &+ 1)
  }

  /// The server acknowledges what the client sent before `sequence`.
  @discardableResult
  func acknowledge(_ sequence: UInt32) -> ReassemblyResult {
    add(.toClient, at: 5001, [], ack: sequence)
  }

  func finish() {
    var taken = Taken()
    reassembler.finish(flow: 0, time: Timestamp(seconds: 2)) { taken.take($0) }
    note(taken)
  }

  func flush(_ direction: Direction = .toServer) {
    var taken = Taken()
    reassembler.flush(flow: 0, direction: direction, time: Timestamp(seconds: 2)) { taken.take($0) }
    note(taken)
  }

  var text: String { String(decoding: delivered[0], as: UTF8.self) }

  private func note(_ taken: Taken) {
    for piece in taken.pieces {
      let index = piece.direction.index
      chunkCount += 1
      if piece.offset != next[index] + piece.gap { isConsistent = false }
      next[index] = piece.offset + UInt64(piece.bytes.count)
      delivered[index] += piece.bytes
      if piece.gap > 0 { gaps[index].append(piece.gap) }
      if ends[index] > 0, !piece.isRawOnly { isConsistent = false }
      if piece.isEnd { ends[index] += 1 }
    }
  }
}

private struct Taken {
  struct Piece {
    var bytes: [UInt8]
    var direction: Direction
    var offset: UInt64
    var gap: UInt64
    var isEnd: Bool
    /// Comes behind the end, for raw inspection alone.
    var isRawOnly: Bool
  }
  var pieces: [Piece] = []

  mutating func take(_ chunk: borrowing StreamChunk) {
    pieces.append(
      Piece(
        bytes: chunk.bytes.copied(), direction: chunk.direction, offset: chunk.offset,
        gap: chunk.gapBefore, isEnd: chunk.isEnd, isRawOnly: chunk.isRawOnly))
  }
}
