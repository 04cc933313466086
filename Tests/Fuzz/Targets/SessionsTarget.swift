import AppLayer
import TestSupport
import Traffic

/// The first octet says which protocol; the rest is a ``Conversation``. However a stream is cut, the same comes out.
enum SessionsTarget {
  static func run(_ bytes: [UInt8]) {
    var reader = InputReader(bytes)
    let choice = reader.u8() % 8
    let conversation = Conversation(reader.rest())
    guard choice >= 4 else { return conversation.checkCuts { Self.parser(choice) } }
    // Datagrams are not cut.
    let parser = Self.parser(choice)
    conversation.forEachChunk { chunk in
      parser.consume(chunk)
      for transaction in parser.transactions { transaction.ask() }
    }
    parser.finish(at: Conversation.time)
    for transaction in parser.transactions { transaction.ask() }
  }

  private static func parser(_ choice: UInt8) -> AppLayerParser {
    switch choice {
    case 0:
      let tuple = FlowTuple(
        source: IPAddress(ipv4: 1), destination: IPAddress(ipv4: 2), sourcePort: 3, destinationPort: 21, ipProtocol: 6)
      return FTPParser(ends: FlowEnds(tuple, expected: ExpectedFlows()))
    case 1: return SIPParser(isStream: true)
    case 2: return POP3Parser()
    case 3: return TelnetParser()
    case 4: return SIPParser(isStream: false)
    case 5: return DHCPParser()
    case 6: return NTPParser()
    default: return TFTPParser()
    }
  }

  static var seeds: [(name: String, bytes: [UInt8])] {
    func talk(_ choice: UInt8, _ client: String, _ server: String) -> [UInt8] {
      [choice] + Conversation.input([(.toServer, crlf(client)), (.toClient, crlf(server))])
    }
    let call = "INVITE sip:b SIP/2.0\nv: SIP/2.0/UDP a\nFrom: <sip:a>\n ;tag=1\nl: 3\n\nv=0"
    let lease: [UInt8] = [2, 1, 6, 0] + [UInt8](repeating: 1, count: 232) + [99, 130, 83, 99, 53, 1, 5, 51, 4, 0, 0, 1, 0, 255]
    return [
      ("ftp", talk(0, "USER a\nPORT 1,2,3,4,5,6\nRETR a\nAUTH TLS\n", "220 x\n331 y\n200-a\n200 b\n150 c\n226 d\n234 e\n")),
      ("ftp-passive", talk(0, "PASV\nSTOR a\nEPSV\nLIST\n", "227 (1,2,3,4,5,6)\n226 x\n229 (|||7|)\n226 x\n")),
      ("sip-stream", talk(1, call + call, "SIP/2.0 200 OK\nContent-Length: 0\n\n")),
      ("pop3", talk(2, "AUTH\nx\nLIST\nRETR 1\nSTLS\n", "+ \n+OK\n+OK\n1 2\n..\n.\n+OK\nSubject: a\n\nb\n.\n+OK\n")),
      ("telnet", [3] + Conversation.input([(.toServer, [255, 253, 3, 97, 10]), (.toClient, [255, 250, 24, 1, 255, 240])])),
      ("sip", talk(4, call, "SIP/2.0 180 Ringing\nVia: a\n\n")),
      ("dhcp", [5] + Conversation.input([(.toClient, lease)])),
      ("ntp", [6] + Conversation.input([(.toServer, [0x23] + [UInt8](repeating: 0, count: 47))])),
      ("tftp", [7] + Conversation.input([(.toServer, [0, 1] + Array("a\0octet\0".utf8))])),
    ]
  }
}
