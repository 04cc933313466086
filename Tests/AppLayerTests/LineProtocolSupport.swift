import TestSupport
import Testing
import Traffic

@testable import AppLayer

extension Transaction {
  /// The octets of a buffer as text.
  func spelled(_ id: BufferID, _ direction: Direction, _ index: Int = 0) -> String? {
    buffer(id, direction, index: index).map { String(decoding: $0.storage[$0.range], as: UTF8.self) }
  }

  /// All that rules can see of it.
  var view: [String] {
    var out = ["\(id) \(progress) \(events.map(\.name))"]
    for direction in Direction.allCases {
      out += files(direction).map { "\($0.name) \($0.sizeBytes) \($0.state) \($0.hasGap)" }
      for id in BufferID.allCases {
        var index = 0
        while let view = buffer(id, direction, index: index) {
          out.append("\(id) \(direction) \(index) \(view.isComplete) \(Array(view.storage[view.range]))")
          index += 1
        }
      }
      for id in NumberID.allCases {
        if let number = number(id, direction, index: 0) { out.append("\(id) \(direction) \(number)") }
      }
    }
    return out
  }
}

/// Feeds a conversation whole, byte by byte, and damaged in many ways cut otherwise: what is seen must be the same.
func expectCutsDoNotMatter(
  _ conversation: [Sent], seed: UInt64, rounds: Int = 400, _ make: () -> AppLayerParser
) {
  func seen(_ conversation: [Sent], cut: (([UInt8]) -> [[UInt8]])? = nil) -> [String] {
    let parser = feed(make(), conversation, cut: cut)
    parser.finish(at: trafficTime)
    let frames = (parser.frames?.frames ?? []).filter { $0.kind.name != "stream" }
      .map { "\($0.kind.name) \($0.direction) \($0.isComplete) \($0.bytes)" }
    return parser.transactions.flatMap(\.view) + ["\(parser.hasFailed)"] + frames
  }
  #expect(seen(conversation) { $0.map { [$0] } } == seen(conversation))
  var mutator = Mutator(seed: seed)
  for round in 0..<rounds {
    let damaged = conversation.map { sent in
      var copy = sent
      copy.bytes = mutator.mutate(sent.bytes)
      if round % 17 == 0, !copy.bytes.isEmpty { copy.gap = UInt64(round % 300) }
      return copy
    }
    #expect(seen(damaged) { mutator.pieces(of: $0, most: 12) } == seen(damaged))
  }
}
