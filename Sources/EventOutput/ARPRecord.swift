import Inspection
import PacketDecoding
import Traffic

extension EVEWriter {
  /// - Source: Suricata 8, EVE JSON format, "Event type: ARP".
  func writeARP(_ context: borrowing EventContext, _ bytes: RawSpan) {
    guard let arp = ARPFields(context.packet, bytes) else { return }
    begin("arp", context, .packet, bytes)
    json.beginObject("arp")
    json.member("hw_type", "ethernet")
    json.member("proto_type", "ipv4")
    json.key("opcode")
    switch arp.opcode {
    case 1: json.string("request")
    case 2: json.string("reply")
    case 3: json.string("request-reverse")
    default: json.string("reply-reverse")
    }
    json.key("src_mac")
    EVEHeader.write(linkAddress: arp.senderHardware, into: &json)
    EVEHeader.member("src_ip", arp.senderAddress, into: &json)
    json.key("dest_mac")
    EVEHeader.write(linkAddress: arp.targetHardware, into: &json)
    EVEHeader.member("dest_ip", arp.targetAddress, into: &json)
    json.endObject()
    end(nil)
  }
}
