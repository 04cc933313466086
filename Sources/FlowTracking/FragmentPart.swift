import PacketDecoding
import Traffic

/// Where in a packet the pieces of a fragment lie; ranges are inside the packet's bytes.
struct FragmentPart {
  /// The headers that the whole datagram will have.
  var header: Range<Int>
  var data: Range<Int>
  /// The place of `data` in the datagram's fragmentable part.
  var range: Range<Int>
  var isLast: Bool
  /// What of the headers counts against the 16 bits of the length field.
  var headerCountedIn: Int
  /// IPv6: where the fragment header's next-header value belongs, and that value.
  var nextHeaderOffset = 0
  var nextHeader: UInt8 = 0

  init?(ipv4 packet: borrowing DecodedPacket, _ bytes: RawSpan) {
    let start = Int(packet.networkOffset)
    guard packet.ipVersion == 4, start >= 0, bytes.byteCount &- start >= 20 else { return nil }
    let headerCount = Int(bytes.u8(at: start) & 15) &* 4
    let totalCount = Int(bytes.u16(at: start &+ 2))
    guard headerCount >= 20, totalCount > headerCount, totalCount <= bytes.byteCount &- start else {
      return nil
    }
    header = start..<(start &+ headerCount)
    headerCountedIn = headerCount
    let field = bytes.u16(at: start &+ 6)
    isLast = field & 0x2000 == 0
    guard
      let lengths = Self.lengths(
        offset: Int(field & 0x1fff) &* 8, count: totalCount &- headerCount, isLast: isLast)
    else { return nil }
    range = lengths
    data = (start &+ headerCount)..<(start &+ headerCount &+ lengths.count)
  }

  init?(ipv6 packet: borrowing DecodedPacket, _ bytes: RawSpan) {
    let start = Int(packet.networkOffset)
    guard packet.ipVersion == 6, start >= 0, bytes.byteCount &- start >= 40 else { return nil }
    let end = start &+ 40 &+ Int(bytes.u16(at: start &+ 4))
    guard end <= bytes.byteCount,
      let (offset, pointer) = Self.fragmentHeader(bytes, start: start, end: end)
    else { return nil }
    header = start..<offset
    headerCountedIn = offset &- start &- 40
    nextHeaderOffset = pointer &- start
    nextHeader = bytes.u8(at: offset)
    let field = bytes.u16(at: offset &+ 2)
    isLast = field & 1 == 0
    guard
      let lengths = Self.lengths(
        offset: Int(field & 0xfff8), count: end &- offset &- 8, isLast: isLast)
    else { return nil }
    range = lengths
    data = (offset &+ 8)..<(offset &+ 8 &+ lengths.count)
  }

  /// All but the last fragment carry a multiple of eight octets; what is over is not used, as hosts
  /// do. Nil where nothing is left.
  private static func lengths(offset: Int, count: Int, isLast: Bool) -> Range<Int>? {
    let used = isLast ? count : count & ~7
    guard used > 0 || (isLast && used == 0) else { return nil }
    return offset..<(offset &+ used)
  }

  /// Walks the extension headers that may stand before a fragment header (RFC 8200 section 4.1).
  /// - Returns: where it begins, and where the octet is that announces it.
  private static func fragmentHeader(
    _ bytes: RawSpan, start: Int, end: Int
  ) -> (offset: Int, pointer: Int)? {
    var pointer = start &+ 6
    var offset = start &+ 40
    // Each round passes eight octets at least; sixteen headers are more than any host sends.
    for _ in 0..<16 {
      switch bytes.u8(at: pointer) {
      case 44:
        return end &- offset >= 8 ? (offset, pointer) : nil
      case 0, 43, 60:
        guard end &- offset >= 8 else { return nil }
        pointer = offset
        offset &+= (Int(bytes.u8(at: offset &+ 1)) &+ 1) &* 8
        if offset > end { return nil }
      default:
        return nil
      }
    }
    return nil
  }
}
