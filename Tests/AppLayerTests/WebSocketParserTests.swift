import TestSupport
import Testing
import Traffic

@testable import AppLayer

struct WebSocketParserTests {
  /// First octet, length below 126, masking key 01 02 03 04, payload.
  private static func masked(_ head: UInt8, _ text: String) -> [UInt8] {
    let plain = Array(text.utf8)
    return [head, 0x80 | UInt8(plain.count), 1, 2, 3, 4] + plain.indices.map { plain[$0] ^ UInt8($0 % 4 + 1) }
  }

  private func frames(_ conversation: [Sent], isDeflated: Bool = false, cut: (([UInt8]) -> [[UInt8]])? = nil) -> [WebSocketTransaction] {
    feed(WebSocketParser(isDeflated: isDeflated), conversation, cut: cut).transactions
      .compactMap { $0 as? WebSocketTransaction }
  }

  @Test func framesAreUnmasked() throws {
    let found = frames([.client(Self.masked(0x81, "hello") + Self.masked(0x89, "")), .server([0x8a, 2] + Array("ok".utf8))])
    #expect(found.map(\.opcode) == [1, 9, 10])
    #expect(found.map(\.mask) == [0x0102_0304, 0x0102_0304, nil])
    #expect(found[0].texts(.webSocketPayload, .toServer) == ["hello"])
    #expect(found[2].texts(.webSocketPayload, .toClient) == ["ok"])
    #expect(found.allSatisfy { $0.isComplete })
  }

  @Test func longLengthsAreRead() {
    let text = [UInt8](repeating: 97, count: 70_000)
    let medium = [0x82, 126, 0x01, 0x00] + text[..<256]
    let long = [0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70] + text
    #expect(frames([.server(medium + long)]).map { $0.payload.seenCount } == [256, 70_000])
  }

  @Test func aMessageInFramesIsSeenWhole() {
    let client = Self.masked(0x01, "atta") + Self.masked(0x89, "ping") + Self.masked(0x00, "ck-in-") + Self.masked(0x80, "frames") + Self.masked(0x81, "next")
    let found = frames([.client(client)])
    #expect(
      found.flatMap { $0.texts(.webSocketPayload, .toServer) } == ["atta", "ping", "attack-in-", "attack-in-frames", "next"])
  }

  @Test func messagesAreDecompressedWithAWindowThatLivesOn() {
    // RFC 7692 sections 7.2.3.1 and 7.2.3.2: "Hello", then "Hello" by reference to the first.
    let first: [UInt8] = [0xc1, 7, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]
    let second: [UInt8] = [0xc1, 5, 0xf2, 0x00, 0x11, 0x00, 0x00]
    let found = frames([.server(first + second)], isDeflated: true)
    #expect(found.flatMap { $0.texts(.webSocketPayload, .toClient) } == ["Hello", "Hello"])
    // Without the extension the octets are what they are.
    #expect(frames([.server(first)])[0].payload.seenCount == 7)
  }

  private static let corpus: [Sent] = [
    .client(masked(0x01, "frag") + masked(0x80, "mented") + masked(0x88, "")),
    .server([0xc1, 7, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x82, 126, 0, 3, 1, 2, 3]),
  ]

  private func snapshot(_ found: [WebSocketTransaction]) -> [String] {
    found.map { "\($0.head) \($0.isComplete) \($0.texts(.webSocketPayload, $0.direction)) \($0.events.map(\.name))" }
  }

  @Test func theResultDoesNotDependOnCutsAndDamageNeverTraps() {
    var mutator = Mutator(seed: 3)
    for round in 0..<400 {
      let conversation = Self.corpus.map {
        Sent(direction: $0.direction, bytes: round == 0 ? $0.bytes : mutator.mutate($0.bytes))
      }
      let whole = snapshot(frames(conversation, isDeflated: true))
      let cut = snapshot(frames(conversation, isDeflated: true, cut: { $0.map { [$0] } }))
      #expect(cut == whole)
    }
  }

  @Test func whatStaysOfALongMessageDoesNotDependOnCuts() {
    let text = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 4) }
    // Binary, to be continued, with a length of eight octets; then the last octet of the message.
    let server = [0x02, 127, 0, 0, 0, 0, 0, 3, 0x0d, 0x40] + text + [0x80, 1, 33]
    func last(_ count: Int) -> [UInt8]? {
      let found = frames([.server(server)], cut: { bytes in
        stride(from: 0, to: bytes.count, by: count).map { Array(bytes[$0..<min($0 + count, bytes.count)]) }
      })
      return found.last?.buffer(.webSocketPayload, .toClient, index: 0).map { Array($0.storage[$0.range]) }
    }
    let whole = last(server.count)
    #expect(whole?.suffix(65_537) == text[134_464...] + [33])
    #expect(last(1000) == whole)
    #expect(last(7777) == whole)
  }

  @Test func anUpgradedConnectionIsReadAsFrames() throws {
    let flow = AppLayerFlow(
      settings: AppLayerSettings(), transport: .tcp, serverPort: 80, clientPort: 50_000, isMidstream: false)
    let sent: [Sent] = [
      .client("GET /chat HTTP/1.1\nHost: h\nUpgrade: websocket\nConnection: Upgrade\n\n"),
      .server(
        crlf("HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Extensions: permessage-deflate\n\n")
          + [0xc1, 7, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]),
    ]
    for piece in sent {
      let bytes = piece.bytes
      flow.consume(StreamChunk(bytes: bytes.rawSpan, direction: piece.direction, offset: 0, time: trafficTime))
    }
    #expect(flow.appProtocol == .websocket)
    #expect(flow.originalProtocol == .http)
    let frame = try #require(flow.transactions.last as? WebSocketTransaction)
    #expect(frame.texts(.webSocketPayload, .toClient) == ["Hello"])
  }
}
