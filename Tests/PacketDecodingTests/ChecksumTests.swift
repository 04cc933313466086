import PacketDecoding
import TestSupport
import Testing
import Traffic

@Suite struct ChecksumTests {
  @Test func theExampleOfTheStandardComesOut() {
    // RFC 1071 section 3.
    let bytes: [UInt8] = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]
    #expect(Checksum.fold(Checksum.sum(bytes.rawSpan)) == 0xddf2)
  }

  @Test func sumsAgreeWithAPlainOneAtEveryLength() {
    var generator = SeededGenerator(seed: 2)
    for count in 0..<200 {
      let bytes = generator.bytes(count)
      let folded = Checksum.fold(Checksum.sum(bytes.rawSpan))
      #expect(Int(~folded) & 0xffff == internetChecksum(bytes))
      // Split at an even place, the parts add up.
      let half = count / 4 * 2
      let first = Checksum.sum(bytes.rawSpan.extracting(0..<half), initial: 7)
      let both = Checksum.sum(bytes.rawSpan.extracting(half..<count), initial: first)
      let whole = Checksum.sum(bytes.rawSpan, initial: 7)
      #expect(Checksum.fold(both) == Checksum.fold(whole))
    }
  }

  @Test func aFullPacketOfOnesDoesNotOverflow() {
    let bytes = [UInt8](repeating: 0xff, count: 65_535)
    #expect(Checksum.fold(Checksum.sum(bytes.rawSpan)) == UInt16(truncatingIfNeeded: ~internetChecksum(bytes)))
  }

  @Test(arguments: [false, true])
  func checksumsOfEachProtocolAreVerified(bad: Bool) {
    let wanted: ChecksumState = bad ? .invalid : .valid
    var tcp = TCPSegment(from: 1, to: 2, flags: [.ack], payload: [1, 2, 3])
    tcp.hasBadChecksum = bad
    var datagram = UDPDatagram(from: 1, to: 2, [1, 2, 3])
    datagram.hasBadChecksum = bad
    var echo = ICMPv4Message.echo(identifier: 1, sequence: 2, payload: [9])
    echo.hasBadChecksum = bad
    var echo6 = ICMPv6Message.echo(identifier: 1, sequence: 2, payload: [9])
    echo6.hasBadChecksum = bad
    let packets: [any NetworkPacket] = [
      IPv4Packet(client, server, tcp), IPv4Packet(client, server, datagram),
      IPv4Packet(client, server, echo), IPv6Packet(client6, server6, tcp),
      IPv6Packet(client6, server6, datagram), IPv6Packet(client6, server6, echo6),
    ]
    for packet in packets {
      let decoded = decode(packet)
      #expect(decoded.hasTransport)
      #expect(decoded.transportChecksum == wanted)
      #expect(decoded.networkChecksum == (decoded.ipVersion == 4 ? .valid : .notVerified))
      let unverified = decode(EthernetFrame(packet).bytes) { $0.verifiesChecksums = false }
      #expect(unverified.transportChecksum == .notVerified)
      #expect(unverified.networkChecksum == .notVerified)
      #expect(unverified.hasTransport)
    }
    #expect(decode(udp().with { $0.hasBadChecksum = bad }).networkChecksum == wanted)
  }

  @Test func aDatagramWithoutChecksumIsNotVerified() {
    let datagram = UDPDatagram(from: 1, to: 2, [1]).with { $0.omitsChecksum = true }
    #expect(decode(IPv4Packet(client, server, datagram)).transportChecksum == .notVerified)
  }

  @Test func paddingBehindTheDatagramIsNotSummed() {
    var frame = EthernetFrame(udp("x"))
    frame.paddedTo = 64
    #expect(decode(frame.bytes).transportChecksum == .valid)
  }

  @Test func fragmentsAreNotVerified() {
    for fragment in udp(String(repeating: "x", count: 100)).fragments(size: 40) {
      let decoded = decode(fragment)
      #expect(decoded.isFragment)
      #expect(decoded.transportChecksum == .notVerified)
      #expect(decoded.networkChecksum == .valid)
    }
  }
}
