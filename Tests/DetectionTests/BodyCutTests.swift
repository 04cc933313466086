import Testing
import Traffic

@testable import AppLayer
@testable import Detection

@Suite struct BodyCutTests {
  private static let rule =
    "drop http any any -> any any (flow:established,to_server; http.request_body; content:\"ATTACK-IN-BODY\"; sid:1;)"

  private func found(_ pieces: [[UInt8]]) -> [UInt32] {
    let bench = Bench(Self.rule, isInline: true)
    bench.flow.appProtocol = .http
    let parser = HTTPParser(settings: HTTPSettings())
    var found: [UInt32] = []
    for piece in pieces {
      parser.consume(StreamChunk(bytes: piece.rawSpan, direction: .toServer, offset: 0, time: Timestamp(seconds: 1)))
      for transaction in parser.transactions { found += bench.transaction(transaction) }
    }
    return found
  }

  @Test func wordsInABodyAreFoundHoweverItIsCut() {
    let length = 16_377 + 14 + 100_000
    let body = [UInt8](repeating: 97, count: 16_377) + Array("ATTACK-IN-BODY".utf8) + [UInt8](repeating: 98, count: 100_000)
    let whole = Array("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(length)\r\n\r\n".utf8) + body
    for size in [1000, 8192, 16_384, 16_385, 16_390, 16_400, 16_440, 32_768, 65_536, 200_000] {
      var pieces: [[UInt8]] = []
      var rest = whole[...]
      while !rest.isEmpty {
        pieces.append(Array(rest.prefix(size)))
        rest = rest.dropFirst(size)
      }
      #expect(found(pieces) == [1], "pieces of \(size)")
    }
  }

  @Test func wordsInABodyAreFoundAtEveryCut() {
    let body = [UInt8](repeating: 97, count: 16_377) + Array("ATTACK-IN-BODY".utf8) + [UInt8](repeating: 98, count: 100_000)
    let whole = Array("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.count)\r\n\r\n".utf8) + body
    for first in [0, 30, 58, 59, 60, 100, 8192] {
      for second in stride(from: 16_420, to: 16_460, by: 1) {
        for third in [16_470, 40_000, 82_000, 116_000] {
          let pieces = [Array(whole[..<first]), Array(whole[first..<second]), Array(whole[second..<third]), Array(whole[third...])]
          let result = found(pieces.filter { !$0.isEmpty })
          if result != [1] { Issue.record("cut at \(first) \(second) \(third): \(result)") }
        }
      }
    }
  }
}
