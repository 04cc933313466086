import AppLayer
import TestSupport
import Traffic

/// The first octet: bit 0 a stream, else datagrams; then a ``Conversation``. However a stream without gaps is cut,
/// the same messages come out.
enum DNSTarget {
  static func run(_ bytes: [UInt8]) {
    var reader = InputReader(bytes)
    let isStream = reader.u8() & 1 != 0
    let conversation = Conversation(reader.rest())
    // Behind a gap it goes on where a chunk begins like a message: that is for the cuts to say.
    if isStream, conversation.pieces.allSatisfy({ $0.gap == 0 }) {
      conversation.checkCuts { DNSParser(framing: .stream) }
    }
    let parser = DNSParser(framing: isStream ? .stream : .datagram)
    conversation.forEachChunk { chunk in
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
