import Traffic

/// The Internet checksum.
/// - Source: RFC 1071.
public enum Checksum {
  /// The sum of 16-bit big-endian words; a last odd octet counts as the high one. Not folded.
  ///
  /// Octets are bounded by 64 KiB packets, so that 64 bits cannot overflow.
  public static func sum(_ bytes: RawSpan, initial: UInt64 = 0) -> UInt64 {
    // Summed in host order and turned at the end: the sum does not depend on the byte order
    // (RFC 1071 section 2 (B)), and a loop without swaps runs several words at a time.
    var sum: UInt64 = 0
    let count = bytes.byteCount
    let wordsEnd = count & ~3
    // SAFETY: every load ends at `wordsEnd <= count` at most, inside the span.
    unsafe bytes.withUnsafeBytes { buffer in
      // Two sums of eight octets each, with what they carry beside them: half the additions of four octets.
      var (even, odd, carries) = (UInt64(0), UInt64(0), UInt64(0))
      var index = 0
      while index &+ 16 <= wordsEnd {
        let first = unsafe buffer.loadUnaligned(fromByteOffset: index, as: UInt64.self)
        let second = unsafe buffer.loadUnaligned(fromByteOffset: index &+ 8, as: UInt64.self)
        even &+= first
        carries &+= even < first ? 1 : 0
        odd &+= second
        carries &+= odd < second ? 1 : 0
        index &+= 16
      }
      // 2^64 is 1 in sums of this kind.
      sum = (even >> 32) &+ (even & 0xffff_ffff) &+ (odd >> 32) &+ (odd & 0xffff_ffff) &+ carries
      while index < wordsEnd {
        unsafe sum &+= UInt64(buffer.loadUnaligned(fromByteOffset: index, as: UInt32.self))
        index &+= 4
      }
    }
    var tail = initial
    if wordsEnd &+ 2 <= count { tail &+= UInt64(bytes.u16(at: wordsEnd)) }
    if count & 1 == 1 { tail &+= UInt64(bytes.u8(at: count &- 1)) << 8 }
    return tail &+ UInt64(UInt16(bigEndian: fold(sum)))
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
    sum &+= addressSum(source)
    sum &+= addressSum(destination)
    return sum
  }

  private static func addressSum(_ address: IPAddress) -> UInt64 {
    if address.isIPv4 { return UInt64(address.ipv4) }
    return (address.high >> 32) &+ (address.high & 0xffff_ffff)
      &+ (address.low >> 32) &+ (address.low & 0xffff_ffff)
  }
}
