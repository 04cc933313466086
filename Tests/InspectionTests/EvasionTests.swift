import Inspection
import TestSupport
import Testing
import Traffic

/// Tricks that are to make an inspector see something else than the host behind it. Inline, the attack
/// is stopped or never becomes what the attacker wanted; the same trick with harmless data passes.
@Suite struct EvasionTests {
  private static let rules = """
    drop http any any -> any any (msg:"uri"; flow:established,to_server; http.uri; content:"/evil"; sid:1;)
    drop tcp any any -> any any (msg:"raw"; content:"/evil"; flow:established,to_server; sid:2;)
    """

  private static func request(_ word: String) -> [UInt8] {
    Array("GET /\(word) HTTP/1.1\r\nHost: a.example\r\n\r\n".utf8)
  }

  /// The trick with either word in the place of the attack.
  private typealias Trick = (name: String, packets: (String) -> [BuiltPacket])

  private static func opened(_ body: (inout TCPConversation) -> Void) -> [BuiltPacket] {
    var web = TCPConversation()
    web.handshake()
    web.acknowledges = false
    body(&web)
    return web.packets
  }

  private static var tricks: [Trick] { [
    (
      "segments of one octet",
      { word in opened { $0.send(.toServer, request(word), segmentSize: 1) } }
    ),
    (
      "data on the packet that completes the handshake",
      { word in
        let packets = opened { $0.send(.toServer, request(word)) }
        return Array(packets[..<2]) + Array(packets[3...])
      }
    ),
    (
      "segments in reverse order",
      { word in
        let packets = opened { $0.send(.toServer, request(word), segmentSize: 4) }
        return Array(packets[..<3]) + packets[3...].reversed()
      }
    ),
    (
      "everything sent twice",
      { word in
        var generator = SeededGenerator(seed: 7)
        let packets = opened { $0.send(.toServer, request(word), segmentSize: 3) }
        return Array(packets[..<3]) + Array(packets[3...]).duplicated(using: &generator, oneIn: 1)
      }
    ),
    (
      "a segment with a wrong checksum in front",
      { word in
        var packets = opened {
          $0.inject(.toServer, request("fine"), offset: 0)
          $0.send(.toServer, request(word))
        }
        // Ethernet 14, IPv4 20, the checksum 16 octets into the TCP header.
        packets[3].bytes[14 + 20 + 16] ^= 0x5a
        return packets
      }
    ),
    (
      "overlapping segments that agree",
      { word in
        let bytes = request(word)
        return opened {
          $0.inject(.toServer, Array(bytes[..<9]), offset: 0)
          $0.inject(.toServer, Array(bytes[4...]), offset: 4)
        }
      }
    ),
    (
      "a reset outside of the window in between",
      { word in
        let bytes = request(word)
        return opened {
          $0.send(.toServer, Array(bytes[..<6]))
          $0.inject(.toServer, [], offset: 1_000_000, flags: [.rst])
          $0.send(.toServer, Array(bytes[6...]))
        }
      }
    ),
  ] }

  @Test func `each trick is stopped with the attack and passes without`() {
    for trick in Self.tricks {
      let attack = PathScene.run(trick.packets("evil"), rules: Self.rules)
      #expect(!attack.sids.isEmpty, "\(trick.name)")
      #expect(!attack.stopped.isEmpty, "\(trick.name)")
      let harmless = PathScene.run(trick.packets("fine"), rules: Self.rules)
      #expect(harmless.sids.isEmpty, "\(trick.name)")
      // What TCP itself refuses (a wrong checksum, a reset out of the window) may be stopped.
      let refused = harmless.verdicts.filter { $0.isStopped && $0.reason == .rules }
      #expect(refused.isEmpty, "\(trick.name)")
    }
  }

  @Test func `what was let through first stands, whichever came first`() {
    for (first, second) in [("fine", "evil"), ("evil", "fine")] {
      let scene = PathScene.run(
        Self.opened {
          $0.send(.toServer, Self.request(first))
          $0.inject(.toServer, Self.request(second), offset: -Self.request(second).count)
        }, rules: Self.rules)
      if first == "evil" {
        #expect(scene.stopped.first == 4)
      } else {
        // The server gets what was inspected, not what the attacker sent after it.
        #expect(scene.sids.isEmpty)
        #expect(scene.verdicts[4].replacements.map(\.bytes) == [Self.request("fine")] || scene.verdicts[4].isStopped)
      }
    }
  }

  // MARK: Urgent data

  /// The word with a letter in it that is urgent, and no part of the stream for most hosts.
  private static func urgent(_ word: String) -> [BuiltPacket] {
    let head = Array("GET /\(word.prefix(2))".utf8)
    let tail = Array("\(word.dropFirst(2)) HTTP/1.1\r\nHost: a.example\r\n\r\n".utf8)
    var packets = opened {
      $0.send(.toServer, head)
      $0.send(.toServer, "X")
      $0.send(.toServer, tail)
    }
    // URG, and an urgent pointer of 1.
    packets[4].bytes[14 + 20 + 13] |= 0x20
    packets[4].bytes[14 + 20 + 19] = 1
    return packets
  }

  private static func unverified(_ settings: inout InspectionSettings) {
    settings.decoder.verifiesChecksums = false
    settings.flows.tcp.checksumValidation = false
  }

  @Test func `an urgent octet does not hide what is around it`() {
    for isInline in [true, false] {
      let attack = PathScene.run(
        Self.urgent("evil"), rules: Self.rules, isInline: isInline, change: Self.unverified)
      #expect(Set(attack.sids) == [1, 2] || isInline && !attack.stopped.isEmpty)
      let harmless = PathScene.run(
        Self.urgent("fine"), rules: Self.rules, isInline: isInline, change: Self.unverified)
      #expect(harmless.sids.isEmpty && harmless.stopped.isEmpty)
    }
  }

  @Test func `urgent data is refused, kept or lost where a policy says so`() {
    let refused = PathScene.run(Self.urgent("evil"), rules: Self.rules) {
      Self.unverified(&$0)
      $0.reassembly.urgentPolicy = .drop
    }
    #expect(refused.stopped.contains(5))
    #expect(refused.verdicts[4].reason == .streamUrgent)
    let kept = PathScene.run(Self.urgent("evil"), rules: Self.rules) {
      Self.unverified(&$0)
      $0.reassembly.urgentPolicy = .inline
    }
    #expect(kept.sids.isEmpty && kept.stopped.isEmpty)
  }

  // MARK: Any cutting, any order

  private static var scenes: [(rules: String, talk: (inout TCPConversation) -> Void)] { [
    (
      #"alert http any any -> any any (http.uri; content:"/evil"; sid:1;)"#,
      { $0.send(.toServer, request("evil")) }
    ),
    (
      """
      alert http any any -> any any (http.host; content:"a.example"; sid:1;)
      alert tcp any any -> any any (flow:to_client; content:"secret"; sid:2;)
      alert http any any -> any any (http.stat_code; content:"200"; sid:3;)
      alert http any any -> any any (file_data; content:"secret"; sid:4;)
      """,
      {
        $0.send(.toServer, request("fine"))
        $0.send(.toClient, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nthe secret")
      }
    ),
    (
      #"alert tcp any any -> any any (content:"one"; content:"two"; distance:1; within:20; sid:1;)"#,
      { $0.send(.toServer, "\u{7f}\u{7f}zero one, then two and three") }
    ),
    (
      #"alert tcp any any -> any any (content:"never said"; sid:1;)"#,
      { $0.send(.toServer, "no protocol that anybody knows\r\n") }
    ),
  ] }

  @Test func `octet by octet, and out of order, each scene gives the same alerts`() {
    for (number, scene) in Self.scenes.enumerated() {
      for isInline in [true, false] {
        var talk = TCPConversation()
        talk.handshake()
        scene.talk(&talk)
        talk.fin()
        let whole = PathScene.run(
          talk.packets, rules: scene.rules, isInline: isInline, change: Self.unverified)
        let cut = talk.packets.cutToOctets()
        let octets = PathScene.run(cut, rules: scene.rules, isInline: isInline, change: Self.unverified)
        #expect(Set(octets.sids) == Set(whole.sids), "scene \(number), octets, inline: \(isInline)")
        // Whoever watches a stream go by in disorder cannot know which side spoke first.
        guard number != 1 else { continue }
        var generator = SeededGenerator(seed: UInt64(number) + 1)
        let data = cut.filter { $0.bytes.count > 14 + 20 + 20 && $0.bytes[14 + 20 + 13] & 0x07 == 0 }
        let sent = data.filter { $0.bytes.count == data.map(\.bytes.count).max() }
        let mixed = Array(cut[..<3]) + sent.reordered(using: &generator, within: 3)
        let reordered = PathScene.run(mixed, rules: scene.rules, isInline: isInline, change: Self.unverified)
        #expect(Set(reordered.sids) == Set(whole.sids), "scene \(number), order, inline: \(isInline)")
      }
    }
  }
}

extension [BuiltPacket] {
  /// Each TCP segment over Ethernet and IPv4 without options as segments of one octet; FIN with the
  /// last. Checksums are not mended.
  func cutToOctets() -> [BuiltPacket] {
    flatMap { packet -> [BuiltPacket] in
      let bytes = packet.bytes
      let tcp = 14 + 20
      guard bytes.count > tcp + 20, bytes[12] == 8, bytes[13] == 0, bytes[14] == 0x45, bytes[23] == 6 else {
        return [packet]
      }
      let payload = tcp + Int(bytes[tcp + 12] >> 4) * 4
      guard bytes.count > payload + 1 else { return [packet] }
      let sequence = bytes[tcp + 4..<tcp + 8].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      return (payload..<bytes.count).map { index in
        var segment = [UInt8](bytes[..<payload]) + [bytes[index]]
        let moved = sequence &+ UInt32(index - payload)
        for octet in 0..<4 { segment[tcp + 4 + octet] = UInt8(truncatingIfNeeded: moved >> UInt32(24 - 8 * octet)) }
        let total = segment.count - 14
        segment[16] = UInt8(total >> 8)
        segment[17] = UInt8(total & 0xff)
        if index + 1 < bytes.count { segment[tcp + 13] &= ~0x01 }
        return BuiltPacket(time: packet.time, bytes: segment)
      }
    }
  }
}
