import StreamReassembly
import Testing
import Traffic

@testable import Inspection

@Suite struct SpareRoomTests {
  private func append(_ bytes: [UInt8], at offset: UInt64, to window: inout StreamWindow, _ spare: SpareRoom) {
    window.append(
      StreamChunk(bytes: bytes.rawSpan, direction: .toServer, offset: offset, time: Timestamp(seconds: 1, nanoseconds: 0)),
      spare: spare)
  }

  @Test func windowsThatShareRoomKeepTheirOwnBytes() {
    let spare = SpareRoom()
    var windows = [StreamWindow(), StreamWindow()]
    var ends: [UInt64] = [0, 0]
    for round in 0..<6 {
      for index in windows.indices {
        let chunk = Array(repeating: UInt8(round * 2 + index), count: round % 3 == 2 ? 100 : 65_000)
        append(chunk, at: ends[index], to: &windows[index], spare)
        ends[index] += UInt64(chunk.count)
        #expect(windows[index].streamEnd == ends[index])
        #expect(Array(windows[index].bytes[windows[index].newFrom...]) == chunk)
        windows[index].markInspected(spare: spare)
        #expect(windows[index].bytes.capacity <= StreamWindow.capacityKeptBytes)
        #expect(windows[index].bytes.suffix(50).allSatisfy { $0 == UInt8(round * 2 + index) })
        #expect(windows[index].streamEnd == ends[index])
      }
    }
  }
}
