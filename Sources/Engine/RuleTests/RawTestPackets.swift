import Traffic

/// Packets that a test gives octet by octet.
///
/// Blanks and line ends between hexadecimal digits mean nothing. Checksums of IPv4, TCP, UDP and ICMP that
/// are written as 0 are filled in, for packets that are whole.
enum RawTestPackets {
  private static let start = Timestamp(seconds: 1_700_000_000)

  static func packets(_ parts: [[UInt8]], _ keys: TestKeys) throws(RuleTestProblem) -> [TestPacket] {
    let isEthernet: Bool
    switch keys.text("link") ?? "ip" {
    case "ip": isEthernet = false
    case "ethernet": isEthernet = true
    case let other: throw RuleTestProblem("link= is ip or ethernet, not \(other)")
    }
    let gap: Int64 = try keys.number("gap", default: 1, in: 0...86_400_000)
    var packets: [TestPacket] = []
    for (index, part) in parts.enumerated() {
      var bytes = try octets(part)
      fillChecksums(&bytes, from: isEthernet ? networkOffset(bytes) : 0)
      packets.append(
        TestPacket(
          time: Timestamp(nanoseconds: start.nanoseconds &+ Int64(index) &* gap &* 1_000_000), bytes: bytes,
          link: isEthernet ? .ethernet : .raw))
    }
    return packets
  }

  private static func octets(_ text: [UInt8]) throws(RuleTestProblem) -> [UInt8] {
    let digits = text.filter { ![9, 10, 13, 32].contains($0) }
    guard digits.count % 2 == 0, !digits.isEmpty else { throw RuleTestProblem("a raw packet is pairs of hexadecimal digits") }
    var out: [UInt8] = []
    for index in stride(from: 0, to: digits.count, by: 2) {
      guard let octet = UInt8(String(decoding: digits[index...(index + 1)], as: UTF8.self), radix: 16) else {
        throw RuleTestProblem("a raw packet is pairs of hexadecimal digits")
      }
      out.append(octet)
    }
    return out
  }

  /// Behind the Ethernet header and its VLAN tags.
  private static func networkOffset(_ bytes: [UInt8]) -> Int {
    var offset = 12
    while offset + 4 <= bytes.count, [0x8100, 0x88a8].contains(word(bytes, offset)) { offset += 4 }
    return offset + 2
  }

  private static func word(_ bytes: [UInt8], _ offset: Int) -> Int { Int(bytes[offset]) << 8 | Int(bytes[offset + 1]) }

  // MARK: Checksums

  private static func fillChecksums(_ bytes: inout [UInt8], from network: Int) {
    guard network < bytes.count else { return }
    switch bytes[network] >> 4 {
    case 4: fillIPv4(&bytes, network)
    case 6 where network + 40 <= bytes.count:
      let payload = network + 40
      fillTransport(
        &bytes, Int(bytes[network + 6]), payload..<bytes.count, addresses: Array(bytes[(network + 8)..<payload]))
    default: return
    }
  }

  private static func fillIPv4(_ bytes: inout [UInt8], _ network: Int) {
    let header = Int(bytes[network] & 15) * 4
    guard header >= 20, network + header <= bytes.count else { return }
    if word(bytes, network + 10) == 0 {
      bytes.put(word: TestPackets.checksum(Array(bytes[network..<(network + header)])), at: network + 10)
    }
    // Of a fragment the sum cannot be told.
    guard word(bytes, network + 6) & 0x3fff == 0 else { return }
    let end = min(bytes.count, network + max(word(bytes, network + 2), header))
    fillTransport(
      &bytes, Int(bytes[network + 9]), (network + header)..<end,
      addresses: Array(bytes[(network + 12)..<(network + 20)]))
  }

  private static func fillTransport(
    _ bytes: inout [UInt8], _ ipProtocol: Int, _ range: Range<Int>, addresses: [UInt8]
  ) {
    let places: [Int: (offset: Int, hasPseudoHeader: Bool)] = [1: (2, false), 6: (16, true), 17: (6, true), 58: (2, true)]
    guard let place = places[ipProtocol], range.count >= place.offset + 2,
      word(bytes, range.lowerBound + place.offset) == 0
    else { return }
    var summed: [UInt8] = []
    if place.hasPseudoHeader {
      summed = addresses + [0, UInt8(truncatingIfNeeded: ipProtocol)]
      summed.append(word: UInt16(truncatingIfNeeded: range.count))
    }
    bytes.put(word: TestPackets.checksum(summed + bytes[range]), at: range.lowerBound + place.offset)
  }
}
