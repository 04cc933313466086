import AppLayer
import Inspection
import TestSupport
import Testing
import Traffic

/// Passive: when the raw stream is inspected, and with what.
@Suite struct StreamPieceTests {
  private static let each = """
    alert tcp any any -> any any (msg:"ts"; flow:to_server,established,only_stream; pcre:"/^./s"; sid:1;)
    alert tcp any any -> any any (msg:"tc"; flow:to_client,established,only_stream; pcre:"/^./s"; sid:2;)
    """

  private static func count(_ conversation: TCPConversation, _ sid: UInt32) -> Int {
    PathScene.run(conversation.packets, rules: each, isInline: false).sids.count { $0 == sid }
  }

  @Test func `each command and reply of SMTP ends a piece, but for the greeting`() {
    var mail = TCPConversation(serverPort: 25)
    mail.handshake()
    for (direction, text) in [
      (Direction.toClient, "220 mail.example ESMTP\r\n"), (.toServer, "EHLO a.example\r\n"),
      (.toClient, "250-mail.example\r\n250 SIZE\r\n"), (.toServer, "MAIL FROM:<a@a.example>\r\n"),
      (.toClient, "250 ok\r\n"), (.toServer, "RCPT TO:<b@b.example>\r\n"), (.toClient, "250 ok\r\n"),
      (.toServer, "QUIT\r\n"), (.toClient, "221 bye\r\n"),
    ] { mail.send(direction, text) }
    mail.fin()
    #expect(Self.count(mail, 1) == 4)
    #expect(Self.count(mail, 2) == 4)
  }

  @Test func `what FTP says waits for the end, since its transactions end no piece`() {
    var files = TCPConversation(serverPort: 21)
    files.handshake()
    files.send(.toClient, "220 ready\r\n")
    for (command, reply) in [("USER bob", "331 password"), ("PASS secret", "230 in"), ("SYST", "215 UNIX")] {
      files.send(.toServer, command + "\r\n")
      files.send(.toClient, reply + "\r\n")
    }
    files.fin()
    #expect(Self.count(files, 1) == 1)
    let rules = """
      alert tcp any any -> any 21 (msg:"both"; flow:to_server,established; content:"USER"; content:!"PASS"; sid:1;)
      """
    #expect(PathScene.run(files.packets, rules: rules, isInline: false).sids == [])
  }

  @Test func `an ICMP error about the flow does not use up what its stream has to show`() {
    var web = TCPConversation()
    web.handshake()
    web.send(.toServer, "GET /evil HTTP/1.1\r\nHost: a.example\r\n\r\n")
    let quoted = IPv4Packet(
      web.client, web.server,
      TCPSegment(from: web.clientPort, to: web.serverPort, sequence: 1001, acknowledgment: 5001, flags: [.ack]))
    let error = BuiltPacket(
      time: web.time,
      bytes: EthernetFrame(IPv4Packet(web.server, web.client, ICMPv4Message.error(code: 4, about: quoted))).bytes)
    let rules = #"alert tcp any any -> any any (msg:"word"; content:"/evil"; sid:1;)"#
    for place in 4...web.packets.count {
      var packets = web.packets
      packets.insert(error, at: place)
      #expect(PathScene.run(packets, rules: rules, isInline: false).sids == [1], "error at \(place)")
    }
  }

  @Test func `what came before a hole is inspected all the same`() {
    var web = TCPConversation()
    web.handshake()
    web.send(.toServer, "the word is swordfish, and it is said before anything is lost")
    web.lose(.toServer, octets: 100)
    web.send(.toServer, String(repeating: "x", count: 3000))
    web.fin()
    let rules = #"alert tcp any any -> any any (msg:"word"; content:"swordfish"; sid:1;)"#
    #expect(PathScene.run(web.packets, rules: rules, isInline: false).sids == [1])
  }

  @Test func `a match lies across two pieces, unless each is to be inspected by itself`() {
    var talk = TCPConversation(serverPort: 5432)
    talk.handshake()
    talk.send(.toServer, "this is a sword")
    talk.send(.toServer, "fish and this is whole")
    talk.fin()
    let rules = """
      alert tcp any any -> any any (msg:"cut"; flow:only_stream; content:"swordfish"; sid:1;)
      alert tcp any any -> any any (msg:"two"; flow:only_stream; content:"sword"; content:"whole"; distance:0; sid:2;)
      alert tcp any any -> any any (msg:"begin"; flow:only_stream; content:"fish"; startswith; sid:3;)
      alert tcp any any -> any any (msg:"end"; flow:only_stream; content:"whole"; sid:4;)
      """
    func sids(isInline: Bool, joinsPieces: Bool) -> Set<UInt32> {
      let scene = PathScene.run(talk.packets, rules: rules, isInline: isInline) {
        $0.chunkBytes = (1, 1)
        $0.joinsPieces = joinsPieces
      }
      return Set(scene.sids)
    }
    #expect(sids(isInline: false, joinsPieces: true) == [1, 2, 3, 4])
    #expect(sids(isInline: false, joinsPieces: false) == [3, 4])
    #expect(sids(isInline: true, joinsPieces: false) == [1, 2, 4])
  }

  @Test func `beyond the depth a packet is inspected by itself`() {
    var web = TCPConversation(serverPort: 5432)
    web.handshake()
    web.send(.toServer, String(repeating: "x", count: 5000))
    web.send(.toServer, "the word is swordfish")
    web.fin()
    let rules = """
      alert tcp any any -> any any (msg:"word"; content:"swordfish"; sid:1;)
      alert tcp any any -> any any (msg:"stream"; flow:only_stream; content:"swordfish"; sid:2;)
      """
    for isInline in [false, true] {
      let scene = PathScene.run(web.packets, rules: rules, isInline: isInline) { $0.reassembly.depthBytes = 4096 }
      #expect(scene.sids == [1], "inline: \(isInline)")
    }
  }

  @Test func `TLS that is encrypted is not searched, unless all of it is to be`() {
    var secret = TCPConversation(serverPort: 443)
    secret.handshake()
    secret.send(.toServer, TLSClientHello(serverName: "a.example").records())
    secret.send(.toClient, TLSServerHello().records())
    for direction in [Direction.toServer, .toClient] {
      secret.send(direction, tlsRecords(contentType: 20, [1]))
      secret.send(direction, tlsRecords(contentType: 23, Array("first".utf8)))
    }
    secret.send(.toServer, tlsRecords(contentType: 23, Array("swordfish".utf8)))
    secret.send(.toClient, tlsRecords(contentType: 23, Array("swordfish".utf8)))
    secret.fin()
    let rules = """
      alert tcp any any -> any any (msg:"word"; content:"swordfish"; sid:1;)
      alert tcp-pkt any any -> any any (msg:"packet"; content:"swordfish"; sid:2;)
      alert tcp any any -> any any (msg:"size"; dsize:14; sid:3;)
      alert tls any any -> any any (msg:"name"; tls.sni; content:"a.example"; sid:4;)
      """
    for isInline in [false, true] {
      let hidden = PathScene.run(secret.packets, rules: rules, isInline: isInline)
      #expect(Set(hidden.sids) == [4], "inline: \(isInline)")
      let searched = PathScene.run(secret.packets, rules: rules, isInline: isInline) { $0.hidesEncrypted = false }
      #expect(Set(searched.sids) == [1, 2, 3, 4], "inline: \(isInline)")
    }
  }

  @Test func `a body that lasts until its server closes is inspected with the packet that ends the session`() {
    var web = TCPConversation()
    web.handshake()
    web.send(.toServer, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
    web.send(.toClient, "HTTP/1.1 200 OK\r\n\r\nthe word is swordfish")
    web.fin(from: .toClient)
    let rules = """
      alert tcp any any -> any any (msg:"word"; flow:to_client; content:"swordfish"; sid:1;)
      alert http any any -> any any (msg:"body"; file.data; content:"swordfish"; endswith; sid:2;)
      """
    let watched = PathScene.run(web.packets, rules: rules, isInline: false)
    #expect(watched.sink.alerts.filter { $0.sid == 1 }.map(\.packet) == [UInt64(web.packets.count)])
    #expect(watched.sids.sorted() == [1, 2])
    // Inline nothing waits for what would be too late.
    let inline = PathScene.run(web.packets, rules: rules)
    #expect(inline.sink.alerts.first { $0.sid == 1 }?.packet == 6)
  }

  // MARK: Positions

  /// Lines that each end a piece, where one of mail's commands does.
  private static func mail(_ commands: [String]) -> TCPConversation {
    var mail = TCPConversation(serverPort: 25)
    mail.handshake()
    mail.send(.toClient, "220 mail.example ESMTP\r\n")
    for command in commands {
      mail.send(.toServer, command + "\r\n")
      mail.send(.toClient, "250 ok\r\n")
    }
    mail.fin()
    return mail
  }

  @Test func `positions count from the start of a piece as well, where traffic is watched`() {
    let mail = Self.mail(["EHLO a.example", "MAIL FROM:<a@a.example>", "RCPT TO:<b@b.example>"])
    let rules = """
      alert tcp any any -> any any (msg:"depth"; flow:to_server,only_stream; content:"RCPT"; depth:4; sid:1;)
      alert tcp any any -> any any (msg:"start"; flow:to_server,only_stream; content:"MAIL"; startswith; sid:2;)
      alert tcp any any -> any any (msg:"caret"; flow:to_server,only_stream; content:"RCPT"; pcre:"/^RCPT/"; sid:3;)
      alert tcp any any -> any any (msg:"offset"; flow:to_server,only_stream; content:"TO|3a|"; offset:5; depth:3; sid:4;)
      alert tcp any any -> any any (msg:"first"; flow:to_server,only_stream; content:"EHLO"; depth:4; sid:5;)
      alert tcp any any -> any any (msg:"no"; flow:to_server,only_stream; content:"FROM"; depth:6; sid:6;)
      """
    #expect(PathScene.run(mail.packets, rules: rules, isInline: false).sids.sorted() == [1, 2, 3, 4, 5])
    #expect(PathScene.run(mail.packets, rules: rules).sids.sorted() == [5])
  }

  @Test func `no rule is told twice of the same octets`() {
    let mail = Self.mail(["EHLO a.example", "EHLO b.example", "NOOP", "EHLO c.example", "NOOP"])
    let rules = """
      alert tcp any any -> any any (msg:"start"; flow:to_server,only_stream; content:"EHLO"; depth:4; sid:1;)
      alert tcp any any -> any any (msg:"expression"; flow:to_server,only_stream; pcre:"/a\\.exa/"; sid:2;)
      alert tcp any any -> any any (msg:"both"; flow:to_server,only_stream; content:"EHLO"; content:" b"; sid:3;)
      alert tcp any any -> any any (msg:"across"; flow:to_server,only_stream; pcre:"/b\\.example\\r\\nNOOP/"; sid:4;)
      """
    let watched = PathScene.run(mail.packets, rules: rules, isInline: false).sids
    #expect([1, 2, 3, 4].map { sid in watched.count { $0 == sid } } == [3, 1, 1, 1])
    let inline = PathScene.run(mail.packets, rules: rules).sids
    #expect([1, 2, 3, 4].map { sid in inline.count { $0 == sid } } == [1, 1, 1, 1])
  }
}
