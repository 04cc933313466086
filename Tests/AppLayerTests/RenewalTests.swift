import Testing
import Traffic

@testable import AppLayer

/// Transactions that are done with become others: nothing of one may show in the next.
struct RenewalTests {
  private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  /// All that a transaction holds, but for the room of its lists.
  private func described(_ transaction: Transaction?) -> String {
    var out = ""
    if let transaction { dump(transaction, to: &out) }
    return out
  }

  /// An exchange that leaves no part of a transaction as it was.
  private var oddExchange: [Sent] {
    [
      .client(bytes("POST http://Host.example:81//a/../%41?b=%2542#c HTTP/1.1\r\nHost: other\r\nCookie: x\r\nCookie: y\r\n")),
      .client(bytes("Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 88\r\n: z\r\n\r\n")),
      .client(bytes("--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"name.txt\"\r\n\r\ncontent\r\n--b--\r\n\r\n")),
      .server(bytes("HTTP/1.1 100 Continue\r\n\r\n")),
      .server(bytes("HTTP/1.1 206 Partial\r\nSet-Cookie: a\r\nContent-Encoding: odd\r\nContent-Range: bytes 0-4/9\r\n")),
      .server(bytes("Transfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nTrailer: t\r\n\r\n")),
    ]
  }

  private var plainExchange: [Sent] {
    [
      .client(bytes("GET / HTTP/1.1\r\nHost: a\r\n\r\n")),
      .server(bytes("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")),
    ]
  }

  /// Looks at files in any way.
  private var examiner: FileExaminer {
    var settings = FileSettings()
    settings.forced = [.md5, .sha1, .sha256, .magic]
    return FileExaminer(settings: settings)
  }

  /// What a parser has of a plain exchange that follows an odd one.
  private func second(_ parser: HTTPParser) -> Transaction? {
    feed(parser, oddExchange)
    for id in [BufferID.httpHeader, .httpHeaderNames, .httpStart] {
      for direction in Direction.allCases { _ = parser.transactions.first?.buffer(id, direction, index: 0) }
    }
    for transaction in parser.transactions {
      transaction.loggedBits = 255
      transaction.waits = (.packets, .payload)
      transaction.isRecordUnwanted = true
      transaction.inspectionState = parser
    }
    parser.removeTransactions { _ in true }
    feed(parser, plainExchange)
    return parser.transactions.last
  }

  @Test func `an exchange that was used before is as a new one`() {
    let supply = AppLayerSupply(settings: AppLayerSettings())
    let renewed = second(HTTPParser(settings: HTTPSettings(), files: examiner, supply: supply))
    #expect(supply.exchanges.count == 0)
    #expect(renewed?.files(.toClient).first?.md5 != nil)
    #expect(described(renewed) == described(second(HTTPParser(settings: HTTPSettings(), files: examiner))))
  }

  @Test func `an exchange that somebody refers to is left alone`() {
    let supply = AppLayerSupply(settings: AppLayerSettings())
    let parser = HTTPParser(settings: HTTPSettings(), supply: supply)
    feed(parser, plainExchange)
    let kept = parser.transactions.first
    parser.removeTransactions { _ in true }
    feed(parser, plainExchange)
    #expect(kept != nil && parser.transactions.first !== kept)
    #expect(kept?.id == 0)
    #expect(supply.exchanges.count == 1)
  }

  @Test func `an exchange that takes much room is not kept`() {
    let supply = AppLayerSupply(settings: AppLayerSettings())
    let parser = HTTPParser(settings: HTTPSettings(), supply: supply)
    let count = HTTPBody.roomBytesMax * 2
    feed(parser, [
      .client(bytes("GET / HTTP/1.1\r\nHost: a\r\n\r\n")),
      .server(bytes("HTTP/1.1 200 OK\r\nContent-Length: \(count)\r\n\r\n") + [UInt8](repeating: 97, count: count)),
    ])
    parser.removeTransactions { _ in true }
    #expect(supply.exchanges.count == 0)
  }

  @Test func `of objects that are done with only so many are kept`() {
    var pool = SparePool<FlowFiles>(countMax: 3)
    for _ in 0..<5 { pool.put(FlowFiles(FileExaminer())) }
    #expect(pool.count == 3)
    while pool.take() != nil {}
    #expect(pool.count == 0)
  }

  // MARK: DNS

  /// One question and a mail exchanger, with the reserved bit set.
  private let oddMessage: [UInt8] =
    [0x12, 0x34, 0x81, 0xc0, 0, 1, 0, 1, 0, 0, 0, 0]
    + [1, 97, 2, 98, 99, 0, 0, 15, 0, 1]
    + [0xc0, 12, 0, 15, 0, 1, 0, 0, 0, 60, 0, 6, 0, 10, 1, 109, 0xc0, 12]
  private let plainMessage: [UInt8] = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0] + [1, 120, 0, 0, 1, 0, 1]

  private func second(_ parser: DNSParser) -> Transaction? {
    feed(parser, [.server(oddMessage)])
    if let first = parser.transactions.first as? DNSTransaction {
      #expect(first.message.answers.count == 1)
      #expect(first.texts(.dnsResponseName, .toClient) == ["a.bc", "a.bc", "m.a.bc"])
      #expect(first.events.count == 1)
    }
    parser.removeTransactions { _ in true }
    feed(parser, [.client(plainMessage)])
    return parser.transactions.last
  }

  @Test func `a message that was used before is as a new one`() {
    let supply = AppLayerSupply(settings: AppLayerSettings())
    let renewed = second(DNSParser(framing: .datagram, supply: supply))
    #expect(supply.dnsMessages.count == 0)
    #expect(renewed?.texts(.dnsQueryName, .toServer) == ["x"])
    #expect(described(renewed) == described(second(DNSParser(framing: .datagram))))
  }
}
