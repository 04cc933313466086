import Testing
import Traffic

@testable import Capture

@Suite struct PcapngWritingTests {
  private let time = Timestamp(seconds: 1_700_000_000, nanoseconds: 123_456_789)

  @Test func whatIsWrittenIsReadAsItWas() {
    // Lengths of every remainder by four, as blocks are padded to that.
    let frames = (14...17).map { [UInt8](repeating: UInt8($0), count: $0) }
    var file = PcapngWriting.fileHeader(application: "test", interface: "decrypted")
    for frame in frames { file += PcapngWriting.packet(frame, at: time, comment: "a comment") }
    file += PcapngWriting.tlsKeyLog(Array("CLIENT_RANDOM 00 11\n".utf8))
    file += PcapngWriting.packet([1, 2, 3], at: time)
    let result = readAll(file)
    #expect(result.packets.map(\.bytes) == frames + [[1, 2, 3]])
    #expect(result.packets.allSatisfy { $0.time == time && $0.linkType == .ethernet })
    #expect(result.error == nil)
    #expect(result.warnings.isEmpty)
  }

  @Test func framesAreFoundInBlocks() {
    let blocks = PcapngWriting.packet([1, 2, 3, 4, 5], at: time, comment: "x")
      + PcapngWriting.tlsKeyLog([1]) + PcapngWriting.packet([], at: time) + PcapngWriting.packet([6], at: time)
    #expect(frames(blocks) == [[1, 2, 3, 4, 5], [], [6]])
  }

  @Test func damagedBlocksEndTheSearch() {
    let good = PcapngWriting.packet([1, 2, 3, 4], at: time)
    for length: UInt8 in [0, 4, 8, 200] {
      var damaged = good
      damaged[4] = length
      #expect(frames(damaged).isEmpty)
    }
    var long = good
    long[20] = 5  // more than the block holds
    #expect(frames(long).isEmpty)
    for end in good.indices { #expect(frames(Array(good[..<end])).isEmpty) }
  }

  private func frames(_ blocks: [UInt8]) -> [[UInt8]] {
    var found: [[UInt8]] = []
    PcapngWriting.forEachFrame(in: blocks.rawSpan) { found.append($0.copied()) }
    return found
  }
}
