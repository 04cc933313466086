import AppLayer
import Traffic

/// Feeds a parser as the stations below do.
struct Feed {
  let parser: AppLayerParser
  private var offsets: [UInt64] = [0, 0]

  init(_ parser: AppLayerParser) { self.parser = parser }

  mutating func send(
    _ bytes: [UInt8], _ direction: Direction = .toServer, gap: UInt64 = 0, isEnd: Bool = false
  ) {
    offsets[direction.index] += gap
    let chunk = StreamChunk(
      bytes: bytes.rawSpan, direction: direction, offset: offsets[direction.index],
      gapBefore: gap, isEnd: isEnd, time: Timestamp(seconds: 1_700_000_000))
    parser.consume(chunk)
    offsets[direction.index] += UInt64(bytes.count)
  }

  /// In pieces of `size` octets.
  mutating func send(_ bytes: [UInt8], _ direction: Direction = .toServer, by size: Int) {
    for start in stride(from: 0, to: bytes.count, by: size) {
      send(Array(bytes[start..<min(start + size, bytes.count)]), direction)
    }
  }
}

func text(_ bytes: [UInt8]?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

extension Transaction {
  func texts(_ id: BufferID, _ direction: Direction) -> [String] {
    var out: [String] = []
    while let view = buffer(id, direction, index: out.count) {
      out.append(view.withBytes { String(decoding: $0.copied(), as: UTF8.self) })
    }
    return out
  }

  func numbers(_ id: NumberID, _ direction: Direction) -> [UInt64] {
    var out: [UInt64] = []
    while let number = number(id, direction, index: out.count) { out.append(number) }
    return out
  }

  var eventNames: [String] { events.map(\.name) }
}
