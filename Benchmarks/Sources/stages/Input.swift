import Capture
import Traffic

/// Why nothing could be measured.
struct StageError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

/// A capture in memory, as its file has it: no stage reads files.
struct Input {
  struct Packet {
    /// In ``Input/octets``.
    var range: Range<Int>
    var link: LinkType
    var time: Timestamp
    var length: Int
  }

  private(set) var octets: [UInt8] = []
  private(set) var packets: [Packet] = []

  init(path: String) throws(StageError) {
    do throws(CaptureError) {
      var source = try PcapFileSource(path: path)
      while try source.next({ take($0) }) {}
    } catch {
      throw StageError(error.description)
    }
    if packets.isEmpty { throw StageError("\(path): no packets") }
  }

  private mutating func take(_ packet: borrowing CapturedPacket) {
    let start = octets.count
    octets.append(packet.bytes)
    packets.append(
      Packet(
        range: start..<octets.count, link: packet.linkType, time: packet.time, length: packet.originalLength))
  }

  /// How much later each round plays than the one before: what a round leaves open has timed out by then, as in
  /// traffic that goes on.
  var roundNanoseconds: Int64 {
    let times = packets.map(\.time.nanoseconds)
    return (times.max() ?? 0) - (times.min() ?? 0) + 4 * 3_600_000_000_000
  }
}

extension Timestamp {
  func later(by nanoseconds: Int64) -> Timestamp { Timestamp(nanoseconds: self.nanoseconds &+ nanoseconds) }
}
