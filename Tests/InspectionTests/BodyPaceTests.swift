import AppLayer
import TestSupport
import Testing

/// When rules look at bodies where no traffic waits for them.
@Suite struct BodyPaceTests {
  private static let rules =
    #"alert http any any -> any any (msg:"word"; flow:to_client,established; file.data; content:"swordfish"; sid:1;)"#

  /// A response with the word near the start of its body: packets 1-3 the handshake, 4 the request.
  private static func web(_ count: Int) -> TCPConversation {
    var web = TCPConversation()
    web.handshake()
    web.send(.toServer, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
    web.send(.toClient, "HTTP/1.1 200 OK\r\nContent-Length: \(count)\r\n\r\n")
    let body = String(repeating: ".", count: 2000) + "swordfish"
    web.send(.toClient, body + String(repeating: ".", count: count - body.utf8.count), segmentSize: 1000)
    return web
  }

  /// Number of the packet that the alert is for.
  private static func alertedAt(_ packets: [BuiltPacket], isInline: Bool) throws -> UInt64 {
    let scene = PathScene.run(packets, rules: rules, isInline: isInline) {
      $0.appLayer.http.showsBodiesAtOnce = isInline
    }
    #expect(scene.sids == [1])
    return try #require(scene.sink.alerts.first).packet
  }

  @Test func `a long body is looked at when enough of it has come, in line at once`() throws {
    let packets = Self.web(90_000).packets
    let (passive, inline) = (try Self.alertedAt(packets, isInline: false), try Self.alertedAt(packets, isInline: true))
    // A segment of 1,000 octets and its acknowledgement each.
    #expect(inline < 20)
    #expect(passive > 80)
    #expect(passive < 100)
  }

  @Test func `a short one is looked at when it ends, also where the connection ends before`() throws {
    var web = Self.web(20_000)
    let packets = web.packets
    web.fin()
    // What the client has acknowledged is looked at with the server's next packet.
    #expect(try Self.alertedAt(web.packets, isInline: false) > UInt64(packets.count))
    // The end of the capture ends the flow: no packet brings the alert.
    #expect(try Self.alertedAt(packets.dropLast(8), isInline: false) == 0)
  }

  @Test func `what lies before a hole in a body is looked at by itself`() throws {
    for word in ["swordfish", "sword", ""] {
      var web = TCPConversation()
      web.handshake()
      web.send(.toServer, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
      web.acknowledges = false
      web.send(.toClient, "HTTP/1.1 200 OK\r\nContent-Length: 700\r\n\r\n..\(word)")
      web.acknowledges = true
      web.lose(.toClient, octets: 500)
      web.send(.toClient, word == "" ? "..swordfish.." : "fish" + String(repeating: ".", count: 100))
      web.fin()
      let scene = PathScene.run(web.packets, rules: Self.rules, isInline: false) {
        $0.appLayer.http.showsBodiesAtOnce = false
      }
      #expect(scene.sids == (word == "sword" ? [] : [1]), "\(word)")
    }
  }
}
