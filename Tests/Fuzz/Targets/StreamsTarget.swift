import AppLayer
import TestSupport
import Traffic

/// The first octet says which ports; the rest is a ``Conversation``.
enum StreamsTarget {
  static func run(_ bytes: [UInt8]) {
    var reader = InputReader(bytes)
    let control = reader.u8()
    let flow = AppLayerFlow(
      settings: AppLayerSettings(), transport: .tcp, serverPort: control & 1 == 0 ? 80 : 53, clientPort: 4000,
      isMidstream: control & 2 != 0)
    var inspects = false
    Conversation(reader.rest()).forEachChunk { chunk in
      flow.consume(chunk)
      for transaction in flow.transactions {
        transaction.ask()
        if inspects { transaction.markInspected(chunk.direction) }
      }
      inspects.toggle()
      flow.removeTransactions { $0.isComplete }
    }
    flow.finish(at: Conversation.time)
    for transaction in flow.transactions { transaction.ask() }
  }

  static var seeds: [(name: String, bytes: [UInt8])] {
    HTTPTarget.seeds.map { ("http-" + $0.name, [0] + $0.bytes) } + TLSTarget.seeds.filter { $0.name != "certificate" }
      .map { ("tls-" + $0.name, [0] + $0.bytes.dropFirst()) }
      + [
        ("dns", [1] + Conversation.input([(.toServer, TestSupport.DNSMessage.query("www.example.com").bytesOverTCP)])),
        ("ssh", [0] + Conversation.input([(.toClient, Array("SSH-2.0-x\r\n".utf8))])),
        ("http2", [0] + Conversation.input([
          (.toServer, Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + [0, 0, 0, 4, 0, 0, 0, 0, 0]
            + [0, 0, 7, 1, 5, 0, 0, 0, 1, 0x82, 0x84, 0x86, 0x41, 0x02, 0x61, 0x62]),
          (.toClient, [0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88, 0, 0, 2, 0, 1, 0, 0, 0, 1, 0x68, 0x69]),
        ])),
      ]
  }
}
