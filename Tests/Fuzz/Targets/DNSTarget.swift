import AppLayer
import TestSupport
import Traffic

/// The first octet: bit 0 a stream, else datagrams; then a ``Conversation``.
enum DNSTarget {
  static func run(_ bytes: [UInt8]) {
    var reader = InputReader(bytes)
    let isStream = reader.u8() & 1 != 0
    let parser = DNSParser(framing: isStream ? .stream : .datagram)
    Conversation(reader.rest()).forEachChunk { chunk in
      parser.consume(chunk)
      for transaction in parser.transactions { transaction.ask() }
      parser.removeTransactions { _ in true }
    }
    parser.finish(at: Conversation.time)
  }

  static var seeds: [(name: String, bytes: [UInt8])] {
    let query = TestSupport.DNSMessage.query("www.example.com")
    var many = TestSupport.DNSMessage(flags: 0x8180, questions: [.init("a.example"), .init("b.example", type: 28)])
    many.ednsPayloadSize = 1232
    let answer = TestSupport.DNSMessage.response(to: query, [])
    return [
      ("query", [0] + Conversation.input([(.toServer, query.bytes), (.toClient, answer.bytes)])),
      ("many", [0] + Conversation.input([(.toClient, many.bytes)])),
      ("stream", [1] + Conversation.input([(.toServer, query.bytesOverTCP + query.bytesOverTCP), (.toClient, answer.bytesOverTCP)])),
    ]
  }
}
