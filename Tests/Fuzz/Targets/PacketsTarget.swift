import PacketDecoding
import TestSupport
import Traffic

/// The first octet says which link type; what is inside a packet is decoded as the path does.
enum PacketsTarget {
  private static let links: [LinkType] = [
    .ethernet, .raw, .linuxCooked, .linuxCookedV2, .null, .loop, .ppp, .pppHDLC, .pppEthernet, .ipv4, .ipv6,
    .rawBSD, .ciscoHDLC, .ieee80211,
  ]

  static func run(_ bytes: [UInt8]) {
    guard let first = bytes.first else { return }
    let frame = Array(bytes.dropFirst())
    let decoder = PacketDecoder()
    var packet = decoder.decode(
      frame.rawSpan, link: links[Int(first) % links.count], time: Timestamp(seconds: 1_700_000_000))
    var depth = 0
    while true {
      check(packet, frame)
      guard packet.inner != .none, depth <= 32 else { break }
      packet = decoder.decodeInner(of: packet, frame.rawSpan)
      depth += 1
    }
    precondition(depth <= 32)
  }

  /// Whatever the packet says lies inside its bytes.
  private static func check(_ packet: DecodedPacket, _ frame: [UInt8]) {
    precondition(packet.payloadOffset >= 0 && packet.payloadLength >= 0)
    precondition(Int(packet.payloadOffset) + Int(packet.payloadLength) <= frame.count)
    if packet.ipVersion != 0 {
      precondition(packet.networkOffset >= 0 && packet.networkHeaderLength > 0)
      precondition(Int(packet.networkOffset) + Int(packet.networkHeaderLength) <= frame.count)
    }
    if packet.hasTransport {
      precondition(packet.transportOffset >= 0 && packet.transportHeaderLength > 0)
      precondition(Int(packet.transportOffset) + Int(packet.transportHeaderLength) <= frame.count)
    }
    _ = packet.payload(of: frame.rawSpan).byteCount
    _ = packet.events.isEmpty
  }

  static var seeds: [(name: String, bytes: [UInt8])] {
    let (client, server) = (ip("10.0.0.1"), ip("192.0.2.1"))
    let (client6, server6) = (ip("2001:db8::1"), ip("2001:db8::2"))
    let options: [TCPOption] = [.maximumSegmentSize(1460), .sackPermitted, .timestamps(value: 1, echo: 2)]
    let tcp = TCPSegment(from: 1, to: 80, flags: [.ack], options: options, payload: [1, 2, 3])
    let udp = IPv4Packet(client, server, UDPDatagram(from: 1, to: 53, [1, 2, 3, 4]))
    let udp6 = IPv6Packet(client6, server6, UDPDatagram(from: 1, to: 53, [1, 2, 3, 4]))
    let frame = EthernetFrame(udp).bytes
    func over(_ port: UInt16, _ bytes: [UInt8]) -> IPv4Packet {
      IPv4Packet(server, client, UDPDatagram(from: 1, to: port, bytes))
    }
    let packets: [(String, any NetworkPacket)] = [
      ("tcp", IPv4Packet(client, server, tcp)), ("tcp6", IPv6Packet(client6, server6, tcp)), ("udp", udp),
      ("extensions", udp6.with { $0.extensionHeaders = [
        .hopByHop(options: [5, 2, 0, 0]), .routing(type: 0, segmentsLeft: 1, addresses: [client6]),
        .destinationOptions(), .fragment(offset: 0, more: false, identification: 1),
      ] }),
      ("options", udp.with { $0.options = [68, 8, 5, 0, 0, 0, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0] }),
      ("icmp", IPv4Packet(client, server, ICMPv4Message(type: 3, code: 4, payload: udp.bytes))),
      ("icmp6", IPv6Packet(client6, server6, ICMPv6Message(type: 2, code: 0, payload: udp6.bytes))),
      ("ip-in-ip", IPv4Packet(server, client, udp)), ("gre", IPv4Packet(server, client, GREPacket(udp))),
      ("vxlan", over(4789, [8, 0, 0, 0, 0, 0, 1, 0] + frame)),
      ("teredo", over(3544, [0, 0, 1, 2, 3, 4, 5, 6] + udp6.bytes)),
      ("geneve", over(6081, [2, 0, 0x65, 0x58, 0, 0, 1, 0, 1, 2, 3, 1, 9, 9, 9, 9] + frame)),
    ]
    return packets.map { ($0.0, [0] + EthernetFrame($0.1).bytes) }
      + [("raw", [1] + udp.bytes), ("raw6", [10] + udp6.bytes)]
  }
}
