import Traffic

/// The records of a classic capture file.
///
/// - Source: draft-ietf-opsawg-pcap; the nanosecond variant (magic a1b23c4d) and the one with
///   longer record headers that old Linux libpcap patches wrote (a1b2cd34).
struct PcapRecords {
  static let fileHeaderLength = 24
  /// A record that claims more is damage, not a packet: libpcap's own bound, 4 times a jumbo GSO packet.
  static let capturedLengthMax = 262_144

  let linkType: LinkType
  private let order: ByteOrder
  /// Nanoseconds in one unit of the second time field: 1 or 1000.
  private let fractionUnit: Int64
  private let recordHeaderLength: Int

  /// - Parameter header: at least the four octets of the magic number.
  /// - Returns: nil when this is no classic capture file.
  init?(magic header: borrowing RawSpan, linkType: LinkType = .ethernet) {
    guard header.byteCount >= 4 else { return nil }
    let value = header.u32(at: 0)
    switch value {
    case 0xa1b2_c3d4, 0xa1b2_3c4d, 0xa1b2_cd34: order = .big
    case 0xd4c3_b2a1, 0x4d3c_b2a1, 0x34cd_b2a1: order = .little
    default: return nil
    }
    let magic = order == .big ? value : value.byteSwapped
    fractionUnit = magic == 0xa1b2_3c4d ? 1 : 1000
    recordHeaderLength = magic == 0xa1b2_cd34 ? 24 : 16
    if header.byteCount >= Self.fileHeaderLength {
      // The upper six bits tell the length of a frame check sequence.
      self.linkType = LinkType(rawValue: header.u32(at: 20, order) & 0x03ff_ffff)
    } else {
      self.linkType = linkType
    }
  }

  /// Takes the next record from `window` and lends it to `body`.
  func next(
    from window: inout ByteWindow, number: UInt64, name: String,
    _ body: (borrowing CapturedPacket) -> Void
  ) throws(CaptureError) -> RecordOutcome {
    guard try window.require(recordHeaderLength) else {
      return window.count == 0 ? .end : .cutShort
    }
    let (time, captured, original) = recordHeader(window.bytes)
    guard captured <= Self.capturedLengthMax else {
      throw CaptureError(
        name, .captureFile,
        "packet \(number) claims \(captured) octets, more than the \(Self.capturedLengthMax) a packet may have; the file is damaged from here on",
        offset: window.offset)
    }
    let length = recordHeaderLength &+ captured
    guard try window.require(length) else { return .cutShort }
    body(
      CapturedPacket(
        bytes: window.bytes.extracting(recordHeaderLength..<length), linkType: linkType,
        time: time, originalLength: max(original, captured), number: number))
    window.advance(length)
    return .packet
  }

  @inline(__always)
  private func recordHeader(
    _ header: borrowing RawSpan
  ) -> (time: Timestamp, captured: Int, original: Int) {
    // Bound: 2^32 seconds and 2^32 thousands of nanoseconds stay far below 2^63.
    let time = Timestamp(
      seconds: Int64(header.u32(at: 0, order)),
      nanoseconds: Int64(header.u32(at: 4, order)) &* fractionUnit)
    return (time, Int(header.u32(at: 8, order)), Int(header.u32(at: 12, order)))
  }
}

/// What a reader found at its place in the file.
enum RecordOutcome {
  /// A packet was lent out.
  case packet
  /// The file is over, between two records.
  case end
  /// The file is over in the middle of a record.
  case cutShort
}
