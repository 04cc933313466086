import TestSupport
import Testing

@testable import AppLayer

struct HTTPInvarianceTests {
  private func snapshots(_ conversation: [Sent], cut: (([UInt8]) -> [[UInt8]])? = nil) -> [[String]] {
    let parser = HTTPParser(settings: HTTPSettings())
    feed(parser, conversation, cut: cut)
    parser.finish(at: trafficTime)
    return parser.transactions.compactMap { ($0 as? HTTPTransaction)?.snapshot }
      + [["\(parser.hasFailed) \(String(describing: parser.successor)) \(parser.heldForSuccessor)"]]
  }

  @Test(arguments: HTTPCorpus.all.indices)
  func howADirectionIsCutDoesNotMatter(index: Int) {
    let conversation = HTTPCorpus.all[index]
    let whole = snapshots(conversation)
    #expect(whole.count > 1)
    #expect(snapshots(conversation) { $0.map { [$0] } } == whole, "octet by octet")
    var mutator = Mutator(seed: UInt64(index) &+ 1)
    for _ in 0..<20 {
      #expect(snapshots(conversation) { mutator.pieces(of: $0, most: 9) } == whole, "random cuts")
    }
    for at in 1..<(conversation.map(\.bytes.count).max() ?? 1) {
      let halves = snapshots(conversation) { [Array($0.prefix(at)), Array($0.dropFirst(at))] }
      #expect(halves == whole, "cut at \(at)")
    }
  }

  /// The colon tells that the indented line is a field of its own, so that the one before it is over.
  @Test func aHeadThatAGapTearsHasTheSameFieldsHoweverItWasCut() {
    let conversation: [Sent] = [
      .client("GET / HTTP/1.1\nHost: a\n\n"), .server(crlf("HTTP/1.1 200 OK\nX: 1\n") + Array(" Y: z".utf8)),
      .server(Array("rest".utf8)).after(gap: 2),
    ]
    let whole = snapshots(conversation)
    #expect(snapshots(conversation) { $0.map { [$0] } } == whole)
    let head = http(conversation).first?.responseHead
    #expect(head?.fields.count == 1)
  }

  /// Damaged traffic read in two ways must still be read alike, and must never stop the program.
  @Test func noDamageStopsTheParser() {
    var mutator = Mutator(seed: 2026)
    var round = 0
    while round < 50_000 {
      for conversation in HTTPCorpus.all {
        let damaged = conversation.map { sent in
          var copy = sent
          if !sent.bytes.isEmpty { copy.bytes = mutator.mutate(sent.bytes) }
          if round % 17 == 0 { copy.gap = UInt64(round % 300) }
          return copy
        }
        let isCut = round % 3 == 0
        let parser = HTTPParser(settings: HTTPSettings())
        feed(parser, damaged, cut: isCut ? { mutator.pieces(of: $0, most: 40) } : nil)
        parser.finish(at: trafficTime)
        #expect(parser.transactions.allSatisfy { $0.isComplete })
        if round % 50 == 0 {
          _ = parser.transactions.compactMap { ($0 as? HTTPTransaction)?.snapshot }
        }
        round += 1
      }
    }
  }

  /// Brotli is left out: its decoder does not tell where exactly broken data broke off.
  @Test func damagedTrafficIsReadAlikeHoweverItIsCut() {
    var mutator = Mutator(seed: 77)
    let label = Array("Encoding: br".utf8)
    let corpus = HTTPCorpus.all.filter { conversation in
      !conversation.contains { $0.bytes.firstRange(of: label) != nil }
    }
    for round in 0..<20_000 {
      let conversation = corpus[round % corpus.count].map { sent in
        var copy = sent
        if !sent.bytes.isEmpty { copy.bytes = mutator.mutate(sent.bytes) }
        return copy
      }
      let whole = snapshots(conversation)
      let cut = snapshots(conversation) { mutator.pieces(of: $0, most: 7) }
      #expect(
        whole == cut, "round \(round): \(conversation.map { String(decoding: $0.bytes, as: UTF8.self) })")
    }
  }
}
