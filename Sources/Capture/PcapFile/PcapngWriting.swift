import Traffic

/// The blocks of a pcapng file that Sluice writes: little endian, one Ethernet interface, nanoseconds.
///
/// - Source: draft-ietf-opsawg-pcapng sections 4.1, 4.2, 4.3 and 4.7.
public enum PcapngWriting {
  /// What every file begins with.
  public static func fileHeader(application: String, interface: String) -> [UInt8] {
    // Byte-order magic, version 1.0, unknown section length, shb_userappl.
    var section: [UInt8] = [0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0] + [UInt8](repeating: 0xff, count: 8)
    section += option(4, Array(application.utf8)) + endOfOptions
    // LINKTYPE_ETHERNET, no limit of captured octets, if_name, if_tsresol 10^-9.
    var description: [UInt8] = [1, 0, 0, 0, 0, 0, 0, 0]
    description += option(2, Array(interface.utf8)) + option(9, [9]) + endOfOptions
    return block(0x0a0d_0d0a, section) + block(1, description)
  }

  /// An enhanced packet block on the one interface.
  ///
  /// - Parameter comment: opt_comment, for people; at most 65,535 octets of it are kept.
  public static func packet(_ frame: [UInt8], at time: Timestamp, comment: String? = nil) -> [UInt8] {
    var body: [UInt8] = []
    body.reserveCapacity(24 + frame.count)
    let nanoseconds = UInt64(bitPattern: time.nanoseconds)
    append(0, to: &body)
    append(UInt32(truncatingIfNeeded: nanoseconds >> 32), to: &body)
    append(UInt32(truncatingIfNeeded: nanoseconds), to: &body)
    append(UInt32(truncatingIfNeeded: frame.count), to: &body)
    append(UInt32(truncatingIfNeeded: frame.count), to: &body)
    body += padded(frame)
    if let comment { body += option(1, Array(comment.utf8.prefix(65_535))) + endOfOptions }
    return block(6, body)
  }

  /// A decryption secrets block with lines of an SSLKEYLOGFILE.
  public static func tlsKeyLog(_ lines: [UInt8]) -> [UInt8] {
    var body: [UInt8] = []
    append(0x544c_534b, to: &body)
    append(UInt32(truncatingIfNeeded: lines.count), to: &body)
    return block(10, body + padded(lines))
  }

  /// The frames in a run of whole blocks as `packet` writes them.
  public static func forEachFrame(in blocks: RawSpan, _ body: (RawSpan) -> Void) {
    var offset = 0
    while offset &+ 28 <= blocks.byteCount {
      let length = Int(blocks.u32(at: offset &+ 4, .little))
      guard length >= 12, length <= blocks.byteCount &- offset else { return }
      let frame = Int(blocks.u32(at: offset &+ 20, .little))
      if blocks.u32(at: offset, .little) == 6, frame <= length &- 32 {
        body(blocks.extracting(offset &+ 28..<offset &+ 28 &+ frame))
      }
      offset &+= length
    }
  }

  private static let endOfOptions: [UInt8] = [0, 0, 0, 0]

  private static func option(_ code: UInt8, _ value: [UInt8]) -> [UInt8] {
    [code, 0, UInt8(truncatingIfNeeded: value.count), UInt8(truncatingIfNeeded: value.count >> 8)] + padded(value)
  }

  private static func block(_ type: UInt32, _ body: [UInt8]) -> [UInt8] {
    var block: [UInt8] = []
    block.reserveCapacity(12 + body.count)
    append(type, to: &block)
    append(UInt32(truncatingIfNeeded: body.count + 12), to: &block)
    block += body
    append(UInt32(truncatingIfNeeded: body.count + 12), to: &block)
    return block
  }

  /// Everything in a block stands at a multiple of four octets.
  private static func padded(_ bytes: [UInt8]) -> [UInt8] {
    bytes + [UInt8](repeating: 0, count: (4 - bytes.count % 4) % 4)
  }

  private static func append(_ number: UInt32, to bytes: inout [UInt8]) {
    for shift: UInt32 in [0, 8, 16, 24] { bytes.append(UInt8(truncatingIfNeeded: number >> shift)) }
  }
}
