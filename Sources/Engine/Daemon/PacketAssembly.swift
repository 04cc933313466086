import PacketDecoding
import Traffic

/// Writes IP packets with right lengths and checksums.
///
/// - Source: RFC 791, RFC 8200, RFC 9293.
enum PacketAssembly {
  /// One end of a TCP connection.
  struct Endpoint: Sendable {
    var address: IPAddress
    var port: UInt16
  }

  /// - Parameter payload: as much as one packet can hold; what a 16-bit length cannot tell is the caller's to cut.
  static func tcp(
    from source: Endpoint, to destination: Endpoint, sequence: UInt32, acknowledgement: UInt32,
    flags: UInt8, payload: RawSpan = RawSpan()
  ) -> [UInt8] {
    var segment: [UInt8] = []
    segment.reserveCapacity(20 + payload.byteCount)
    for word in [source.port, destination.port] { append(word, to: &segment) }
    for number in [sequence, acknowledgement] {
      append(UInt16(truncatingIfNeeded: number >> 16), to: &segment)
      append(UInt16(truncatingIfNeeded: number), to: &segment)
    }
    segment += [5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]
    segment.append(payload)
    let pseudo = Checksum.pseudoHeader(
      source.address, destination.address, ipProtocol: IPProtocol.tcp, length: segment.count)
    store(~Checksum.fold(Checksum.sum(segment.rawSpan, initial: pseudo)), in: &segment, at: 16)
    return header(source.address, destination.address, IPProtocol.tcp, segment.count) + segment
  }

  static func header(
    _ source: IPAddress, _ destination: IPAddress, _ ipProtocol: UInt8, _ length: Int
  ) -> [UInt8] {
    if source.isIPv4 {
      var header: [UInt8] = [0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, ipProtocol, 0, 0]
      header += source.networkBytes + destination.networkBytes
      store(UInt16(truncatingIfNeeded: length + 20), in: &header, at: 2)
      store(~Checksum.fold(Checksum.sum(header.rawSpan)), in: &header, at: 10)
      return header
    }
    var header: [UInt8] = [0x60, 0, 0, 0, 0, 0, ipProtocol, 64]
    store(UInt16(truncatingIfNeeded: length), in: &header, at: 4)
    return header + source.networkBytes + destination.networkBytes
  }

  /// Overwrites two octets that are there, the high one first.
  static func store(_ value: UInt16, in bytes: inout [UInt8], at index: Int) {
    bytes[index] = UInt8(truncatingIfNeeded: value >> 8)
    bytes[index + 1] = UInt8(truncatingIfNeeded: value)
  }

  private static func append(_ value: UInt16, to bytes: inout [UInt8]) {
    bytes.append(UInt8(truncatingIfNeeded: value >> 8))
    bytes.append(UInt8(truncatingIfNeeded: value))
  }
}
