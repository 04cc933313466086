import Detection
import PacketDecoding
import Testing
import TestSupport
import Traffic

@testable import Engine

/// What refuses a packet has to be right to the last bit: a wrong checksum or number, and the ends wait on.
@Suite struct RejectPacketTests {
  private static let families = [("10.0.0.1", "203.0.113.9"), ("fd00::1", "2001:db8::9")]

  private func decode(_ bytes: [UInt8]) -> DecodedPacket {
    PacketDecoder(settings: DecoderSettings()).decode(bytes.rawSpan, link: .raw, time: Timestamp(seconds: 0))
  }

  private func packet(_ ends: (String, String), _ payload: any TransportPayload) -> [UInt8] {
    ends.0.contains(":")
      ? IPv6Packet(ip(ends.0), ip(ends.1), payload).bytes : IPv4Packet(ip(ends.0), ip(ends.1), payload).bytes
  }

  private func rewrite(_ replacements: [PayloadReplacement], _ bytes: [UInt8]) -> [UInt8]? {
    PacketRewrite.apply(replacements, to: bytes.rawSpan)
  }

  private func segment(_ flags: TCPFlags, acknowledgement: UInt32 = 0, _ payload: [UInt8] = []) -> TCPSegment {
    TCPSegment(
      from: 40_000, to: 80, sequence: 0xffff_fffe, acknowledgment: acknowledgement, flags: flags, payload: payload)
  }

  @Test(arguments: families)
  func `a reset for the sender comes from the receiver where it expects the next octet`(ends: (String, String)) {
    let original = decode(packet(ends, segment([.psh, .ack], acknowledgement: 77, Array("hello".utf8))))
    let reset = decode(RejectPacket.reset(toSenderOf: original))
    #expect(reset.source == original.destination && reset.destination == original.source)
    #expect(reset.sourcePort == 80 && reset.destinationPort == 40_000)
    #expect(reset.tcp.flags == TCPFields.rst)
    #expect(reset.tcp.sequence == 77)
    #expect(reset.transportChecksum == .valid)
    #expect(reset.payloadLength == 0 && reset.events.isEmpty)
  }

  @Test(arguments: families)
  func `a reset for a SYN acknowledges it, as the sequence number of the receiver is not known`(ends: (String, String)) {
    let reset = decode(RejectPacket.reset(toSenderOf: decode(packet(ends, segment([.syn])))))
    #expect(reset.tcp.flags == TCPFields.rst | TCPFields.ack)
    #expect(reset.tcp.sequence == 0)
    // The SYN counts as one octet, and the number wraps.
    #expect(reset.tcp.acknowledgement == 0xffff_ffff)
    #expect(reset.transportChecksum == .valid)
  }

  @Test(arguments: families)
  func `a reset for the receiver comes from the sender at the refused octets`(ends: (String, String)) {
    let original = decode(packet(ends, segment([.psh, .ack], acknowledgement: 77, [1, 2, 3])))
    let reset = decode(RejectPacket.reset(toReceiverOf: original))
    #expect(reset.source == original.source && reset.destination == original.destination)
    #expect(reset.sourcePort == 40_000 && reset.destinationPort == 80)
    #expect(reset.tcp.sequence == 0xffff_fffe && reset.tcp.acknowledgement == 77)
    #expect(reset.tcp.flags == TCPFields.rst | TCPFields.ack)
    #expect(reset.transportChecksum == .valid)
  }

  @Test(arguments: families)
  func `a refused datagram is quoted in an ICMP error`(ends: (String, String)) {
    let bytes = packet(ends, UDPDatagram(from: 1000, to: 53, [UInt8](repeating: 7, count: 2000)))
    let error = RejectPacket.unreachable(decode(bytes), quoting: bytes.rawSpan)
    let decoded = decode(error)
    let isIPv4 = !ends.0.contains(":")
    #expect(decoded.ipProtocol == (isIPv4 ? IPProtocol.icmp : IPProtocol.icmpv6))
    #expect(decoded.source == ip(ends.1) && decoded.destination == ip(ends.0))
    #expect(decoded.transportChecksum == .valid)
    let header = isIPv4 ? 20 : 40
    // RFC 792: unreachable, communication prohibited; RFC 4443: the same is type 1 code 1.
    #expect(Array(error[header..<header + 2]) == (isIPv4 ? [3, 13] : [1, 1]))
    // As much of the packet as fits 576 octets, or the least MTU of IPv6.
    #expect(error.count == (isIPv4 ? 576 : 1280))
    #expect(Array(error[(header + 8)...]) == Array(bytes[..<(error.count - header - 8)]))
  }

  @Test(arguments: families)
  func `replaced octets stand where they should, with whole checksums`(ends: (String, String)) throws {
    for payload: any TransportPayload in [
      segment([.psh, .ack], acknowledgement: 1, Array("say bad word".utf8)),
      UDPDatagram(from: 1000, to: 2000, Array("say bad word".utf8)),
    ] {
      let bytes = packet(ends, payload)
      let changed = try #require(rewrite([PayloadReplacement(position: 4, bytes: Array("fine".utf8))], bytes))
      #expect(changed.count == bytes.count)
      #expect(String(decoding: changed.suffix(12), as: UTF8.self) == "say fineword")
      #expect(decode(changed).transportChecksum == .valid)
      // Nothing but the payload and its checksum is touched.
      #expect(zip(bytes, changed).count { $0 != $1 } <= 6)
    }
  }

  @Test func `a replacement that does not fit, or fits nothing, changes nothing`() {
    let bytes = packet(Self.families[0], segment([.ack], Array("abc".utf8)))
    for (position, count) in [(1, 3), (3, 1), (-1, 1), (Int.max, 1)] {
      let replacement = PayloadReplacement(position: position, bytes: [UInt8](repeating: 0, count: count))
      #expect(rewrite([replacement], bytes) == nil)
    }
    #expect(rewrite([], bytes) == nil)
    let icmp = packet(Self.families[0], ICMPv4Message.echo(identifier: 1, sequence: 1, payload: [1, 2, 3]))
    #expect(rewrite([PayloadReplacement(position: 0, bytes: [9])], icmp) == nil)
    #expect(rewrite([PayloadReplacement(position: 0, bytes: [9])], [0x45, 0, 0]) == nil)
  }
}
