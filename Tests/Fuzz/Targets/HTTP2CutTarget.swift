import AppLayer
import Traffic

/// Streams taken out of an HTTP/2 connection: the first octet is as for ``HTTP2Target``, then a ``Conversation`` in which a
/// piece with a gap has the stream of the gap's size taken out from there on.
///
/// Where nothing is taken out, the octets come out as they went in, however they were cut. Where a stream is, nothing of it
/// follows but what says so, and what comes out is whole frames as long as what went in was.
enum HTTP2CutTarget {
  static func run(_ bytes: [UInt8]) {
    var reader = InputReader(bytes)
    let control = reader.u8()
    var conversation = Conversation(reader.rest())
    if control & 1 != 0 { conversation.mapPieces { HTTP2Target.frame($0.bytes) } }
    if control & 2 == 0 { conversation.pieces.insert(.init(direction: .toServer, bytes: HTTP2Target.preface), at: 0) }
    var plain = conversation
    for index in plain.pieces.indices { plain.pieces[index].gap = 0 }
    checkNothingChanges(plain)
    checkNothingChanges(plain.cut)
    checkCut(conversation)
  }

  private static func checkNothingChanges(_ conversation: Conversation) {
    let relay = Relay()
    var sent: [[UInt8]] = [[], []]
    var isEnded = [false, false]
    conversation.forEachChunk { chunk in
      sent[chunk.direction.index] += chunk.bytes.copied()
      if chunk.isEnd { isEnded[chunk.direction.index] = true }
      relay.pass(chunk, cutting: [])
    }
    precondition(!relay.hasFailed)
    for lane in 0..<2 {
      if isEnded[lane] { precondition(relay.out[lane] == sent[lane]) } else { precondition(sent[lane].starts(with: relay.out[lane])) }
    }
  }

  private static func checkCut(_ conversation: Conversation) {
    let relay = Relay()
    var isEnded = [false, false]
    var offsets: [UInt64] = [0, 0]
    for piece in conversation.pieces where !isEnded[piece.direction.index] && !relay.hasFailed {
      let lane = piece.direction.index
      let chunk = StreamChunk(
        bytes: piece.bytes.rawSpan, direction: piece.direction, offset: offsets[lane], isEnd: piece.isEnd, time: Conversation.time)
      offsets[lane] &+= UInt64(piece.bytes.count)
      isEnded[lane] = piece.isEnd
      relay.pass(chunk, cutting: piece.gap == 0 ? [] : [UInt32(piece.gap)])
    }
    guard !relay.hasFailed, let afterCut = relay.afterCut else { return }
    for (lane, start) in afterCut.enumerated() {
      // Where the cut fell amid a frame, what follows begins with its rest.
      guard relay.wasAtBoundary[lane] else { continue }
      var reader = InputReader(Array(relay.out[lane][start...]))
      while !reader.isAtEnd {
        let head = reader.take(9)
        guard head.count == 9 else { break }
        let length = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
        let stream = head[5...8].reduce(UInt32(0)) { $0 << 8 | UInt32($1) } & 0x7fff_ffff
        let payload = reader.take(length)
        guard stream == relay.stream else { continue }
        // RST_STREAM, or the answer 403.
        precondition(head[3] == 3 || (head[3] == 1 && payload.suffix(3).elementsEqual("403".utf8)), "a frame of a stream that was taken out")
      }
    }
  }

  private final class Relay {
    private let parser: HTTP2Parser
    private let cutter: HTTP2Cutter
    var out: [[UInt8]] = [[], []]
    var hasFailed = false
    /// The first stream that was taken out, and how much of each direction had been passed on then.
    private(set) var stream: UInt32 = 0
    private(set) var afterCut: [Int]?
    private(set) var wasAtBoundary = [false, false]

    init() {
      var settings = HTTP2Target.settings
      settings.keepsBlocks = true
      parser = HTTP2Parser(settings: settings, http: HTTPSettings())
      cutter = HTTP2Cutter(parser, early: ([], []))
    }

    func pass(_ chunk: borrowing StreamChunk, cutting streams: Set<UInt32>) {
      guard !hasFailed else { return }
      parser.consume(chunk)
      let lane = chunk.direction.index
      let before = out.map(\.count)
      switch cutter.process(chunk, cutting: streams) {
      case .unchanged: out[lane] += chunk.bytes.copied()
      case .rewritten(let forward, let back):
        out[lane] += forward
        out[1 - lane] += back
      case .failed: hasFailed = true
      }
      if afterCut == nil, let first = streams.first, cutter.isCut(first) {
        stream = first
        afterCut = before
        wasAtBoundary = before.enumerated().map { isWhole($0.offset, $0.element) }
      }
    }

    /// Whether so much of a direction is whole frames.
    private func isWhole(_ lane: Int, _ count: Int) -> Bool {
      var rest = out[lane][..<count]
      if lane == Direction.toServer.index {
        guard rest.starts(with: HTTP2Target.preface) else { return false }
        rest = rest.dropFirst(HTTP2Target.preface.count)
      }
      while rest.count >= 9 {
        let start = rest.startIndex
        let length = Int(rest[start]) << 16 | Int(rest[start + 1]) << 8 | Int(rest[start + 2])
        guard rest.count >= 9 + length else { return false }
        rest = rest.dropFirst(9 + length)
      }
      return rest.isEmpty
    }
  }

  static var seeds: [(name: String, bytes: [UInt8])] {
    HTTP2Target.seeds.flatMap { name, bytes in
      // As it is, and with streams 1 and 3 taken out at the second piece of the first octet's choice.
      [(name, bytes)] + [UInt8(0), 2].map { stream in ("\(name)-cut-\(stream + 1)", bytes.prefix(1) + cutting(Array(bytes.dropFirst()), stream)) }
    }
  }

  /// The last piece of the client's takes a stream out.
  private static func cutting(_ bytes: [UInt8], _ size: UInt8) -> [UInt8] {
    var reader = InputReader(bytes)
    var pieces: [(control: UInt8, bytes: [UInt8])] = []
    while !reader.isAtEnd {
      let control = reader.u8()
      pieces.append((control, reader.take(Int(reader.u16()))))
    }
    if let last = pieces.lastIndex(where: { $0.control & 1 == 0 && !$0.bytes.isEmpty }) { pieces[last].control |= 4 | size << 3 }
    return pieces.flatMap { [$0.control, UInt8($0.bytes.count & 255), UInt8($0.bytes.count >> 8)] + $0.bytes }
  }
}
