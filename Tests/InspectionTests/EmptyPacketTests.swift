import Inspection
import TestSupport
import Testing
import Traffic

/// Packets that bring nothing to look at are passed over; none of the rules that ask for one of them may miss it.
@Suite struct EmptyPacketTests {
  private static let rules = [
    #"alert tcp any any -> any any (msg:"bare acknowledgement"; flags:A; dsize:0; sid:1;)"#,
    #"alert tcp any any -> any any (msg:"size"; flow:established; dsize:6; sid:2;)"#,
    #"alert tcp any any -> any any (msg:"small"; flow:established,to_client; dsize:<3; sid:3;)"#,
    #"alert tcp any any -> any any (msg:"large"; dsize:>1000; sid:4;)"#,
    #"alert tcp any any -> any any (msg:"between"; dsize:5<>7; sid:5;)"#,
    #"alert tcp any any -> any any (msg:"not"; dsize:!6; flags:A+; sid:6;)"#,
    #"alert tcp any any -> any any (msg:"window"; window:1234; sid:7;)"#,
    #"alert tcp any any -> any any (msg:"noted late"; window:1234; flowbits:set,late; noalert; sid:8;)"#,
    #"alert tls any any -> any any (msg:"waits for a bit"; flow:to_server; tls.sni; content:"a.example"; flowbits:isset,late; sid:9;)"#,
    #"alert tls any any -> any any (msg:"waits for a packet"; flow:to_server; tls.sni; content:"a.example"; window:1234; sid:10;)"#,
    #"alert tls any any -> any any (msg:"hello"; tls.sni; content:"a.example"; sid:11;)"#,
    #"alert tcp any any -> any any (msg:"stream"; flow:only_stream; content:"later"; sid:12;)"#,
    #"alert tcp any any -> any any (msg:"fin"; flags:F+; sid:13;)"#,
    #"alert ip any any -> any any (msg:"addresses"; sid:14;)"#,
    #"alert tls any any -> any any (msg:"protocol"; sid:15;)"#,
    #"alert tls any any -> any any (msg:"raw beside a buffer"; flow:to_server; tls.sni; content:"a.example"; pkt_data; content:"|16 03|"; sid:16;)"#,
  ]

  private static func tls() -> TCPConversation {
    var talk = TCPConversation(serverPort: 443)
    talk.handshake()
    talk.send(.toServer, TLSClientHello(serverName: "a.example").records())
    talk.send(.toClient, TLSServerHello().records())
    for direction in [Direction.toServer, .toClient] {
      talk.send(direction, tlsRecords(contentType: 20, [1]))
      talk.send(direction, tlsRecords(contentType: 23, Array(repeating: 7, count: 3000)), segmentSize: 900)
    }
    talk.window = 1234
    talk.send(.toServer, tlsRecords(contentType: 23, Array("secret".utf8)))
    talk.window = 65_535
    talk.send(.toClient, tlsRecords(contentType: 23, Array("answer".utf8)))
    talk.fin()
    return talk
  }

  private static func plain() -> TCPConversation {
    var talk = TCPConversation(serverPort: 9999)
    talk.handshake()
    for text in ["first!", "x", "second", "later"] {
      talk.window = text == "second" ? 1234 : 65_535
      talk.send(.toServer, text)
      talk.send(.toClient, text)
    }
    talk.fin()
    return talk
  }

  /// Rules with the packets that they were told of.
  /// - Parameter looksAtAll: every packet goes through the rules.
  private static func seen(_ talk: TCPConversation, isInline: Bool, looksAtAll: Bool) -> [[UInt64]] {
    let scene = PathScene.run(talk.packets, rules: rules.joined(separator: "\n"), isInline: isInline) {
      $0.guessesTransaction = looksAtAll
      $0.alertsPerPacketMax = 100
    }
    return scene.sink.alerts.map { [UInt64($0.sid), $0.packet] }
  }

  @Test func `the same is told as where every packet goes through the rules`() {
    for isInline in [true, false] {
      for talk in [Self.tls(), Self.plain(), PathScene.exchange()] {
        let all = Self.seen(talk, isInline: isInline, looksAtAll: true)
        #expect(Self.seen(talk, isInline: isInline, looksAtAll: false) == all, "inline: \(isInline)")
        #expect(!all.isEmpty)
      }
    }
  }

  @Test func `what a rule waits for may come with a packet that says nothing`() {
    for isInline in [true, false] {
      let sids = Set(Self.seen(Self.tls(), isInline: isInline, looksAtAll: false).map { $0[0] })
      // Where traffic is watched, a transaction is looked at with the packet after the one that brought the octets.
      for sid in [1, 6, 7, 9, 11, 13, 14, 15, 16] + (isInline ? [10] : []) { #expect(sids.contains(UInt64(sid)), "\(sid), inline: \(isInline)") }
      let plain = Set(Self.seen(Self.plain(), isInline: isInline, looksAtAll: false).map { $0[0] })
      for sid in [1, 2, 3, 5, 6, 7, 12, 13, 14] { #expect(plain.contains(UInt64(sid)), "\(sid), inline: \(isInline)") }
    }
  }
}
