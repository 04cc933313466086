import Traffic

/// The Internet checksum.
/// - Source: RFC 1071.
public enum Checksum {
  /// The sum of 16-bit big-endian words; a last odd octet counts as the high one. Not folded.
  ///
  /// Octets are bounded by 64 KiB packets, so that 64 bits cannot overflow.
  public static func sum(_ bytes: RawSpan, initial: UInt64 = 0) -> UInt64 {
    var sum = initial
    var index = 0
    let count = bytes.byteCount
    // 32 bits at a time: the carries collect in the upper half and fold away.
    while index &+ 4 <= count {
      sum &+= UInt64(bytes.u32(at: index))
      index &+= 4
    }
    if index &+ 2 <= count {
      sum &+= UInt64(bytes.u16(at: index))
      index &+= 2
    }
    if index < count { sum &+= UInt64(bytes.u8(at: index)) << 8 }
    return sum
  }

  /// The ones' complement sum in 16 bits.
  public static func fold(_ sum: UInt64) -> UInt16 {
    var sum = sum
    while sum > 0xffff { sum = (sum & 0xffff) &+ (sum >> 16) }
    return UInt16(truncatingIfNeeded: sum)
  }

  /// The pseudo header of TCP, UDP and ICMPv6 (RFC 9293 section 3.1, RFC 8200 section 8.1).
  public static func pseudoHeader(
    _ source: IPAddress, _ destination: IPAddress, ipProtocol: UInt8, length: Int
  ) -> UInt64 {
    var sum = UInt64(ipProtocol) &+ UInt64(truncatingIfNeeded: length)
    for address in [source, destination] {
      if address.isIPv4 {
        sum &+= UInt64(address.ipv4)
      } else {
        sum &+= (address.high >> 32) &+ (address.high & 0xffff_ffff)
        sum &+= (address.low >> 32) &+ (address.low & 0xffff_ffff)
      }
    }
    return sum
  }
}
