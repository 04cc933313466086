import EventOutput
import Glibc
import Interception
import Testing
import Traffic

@testable import Engine

@Suite struct RecordQueueTests {
  @Test func `what is put before the end is written, each worker's lines in their order`() throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("eve.json", [])
    let queue = try RecordQueue()
    let output = try WorkerThread.start {
      if let output = try? FileLineOutput(path: path) { queue.run(output) }
    }
    let writers = try (0..<4).map { worker in
      try WorkerThread.start {
        let output = QueuedLineOutput(queue)
        for line in 0..<500 { output.write(Array("\(worker) \(line)\n".utf8).rawSpan) }
      }
    }
    for writer in writers { writer.join() }
    queue.close()
    output.join()
    let text = String(decoding: try #require(TextFile.read(path)), as: UTF8.self)
    let lines = text.split(separator: "\n").map { $0.split(separator: " ").compactMap { Int($0) } }
    #expect(lines.count == 2000)
    for worker in 0..<4 {
      #expect(lines.filter { $0.first == worker }.map(\.last) == (0..<500).map(Optional.some))
    }
    #expect(queue.lostBytes == 0)
  }

  @Test func `what comes while too much waits is lost and counted, what waited is kept`() throws {
    let queue = try RecordQueue(bytesMax: 4000)
    let piece = [UInt8](repeating: 0x0a, count: 1000)
    for _ in 0..<4 { queue.put(piece.rawSpan) }
    queue.put([1, 2, 3].rawSpan)
    queue.put([4].rawSpan)
    #expect(queue.lostBytes == 4)
    let folder = try TemporaryFolder()
    let path = try folder.file("eve.json", [])
    queue.close()
    queue.run(try FileLineOutput(path: path))
    #expect(TextFile.read(path)?.count == 4000)
    // There is room again.
    queue.put([5].rawSpan)
    #expect(queue.lostBytes == 4)
  }

  @Test func `writes that fail are counted and stop nothing`() throws {
    let queue = try RecordQueue()
    queue.put([1].rawSpan)
    queue.close()
    // A full device: every write fails with ENOSPC.
    queue.run(try FileLineOutput(path: "/dev/full"))
    #expect(queue.writeErrors == 1)
    #expect(queue.lostBytes == 0)
  }
}
