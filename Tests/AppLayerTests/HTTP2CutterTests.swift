import TestSupport
import Testing
import Traffic

@testable import AppLayer

/// One connection: what each side sends goes through the parser and the cutter, as on a relay.
private final class Relay {
  let parser: HTTP2Parser
  let cutter: HTTP2Cutter
  /// What each receiver got, by the direction of travel.
  var toServer: [UInt8] = []
  var toClient: [UInt8] = []
  var hasFailed = false
  private var offsets: [UInt64] = [0, 0]

  init() {
    var settings = HTTP2Settings()
    settings.keepsBlocks = true
    parser = HTTP2Parser(settings: settings, http: HTTPSettings())
    cutter = HTTP2Cutter(parser, early: ([], []))
  }

  func send(_ direction: Direction, _ bytes: [UInt8], cutting streams: Set<UInt32> = []) {
    let chunk = StreamChunk(bytes: bytes.rawSpan, direction: direction, offset: offsets[direction.index], time: trafficTime)
    offsets[direction.index] += UInt64(bytes.count)
    parser.consume(chunk)
    var (forward, back): ([UInt8], [UInt8]) = (bytes, [])
    switch cutter.process(chunk, cutting: streams) {
    case .unchanged: break
    case .rewritten(let one, let other): (forward, back) = (one, other)
    case .failed: hasFailed = true
    }
    guard !hasFailed else { return }
    if direction == .toServer {
      toServer += forward
      toClient += back
    } else {
      toClient += forward
      toServer += back
    }
  }

  func client(_ bytes: [UInt8], cutting streams: Set<UInt32> = []) { send(.toServer, bytes, cutting: streams) }
  func server(_ bytes: [UInt8], cutting streams: Set<UInt32> = []) { send(.toClient, bytes, cutting: streams) }

  /// What a receiver makes of it, with a parser of its own: each stream's path or status, and body.
  func read(_ direction: Direction) -> [UInt32: String] {
    let reader = HTTP2Parser(settings: HTTP2Settings(), http: HTTPSettings())
    // The one direction alone: the other may hold an answer of ours to what never got here.
    let bytes = direction == .toServer ? toServer : toClient
    reader.consume(StreamChunk(bytes: bytes.rawSpan, direction: direction, offset: 0, time: trafficTime))
    #expect(!reader.hasFailed.toServer && !reader.hasFailed.toClient)
    var found: [UInt32: String] = [:]
    for case let stream as HTTP2Transaction in reader.transactions where stream.streamID != 0 {
      if direction == .toServer { #expect(stream.events.isEmpty, "\(stream.streamID) \(stream.events)") }
      let text =
        direction == .toServer
        ? (stream.text(.httpURI, .toServer) ?? "") + " " + (stream.text(.httpRequestBody, .toServer) ?? "")
        : (stream.text(.httpStatusCode, .toClient) ?? "") + " " + (stream.text(.httpResponseBody, .toClient) ?? "")
      found[stream.streamID] = text
    }
    return found
  }

  func has(_ frame: [UInt8], _ direction: Direction) -> Bool {
    let all = direction == .toServer ? toServer : toClient
    guard all.count >= frame.count else { return false }
    return (0...(all.count - frame.count)).contains { all[$0..<$0 + frame.count].elementsEqual(frame) }
  }
}

@Suite struct HTTP2CutterTests {
  private static func indexed(_ stream: UInt32, _ path: String, ends: Bool = true) -> [UInt8] {
    // Every field enters the dynamic table, so that each block counts for those behind it.
    Frame.raw(1, Frame.endHeaders | (ends ? Frame.endStream : 0), stream: stream,
      Frame.indexedBlock([(":method", "GET"), (":scheme", "https"), (":authority", "a.example"), (":path", path)]))
  }
  /// The path of the block before last by its index in the dynamic table: newest first, 62 is the last one's path.
  private static func again(_ stream: UInt32, _ index: UInt8) -> [UInt8] {
    // :method 65, :scheme 64, :authority 63 of the newest block; the path as given.
    Frame.raw(1, Frame.endHeaders | Frame.endStream, stream: stream, [0x80 | 65, 0x80 | 64, 0x80 | 63, 0x80 | index])
  }
  private static let opening = Frame.preface + Frame.settings([])

  @Test func nothingChangesWhereNothingIsCut() {
    let client = Self.opening + Self.indexed(1, "/one") + Frame.request(3, "/two", ends: false) + Frame.data(3, Array("body".utf8), ends: true)
    let server = Frame.settings([]) + Frame.response(1) + Frame.data(1, Array("answer".utf8), ends: true)
    for size in [1, 2, 7, 9, 100, 10_000] {
      let relay = Relay()
      for start in stride(from: 0, to: client.count, by: size) { relay.client(Array(client[start..<min(client.count, start + size)])) }
      for start in stride(from: 0, to: server.count, by: size) { relay.server(Array(server[start..<min(server.count, start + size)])) }
      #expect(!relay.hasFailed)
      #expect(relay.toServer == client)
      #expect(relay.toClient == server)
    }
  }

  @Test func aRequestThatIsCutIsNeverBegunAndAnsweredWith403() {
    let relay = Relay()
    relay.client(Self.opening + Self.indexed(1, "/one"))
    relay.server(Frame.settings([]) + Frame.response(1, ends: true))
    relay.client(Self.indexed(3, "/attack"), cutting: [3])
    #expect(relay.read(.toServer) == [1: "/one "])
    #expect(!relay.has(Array("attack".utf8), .toServer))
    #expect(relay.has(Frame.raw(1, 5, stream: 3, [0x08, 3] + Array("403".utf8)), .toClient))
    // The server has never heard of it.
    #expect(!relay.has([3, 0, 0, 0, 0, 3], .toServer))
    // Later requests refer to what the cut block put into the table.
    relay.client(Self.again(5, 66) + Self.indexed(7, "/four"))
    #expect(relay.read(.toServer) == [1: "/one ", 5: "/one ", 7: "/four "])
    #expect(relay.read(.toClient)[3] == "403 ")
    #expect(!relay.hasFailed)
  }

  @Test(arguments: [1, 3, 8, 50])
  func theSameInAnyCutting(size: Int) {
    let relay = Relay()
    relay.client(Self.opening + Self.indexed(1, "/one"))
    relay.server(Frame.settings([]))
    let attack = Self.indexed(3, "/attack")
    // Only with its last octet is it known what it is.
    for start in stride(from: 0, to: attack.count, by: size) {
      let end = min(attack.count, start + size)
      relay.client(Array(attack[start..<end]), cutting: end == attack.count ? [3] : [])
    }
    let more = Self.indexed(5, "/two") + Frame.request(7, "/three")
    for start in stride(from: 0, to: more.count, by: size) { relay.client(Array(more[start..<min(more.count, start + size)])) }
    #expect(relay.read(.toServer) == [1: "/one ", 5: "/two ", 7: "/three "])
    #expect(relay.read(.toClient) == [3: "403 "])
    #expect(!relay.hasFailed)
  }

  @Test func aBodyThatIsCutAmidAFrameIsFilledUpAndReset() {
    let relay = Relay()
    relay.client(Self.opening + Frame.request(1, "/upload", ends: false) + Frame.request(3, "/other", ends: false))
    relay.server(Frame.settings([]))
    let frame = Frame.data(1, Array("good ATTACK rest".utf8))
    relay.client(Array(frame[..<14]))
    relay.client(Array(frame[14..<18]), cutting: [1])
    relay.client(Array(frame[18...]) + Frame.data(1, Array("more".utf8)) + Frame.data(3, Array("fine".utf8), ends: true))
    #expect(!relay.has(Array("ATTA".utf8), .toServer))
    #expect(!relay.has(Array("more".utf8), .toServer))
    #expect(relay.has(Frame.reset(1, 8), .toServer))
    #expect(relay.read(.toServer)[3] == "/other fine")
    // The upload is not wanted any more; four octets that the server will not account for.
    #expect(relay.has(Frame.raw(1, 5, stream: 1, [0x08, 3] + Array("403".utf8)) + Frame.reset(1, 0), .toClient))
    #expect(relay.has(Frame.raw(8, 0, stream: 0, Frame.number(4)), .toClient))
    #expect(!relay.hasFailed)
  }

  @Test func anAnswerThatIsCutIsResetOnBothSides() {
    let relay = Relay()
    relay.client(Self.opening + Frame.request(1, "/") + Frame.request(3, "/other"))
    relay.server(Frame.settings([]) + Frame.response(1) + Frame.data(1, Array("begin".utf8)) + Frame.response(3))
    relay.server(Frame.data(1, Array("ATTACK".utf8)), cutting: [1])
    relay.server(Frame.data(1, Array("rest".utf8), ends: true) + Frame.data(3, Array("fine".utf8), ends: true))
    #expect(!relay.has(Array("ATTACK".utf8), .toClient))
    #expect(!relay.has(Array("rest".utf8), .toClient))
    #expect(relay.has(Frame.reset(1, 8), .toClient))
    #expect(relay.has(Frame.reset(1, 8), .toServer))
    #expect(relay.has(Frame.raw(8, 0, stream: 0, Frame.number(6)), .toServer))
    #expect(relay.read(.toClient)[3] == "200 fine")
    #expect(!relay.hasFailed)
  }

  @Test func anAnswerWhoseHeadIsTheAttackBecomes403() {
    let relay = Relay()
    relay.client(Self.opening + Frame.request(1, "/"))
    relay.server(Frame.settings([]) + Frame.response(1, "200", [("x", "ATTACK")], ends: true), cutting: [1])
    #expect(relay.read(.toClient)[1] == "403 ")
    #expect(!relay.has(Array("ATTACK".utf8), .toClient))
  }

  @Test func ourFramesWaitForTheEndOfTheFrameUnderWay() {
    let relay = Relay()
    relay.client(Self.opening + Frame.request(1, "/") + Frame.request(3, "/attack", ends: false))
    let data = Frame.data(1, Array("0123456789".utf8))
    relay.server(Frame.settings([]) + Frame.response(1) + data[..<14])
    relay.client(Frame.data(3, Array("ATTACK".utf8)), cutting: [3])
    relay.server(data[14...] + Frame.data(1, Array("end".utf8), ends: true))
    #expect(relay.read(.toClient)[1] == "200 0123456789end")
    #expect(relay.read(.toClient)[3] == "403 ")
    #expect(!relay.hasFailed)
  }

  @Test func aFrameThatEndsItsStreamAndWasBegunCannotBeCut() {
    let relay = Relay()
    relay.client(Self.opening + Frame.request(1, "/upload", ends: false))
    let frame = Frame.data(1, Array("good ATTACK".utf8), ends: true)
    relay.client(Array(frame[..<14]))
    relay.client(Array(frame[14...]), cutting: [1])
    #expect(relay.hasFailed)
  }

  @Test func framesThatAreNoneAreLetPassUntilSomethingIsCut() {
    let odd = Self.opening + Frame.raw(9, 4, stream: 1, [0x82])
    let relay = Relay()
    relay.client(odd)
    relay.client([1, 2, 3])
    #expect(relay.toServer == odd + [1, 2, 3])
    relay.client(Frame.request(3, "/attack"), cutting: [3])
    #expect(relay.hasFailed)
  }

  @Test func longBlocksAreWrittenInPieces() {
    let relay = Relay()
    let long = String(repeating: "long ", count: 8_000)
    relay.client(Self.opening + Self.indexed(1, "/attack"), cutting: [1])
    relay.server(Frame.settings([]))
    let block = Frame.block([(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/p"), ("x-long", long)])
    relay.client(
      Frame.raw(1, Frame.endStream, stream: 3, Array(block[..<16_000])) + Frame.raw(9, 0, stream: 3, Array(block[16_000..<32_000]))
        + Frame.raw(9, Frame.endHeaders, stream: 3, Array(block[32_000...])))
    #expect(relay.read(.toServer) == [3: "/p "])
    #expect(!relay.hasFailed)
  }

  @Test func noOctetsTrap() {
    let client = Self.opening + Self.indexed(1, "/one") + Frame.request(3, "/two", ends: false) + Frame.data(3, Array("body".utf8), ends: true)
    var mutator = Mutator(seed: 8)
    for round in 0..<2_000 {
      let bytes = mutator.mutate(client)
      let relay = Relay()
      relay.client(bytes, cutting: round % 2 == 0 ? [1] : [])
      relay.server(Frame.settings([]) + bytes.dropFirst(24), cutting: round % 3 == 0 ? [3] : [])
    }
  }
}
