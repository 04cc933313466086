import TestSupport
import Traffic

@testable import AppLayer

/// What one side sends next.
struct Sent {
  var direction: Direction
  var bytes: [UInt8]
  /// Octets lost before it.
  var gap: UInt64 = 0
  var isEnd = false

  static func client(_ text: String) -> Sent { Sent(direction: .toServer, bytes: crlf(text)) }
  static func server(_ text: String) -> Sent { Sent(direction: .toClient, bytes: crlf(text)) }
  static func client(_ bytes: [UInt8]) -> Sent { Sent(direction: .toServer, bytes: bytes) }
  static func server(_ bytes: [UInt8]) -> Sent { Sent(direction: .toClient, bytes: bytes) }
  static let serverEnd = Sent(direction: .toClient, bytes: [], isEnd: true)
  static let clientEnd = Sent(direction: .toServer, bytes: [], isEnd: true)

  func after(gap: UInt64) -> Sent {
    var copy = self
    copy.gap = gap
    return copy
  }
}

let trafficTime = Timestamp(seconds: 1_700_000_000)

/// Feeds a conversation to a parser, each piece cut by `cut`.
@discardableResult
func feed(
  _ parser: AppLayerParser, _ conversation: [Sent], cut: (([UInt8]) -> [[UInt8]])? = nil
) -> AppLayerParser {
  var offsets: [UInt64] = [0, 0]
  for sent in conversation {
    let pieces = cut?(sent.bytes) ?? [sent.bytes]
    var gap = sent.gap
    for piece in pieces where !piece.isEmpty || gap > 0 {
      offsets[sent.direction.index] += gap
      parser.consume(
        StreamChunk(
          bytes: piece.rawSpan, direction: sent.direction, offset: offsets[sent.direction.index],
          gapBefore: gap, time: trafficTime))
      offsets[sent.direction.index] += UInt64(piece.count)
      gap = 0
    }
    if sent.isEnd {
      parser.consume(
        StreamChunk(
          bytes: RawSpan(), direction: sent.direction, offset: offsets[sent.direction.index],
          isEnd: true, time: trafficTime))
    }
  }
  return parser
}

func http(_ conversation: [Sent], _ settings: HTTPSettings = HTTPSettings()) -> [HTTPTransaction] {
  feed(HTTPParser(settings: settings), conversation).transactions.compactMap { $0 as? HTTPTransaction }
}

/// The exchange of one request with a plain answer.
func request(_ text: String, _ settings: HTTPSettings = HTTPSettings()) -> HTTPTransaction? {
  http([.client(text)], settings).first
}

func response(_ text: String) -> HTTPTransaction? {
  http([.client("GET / HTTP/1.1\nHost: a\n\n"), .server(text)]).first
}

extension HTTPTransaction {
  func text(_ id: BufferID, _ direction: Direction, _ index: Int = 0) -> String? {
    buffer(id, direction, index: index).map {
      String(decoding: $0.storage[$0.range], as: UTF8.self)
    }
  }

  func bytes(_ id: BufferID, _ direction: Direction, _ index: Int = 0) -> [UInt8]? {
    buffer(id, direction, index: index).map { Array($0.storage[$0.range]) }
  }

  func has(_ event: HTTPEvent) -> Bool { events.contains(event.appEvent) }

  /// Everything that rules and records can see of it.
  var snapshot: [String] {
    var out: [String] = []
    out.append("progress \(progress) length \(responseLengthBytes)/\(requestLengthBytes)")
    out.append("events " + eventNames.sorted().joined(separator: " "))
    out.append("status \(status ?? -1) port \(hostPort ?? -1)")
    for direction in Direction.allCases {
      out += files(direction).map { "file \($0.name) \($0.sizeBytes) \($0.state)" }
      for id in BufferID.allCases {
        var index = 0
        while let view = buffer(id, direction, index: index) {
          out.append("\(id) \(direction) \(index) \(view.isComplete) \(Array(view.storage[view.range]))")
          index += 1
        }
      }
    }
    return out
  }
}
