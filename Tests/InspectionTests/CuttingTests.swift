import Inspection
import TestSupport
import Testing
import Traffic

/// However traffic is cut, ordered or wrapped, the same is found.
@Suite struct CuttingTests {
  private static let rules = """
    alert http any any -> any any (msg:"uri"; http.uri; content:"/evil"; sid:1;)
    alert tcp any any -> any any (msg:"word"; content:"hello"; flow:to_client; sid:2;)
    """

  @Test func `any segment size gives the same alerts`() {
    for isInline in [true, false] {
      for size in [1, 2, 3, 7, 20, 1460] {
        let scene = PathScene.run(
          PathScene.exchange(segmentSize: size).packets, rules: Self.rules, isInline: isInline)
        #expect(scene.sids.sorted() == [1, 2], "segments of \(size) octets, inline: \(isInline)")
      }
    }
  }

  @Test func `segments out of order give the same alerts`() {
    for seed in 1...20 as ClosedRange<UInt64> {
      for isInline in [true, false] {
        var web = TCPConversation()
        web.handshake()
        let opening = web.packets.count
        web.acknowledges = false
        web.send(.toServer, "GET /evil HTTP/1.1\r\nHost: a.example\r\n\r\n", segmentSize: 5)
        var generator = SeededGenerator(seed: seed)
        let shuffled = Array(web.packets[opening...]).reordered(using: &generator)
        web.send(.toClient, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        let rest = web.packets[(opening + shuffled.count)...]
        let scene = PathScene.run(
          Array(web.packets[..<opening]) + shuffled + rest, rules: Self.rules, isInline: isInline)
        #expect(Set(scene.sids) == [1, 2], "seed \(seed), inline: \(isInline)")
      }
    }
  }

  @Test func `inline, a segment ahead of a hole is looked at before it passes`() {
    var web = TCPConversation()
    web.handshake()
    web.acknowledges = false
    web.send(.toClient, "HTTP/1.1")
    web.lose(.toClient, octets: 4)
    web.send(.toClient, "hel")
    web.send(.toClient, "lo")
    let scene = PathScene.run(
      web.packets, rules: #"drop tcp any any -> any any (msg:"word"; content:"hello"; sid:2;)"#)
    #expect(scene.sink.alerts.first?.packet == 6)
    #expect(scene.verdicts[5].verdict == .drop)
  }

  @Test func `inline, a segment sent again with other data is made to say what came first`() {
    var web = TCPConversation()
    web.handshake()
    web.acknowledges = false
    web.send(.toServer, "GOOD")
    web.inject(.toServer, Array("EVIL".utf8), offset: -4)
    let scene = PathScene.run(
      web.packets, rules: #"alert tcp-pkt any any -> any any (msg:"word"; content:"EVIL"; sid:1;)"#)
    #expect(scene.sids == [])
    #expect(scene.verdicts[4].replacements.map(\.bytes) == [Array("GOOD".utf8)])
  }

  @Test func `what is left unacknowledged is inspected at the end of the flow`() {
    var web = TCPConversation()
    web.handshake()
    web.acknowledges = false
    web.send(.toServer, "GET /evil HTTP/1.1\r\nHost: a.example\r\n\r\n")
    let scene = PathScene.run(web.packets, rules: Self.rules, isInline: false)
    #expect(scene.sink.alerts.map(\.sid) == [1])
    #expect(scene.sink.alerts.map(\.packet) == [0])
  }

  @Test func `data on a SYN is inspected once the flow is established`() {
    for isInline in [false, true] {
      var web = TCPConversation()
      let request = Array("GET /evil HTTP/1.1\r\nHost: a.example\r\n\r\n".utf8)
      web.emit(.toServer, [.syn], options: [.other(kind: 34, [1, 2, 3, 4])], payload: request)
      web.nextSequence[0] &+= 1 &+ UInt32(request.count)
      web.emit(.toClient, [.syn, .ack])
      web.nextSequence[1] &+= 1
      web.emit(.toServer, [.ack])
      web.send(.toClient, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
      web.fin()
      let scene = PathScene.run(
        web.packets,
        rules: """
          alert http any any -> any any (msg:"uri"; flow:established; http.uri; content:"/evil"; sid:1;)
          alert http any any -> any any (msg:"uri"; http.uri; content:"/evil"; sid:2;)
          """, isInline: isInline)
      // Inline it is looked at before it passes.
      #expect(scene.sids.sorted() == (isInline ? [2] : [1, 2]))
    }
  }

  // MARK: Fragments and tunnels

  private static let datagramRule =
    #"drop udp any any -> any 9000 (msg:"word"; content:"attack"; sid:1;)"#

  private static func packet(_ network: any NetworkPacket, _ number: Int) -> BuiltPacket {
    BuiltPacket(
      time: Timestamp(nanoseconds: 1_700_000_000_000_000_000 + Int64(number) * 1_000_000),
      bytes: EthernetFrame(network).bytes)
  }

  private static var datagram: IPv4Packet {
    IPv4Packet(
      ip("10.0.0.1"), ip("192.0.2.80"),
      UDPDatagram(from: 4000, to: 9000, Array("this is an attack in several fragments".utf8)))
  }

  @Test func `a datagram is inspected as a whole when its last fragment comes`() {
    let fragments = Self.datagram.fragments(size: 16)
    #expect(fragments.count > 2)
    for order in [Array(fragments.indices), fragments.indices.reversed()] {
      let packets = order.enumerated().map { Self.packet(fragments[$1], $0) }
      let scene = PathScene.run(packets, rules: Self.datagramRule)
      #expect(scene.sids == [1])
      #expect(scene.stopped == [packets.count])
    }
  }

  @Test func `a drop inside a tunnel drops the packet around it`() {
    let wrapped: [(String, any NetworkPacket)] = [
      ("ipv4 tunnel", IPv4Packet(ip("198.51.100.1"), ip("198.51.100.2"), Self.datagram)),
      ("gre tunnel", IPv4Packet(ip("198.51.100.1"), ip("198.51.100.2"), GREPacket(Self.datagram))),
    ]
    for (means, network) in wrapped {
      let scene = PathScene.run([Self.packet(network, 0)], rules: Self.datagramRule)
      #expect(scene.sids == [1])
      #expect(scene.stopped == [1])
      #expect(scene.verdicts.first?.reason == .innerPacket)
      #expect(scene.sink.tunnels == [means])
    }
  }

  @Test func `datagrams of a dropped flow are dropped`() {
    let packets = [0, 1].map { Self.packet(Self.datagram, $0) }
    let scene = PathScene.run(
      packets, rules: #"drop udp any any -> any 9000 (msg:"port"; sid:1;)"#)
    #expect(scene.sids == [1])
    #expect(scene.verdicts.map(\.reason) == [.rules, .flowDrop])
  }
}

/// Connections of which one side alone is seen.
@Suite struct OneSidedTests {
  @Test func `a side that is seen alone from the middle on is inspected at once`() {
    var web = TCPConversation()
    web.acknowledges = false
    web.emit(.toServer, [.ack])
    web.send(.toServer, "GET /evil HTTP/1.1\r\nHost: a.example\r\n\r\n")
    let rules = #"alert http any any -> any any (msg:"uri"; flow:established; http.uri; content:"/evil"; sid:1;)"#
    for isAsynchronous in [true, false] {
      let scene = PathScene.run(web.packets, rules: rules, isInline: false) {
        $0.flows.tcp.midstream = true
        $0.flows.tcp.asyncOneside = isAsynchronous
      }
      #expect(scene.sink.alerts.map(\.packet) == (isAsynchronous ? [2] : [0]))
    }
  }
}
