import Traffic

/// Writes a classic capture file (draft-ietf-opsawg-pcap) into memory.
public struct PcapWriter {
  public private(set) var bytes: [UInt8] = []
  public let isNanosecond: Bool
  public let isBigEndian: Bool
  /// Longer packets are cut to this; their original length stays.
  public let snapLength: Int

  public init(
    linkType: LinkType = .ethernet, nanosecond: Bool = false, bigEndian: Bool = false,
    snapLength: Int = 262_144, packets: [BuiltPacket] = []
  ) {
    isNanosecond = nanosecond
    isBigEndian = bigEndian
    self.snapLength = snapLength
    put(nanosecond ? 0xa1b2_3c4d : 0xa1b2_c3d4, 4)
    put(2, 2)
    put(4, 2)
    put(0, 4)
    put(0, 4)
    put(snapLength, 4)
    put(Int(linkType.rawValue), 4)
    packets.forEach { add($0) }
  }

  public mutating func add(_ packet: BuiltPacket) {
    let captured = min(packet.bytes.count, snapLength)
    addHeader(time: packet.time, captured: captured, original: packet.bytes.count)
    bytes += packet.bytes.prefix(captured)
  }

  /// A record header alone, with lengths that may lie.
  public mutating func addHeader(time: Timestamp, captured: Int, original: Int) {
    let fraction = Int(time.nanoseconds % 1_000_000_000)
    put(Int(time.seconds), 4)
    put(isNanosecond ? fraction : fraction / 1000, 4)
    put(captured, 4)
    put(original, 4)
  }

  /// Octets as they stand.
  public mutating func addRaw(_ raw: [UInt8]) { bytes += raw }

  private mutating func put(_ value: Int, _ octets: Int) {
    bytes.append(value, octets: octets, bigEndian: isBigEndian)
  }
}

/// Writes a pcapng file (draft-ietf-opsawg-pcapng) into memory.
public struct PcapngWriter {
  public private(set) var bytes: [UInt8] = []
  public let isBigEndian: Bool
  /// if_tsresol of each interface of the section.
  private var resolutions: [UInt8] = []

  public init(bigEndian: Bool = false) {
    isBigEndian = bigEndian
    addSection()
  }

  /// One section, one interface, all packets in enhanced blocks.
  public init(
    linkType: LinkType = .ethernet, bigEndian: Bool = false, packets: [BuiltPacket]
  ) {
    self.init(bigEndian: bigEndian)
    addInterface(linkType: linkType)
    packets.forEach { addEnhanced($0) }
  }

  public mutating func addSection(options: [UInt8] = []) {
    resolutions = []
    var body: [UInt8] = []
    put(0x1a2b_3c4d, 4, into: &body)
    put(1, 2, into: &body)
    put(0, 2, into: &body)
    body += Array(repeating: 0xff, count: 8)
    addBlock(type: 0x0a0d_0d0a, body: body + options)
  }

  /// - Parameter resolution: if_tsresol: a power of ten, or with the top bit a power of two.
  public mutating func addInterface(
    linkType: LinkType = .ethernet, snapLength: Int = 0, resolution: UInt8? = nil,
    offsetSeconds: Int64? = nil, name: String? = nil
  ) {
    resolutions.append(resolution ?? 6)
    var body: [UInt8] = []
    put(Int(linkType.rawValue), 2, into: &body)
    put(0, 2, into: &body)
    put(snapLength, 4, into: &body)
    if let name { putOption(2, Array(name.utf8), into: &body) }
    if let resolution { putOption(9, [resolution], into: &body) }
    if let offsetSeconds {
      var value: [UInt8] = []
      put(Int(offsetSeconds), 8, into: &value)
      putOption(14, value, into: &body)
    }
    if body.count > 8 { putOption(0, [], into: &body) }
    addBlock(type: 1, body: body)
  }

  /// An enhanced packet block; the time is written in the interface's own resolution.
  public mutating func addEnhanced(_ packet: BuiltPacket, interface: Int = 0) {
    let ticks = ticks(packet.time, interface: interface)
    var body: [UInt8] = []
    put(interface, 4, into: &body)
    put(ticks >> 32 & 0xffff_ffff, 4, into: &body)
    put(ticks & 0xffff_ffff, 4, into: &body)
    put(packet.bytes.count, 4, into: &body)
    put(packet.bytes.count, 4, into: &body)
    addBlock(type: 6, body: body + padded(packet.bytes))
  }

  /// The obsolete packet block (type 2).
  public mutating func addObsolete(_ packet: BuiltPacket, interface: Int = 0) {
    let ticks = ticks(packet.time, interface: interface)
    var body: [UInt8] = []
    put(interface, 2, into: &body)
    put(0, 2, into: &body)
    put(ticks >> 32 & 0xffff_ffff, 4, into: &body)
    put(ticks & 0xffff_ffff, 4, into: &body)
    put(packet.bytes.count, 4, into: &body)
    put(packet.bytes.count, 4, into: &body)
    addBlock(type: 2, body: body + padded(packet.bytes))
  }

  /// A simple packet block: no time, first interface.
  public mutating func addSimple(_ packet: [UInt8], originalLength: Int? = nil) {
    var body: [UInt8] = []
    put(originalLength ?? packet.count, 4, into: &body)
    addBlock(type: 3, body: body + padded(packet))
  }

  /// Any block; `trailingLength` instead of the right repeated length.
  public mutating func addBlock(type: UInt32, body: [UInt8], trailingLength: Int? = nil) {
    let content = padded(body)
    put(Int(type), 4, into: &bytes)
    put(content.count + 12, 4, into: &bytes)
    bytes += content
    put(trailingLength ?? content.count + 12, 4, into: &bytes)
  }

  public mutating func addRaw(_ raw: [UInt8]) { bytes += raw }

  private func ticks(_ time: Timestamp, interface: Int) -> Int {
    let resolution = interface < resolutions.count ? resolutions[interface] : 6
    let nanoseconds = Int(time.nanoseconds)
    if resolution & 0x80 == 0 {
      var out = nanoseconds
      for _ in resolution..<max(9, resolution) { out /= 10 }
      return out
    }
    let shift = Int(resolution & 0x7f)
    let seconds = nanoseconds / 1_000_000_000
    return (seconds << shift) + ((nanoseconds % 1_000_000_000) << shift) / 1_000_000_000
  }

  private func padded(_ raw: [UInt8]) -> [UInt8] {
    raw + Array(repeating: 0, count: (4 - raw.count % 4) % 4)
  }

  private func putOption(_ code: Int, _ value: [UInt8], into out: inout [UInt8]) {
    put(code, 2, into: &out)
    put(value.count, 2, into: &out)
    out += padded(value)
  }

  private func put(_ value: Int, _ octets: Int, into out: inout [UInt8]) {
    out.append(value, octets: octets, bigEndian: isBigEndian)
  }
}

extension Array where Element == UInt8 {
  fileprivate mutating func append(_ value: Int, octets: Int, bigEndian: Bool) {
    for i in 0..<octets {
      let shift = 8 * (bigEndian ? octets - 1 - i : i)
      append(UInt8(truncatingIfNeeded: value >> shift))
    }
  }
}
