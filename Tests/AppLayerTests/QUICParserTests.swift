import TestSupport
import Testing
import Traffic

@testable import AppLayer

struct QUICParserTests {
  /// Client Initials towards the identifier 8394c8f03e515708 (that of RFC 9001 appendix A), made with another
  /// implementation of AES-GCM: the second part of a ClientHello (q.example, h3, TLS 1.3), then PING and the first.
  private static let v1 = [
    "c400000001088394c8f03e51570802aabb004059b3f5469c51f59e6fa234c1a74f95e08877c32c101cfeab596635d40ede03ea4a65b41c75e16e47091f6a7c3c27f813f5e075d00268d731e3ba76a4ddd08b31691433aa505bf8f9038e82ecc256a9077395259daf41c37d6392",
    "c600000001088394c8f03e51570802aabb004053ab606b3cabfc2f86c2ceb2de9fa4327ce62563678a8ba3f7600884e02455e55e04f239dbc4fb4f54b787813d2434518ff8471909c6c992dc16447218b60db9c61a0fc89476ff61c845ad9c02d147c51b53bdff",
  ].map { [UInt8](hex: $0) }
  private static let v2 = [
    "d16b3343cf088394c8f03e51570802aabb004059de6ad4c49e416d4c282193d2e8f28a191160fb9129b0f0899b7413282f1fd3e058ae773972ef28958d3b9ba53d337c6a1c98920e299cf89f16df66a044ad70895e5198c1c83f2696fa60ace7c4c2f07d468c64f99b76d1c104",
    "de6b3343cf088394c8f03e51570802aabb00405306855d978ab1c8cce143954acc67a27a871fcb49ccc14edd7ac643344d44dc26b754689f215dc05ab110638107c51135427e0b10891978698d2596b432a95c4616ff8ffa50c0e907972e6c75d1e697cf708d2a",
  ].map { [UInt8](hex: $0) }
  /// The server's Initial: ACK and its hello.
  private static let server = [UInt8](
    hex: "c10000000102aabb0301020300404d2a30aa3039b11b5aa9d3c0095fdc943438b828ebd44924683a9a242d3a87f7836495352fedf253534bea1b12e87c17eccc759c2b5b81ae469cc56f744f4dd20fe3b6d12311238172d064fe4711")

  private func quic(_ datagrams: [Sent]) -> [QUICTransaction] {
    feed(QUICParser(), datagrams).transactions.compactMap { $0 as? QUICTransaction }
  }

  @Test(arguments: [(v1, UInt32(1)), (v2, QUICVersion.v2)])
  func aHelloInPiecesIsPutTogetherWhateverTheirOrder(datagrams: [[UInt8]], version: UInt32) throws {
    let packets = quic(datagrams.map { .client($0) })
    #expect(packets.map(\.version) == [version, version])
    #expect(packets.map { $0.clientHello != nil } == [false, true])
    #expect(packets.allSatisfy { $0.events.isEmpty })
    let hello = try #require(packets.last)
    #expect(hello.texts(.quicSNI, .toServer) == ["q.example"])
    #expect(hello.texts(.ja3String, .toServer) == ["771,4865-4866,0-16-43-57,,"])
    #expect(hello.texts(.ja4Hash, .toServer).first?.hasPrefix("q13d0204h3_") == true)
    #expect(hello.buffer(.quicVersion, .toServer, index: 0).map { Array($0.storage[$0.range]) }?.count == 4)
  }

  @Test func theServersHelloIsReadWithTheSameKeys() throws {
    let packets = quic(Self.v1.map { .client($0) } + [.server(Self.server)])
    let hello = try #require(packets.last)
    #expect(hello.direction == .toClient)
    #expect(hello.texts(.ja3sString, .toClient) == ["771,4865,43"])
  }

  @Test func whoeverDecidesGetsTheHelloOnceItIsWhole() throws {
    let parser = QUICParser()
    feed(parser, [.client(Self.v1[0])])
    #expect(parser.clientHello == nil)
    #expect(!parser.isUnreadable)
    feed(parser, [.client(Self.v1[1])])
    let hello = try #require(parser.clientHello)
    // Handshake type 1, and as long as it says.
    #expect(hello[0] == 1)
    #expect(hello.count == 4 + Int(hello[1]) << 16 + Int(hello[2]) << 8 + Int(hello[3]))
    #expect(ClientHello(parsing: hello.rawSpan.extracting(4..<hello.count))?.serverName == Array("q.example".utf8))
    parser.forgetHello()
    #expect(parser.clientHello == nil)
  }

  @Test func aPacketThatCannotBeReadIsNoted() {
    var broken = Self.v1[0]
    broken[60] ^= 1
    let parser = QUICParser()
    feed(parser, [.client(broken)])
    #expect(parser.isUnreadable)
    #expect(parser.clientHello == nil)
  }

  @Test func packetsOfOneDatagramAreReadOneAfterTheOther() {
    #expect(quic([.client(Self.v1[0] + Self.v1[1])]).last?.sni == Array("q.example".utf8))
  }

  @Test func behindTheHelloNothingIsRead() {
    #expect(quic(Self.v1.map { .client($0) } + [.client(Self.v1[0]), .client([0x40, 1, 2, 3])]).count == 2)
  }

  @Test func damageIsAnEventAndNeverATrap() {
    var broken = Self.v1[0]
    broken[60] ^= 1
    #expect(quic([.client(broken)]).first?.events == [AppEvent(.quic, "failed_decrypt")])
    var mutator = Mutator(seed: 5)
    for datagram in Self.v1 + Self.v2 + [Self.server] {
      for _ in 0..<500 {
        let bytes = mutator.mutate(datagram)
        let count = quic([.client(bytes), .server(bytes)]).count
        #expect(count < 70)
      }
    }
  }

  @Test func keysAreThoseOfTheStandard() throws {
    // RFC 9001 appendix A.1 by way of A.3: the server's Initial opens with them.
    let packet = [UInt8](
      hex: "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee")
    let keys = try #require(QUICKeys(version: 1, destination: [UInt8](hex: "8394c8f03e515708")))
    guard case .packet(let head) = QUICPacket.read(packet.rawSpan) else {
      Issue.record("no packet")
      return
    }
    let frames = keys.open(packet.rawSpan, numberAt: head.numberAt, from: .toClient)
    // ACK of packet 0, then CRYPTO at 0.
    #expect(frames?.prefix(7) == [2, 0, 0, 0, 0, 6, 0])
    let wrong = keys.open(packet.rawSpan, numberAt: head.numberAt, from: .toServer)
    #expect(wrong == nil)
  }
}
