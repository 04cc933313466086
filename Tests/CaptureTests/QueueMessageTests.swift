import CSluiceLinux
import TestSupport
import Testing
import Traffic

@testable import Capture

@Suite struct QueueMessageTests {
  /// A packet message as the kernel writes it (on a little-endian host).
  private func message(_ attributes: [UInt8], type: UInt16 = 0x0300) -> [UInt8] {
    let length = UInt32(20 + attributes.count)
    let header = (0..<4).map { UInt8(truncatingIfNeeded: length >> UInt32(8 * $0)) }
    return header + [
      UInt8(type & 0xff), UInt8(type >> 8), 0, 0,  // type: subsystem 3, message 0; flags
      0, 0, 0, 0, 0, 0, 0, 0,  // sequence, port
      2, 0, 0, 7,  // AF_INET, version, queue 7
    ] + attributes
  }

  private func attribute(_ type: UInt8, _ value: [UInt8]) -> [UInt8] {
    [UInt8(value.count + 4), 0, type, 0] + value
      + Array(repeating: 0, count: (4 - value.count % 4) % 4)
  }

  private func parse(_ bytes: [UInt8]) -> QueueMessage? { QueueMessage(bytes.rawSpan) }

  private var whole: [UInt8] {
    message(
      attribute(1, [0, 0, 0, 42, 0x08, 0x00, 2])  // packet 42, IPv4, forward hook
        + attribute(3, [0, 0, 0, 9])  // mark
        + attribute(4, [0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6])  // 5 s, 6 µs
        + attribute(5, [0, 0, 0, 2]) + attribute(6, [0, 0, 0, 3])  // interfaces
        + attribute(7, [0, 0, 0, 4]) + attribute(8, [0, 0, 0, 5])  // bridge ports
        + attribute(13, [0, 0, 0x10, 0])  // captured length
        + attribute(14, [0, 0, 0, 3])  // checksum not ready, GSO
        + attribute(19, attribute(1, [0x81, 0]) + attribute(2, [0x20, 0x64]))  // VLAN
        + attribute(10, [0x45, 1, 2]))  // payload
  }

  @Test func everyAttributeFindsItsField() throws {
    let bytes = whole
    let fields = try #require(parse(bytes))
    #expect(fields.id == 42)
    #expect(fields.hardwareProtocol == 0x0800)
    #expect(fields.hook == 2)
    #expect(fields.mark == 9)
    #expect(fields.time?.nanoseconds == 5_000_006_000)
    #expect(fields.inputInterface == 2)
    #expect(fields.outputInterface == 3)
    #expect(fields.physicalInputInterface == 4)
    #expect(fields.physicalOutputInterface == 5)
    #expect(fields.capturedLength == 4096)
    #expect(fields.vlanTag == 0x2064)
    #expect(Array(bytes[fields.payload]) == [0x45, 1, 2])
    #expect(fields.skbInfo & QueueMessage.isGSO != 0)
    #expect(fields.skbInfo & QueueMessage.checksumNotReady != 0)
  }

  @Test func aMessageWithoutPacketHeaderIsNone() {
    let bytes = message(attribute(10, [0x45]))
    #expect(parse(bytes) == nil)
    let short = message(attribute(1, [0, 0, 0, 42, 8, 0]))
    #expect(parse(short) == nil)
  }

  @Test func anAttributeThatRunsOverTheEndIsRefused() {
    var bytes = message(attribute(1, [0, 0, 0, 42, 8, 0, 2]) + attribute(3, [0, 0, 0, 9]))
    bytes[32] = 9  // the mark attribute claims nine octets of eight
    #expect(parse(bytes) == nil)
    bytes[32] = 3  // and less than its own header
    #expect(parse(bytes) == nil)
  }

  @Test func fieldsThatAreTooShortAreIgnored() {
    let bytes = message(attribute(1, [0, 0, 0, 42, 8, 0, 2]) + attribute(3, [0, 9]) + attribute(4, [1]))
    let fields = parse(bytes)
    #expect(fields?.mark == 0)
    #expect(fields?.time == nil)
  }

  @Test func answersCarryTheErrorOfTheKernel() {
    // Length 36, NLMSG_ERROR, error -2 (ENOENT), and the header it is about.
    let bytes: [UInt8] =
      [36, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff]
      + Array(repeating: 0, count: 16)
    guard case .answer(let error) = QueueMessage.kind(of: bytes.rawSpan) else {
      Issue.record("not an answer")
      return
    }
    #expect(error == 2)
    let cut = Array(bytes.prefix(19))
    guard case .other = QueueMessage.kind(of: cut.rawSpan) else {
      Issue.record("a cut answer was believed")
      return
    }
  }

  @Test func damagedMessagesNeverTrap() {
    var mutator = Mutator(seed: 4)
    var packetCount = 0
    mutator.forEachMutation(of: whole, count: 20_000) { bytes in
      guard case .packet = QueueMessage.kind(of: bytes.rawSpan),
        let fields = parse(bytes)
      else { return }
      packetCount += 1
      #expect(fields.payload.upperBound <= bytes.count)
    }
    #expect(packetCount > 1000)
  }

  @Test func statisticsAreReadFromTheKernelsLine() {
    let line = Array("    7   4711     3 2 65531     5     6       10  1".utf8)
    let statistics = QueueStatistics(line: line)
    #expect(statistics?.queueNumber == 7)
    #expect(statistics?.port == 4711)
    #expect(statistics?.waitingCount == 3)
    #expect(statistics?.copyLength == 65_531)
    #expect(statistics?.queueDropCount == 5)
    #expect(statistics?.socketDropCount == 6)
    #expect(statistics?.lastPacketID == 10)
    #expect(QueueStatistics(line: Array("7 4711 3".utf8)) == nil)
    #expect(QueueStatistics(line: Array("70000 1 1 1 1 1 1 1 1".utf8)) == nil)
  }
}
