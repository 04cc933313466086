import Capture
import TestSupport
import Testing
import Traffic

@Suite struct PcapRecordsTests {
  @Test(arguments: [(false, false), (false, true), (true, false), (true, true)])
  func packetsComeBackInEitherByteOrderAndResolution(nanosecond: Bool, bigEndian: Bool) {
    let packets = samplePackets()
    let writer = PcapWriter(nanosecond: nanosecond, bigEndian: bigEndian, packets: packets)
    let result = readAll(writer.bytes)
    #expect(result.built == packets)
    #expect(result.packets.map(\.number) == [1, 2, 3, 4, 5, 6])
    #expect(result.packets.allSatisfy { $0.linkType == .ethernet })
    #expect(result.error == nil)
    #expect(result.warnings.isEmpty)
  }

  @Test func nanosecondsAreKept() {
    let packet = BuiltPacket(time: Timestamp(nanoseconds: 1_700_000_000_123_456_789), bytes: [1])
    let result = readAll(PcapWriter(nanosecond: true, packets: [packet]).bytes)
    #expect(result.packets.first?.time.nanoseconds == 1_700_000_000_123_456_789)
  }

  @Test func linkTypeIsReadWithoutTheFrameCheckBits() {
    var bytes = PcapWriter(
      linkType: .linuxCookedV2, packets: [BuiltPacket(time: .init(nanoseconds: 0), bytes: [7])]
    ).bytes
    bytes[23] = 0x54  // FCS length 5, "f" bit: the uppermost six bits of the link type
    #expect(readAll(bytes).packets.first?.linkType == .linuxCookedV2)
  }

  @Test func snapLengthCutsButOriginalLengthStays() {
    let packet = BuiltPacket(time: .init(nanoseconds: 0), bytes: Array(repeating: 5, count: 100))
    let result = readAll(PcapWriter(snapLength: 64, packets: [packet]).bytes)
    #expect(result.packets.first?.bytes.count == 64)
    #expect(result.packets.first?.originalLength == 100)
  }

  @Test func aSnapLengthSmallerThanThePacketsIsNotBelieved() {
    var bytes = PcapWriter(packets: samplePackets()).bytes
    bytes.replaceSubrange(16..<20, with: [1, 0, 0, 0])
    #expect(readAll(bytes).built == samplePackets())
  }

  @Test func theVariantWithLongRecordHeadersIsRead() {
    var bytes = PcapWriter().bytes
    bytes[0] = 0x34  // a1b2cd34, little-endian
    bytes[1] = 0xcd
    bytes += [
      1, 0, 0, 0, 2, 0, 0, 0,  // 1 s, 2 µs
      3, 0, 0, 0, 3, 0, 0, 0,  // three octets of three
      9, 0, 0, 0, 0, 8, 0, 0,  // interface, protocol, type
      0xa, 0xb, 0xc,
    ]
    let result = readAll(bytes)
    #expect(result.packets.first?.bytes == [0xa, 0xb, 0xc])
    #expect(result.packets.first?.time.nanoseconds == 1_000_002_000)
  }

  @Test func aCaptureWithoutPacketsIsNoError() {
    let result = readAll(PcapWriter().bytes)
    #expect(result.packets.isEmpty)
    #expect(result.error == nil)
    #expect(result.warnings.isEmpty)
  }

  @Test func everyCutGivesTheWholePacketsBeforeItAndAWarning() {
    let bytes = PcapWriter(packets: samplePackets()).bytes
    var ends: Set<Int> = [24]
    var end = 24
    for packet in samplePackets() {
      end += 16 + packet.bytes.count
      ends.insert(end)
    }
    for cut in 24..<bytes.count {
      let result = readAll(Array(bytes[..<cut]))
      #expect(result.error == nil)
      #expect(result.packets.count == ends.filter { $0 <= cut }.count - 1)
      #expect(result.warnings.isEmpty == ends.contains(cut))
    }
  }

  @Test func aRecordOverTheLimitIsAnErrorWithItsOffset() {
    var writer = PcapWriter(packets: samplePackets())
    let offset = writer.bytes.count
    writer.addHeader(time: .init(nanoseconds: 0), captured: 262_145, original: 262_145)
    writer.addRaw(Array(repeating: 0, count: 300_000))
    let result = readAll(writer.bytes)
    #expect(result.packets.count == samplePackets().count)
    #expect(result.error?.offset == UInt64(offset))
    #expect(result.error?.fault == .captureFile)
    #expect(result.error?.description.contains("claims 262145 octets") == true)
  }

  @Test func theLargestPacketIsRead() {
    let packet = BuiltPacket(time: .init(nanoseconds: 0), bytes: Array(repeating: 5, count: 262_144))
    let result = readAll(PcapWriter(packets: Array(repeating: packet, count: 9)).bytes)
    #expect(result.packets.map(\.bytes.count) == Array(repeating: 262_144, count: 9))
  }

  @Test func foreignFilesAreNamedByTheirFirstOctets() {
    #expect(
      readAll(Array("Hello, world, this is text".utf8)).error?.description
        == "test.pcap: is not a capture file: starts with 48656c6c, expected pcap or pcapng magic")
    #expect(readAll([]).error?.what == "is empty")
    #expect(readAll([0xd4, 0xc3, 0xb2]).error?.what == "is too short for a capture file")
    #expect(readAll(Array(PcapWriter().bytes.prefix(23))).error?.what == "ends within the pcap file header")
    #expect(readAll([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]).error?.what.contains("xz") == true)
  }

  @Test func damagedFilesNeverTrapAndAlwaysEnd() {
    let whole = PcapWriter(packets: samplePackets()).bytes
    var mutator = Mutator(seed: 1)
    mutator.forEachMutation(of: whole, count: 3000) { bytes in
      let result = readAll(bytes)
      #expect(result.packets.reduce(0) { $0 + $1.bytes.count } <= bytes.count)
      #expect(result.packets.allSatisfy { $0.originalLength >= $0.bytes.count })
    }
  }
}
