import TestSupport
import Testing
import Traffic

@testable import AppLayer

/// WebSocket in a stream of HTTP/2 (RFC 8441).
@Suite struct HTTP2WebSocketTests {
  private static let connect: [(String, String)] = [
    (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", "a.example"), (":path", "/chat"),
  ]
  /// First octet, length below 126, masking key 01 02 03 04, payload.
  private static func masked(_ head: UInt8, _ text: String) -> [UInt8] {
    let plain = Array(text.utf8)
    return [head, 0x80 | UInt8(plain.count), 1, 2, 3, 4] + plain.indices.map { plain[$0] ^ UInt8($0 % 4 + 1) }
  }
  private static let opening = Frame.preface + Frame.settings([]) + Frame.headers(1, connect)
  private static let settings = Frame.settings([(8, 1)])

  private func frames(_ conversation: [Sent], cut: (([UInt8]) -> [[UInt8]])? = nil) -> [WebSocketTransaction] {
    feed(HTTP2Parser(settings: HTTP2Settings(), http: HTTPSettings()), conversation, cut: cut).transactions
      .compactMap { $0 as? WebSocketTransaction }
  }

  @Test(arguments: [1, 5, 1000])
  func framesInDATAAreFramesOfAWebSocket(size: Int) {
    let client = Frame.data(1, Array(Self.masked(0x81, "hello").prefix(4))) + Frame.data(1, Array(Self.masked(0x81, "hello").dropFirst(4)))
    let found = frames(
      [
        .client(Self.opening), .server(Self.settings + Frame.response(1)), .client(client),
        .server(Frame.data(1, [0x82, 2] + Array("ok".utf8))),
      ]
    ) { bytes in stride(from: 0, to: bytes.count, by: size).map { Array(bytes[$0..<min(bytes.count, $0 + size)]) } }
    #expect(found.map(\.streamID) == [1, 1])
    #expect(found[0].texts(.webSocketPayload, .toServer) == ["hello"])
    #expect(found[1].texts(.webSocketPayload, .toClient) == ["ok"])
    #expect(Set(found.map(\.id)).count == 2)
  }

  @Test func compressionIsAgreedOnInTheHeads() {
    // RFC 7692 section 7.2.3.1: "Hello".
    let hello: [UInt8] = [0xc1, 7, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]
    let found = frames([
      .client(Self.opening), .server(Self.settings + Frame.response(1, "200", [("sec-websocket-extensions", "permessage-deflate")])),
      .server(Frame.data(1, hello)),
    ])
    #expect(found.flatMap { $0.texts(.webSocketPayload, .toClient) } == ["Hello"])
  }

  @Test func aServerThatRefusesAnswersWithAPage() {
    let parser = feed(
      HTTP2Parser(settings: HTTP2Settings(), http: HTTPSettings()),
      [.client(Self.opening), .server(Self.settings + Frame.response(1, "403") + Frame.data(1, Array("no".utf8), ends: true))])
    #expect(!parser.transactions.contains { $0 is WebSocketTransaction })
    let stream = parser.transactions.compactMap { $0 as? HTTP2Transaction }.first { $0.streamID == 1 }
    #expect(stream?.text(.httpResponseBody, .toClient) == "no")
  }

  @Test func otherStreamsAndOtherProtocolsAreWhatTheyWere() {
    let client =
      Self.opening + Frame.headers(3, [(":method", "CONNECT"), (":protocol", "connect-udp"), (":scheme", "https"), (":authority", "a"), (":path", "/")])
      + Frame.data(3, Self.masked(0x81, "hello")) + Frame.request(5, "/upload", ends: false) + Frame.data(5, Self.masked(0x81, "hello"))
    #expect(frames([.client(client)]).isEmpty)
  }

  @Test func manyWebSocketsOnOneConnectionAreKeptApart() {
    let client =
      Self.opening + Frame.headers(3, Self.connect) + Frame.data(1, Self.masked(0x01, "one ")) + Frame.data(3, Self.masked(0x01, "two "))
      + Frame.data(1, Self.masked(0x80, "first")) + Frame.data(3, Self.masked(0x80, "second"))
    let found = frames([.client(client)])
    #expect(found.filter { $0.streamID == 1 }.last?.texts(.webSocketPayload, .toServer) == ["one first"])
    #expect(found.filter { $0.streamID == 3 }.last?.texts(.webSocketPayload, .toServer) == ["two second"])
  }
}
