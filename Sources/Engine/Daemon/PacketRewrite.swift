import Detection
import PacketDecoding
import Traffic

/// A packet as rules want it (`replace`): octets of the payload are others, the length stays.
///
/// - Source: Suricata `replace`. Checksums are complete in the result, also where the packet came with
///   one that was left to the network card: the kernel takes a changed packet as it is.
/// - Limits: TCP and UDP that are no fragments.
enum PacketRewrite {
  /// - Parameter bytes: the packet from its IP header on.
  /// - Returns: nil where nothing can be replaced.
  static func apply(_ replacements: [PayloadReplacement], to bytes: RawSpan) -> [UInt8]? {
    var settings = DecoderSettings()
    settings.verifiesChecksums = false
    let packet = PacketDecoder(settings: settings).decode(bytes, link: .raw, time: Timestamp(nanoseconds: 0))
    guard packet.isTCP || packet.isUDP, !packet.isFragment, !replacements.isEmpty else { return nil }
    var result = bytes.copied()
    let start = Int(packet.payloadOffset)
    let length = Int(packet.payloadLength)
    let end = start &+ length
    guard start >= 0, length >= 0, end <= result.count else { return nil }
    for replacement in replacements {
      // Room is left behind a position that lies inside, so that nothing overflows.
      guard (0...length).contains(replacement.position),
        replacement.bytes.count <= length &- replacement.position
      else { return nil }
      let position = start &+ replacement.position
      result.replaceSubrange(position..<position &+ replacement.bytes.count, with: replacement.bytes)
    }
    setChecksum(packet, end, &result)
    return result
  }

  /// - Source: RFC 9293 section 3.1, RFC 768 (0 stands for none, so a sum of 0 is sent as its complement).
  private static func setChecksum(_ packet: DecodedPacket, _ end: Int, _ bytes: inout [UInt8]) {
    let start = Int(packet.transportOffset)
    let field = start &+ (packet.isTCP ? 16 : 6)
    guard field &+ 2 <= end else { return }
    bytes[field] = 0
    bytes[field &+ 1] = 0
    let pseudo = Checksum.pseudoHeader(
      packet.source, packet.destination, ipProtocol: packet.ipProtocol, length: end &- start)
    var sum = ~Checksum.fold(Checksum.sum(bytes.rawSpan.extracting(start..<end), initial: pseudo))
    if sum == 0, packet.isUDP { sum = 0xffff }
    bytes[field] = UInt8(truncatingIfNeeded: sum >> 8)
    bytes[field &+ 1] = UInt8(truncatingIfNeeded: sum)
  }
}
