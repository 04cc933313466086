import Traffic

/// The blocks of a pcapng file.
///
/// Packets come from enhanced, simple and the obsolete packet blocks. All other blocks (names,
/// statistics, decryption secrets, custom ones) are skipped.
/// - Source: draft-ietf-opsawg-pcapng sections 3 and 4.
struct PcapngBlocks {
  static let sectionHeader: UInt32 = 0x0a0d_0d0a
  private static let interfaceDescription: UInt32 = 1
  private static let obsoletePacket: UInt32 = 2
  private static let simplePacket: UInt32 = 3
  private static let enhancedPacket: UInt32 = 6

  /// A block that we look into must fit into memory: the largest packet and as much of options.
  static let knownBlockLengthMax = 2 * PcapRecords.capturedLengthMax
  /// Interfaces of one section; beyond, the file is refused.
  static let interfaceCountMax = 65_536

  private var order = ByteOrder.little
  private var interfaces: [PcapngInterface] = []
  /// Simple packet blocks have no time; they get that of the packet before.
  private var lastTime = Timestamp(nanoseconds: 0)

  /// Goes through blocks up to the next packet and lends it to `body`.
  mutating func next(
    from window: inout ByteWindow, number: UInt64, name: String,
    _ body: (borrowing CapturedPacket) -> Void
  ) throws(CaptureError) -> RecordOutcome {
    while true {
      guard try window.require(12) else { return window.count == 0 ? .end : .cutShort }
      let (type, length) = try blockHeader(window.bytes, at: window.offset, name: name)
      guard length >= 12, length % 4 == 0 else {
        throw damaged(
          "a block of length \(length), which must be a multiple of 4 from 12 up", window.offset, name)
      }
      switch type {
      case Self.sectionHeader, Self.interfaceDescription, Self.obsoletePacket,
        Self.simplePacket, Self.enhancedPacket:
        guard try requireBlock(length, &window, name) else { return .cutShort }
        let isPacket = try take(type, length, window: window, number: number, name: name, body)
        window.advance(length)
        if isPacket { return .packet }
      default:
        guard try skipBlock(length, &window, name) else { return .cutShort }
      }
    }
  }

  // MARK: Blocks

  private mutating func blockHeader(
    _ head: borrowing RawSpan, at offset: UInt64, name: String
  ) throws(CaptureError) -> (type: UInt32, length: Int) {
    let isSection = head.u32(at: 0) == Self.sectionHeader
    if isSection { try beginSection(head, at: offset, name: name) }
    return (head.u32(at: 0, order), Int(head.u32(at: 4, order)))
  }

  /// The byte order comes first: without it not even the block's length can be read.
  private mutating func beginSection(
    _ head: borrowing RawSpan, at offset: UInt64, name: String
  ) throws(CaptureError) {
    switch head.u32(at: 8) {
    case 0x1a2b_3c4d: order = .big
    case 0x4d3c_2b1a: order = .little
    default: throw damaged("a section without byte-order magic", offset, name)
    }
    interfaces = []
  }

  /// Brings the whole block in and compares its two lengths.
  private func requireBlock(
    _ length: Int, _ window: inout ByteWindow, _ name: String
  ) throws(CaptureError) -> Bool {
    guard length <= Self.knownBlockLengthMax else {
      throw damaged(
        "a block of \(length) octets, more than the \(Self.knownBlockLengthMax) that are read", window.offset,
        name)
    }
    guard try window.require(length) else { return false }
    let trailing = Int(window.bytes.u32(at: length &- 4, order))
    guard trailing == length else {
      throw damaged(
        "a block whose lengths differ: \(length) in front, \(trailing) behind", window.offset, name)
    }
    return true
  }

  private func skipBlock(
    _ length: Int, _ window: inout ByteWindow, _ name: String
  ) throws(CaptureError) -> Bool {
    let offset = window.offset
    guard try window.skip(UInt64(length &- 4)), try window.require(4) else { return false }
    let trailing = Int(window.bytes.u32(at: 0, order))
    guard trailing == length else {
      throw damaged("a block whose lengths differ: \(length) in front, \(trailing) behind", offset, name)
    }
    window.advance(4)
    return true
  }

  /// Uses a block that is whole in `window`.
  /// - Returns: whether it held a packet, which `body` then has seen.
  private mutating func take(
    _ type: UInt32, _ length: Int, window: borrowing ByteWindow, number: UInt64, name: String,
    _ body: (borrowing CapturedPacket) -> Void
  ) throws(CaptureError) -> Bool {
    let content = window.bytes.extracting(8..<(length &- 4))
    switch type {
    case Self.interfaceDescription:
      try addInterface(content, window.offset, name)
      return false
    case Self.simplePacket:
      try simplePacket(content, window.offset, number, name, body)
      return true
    case Self.enhancedPacket, Self.obsoletePacket:
      let isEnhanced = type == Self.enhancedPacket
      try timedPacket(content, isEnhanced, window.offset, number, name, body)
      return true
    default:
      // A section header: the length says that its fixed part is there.
      guard content.byteCount >= 16 else {
        throw damaged("a section header that is too short", window.offset, name)
      }
      let major = content.u16(at: 4, order)
      guard major == 1 else { throw damaged("pcapng version \(major), only 1 is known", window.offset, name) }
      return false
    }
  }

  private mutating func addInterface(
    _ content: RawSpan, _ offset: UInt64, _ name: String
  ) throws(CaptureError) {
    guard let interface = PcapngInterface(content, order) else {
      throw damaged("an interface block that is too short", offset, name)
    }
    guard interfaces.count < Self.interfaceCountMax else {
      throw damaged("more than \(Self.interfaceCountMax) interfaces", offset, name)
    }
    interfaces.append(interface)
  }

  /// Section 4.3: interface, time, lengths, packet. The obsolete block has a 16-bit interface
  /// and a drop count instead of a 32-bit interface.
  private mutating func timedPacket(
    _ content: RawSpan, _ isEnhanced: Bool, _ offset: UInt64, _ number: UInt64, _ name: String,
    _ body: (borrowing CapturedPacket) -> Void
  ) throws(CaptureError) {
    guard content.byteCount >= 20 else { throw damaged("a packet block that is too short", offset, name) }
    let index = isEnhanced ? Int(content.u32(at: 0, order)) : Int(content.u16(at: 0, order))
    guard index < interfaces.count else {
      throw damaged(
        "packet \(number) from interface \(index), but only \(interfaces.count) are described", offset, name)
    }
    let interface = interfaces[index]
    let captured = Int(content.u32(at: 12, order))
    guard captured <= content.byteCount &- 20, captured <= PcapRecords.capturedLengthMax else {
      throw damaged(
        "packet \(number) claims \(captured) octets, more than its block or the limit allow", offset, name)
    }
    let ticks = UInt64(content.u32(at: 4, order)) << 32 | UInt64(content.u32(at: 8, order))
    lastTime = interface.time(ticks: ticks)
    body(
      CapturedPacket(
        bytes: content.extracting(20..<(20 &+ captured)), linkType: interface.linkType,
        time: lastTime, originalLength: max(captured, Int(content.u32(at: 16, order))),
        number: number))
  }

  /// Section 4.4: the original length and the packet, cut at the first interface's snap length.
  private func simplePacket(
    _ content: RawSpan, _ offset: UInt64, _ number: UInt64, _ name: String,
    _ body: (borrowing CapturedPacket) -> Void
  ) throws(CaptureError) {
    guard let interface = interfaces.first else {
      throw damaged("packet \(number) before any interface block", offset, name)
    }
    guard content.byteCount >= 4 else { throw damaged("a packet block that is too short", offset, name) }
    let original = Int(content.u32(at: 0, order))
    let captured = interface.snapLength == 0 ? original : min(original, interface.snapLength)
    guard captured <= content.byteCount &- 4, captured <= PcapRecords.capturedLengthMax else {
      throw damaged(
        "packet \(number) claims \(captured) octets, more than its block or the limit allow", offset, name)
    }
    body(
      CapturedPacket(
        bytes: content.extracting(4..<(4 &+ captured)), linkType: interface.linkType,
        time: lastTime, originalLength: original, number: number))
  }

  private func damaged(_ what: String, _ offset: UInt64, _ name: String) -> CaptureError {
    CaptureError(name, .captureFile, what, offset: offset)
  }
}
