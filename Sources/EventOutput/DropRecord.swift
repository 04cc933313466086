import PacketDecoding
import Traffic

/// The headers of a packet that was not let through, in the `drop` object.
enum DropRecord {
  /// - Parameter bytes: that `packet` was decoded from; empty for relayed streams.
  static func writeHeaders(
    _ packet: DecodedPacket, _ bytes: RawSpan, into json: inout JSONWriter
  ) {
    let network = max(0, Int(packet.networkOffset))
    if packet.ipVersion == 4, bytes.byteCount >= network + 20 {
      json.member("len", bytes.u16(at: network + 2))
      json.member("tos", packet.typeOfService)
      json.member("ttl", packet.timeToLive)
      json.member("ipid", bytes.u16(at: network + 4))
    } else if packet.ipVersion == 6, bytes.byteCount >= network + 40 {
      json.member("len", bytes.u16(at: network + 4))
      json.member("tc", packet.typeOfService)
      json.member("hoplimit", packet.timeToLive)
      json.member("flowlbl", bytes.u32(at: network) & 0xf_ffff)
    }
    guard packet.hasTransport, bytes.byteCount > 0 else { return }
    if packet.isTCP {
      writeTCP(packet.tcp, into: &json)
    } else if packet.isUDP {
      json.member("udplen", Int(packet.payloadLength) + 8)
    } else if packet.isICMP, packet.icmp.hasIdentifier {
      // Their octets are in the order of the wire and read as Suricata's machines do.
      json.member("icmp_id", packet.icmp.identifier.byteSwapped)
      json.member("icmp_seq", packet.icmp.sequence.byteSwapped)
    }
  }

  private static func writeTCP(_ tcp: TCPFields, into json: inout JSONWriter) {
    json.member("tcpseq", tcp.sequence)
    json.member("tcpack", tcp.acknowledgement)
    json.member("tcpwin", tcp.window)
    json.member("syn", tcp.has(TCPFields.syn))
    json.member("ack", tcp.has(TCPFields.ack))
    json.member("psh", tcp.has(TCPFields.psh))
    json.member("rst", tcp.has(TCPFields.rst))
    json.member("urg", tcp.has(TCPFields.urg))
    json.member("fin", tcp.has(TCPFields.fin))
    json.member("tcpres", 0)
    json.member("tcpurgp", tcp.urgentPointer)
  }
}
