import PacketDecoding
import TestSupport
import Traffic

/// Two ends for packets in these tests.
let client = ip("192.0.2.1")
let server = ip("198.51.100.2")
let client6 = ip("2001:db8::1")
let server6 = ip("2001:db8::2")

func decode(
  _ bytes: [UInt8], link: LinkType = .ethernet, change: (inout DecoderSettings) -> Void = { _ in }
) -> DecodedPacket {
  var settings = DecoderSettings()
  change(&settings)
  return PacketDecoder(settings: settings).decode(bytes.rawSpan, link: link, time: Timestamp(seconds: 1))
}

func decode(_ packet: any NetworkPacket) -> DecodedPacket { decode(EthernetFrame(packet).bytes) }

/// Packets from the outermost to the innermost.
func decodeAll(_ bytes: [UInt8], link: LinkType = .ethernet) -> [DecodedPacket] {
  let decoder = PacketDecoder()
  var all = [decoder.decode(bytes.rawSpan, link: link, time: Timestamp(seconds: 1))]
  while let last = all.last, last.inner != .none {
    all.append(decoder.decodeInner(of: last, bytes.rawSpan))
  }
  return all
}

func decodeAll(_ packet: any NetworkPacket) -> [DecodedPacket] { decodeAll(EthernetFrame(packet).bytes) }

extension DecodedPacket {
  /// The events as rules name them, in the order of the enumeration.
  var eventNames: [String] { DecodeEvent.allCases.filter { events.contains($0) }.map(\.ruleName) }

  func payloadBytes(_ bytes: [UInt8]) -> [UInt8] { payload(of: bytes.rawSpan).copied() }
}

/// A UDP datagram between the two ends.
func udp(_ payload: String = "hello", from: UInt16 = 40_000, to: UInt16 = 53) -> IPv4Packet {
  IPv4Packet(client, server, UDPDatagram(from: from, to: to, Array(payload.utf8)))
}

func udp6(_ payload: String = "hello") -> IPv6Packet {
  IPv6Packet(client6, server6, UDPDatagram(from: 40_000, to: 53, Array(payload.utf8)))
}
