import Capture
import TestSupport
import Testing
import Traffic

@Suite struct PcapngBlocksTests {
  private let packet = BuiltPacket(
    time: Timestamp(nanoseconds: 1_700_000_000_123_456_000), bytes: [1, 2, 3, 4, 5])

  @Test(arguments: [false, true])
  func packetsComeBackInEitherByteOrder(bigEndian: Bool) {
    let result = readAll(PcapngWriter(bigEndian: bigEndian, packets: samplePackets()).bytes)
    #expect(result.built == samplePackets())
    #expect(result.error == nil)
    #expect(result.warnings.isEmpty)
  }

  @Test func eachInterfaceHasItsOwnLinkTypeAndResolution() {
    var writer = PcapngWriter()
    writer.addInterface(linkType: .ethernet)
    writer.addInterface(linkType: .raw, resolution: 9, name: "eth0")
    writer.addInterface(linkType: .linuxCooked, resolution: 0x80 | 20)
    writer.addInterface(linkType: .null, resolution: 0)
    for interface in 0..<4 { writer.addEnhanced(packet, interface: interface) }
    let result = readAll(writer.bytes)
    #expect(result.packets.map(\.linkType) == [.ethernet, .raw, .linuxCooked, .null])
    #expect(result.packets[0].time == packet.time)
    #expect(result.packets[1].time == packet.time)
    // 2^-20 s is a little less than a microsecond.
    #expect(abs(result.packets[2].time.nanoseconds - packet.time.nanoseconds) < 1000)
    #expect(result.packets[3].time == Timestamp(seconds: 1_700_000_000))
  }

  @Test func theTimeOffsetOfAnInterfaceIsAdded() {
    var writer = PcapngWriter()
    writer.addInterface(offsetSeconds: -3600)
    writer.addEnhanced(packet)
    #expect(
      readAll(writer.bytes).packets.first?.time.nanoseconds
        == packet.time.nanoseconds - 3_600_000_000_000)
  }

  @Test func picosecondsAreRoundedDown() {
    var writer = PcapngWriter()
    writer.addInterface(resolution: 12)
    // Interface 0; 0x0000_0001_0000_0000 ps = 4,294,967,296 ps; one octet of one.
    writer.addBlock(
      type: 6,
      body: [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0xaa])
    #expect(readAll(writer.bytes).packets.first?.time.nanoseconds == 4_294_967)
  }

  @Test func resolutionsBeyondTheCounterGiveTheStartOfTheEpoch() {
    for resolution: UInt8 in [29, 64, 127, 0x80 | 64, 0xff] {
      var writer = PcapngWriter()
      writer.addInterface(resolution: resolution)
      writer.addBlock(
        type: 6,
        body: [0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0, 0, 0, 1, 0, 0, 0, 0xaa])
      #expect(readAll(writer.bytes).packets.first?.time.nanoseconds == 0)
    }
  }

  @Test func simpleBlocksAreCutAtTheSnapLengthAndTakeTheTimeBefore() {
    var writer = PcapngWriter()
    writer.addInterface(linkType: .raw, snapLength: 4)
    writer.addEnhanced(packet)
    writer.addSimple([9, 8, 7, 6], originalLength: 60)
    let result = readAll(writer.bytes)
    #expect(result.packets.last?.bytes == [9, 8, 7, 6])
    #expect(result.packets.last?.originalLength == 60)
    #expect(result.packets.last?.time == packet.time)
  }

  @Test func obsoletePacketBlocksAreRead() {
    var writer = PcapngWriter(bigEndian: true)
    writer.addInterface()
    writer.addInterface(linkType: .raw, resolution: 9)
    writer.addObsolete(packet, interface: 1)
    let result = readAll(writer.bytes)
    #expect(result.built == [packet])
    #expect(result.packets.first?.linkType == .raw)
  }

  @Test func aNewSectionHasItsOwnInterfacesAndByteOrder() {
    let first = PcapngWriter(linkType: .ethernet, packets: [packet])
    let second = PcapngWriter(linkType: .raw, bigEndian: true, packets: [packet])
    let result = readAll(first.bytes + second.bytes)
    #expect(result.packets.map(\.linkType) == [.ethernet, .raw])
    #expect(result.packets.map(\.number) == [1, 2])
    var without = PcapngWriter(linkType: .ethernet, packets: [packet])
    without.addSection()
    without.addEnhanced(packet)
    #expect(readAll(without.bytes).packets.count == 1)
    #expect(readAll(without.bytes).error?.what.contains("only 0 are described") == true)
  }

  @Test func unknownBlocksAreSkippedHoweverLong() {
    var writer = PcapngWriter()
    writer.addInterface()
    writer.addBlock(type: 10, body: Array(repeating: 1, count: 2_500_000))  // decryption secrets
    writer.addBlock(type: 0x0bad, body: [])  // custom
    writer.addBlock(type: 0x4000_0bad, body: [1, 2, 3, 4])
    writer.addBlock(type: 4, body: [0, 0, 0, 0])  // name resolution
    writer.addEnhanced(packet)
    writer.addBlock(type: 5, body: Array(repeating: 0, count: 12))  // interface statistics
    let result = readAll(writer.bytes)
    #expect(result.built == [packet])
    #expect(result.error == nil)
  }

  @Test(arguments: [UInt32(6), 1, 0x0bad])
  func lengthsThatDifferAreAnErrorAtTheBlock(type: UInt32) {
    var writer = PcapngWriter(packets: [packet])
    let offset = writer.bytes.count
    writer.addBlock(type: type, body: Array(repeating: 0, count: 24), trailingLength: 40)
    writer.addEnhanced(packet)
    let result = readAll(writer.bytes)
    #expect(result.built == [packet])
    #expect(result.error?.offset == UInt64(offset))
    #expect(result.error?.what == "a block whose lengths differ: 36 in front, 40 behind")
  }

  @Test(arguments: [[UInt8]([4, 0, 0, 0]), [13, 0, 0, 0], [0, 0, 0, 0], [11, 0, 0, 0]])
  func impossibleBlockLengthsAreAnError(length: [UInt8]) {
    var writer = PcapngWriter(packets: [packet])
    writer.addRaw([6, 0, 0, 0] + length + Array(repeating: 0, count: 32))
    let result = readAll(writer.bytes)
    #expect(result.built == [packet])
    #expect(result.error?.what.contains("must be a multiple of 4 from 12 up") == true)
  }

  @Test func aPacketLongerThanItsBlockIsAnError() {
    var writer = PcapngWriter(packets: [packet])
    var body = [UInt8](repeating: 0, count: 20)
    body[12] = 5  // five octets captured, but only four follow
    writer.addBlock(type: 6, body: body + [1, 2, 3, 4])
    #expect(readAll(writer.bytes).error?.what.contains("claims 5 octets") == true)
  }

  @Test func cutsGiveAWarningAndThePacketsBefore() {
    let bytes = PcapngWriter(packets: samplePackets()).bytes
    var longest = 0
    for cut in 28..<bytes.count {
      let result = readAll(Array(bytes[..<cut]))
      #expect(result.error == nil)
      #expect(result.built.elementsEqual(samplePackets().prefix(result.packets.count)))
      #expect(result.packets.count >= longest)
      longest = result.packets.count
    }
    #expect(longest == samplePackets().count - 1)
    #expect(readAll(Array(bytes.dropLast(1))).warnings.count == 1)
  }

  @Test func damagedFilesNeverTrapAndAlwaysEnd() {
    var writer = PcapngWriter()
    writer.addInterface(resolution: 9, offsetSeconds: 1, name: "eth0")
    samplePackets().forEach { writer.addEnhanced($0) }
    writer.addSection()
    writer.addInterface(linkType: .raw, resolution: 0x90)
    writer.addObsolete(packet)
    writer.addSimple([1, 2, 3])
    writer.addBlock(type: 10, body: [1, 2, 3, 4])
    var mutator = Mutator(seed: 2)
    mutator.forEachMutation(of: writer.bytes, count: 5000) { bytes in
      let result = readAll(bytes)
      #expect(result.packets.reduce(0) { $0 + $1.bytes.count } <= bytes.count)
    }
  }
}
