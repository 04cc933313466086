import PacketDecoding
import TestSupport
import Testing
import Traffic

@Suite struct TransportTests {
  // MARK: TCP

  @Test func theHeaderOfTCPIsRead() {
    let segment = TCPSegment(
      from: 40_000, to: 443, sequence: 0xdead_beef, acknowledgment: 0x0102_0304, flags: [.psh, .ack, .urg],
      options: [
        .maximumSegmentSize(1460), .sackPermitted, .timestamps(value: 11, echo: 22), .noOperation,
        .windowScale(7),
      ],
      payload: [9, 8, 7])
    let bytes = EthernetFrame(IPv4Packet(client, server, segment.with { $0.urgentPointer = 5 })).bytes
    let packet = decode(bytes)
    #expect(packet.eventNames == [])
    #expect(packet.isTCP)
    #expect(packet.sourcePort == 40_000)
    #expect(packet.destinationPort == 443)
    #expect(packet.tcp.sequence == 0xdead_beef)
    #expect(packet.tcp.acknowledgement == 0x0102_0304)
    #expect(packet.tcp.flags == TCPFields.psh | TCPFields.ack | TCPFields.urg)
    #expect(packet.tcp.window == 65_535)
    #expect(packet.tcp.urgentPointer == 5)
    #expect(packet.tcp.maximumSegmentSize == 1460)
    #expect(packet.tcp.windowScale == 7)
    #expect(packet.tcp.sackPermitted)
    #expect(packet.tcp.hasTimestamp)
    #expect(packet.tcp.timestampValue == 11)
    #expect(packet.tcp.timestampEcho == 22)
    #expect(packet.transportHeaderLength == 40)
    #expect(packet.payloadBytes(bytes) == [9, 8, 7])
    #expect(packet.tuple.reversed.sourcePort == 443)
  }

  @Test func whatCannotBeInTCPIsAnEvent() {
    func events(_ bytes: [UInt8]) -> [String] {
      decode(IPv4Packet(client, server, RawTransport(ipProtocol: 6, bytes))).eventNames
    }
    var header = [UInt8](repeating: 0, count: 20)
    header[12] = 0x50
    #expect(events(header) == [])
    #expect(events(Array(header.prefix(19))) == ["tcp.pkt_too_small"])
    header[12] = 0x60
    #expect(events(header) == ["tcp.hlen_too_small"])
    header[12] = 0x40
    #expect(events(header) == ["tcp.invalid_optlen"])
    let packet = decode(IPv4Packet(client, server, RawTransport(ipProtocol: 6, header)))
    #expect(!packet.hasTransport)
    #expect(packet.sourcePort == 0)
  }

  private func options(_ bytes: [UInt8]) -> DecodedPacket {
    decode(IPv4Packet(client, server, TCPSegment(from: 1, to: 2, flags: [.syn], options: [.raw(bytes)])))
  }

  @Test(arguments: [
    [5, 2, 1, 1], [5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1], [34, 2], [34, 6, 1, 2, 3, 4],
    [254, 4, 0xf9, 0x89], [253, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [30, 4, 1, 2], [29, 4, 1, 2],
    [19, 18] + [UInt8](repeating: 0, count: 16),
    // One octet left over.
    [1, 1, 1, 2], [0, 9, 9, 9],
  ] as [[UInt8]])
  func optionsThatMayBeAreNoEvent(bytes: [UInt8]) {
    #expect(options(bytes).eventNames == [])
  }

  @Test(arguments: [
    [2, 3, 0, 1], [3, 4, 1, 1], [4, 3, 1, 1], [8, 9] + [UInt8](repeating: 0, count: 7), [2, 0, 1, 1],
    [2, 1, 1, 1], [2, 5, 1, 1], [5, 9] + [UInt8](repeating: 0, count: 7), [34, 5, 1, 2, 3, 1], [19, 4, 1, 1],
    [254, 6, 1, 2, 3, 4],
  ] as [[UInt8]])
  func optionsOfAWrongLengthAreAnEvent(bytes: [UInt8]) {
    let packet = options(bytes)
    #expect(packet.eventNames == ["tcp.opt_invalid_len"])
    #expect(packet.isTCP)
  }

  @Test(arguments: [
    [2, 4, 5, 180, 2, 4, 5, 181], [3, 3, 1, 3, 3, 2], [4, 2, 4, 2], [5, 2, 5, 2], [34, 2, 254, 4, 0xf9, 0x89],
  ] as [[UInt8]])
  func optionsThatComeTwiceAreAnEventAndTheFirstCounts(bytes: [UInt8]) {
    let packet = options(bytes)
    #expect(packet.eventNames == ["tcp.opt_duplicate"])
    if bytes[0] == 2 { #expect(packet.tcp.maximumSegmentSize == 1460) }
    if bytes[0] == 3 { #expect(packet.tcp.windowScale == 1) }
  }

  @Test func fastOpenIsSeenInItsOwnAndTheExperimentalOption() {
    #expect(options([34, 2]).tcp.hasFastOpen)
    #expect(options([254, 4, 0xf9, 0x89]).tcp.hasFastOpen)
    #expect(!options([254, 4, 1, 2]).tcp.hasFastOpen)
  }

  @Test func theWindowScaleIsAtMost14AndAbsentWithoutOption() {
    #expect(options([3, 3, 200]).tcp.windowScale == 14)
    #expect(options([1]).tcp.windowScale == 255)
    #expect(options([1]).tcp.maximumSegmentSize == 0)
  }

  // MARK: UDP

  @Test func lengthsOfUDPAreChecked() {
    func packet(_ bytes: [UInt8]) -> DecodedPacket {
      decode(IPv4Packet(client, server, RawTransport(ipProtocol: 17, bytes)))
    }
    // Ports, length, checksum.
    #expect(packet([0, 1, 0, 2, 0, 8, 0, 0]).eventNames == [])
    #expect(packet([0, 1, 0, 2, 0, 8, 0]).eventNames == ["udp.hlen_too_small"])
    #expect(packet([0, 1, 0, 2, 0, 9, 0, 0]).eventNames == ["udp.pkt_too_small"])
    #expect(packet([0, 1, 0, 2, 0, 7, 0, 0]).eventNames == ["udp.len_invalid"])
    #expect(packet([0, 1, 0, 2, 0xff, 0xff, 0, 0]).eventNames == ["udp.pkt_too_small"])
    #expect(!packet([0, 1, 0, 2, 0, 7, 0, 0]).hasTransport)
  }

  @Test func whatFollowsTheLengthOfUDPIsNoPayload() {
    let bytes = EthernetFrame(
      IPv4Packet(client, server, RawTransport(ipProtocol: 17, [0, 1, 0, 2, 0, 10, 0, 0, 7, 7, 9, 9, 9]))
    ).bytes
    let packet = decode(bytes)
    #expect(packet.eventNames == [])
    #expect(packet.payloadBytes(bytes) == [7, 7])
  }

  // MARK: SCTP, ESP

  @Test func portsOfSCTPAreRead() {
    let sctp = SCTPPacket(from: 5000, to: 36412, chunks: [.init(type: 1, value: [0, 0, 0, 1])])
    let packet = decode(IPv4Packet(client, server, sctp))
    #expect(packet.eventNames == [])
    #expect(packet.hasTransport)
    #expect(packet.sourcePort == 5000)
    #expect(packet.destinationPort == 36412)
    let short = RawTransport(ipProtocol: 132, [UInt8](repeating: 0, count: 11))
    #expect(decode(IPv4Packet(client, server, short)).eventNames == ["sctp.pkt_too_small"])
  }

  @Test func aShortESPPacketIsAnEvent() {
    func events(_ count: Int) -> [String] {
      decode(IPv4Packet(client, server, RawTransport(ipProtocol: 50, [UInt8](repeating: 1, count: count)))).eventNames
    }
    #expect(events(8) == [])
    #expect(events(7) == ["esp.pkt_too_small"])
  }
}
