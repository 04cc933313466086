import Testing
import Traffic

@testable import AppLayer
@testable import Detection

@Suite struct HTTP2RuleTests {
  /// A connection that sends SETTINGS (header table 8192), WINDOW_UPDATE (34,634), a request with
  /// priority 200 and a cookie, and a reset with CANCEL.
  private static let client: [UInt8] =
    Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    + [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0x20, 0] + [0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0x87, 0x4a]
    // HEADERS, END_HEADERS | PRIORITY, stream 1: priority; table size 100; :method GET, :path /evil, cookie.
    + [0, 0, 30, 1, 0x24, 0, 0, 0, 1, 0, 0, 0, 0, 200, 0x3f, 0x45, 0x82, 0x04, 5] + Array("/evil".utf8)
    + [0, 6] + Array("cookie".utf8) + [6] + Array("id=abc".utf8)
    + [0, 0, 1, 0, 0, 0, 0, 0, 1, 0x78]
    + [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8]

  private func alerts(_ rules: String) -> [UInt32] {
    let bench = Bench(rules)
    #expect(bench.result.diagnostics.isEmpty)
    bench.flow.appProtocol = .http2
    let parser = HTTP2Parser(settings: HTTP2Settings(), http: HTTPSettings())
    let bytes = Self.client
    parser.consume(StreamChunk(bytes: bytes.rawSpan, direction: .toServer, offset: 0, time: Timestamp(seconds: 1)))
    return parser.transactions.flatMap { bench.transaction($0) }
  }

  @Test(arguments: [
    "http2.frametype:SETTINGS", "http2.frametype:3", "http2.frametype:windowupdate", "http2.errorcode:CANCEL",
    "http2.errorcode:8", "http2.priority:>199", "http2.window:34634", "http2.size_update:100",
    "http2.settings:SETTINGS_HEADER_TABLE_SIZE", "http2.settings:SETTINGS_HEADER_TABLE_SIZE>8000",
    "http2.header_name; content:\"cookie\"; bsize:6", "http.uri; content:\"/evil\"", "http.cookie; content:\"abc\"",
    "http.request_header; content:\"|3a|path: /evil\"; startswith", "http.request_body; content:\"x\"",
  ])
  func aKeywordMatchesWhatItNames(options: String) {
    #expect(alerts("alert http2 any any -> any any (\(options); sid:1;)") == [1])
    #expect(alerts("alert http1 any any -> any any (http.uri; content:\"/evil\"; sid:1;)") == [])
  }

  @Test(arguments: [
    "http2.frametype:GOAWAY", "http2.errorcode:NO_ERROR", "http2.priority:<100", "http2.window:1",
    "http2.size_update:>100", "http2.settings:SETTINGS_ENABLE_PUSH", "http2.settings:SETTINGS_HEADER_TABLE_SIZE<100",
    "http2.header_name; content:\"host\"", "http.uri; content:\"/good\"",
  ])
  func aKeywordMatchesNothingElse(options: String) {
    #expect(alerts("alert http2 any any -> any any (\(options); sid:1;)") == [])
  }

  @Test(arguments: [
    "http2.frametype:RST_STREAM", "http2.frametype:256", "http2.errorcode:>2", "http2.priority:256",
    "http2.settings:ENABLE_PUSH", "http2.settings:2=0", "http2.window:", "http.start; content:\"x\"",
  ])
  func badSyntaxIsRefused(options: String) {
    let result = Bench.compile("alert http2 any any -> any any (\(options); sid:1;)", thresholds: "", shared: SharedDetectionState())
    #expect(result.ruleSet.ruleCount == 0)
    #expect(!result.diagnostics.isEmpty)
  }

  @Test func aBodyIsSearchedAcrossFramesAndChunks() {
    let bench = Bench("drop http any any -> any any (flow:established,to_server; http.request_body; content:\"ATTACK-IN-BODY\"; sid:1;)", isInline: true)
    bench.flow.appProtocol = .http2
    let parser = HTTP2Parser(settings: HTTP2Settings(), http: HTTPSettings())
    var found: [UInt32] = []
    func send(_ bytes: [UInt8]) {
      parser.consume(StreamChunk(bytes: bytes.rawSpan, direction: .toServer, offset: 0, time: Timestamp(seconds: 1)))
      for transaction in parser.transactions { found += bench.transaction(transaction) }
    }
    // HEADERS, END_HEADERS, stream 1: :method POST, :path /.
    send(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + [0, 0, 2, 1, 4, 0, 0, 0, 1, 0x83, 0x84])
    for part in [[UInt8](repeating: 97, count: 16_377) + Array("ATTACK-".utf8), Array("IN-BODY".utf8) + [UInt8](repeating: 98, count: 16_377)] {
      send([0, 0x40, 0, 0, 0, 0, 0, 0, 1] + part)
    }
    #expect(found == [1])
  }
}
