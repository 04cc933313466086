import AppLayer
import Inspection
import TestSupport
import Testing
import Traffic

/// Who says hello as in TLS, and then something else, hides nothing by it.
@Suite struct FeignedTLSTests {
  private static let rules = """
    alert tcp any any -> any any (msg:"stream"; flow:only_stream; content:"GET /evil"; sid:1;)
    alert tcp-pkt any any -> any any (msg:"packet"; content:"/evil HTTP"; sid:2;)
    """
  private static let attack = Array("GET /evil HTTP/1.1\r\nHost: a.example\r\n\r\n".utf8)

  /// Hellos of both sides and a record of application data of each.
  private static func hidden() -> TCPConversation {
    var secret = TCPConversation(serverPort: 443)
    secret.handshake()
    secret.send(.toServer, TLSClientHello(serverName: "a.example").records())
    secret.send(.toClient, TLSServerHello().records())
    for direction in [Direction.toServer, .toClient] {
      secret.send(direction, tlsRecords(contentType: 20, [1]))
      secret.send(direction, tlsRecords(contentType: 23, Array("secret".utf8)))
    }
    return secret
  }

  @Test func `plaintext behind records of ciphertext is inspected in both directions`() {
    for direction in [Direction.toServer, .toClient] {
      for isInline in [true, false] {
        var feigned = Self.hidden()
        feigned.send(direction, Self.attack)
        // Whoever watches sees the first packet before it is acknowledged, and the parser with it.
        feigned.send(direction, Self.attack)
        feigned.fin()
        let scene = PathScene.run(feigned.packets, rules: Self.rules, isInline: isInline)
        #expect(Set(scene.sids) == [1, 2], "\(direction), inline: \(isInline)")
      }
    }
  }

  @Test func `plaintext behind ciphertext is seen octet by octet, too`() {
    for direction in [Direction.toServer, .toClient] {
      for isInline in [true, false] {
        var feigned = Self.hidden()
        feigned.send(direction, Self.attack, segmentSize: 1)
        feigned.fin()
        let scene = PathScene.run(feigned.packets, rules: Self.rules, isInline: isInline)
        #expect(scene.sids == [1], "\(direction), inline: \(isInline)")
      }
    }
  }

  @Test func `once something else was said, later records hide nothing`() {
    for direction in [Direction.toServer, .toClient] {
      var feigned = Self.hidden()
      feigned.send(direction, "no record\r\n")
      for side in [Direction.toServer, .toClient] {
        feigned.send(side, tlsRecords(contentType: 23, Array("more".utf8)))
      }
      feigned.send(direction.opposite, tlsRecords(contentType: 23, Self.attack))
      feigned.fin()
      #expect(Set(PathScene.run(feigned.packets, rules: Self.rules).sids) == [1, 2], "\(direction)")
    }
  }

  @Test func `a client hides nothing by records while its server does not speak TLS`() {
    for isInline in [true, false] {
      var feigned = TCPConversation(serverPort: 443)
      feigned.handshake()
      feigned.send(.toServer, TLSClientHello(serverName: "a.example").records())
      feigned.send(.toServer, tlsRecords(contentType: 23, Array("first".utf8)))
      feigned.send(.toServer, tlsRecords(contentType: 23, Self.attack))
      feigned.fin()
      let scene = PathScene.run(feigned.packets, rules: Self.rules, isInline: isInline)
      #expect(Set(scene.sids) == [1, 2], "inline: \(isInline)")
    }
  }
}
