import Traffic

/// What an interface description block says that matters for its packets.
///
/// - Source: draft-ietf-opsawg-pcapng section 4.2; options if_tsresol (9) and if_tsoffset (14).
struct PcapngInterface {
  /// Ticks in a second.
  enum Resolution {
    case powerOfTen(UInt8)
    case powerOfTwo(UInt8)
  }

  let linkType: LinkType
  /// 0 for no limit.
  let snapLength: Int
  private var resolution = Resolution.powerOfTen(6)
  private var offsetSeconds: Int64 = 0

  /// - Parameter content: the block without type and lengths.
  /// - Returns: nil when the fixed part is not whole.
  init?(_ content: RawSpan, _ order: ByteOrder) {
    guard content.byteCount >= 8 else { return nil }
    linkType = LinkType(rawValue: UInt32(content.u16(at: 0, order)))
    snapLength = Int(content.u32(at: 4, order))
    readOptions(content.extracting(8..<content.byteCount), order)
  }

  /// Options that run over the end of the block are ignored, with what follows them.
  private mutating func readOptions(_ options: RawSpan, _ order: ByteOrder) {
    var position = 0
    while options.byteCount &- position >= 4 {
      let code = options.u16(at: position, order)
      let length = Int(options.u16(at: position &+ 2, order))
      position &+= 4
      guard code != 0, length <= options.byteCount &- position else { return }
      if code == 9, length >= 1 {
        let value = options.u8(at: position)
        resolution = value & 0x80 == 0 ? .powerOfTen(value) : .powerOfTwo(value & 0x7f)
      } else if code == 14, length >= 8 {
        offsetSeconds = Int64(bitPattern: options.u64(at: position, order))
      }
      // Values are padded to four octets.
      position &+= (length &+ 3) & ~3
    }
  }

  /// Wraps for times that no capture has; a resolution finer than the counter yields its fraction.
  @inline(__always)
  func time(ticks: UInt64) -> Timestamp {
    let offset = offsetSeconds &* 1_000_000_000
    switch resolution {
    case .powerOfTen(6):
      return Timestamp(nanoseconds: Int64(truncatingIfNeeded: ticks &* 1000) &+ offset)
    case .powerOfTen(let exponent):
      return Timestamp(nanoseconds: Self.decimal(ticks, exponent) &+ offset)
    case .powerOfTwo(let shift):
      return Timestamp(nanoseconds: Self.binary(ticks, shift) &+ offset)
    }
  }

  private static func decimal(_ ticks: UInt64, _ exponent: UInt8) -> Int64 {
    var value = ticks
    if exponent <= 9 {
      for _ in exponent..<9 { value = value &* 10 }
    } else {
      // Beyond 10^28 nothing is left of 64 bits.
      for _ in 9..<min(exponent, 29) { value /= 10 }
    }
    return Int64(truncatingIfNeeded: value)
  }

  private static func binary(_ ticks: UInt64, _ shift: UInt8) -> Int64 {
    guard shift > 0, shift < 64 else {
      return shift == 0 ? Int64(truncatingIfNeeded: ticks &* 1_000_000_000) : 0
    }
    let bits = UInt64(shift)
    let seconds = ticks >> bits
    let product = (ticks & (1 << bits &- 1)).multipliedFullWidth(by: 1_000_000_000)
    let fraction = product.high << (64 &- bits) | product.low >> bits
    return Int64(truncatingIfNeeded: seconds &* 1_000_000_000 &+ fraction)
  }
}
