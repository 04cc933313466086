import PacketDecoding
import StreamReassembly
import TestSupport
import Testing
import Traffic

/// A stream cut up, sent twice in part, shuffled within a window, acknowledged now and then.
private func feed(
  _ scene: StreamScene, _ bytes: [UInt8], base: UInt32, seed: UInt64, most: Int, shuffles: Bool,
  repeats: Bool
) {
  var generator = SeededGenerator(seed: seed)
  var segments: [Range<Int>] = []
  var position = 0
  while position < bytes.count {
    let end = min(bytes.count, position + Int.random(in: 1...most, using: &generator))
    segments.append(position..<end)
    position = end
  }
  if repeats {
    for _ in 0..<segments.count / 3 {
      let start = Int.random(in: 0..<bytes.count, using: &generator)
      let end = min(bytes.count, start + Int.random(in: 1...most * 3, using: &generator))
      segments.insert(start..<end, at: Int.random(in: 0...segments.count, using: &generator))
    }
  }
  if shuffles {
    for index in segments.indices {
      let other = min(segments.count - 1, index + Int.random(in: 0...8, using: &generator))
      segments.swapAt(index, other)
    }
  }
  var seen = [Bool](repeating: false, count: bytes.count)
  var acknowledged = 0
  for segment in segments {
    let sequence = base &+ 1 &+ UInt32(segment.lowerBound)
    let isFin = segment.upperBound == bytes.count
    scene.add(at: sequence, Array(bytes[segment]), fin: isFin)
    for index in segment { seen[index] = true }
    while acknowledged < bytes.count, seen[acknowledged] { acknowledged += 1 }
    if Bool.random(using: &generator) {
      scene.add(.toClient, at: 5001, [], ack: base &+ 1 &+ UInt32(acknowledged))
    }
  }
  scene.add(.toClient, at: 5001, [], ack: base &+ 2 &+ UInt32(bytes.count))
}

@Test func howAStreamIsCutMakesNoDifference() {
  var generator = SeededGenerator(seed: 21)
  for round: UInt64 in 0..<120 {
    let bytes = generator.bytes(Int.random(in: 1...3000, using: &generator))
    // Near the wrap half of the time.
    let base = Bool.random(using: &generator) ? 0xffff_fff0 &- UInt32(round) : 1000
    for delivery in [DeliveryMode.inline, .acknowledged] {
      for (most, shuffles, repeats) in [
        (3000, false, false), (1, false, false), (100, false, false), (100, true, false),
        (100, false, true), (50, true, true),
      ] {
        if most == 1, round % 10 != 0 { continue }
        let scene = StreamScene(delivery)
        scene.handshake(client: base)
        feed(
          scene, bytes, base: base, seed: round, most: most, shuffles: shuffles, repeats: repeats)
        let isSame = scene.delivered[0] == bytes
        #expect(isSame, "round \(round) \(delivery) \(most) \(shuffles) \(repeats)")
        #expect(scene.ends[0] == (delivery == .inline ? 1 : 0))
        scene.finish()
        #expect(scene.ends[0] == 1 && scene.gaps[0].isEmpty && scene.isConsistent)
        #expect(scene.reassembler.counters.overlapsDifferent == 0)
        #expect(scene.reassembler.counters.heldBytes == 0)
      }
    }
  }
}

/// What a stream would be by the policies, octet by octet, with all segments kept.
private struct OverlapOracle {
  var old: [(range: Range<Int64>, Bool)] = []
  var bytes: [UInt8?]

  mutating func add(_ range: Range<Int64>, _ data: [UInt8], _ policy: OverlapPolicy) {
    let standing = old.filter { !policy.newWins(range, over: $0.range) }
    for (offset, octet) in data.enumerated() {
      let position = range.lowerBound + Int64(offset)
      if bytes[Int(position)] != nil, standing.contains(where: { $0.range.contains(position) }) {
        continue
      }
      bytes[Int(position)] = octet
    }
    old.append((range, true))
  }
}

@Test func conflictingSegmentsAgreeWithTheOracleForEveryPolicy() {
  var generator = SeededGenerator(seed: 33)
  for round in 0..<400 {
    let policy = OverlapPolicy.allCases[round % OverlapPolicy.allCases.count]
    let scene = StreamScene(.acknowledged)
    scene.handshake()
    var oracle = OverlapOracle(bytes: Array(repeating: nil, count: 200))
    for _ in 0..<40 {
      let start = Int64.random(in: 0..<150, using: &generator)
      let data = generator.bytes(Int.random(in: 1...50, using: &generator))
      scene.add(at: 1001 + UInt32(start), data, policy: policy)
      oracle.add(start..<start + Int64(data.count), data, policy)
    }
    scene.finish()
    let matches = scene.delivered[0] == oracle.bytes.compactMap { $0 }
    #expect(matches, "round \(round) \(policy)")
    #expect(scene.isConsistent)
  }
}

@Test func noSegmentsWhateverBreakReassembly() {
  var generator = SeededGenerator(seed: 4)
  var reassembler = StreamReassembler(
    settings: {
      var settings = ReassemblySettings()
      settings.memcapBytes = 20_000
      settings.streamHeldBytesMax = 4_000
      settings.streamHeldSegmentsMax = 50
      settings.historyBytesMax = 500
      settings.depthBytes = 50_000
      return settings
    }())
  let payload = generator.bytes(300)
  var next = [UInt64](repeating: 0, count: 16)
  var isConsistent = true
  for _ in 0..<100_000 {
    let flow = UInt32.random(in: 0..<8, using: &generator)
    let near = UInt32.random(in: 0..<2000, using: &generator)
    let wild = UInt32.random(in: 0...(.max), using: &generator)
    var segment = StreamSegment(
      direction: Bool.random(using: &generator) ? .toServer : .toClient,
      sequence: wild % 50 == 0 ? wild : near, acknowledgement: wild % 97 == 0 ? wild : near,
      hasAcknowledgement: wild % 2 == 0, isSyn: wild % 31 == 0, isFin: wild % 37 == 0,
      time: Timestamp(seconds: 1),
      policy: OverlapPolicy.allCases[Int(wild % UInt32(OverlapPolicy.allCases.count))])
    segment.deliversNow = wild % 11 == 0
    let count = Int.random(in: 0...300, using: &generator)
    func take(_ chunk: borrowing StreamChunk) {
      let index = Int(flow) * 2 + chunk.direction.index
      if chunk.offset != next[index] + chunk.gapBefore { isConsistent = false }
      next[index] = chunk.offset + UInt64(chunk.bytes.byteCount)
    }
    _ = reassembler.add(
      flow: flow, segment, payload: payload.rawSpan.extracting(0..<count), take)
    if wild % 401 == 0 { reassembler.finish(flow: flow, time: Timestamp(seconds: 1), take) }
    if wild % 211 == 0 {
      reassembler.reset(flow: flow)
      next[Int(flow) * 2] = 0
      next[Int(flow) * 2 + 1] = 0
    }
    // A SYN may begin a stream anew as long as it has shown no data.
    if !isConsistent { break }
  }
  #expect(isConsistent)
  #expect(reassembler.counters.heldBytesMax <= 40_000)
  for flow: UInt32 in 0..<8 { reassembler.reset(flow: flow) }
  #expect(reassembler.counters.heldBytes == 0)
}
