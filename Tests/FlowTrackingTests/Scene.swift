import FlowTracking
import PacketDecoding
import TestSupport
import Traffic

/// A flow table that is fed with built packets.
struct Scene: ~Copyable {
  var table: FlowTable
  private let decoder = PacketDecoder()

  init(_ change: (inout FlowTableSettings) -> Void = { _ in }) {
    var settings = FlowTableSettings(seed: 7)
    change(&settings)
    table = FlowTable(settings: settings)
  }

  mutating func track(_ packet: BuiltPacket) -> FlowLookup {
    let decoded = decoder.decode(packet.bytes.rawSpan, link: .ethernet, time: packet.time)
    return table.track(decoded, packetLength: packet.bytes.count, time: packet.time)
  }

  mutating func track(_ packet: any NetworkPacket, seconds: Int64 = 100) -> FlowLookup {
    track(BuiltPacket(time: Timestamp(seconds: seconds), bytes: EthernetFrame(packet).bytes))
  }

  /// All packets of a conversation that were not fed yet; the answers in order.
  mutating func play(_ conversation: TCPConversation, from first: Int = 0) -> [FlowLookup] {
    var out: [FlowLookup] = []
    for packet in conversation.packets.dropFirst(first) { out.append(track(packet)) }
    return out
  }
}

extension TCPTrackResult {
  /// The events in the order of their declaration.
  var eventNames: [String] {
    StreamEvent.allCases.filter { events.contains($0) }.map(\.ruleName)
  }
}

let alice = ip("10.0.0.1")
let bob = ip("192.0.2.80")

func udp(_ source: IPAddress, _ destination: IPAddress, _ from: UInt16, _ to: UInt16) -> IPv4Packet {
  IPv4Packet(source, destination, UDPDatagram(from: from, to: to, [1, 2, 3]))
}
