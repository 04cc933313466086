import CSluiceLinux
import Glibc
import PacketDecoding
import RuleLanguage
import Traffic

/// Tells the ends of a connection that it is refused: RST for TCP, an ICMP error for the rest.
///
/// - Source: RFC 9293 section 3.5.2 (RST), RFC 792 and RFC 4443 (unreachable, administratively
///   prohibited); Suricata `reject`, `rejectsrc`, `rejectdst`, `rejectboth`.
final class RejectSender {
  private let ipv4: Int32
  private let ipv6: Int32
  private let decoder: PacketDecoder
  /// Refusals that could not be sent.
  private(set) var failureCount: UInt64 = 0

  /// - Parameter mark: of the packets, where those this machine sends are queued too; 0 for none.
  init(mark: UInt32 = 0) {
    ipv4 = socket(AF_INET, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), Int32(IPPROTO_RAW))
    ipv6 = socket(AF_INET6, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), Int32(IPPROTO_RAW))
    if mark != 0 {
      for descriptor in [ipv4, ipv6] where descriptor >= 0 { _ = sluice_set_mark(descriptor, mark) }
    }
    var settings = DecoderSettings()
    settings.verifiesChecksums = false
    decoder = PacketDecoder(settings: settings)
  }

  deinit {
    if ipv4 >= 0 { close(ipv4) }
    if ipv6 >= 0 { close(ipv6) }
  }

  /// - Parameters:
  ///   - bytes: the refused packet from its IP header on.
  ///   - action: whom to tell; nil tells the sender.
  ///   - asClosedPort: what is no TCP is told that nobody is there, which ends it for programs at once.
  func reject(_ bytes: RawSpan, action: RuleAction?, asClosedPort: Bool = false) {
    let packet = decoder.decode(bytes, link: .raw, time: Timestamp(nanoseconds: 0))
    guard packet.ipVersion != 0 else { return }
    if packet.isTCP {
      guard !packet.tcp.has(TCPFields.rst) else { return }
      if action != .rejectdst { send(RejectPacket.reset(toSenderOf: packet), to: packet.source) }
      if action == .rejectdst || action == .rejectboth {
        send(RejectPacket.reset(toReceiverOf: packet), to: packet.destination)
      }
    } else if packet.ipProtocol != IPProtocol.icmp, packet.ipProtocol != IPProtocol.icmpv6 {
      send(RejectPacket.unreachable(packet, quoting: bytes, isPort: asClosedPort), to: packet.source)
    }
  }

  private func send(_ packet: [UInt8], to address: IPAddress) {
    let descriptor = address.isIPv4 ? ipv4 : ipv6
    guard descriptor >= 0 else {
      failureCount &+= 1
      return
    }
    let octets = address.isIPv4 ? address.networkBytes + [UInt8](repeating: 0, count: 12) : address.networkBytes
    // SAFETY: both arrays live through the call; the C side reads 16 octets of address and `count` of packet.
    let sent = unsafe packet.withUnsafeBytes { bytes in
      unsafe octets.withUnsafeBufferPointer { target in
        unsafe sluice_send_raw(
          descriptor, address.isIPv4 ? AF_INET : AF_INET6, target.baseAddress, bytes.baseAddress, bytes.count)
      }
    }
    if sent < 0 { failureCount &+= 1 }
  }
}

/// The packets that refuse.
enum RejectPacket {
  /// To whoever sent `packet`, as from its receiver.
  static func reset(toSenderOf packet: DecodedPacket) -> [UInt8] {
    let length = UInt32(truncatingIfNeeded: packet.payloadLength)
    let synFin = UInt32(packet.tcp.has(TCPFields.syn) ? 1 : 0) &+ (packet.tcp.has(TCPFields.fin) ? 1 : 0)
    // RFC 9293 section 3.5.2: without an ACK the RST acknowledges what came, with sequence 0.
    let hasAck = packet.tcp.has(TCPFields.ack)
    return PacketAssembly.tcp(
      from: packet.receiver, to: packet.sender, sequence: hasAck ? packet.tcp.acknowledgement : 0,
      acknowledgement: packet.tcp.sequence &+ length &+ synFin,
      flags: hasAck ? TCPFields.rst : TCPFields.rst | TCPFields.ack)
  }

  /// To whom `packet` was meant for, as from its sender.
  static func reset(toReceiverOf packet: DecodedPacket) -> [UInt8] {
    PacketAssembly.tcp(
      from: packet.sender, to: packet.receiver, sequence: packet.tcp.sequence, acknowledgement: packet.tcp.acknowledgement,
      flags: TCPFields.rst | (packet.tcp.flags & TCPFields.ack))
  }

  /// ICMP "communication administratively prohibited" about `packet`, or "port unreachable".
  static func unreachable(_ packet: DecodedPacket, quoting bytes: RawSpan, isPort: Bool = false) -> [UInt8] {
    let isIPv4 = packet.ipVersion == 4
    // RFC 1812 section 4.3.2.3: as much as fits 576 octets; RFC 4443: the least MTU.
    let quoted = bytes.extracting(0..<min(bytes.byteCount, isIPv4 ? 548 : 1232)).copied()
    var message: [UInt8] = [isIPv4 ? 3 : 1, isPort ? (isIPv4 ? 3 : 4) : (isIPv4 ? 13 : 1), 0, 0, 0, 0, 0, 0] + quoted
    let ipProtocol = isIPv4 ? IPProtocol.icmp : IPProtocol.icmpv6
    let pseudo =
      isIPv4
      ? 0
      : Checksum.pseudoHeader(
        packet.destination, packet.source, ipProtocol: ipProtocol, length: message.count)
    PacketAssembly.store(~Checksum.fold(Checksum.sum(message.rawSpan, initial: pseudo)), in: &message, at: 2)
    return PacketAssembly.header(packet.destination, packet.source, ipProtocol, message.count) + message
  }
}

extension DecodedPacket {
  fileprivate var sender: PacketAssembly.Endpoint { .init(address: source, port: sourcePort) }
  fileprivate var receiver: PacketAssembly.Endpoint { .init(address: destination, port: destinationPort) }
}
