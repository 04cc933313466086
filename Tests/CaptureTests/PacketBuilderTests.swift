import TestSupport
import Testing
import Traffic

/// What all other tests stand on.
@Suite struct PacketBuilderTests {
  private let a = ip("10.0.0.1")
  private let b = ip("10.0.0.2")
  private let a6 = ip("2001:db8::1")
  private let b6 = ip("2001:db8::2")

  @Test func checksumsAddUpToZero() {
    let segment = TCPSegment(from: 1, to: 2, flags: [.syn], payload: [1, 2, 3])
    let packet = IPv4Packet(a, b, segment).bytes
    #expect(internetChecksum(Array(packet.prefix(20))) == 0)
    // Addresses, protocol and length in front of the segment: the pseudo-header.
    #expect(internetChecksum(Array(packet[12..<20]) + [0, 6, 0, 23] + packet[20...]) == 0)
    let packet6 = IPv6Packet(a6, b6, segment).bytes
    let pseudoHeader6 = Array(packet6[8..<40]) + [0, 0, 0, 23, 0, 0, 0, 6]
    #expect(internetChecksum(pseudoHeader6 + packet6[40...]) == 0)
    let bad = IPv4Packet(a, b, segment.with { $0.hasBadChecksum = true }).bytes
    #expect(internetChecksum(Array(bad[12..<20]) + [0, 6, 0, 23] + bad[20...]) != 0)
  }

  @Test func fragmentsOfEitherVersionJoinToTheWhole() {
    let datagram = UDPDatagram(from: 1, to: 2, (0..<3000).map { UInt8(truncatingIfNeeded: $0) })
    let whole = IPv4Packet(a, b, datagram).bytes.dropFirst(20)
    let fragments = IPv4Packet(a, b, datagram).fragments(size: 1480).map(\.bytes)
    #expect(fragments.flatMap { $0.dropFirst(20) } == Array(whole))
    // More fragments and the offset in units of eight octets.
    #expect(fragments.map { Int($0[6]) << 8 | Int($0[7]) } == [0x2000, 0x2000 | 185, 370])
    let whole6 = IPv6Packet(a6, b6, datagram).bytes.dropFirst(40)
    let fragments6 = IPv6Packet(a6, b6, datagram).fragments(size: 1400).map(\.bytes)
    #expect(fragments6.flatMap { $0.dropFirst(48) } == Array(whole6))
    #expect(fragments6.map { Int($0[42]) << 8 | Int($0[43]) } == [1, 1400 | 1, 2800])
    #expect(fragments6.allSatisfy { $0[6] == 44 && $0[40] == 17 })
  }

  @Test func aConversationCountsItsSequenceNumbers() {
    var conversation = TCPConversation(framing: .raw, clientSequence: 100, serverSequence: 900)
    conversation.handshake()
    conversation.send(.toServer, [1, 2, 3], segmentSize: 2)
    conversation.fin()
    func word(_ packet: BuiltPacket, _ at: Int) -> UInt32 { packet.bytes.rawSpan.u32(at: at) }
    #expect(conversation.packets.map { word($0, 24) } == [100, 900, 101, 101, 901, 103, 901, 104, 901, 105])
    #expect(conversation.packets.map { word($0, 28) } == [0, 101, 901, 901, 103, 901, 104, 901, 105, 902])
    #expect(zip(conversation.packets, conversation.packets.dropFirst()).allSatisfy { $0.time < $1.time })
  }

  @Test func shufflingKeepsThePacketsAndTheSeedTheOrder() {
    let packets = samplePackets()
    var (first, second) = (SeededGenerator(seed: 9), SeededGenerator(seed: 9))
    let reordered = packets.reordered(using: &first)
    #expect(reordered == packets.reordered(using: &second))
    #expect(Set(reordered.map(\.bytes)) == Set(packets.map(\.bytes)))
    #expect(reordered.map(\.time) == packets.map(\.time))
    #expect(packets.duplicated(using: &first, oneIn: 1).count == 2 * packets.count)
  }

  @Test func namesInDNSArePointedTo() {
    let query = DNSMessage.query("www.example.com")
    let response = DNSMessage.response(to: query, [.init("www.example.com", .address(a))]).bytes
    #expect(
      Array(response.suffix(16)) == [
        0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44,  // pointer to offset 12, A, IN, 300 s
        0, 4, 10, 0, 0, 1,
      ])
  }
}
