import Control
import Glibc

/// The flows that carry most just now: two lists of flows a second apart, subtracted.
struct FlowTop {
  let socket: String
  private static let lineCountMax = 20

  func run(times: Int) throws {
    var before = try read()
    var round = 0
    while times == 0 || round < times {
      sleep(1)
      let now = try read()
      let rates = now.map { flow in
        (flow.value.line, flow.value.bytes &- min(flow.value.bytes, before[flow.key]?.bytes ?? 0))
      }.sorted { $0.1 > $1.1 }
      var text = times == 0 ? "\u{1b}[H\u{1b}[2J" : ""
      text += "\(now.count) flows, bit/s first\n"
      for (line, bytes) in rates.prefix(Self.lineCountMax) { text += "\(bytes * 8) \(line)\n" }
      StandardOutput.write(text)
      before = now
      round += 1
    }
  }

  private func read() throws -> [String: (line: String, bytes: UInt64)] {
    let answer: ControlAnswer
    do throws(ControlError) {
      answer = try ControlClient.ask(.flows, ["all"], socket: socket)
    } catch {
      throw CommandFailure.environment(error.message)
    }
    var flows: [String: (line: String, bytes: UInt64)] = [:]
    for line in answer.text.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard let id = words.first else { continue }
      let bytes = words.filter { $0.hasPrefix("out=") || $0.hasPrefix("in=") }
        .compactMap { $0.split(separator: "/").last.flatMap { UInt64($0) } }.reduce(0, &+)
      flows[String(id)] = (String(line), bytes)
    }
    return flows
  }
}
