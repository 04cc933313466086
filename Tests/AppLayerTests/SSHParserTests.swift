import TestSupport
import Testing
import Traffic

@testable import AppLayer

@Suite struct SSHParserTests {
  /// A packet: length, padding length, message number, payload, padding (RFC 4253 section 6).
  private static func packet(_ number: UInt8, _ payload: [UInt8]) -> [UInt8] {
    let length = payload.count + 2 + 4
    return [0, 0, UInt8(length >> 8), UInt8(length & 255), 4, number] + payload + [0, 0, 0, 0]
  }

  private static func offer(_ lists: [String]) -> [UInt8] {
    // The cookie, the name lists, no guessed packet, reserved.
    let names = lists.flatMap { name -> [UInt8] in [0, 0, 0, UInt8(name.utf8.count)] + Array(name.utf8) }
    return packet(20, [UInt8](repeating: 7, count: 16) + names + [0, 0, 0, 0, 0])
  }

  private static let lists = ["k1,k2", "h", "ec", "es", "mc", "ms", "cc", "cs", "", ""]
  private static let newKeys = packet(21, [])

  private static let conversation: [Sent] = [
    .server(Array("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n".utf8)), .client(Array("SSH-1.99-PuTTY-0.7\n".utf8)),
    .client(offer(lists)), .server(packet(2, [1, 2, 3]) + offer(lists)), .client(newKeys + [1, 2, 3, 4]),
    .server(newKeys + [9, 9, 9, 9, 9, 9, 9]),
  ]

  private func connection(_ conversation: [Sent], cut: (([UInt8]) -> [[UInt8]])? = nil) -> SSHTransaction? {
    let parser = SSHParser()
    feed(parser, conversation, cut: cut)
    return parser.transactions.first as? SSHTransaction
  }

  private func text(_ view: BufferView?) -> String? { view.map { String(decoding: $0.storage[$0.range], as: UTF8.self) } }

  @Test func `both sides are told by their version lines and offers`() throws {
    let seen = try #require(connection(Self.conversation))
    #expect(seen.isComplete && seen.events.isEmpty)
    #expect(text(seen.buffer(.sshVersion, .toServer, index: 0)) == "1.99")
    #expect(text(seen.buffer(.sshSoftware, .toServer, index: 0)) == "PuTTY-0.7")
    #expect(text(seen.buffer(.sshVersion, .toClient, index: 0)) == "2.0")
    #expect(text(seen.buffer(.sshSoftware, .toClient, index: 0)) == "OpenSSH_9.2p1")
    #expect(text(seen.buffer(.hasshString, .toServer, index: 0)) == "k1,k2;ec;mc;cc")
    #expect(text(seen.buffer(.hasshServerString, .toClient, index: 0)) == "k1,k2;es;ms;cs")
    #expect(text(seen.buffer(.hassh, .toServer, index: 0)) == Digest.md5.hex(Array("k1,k2;ec;mc;cc".utf8)).text)
    #expect(seen.buffer(.hassh, .toClient, index: 0) == nil)
    #expect(seen.buffer(.hasshServer, .toServer, index: 0) == nil)
  }

  @Test(arguments: [
    ([.client(Array("SSH-2.0\r\n".utf8))], SSHEvent.invalidBanner),
    ([.client(Array("SSH--x\r\n".utf8))], .invalidBanner),
    ([.client(Array("SSH-2.0-".utf8) + [UInt8](repeating: 97, count: 300))], .longBanner),
    ([.client(Array("SSH-2.0-a\n".utf8) + [0, 0, 0, 1, 0, 0])], .invalidRecord),
    // A name list longer than its packet.
    ([.client(Array("SSH-2.0-a\n".utf8) + packet(20, [UInt8](repeating: 0, count: 16) + [0, 0, 0, 200, 1]))], .invalidRecord),
    ([.client(Array("SSH-2.0-a\n".utf8) + [0, 1, 0, 0, 4, 20])], .longKeyExchange),
  ] as [([Sent], SSHEvent)])
  func `what is odd is an event`(conversation: [Sent], event: SSHEvent) throws {
    #expect(try #require(connection(conversation)).events == [event.appEvent])
  }

  private func snapshot(_ seen: SSHTransaction?) -> String {
    seen.map { "\($0.progress) \($0.client) \($0.server) \($0.events.map(\.name))" } ?? "-"
  }

  @Test func `how a direction is cut does not matter, damaged or not`() {
    var mutator = Mutator(seed: 22)
    #expect(snapshot(connection(Self.conversation) { $0.map { [$0] } }) == snapshot(connection(Self.conversation)))
    for round in 0..<3000 {
      let damaged = Self.conversation.map { sent in
        var copy = sent
        copy.bytes = mutator.mutate(sent.bytes)
        if round % 17 == 0 { copy.gap = UInt64(round % 300) }
        return copy
      }
      let whole = snapshot(connection(damaged))
      #expect(snapshot(connection(damaged) { mutator.pieces(of: $0, most: 12) }) == whole)
    }
  }
}

extension [UInt8] {
  fileprivate var text: String { String(decoding: self, as: UTF8.self) }
}
