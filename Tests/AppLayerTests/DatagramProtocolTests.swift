import TestSupport
import Testing
import Traffic

@testable import AppLayer

@Suite struct NTPParserTests {
  /// Flags, stratum, poll and precision, root delay and dispersion, reference, four timestamps.
  private static func message(version: UInt8 = 4, mode: UInt8 = 3, stratum: UInt8 = 0, reference: String = "\0\0\0\0") -> [UInt8] {
    [version << 3 | mode, stratum, 6, 0xec] + [UInt8](repeating: 1, count: 8) + Array(reference.utf8)
      + [UInt8](repeating: 2, count: 32)
  }

  private func seen(_ bytes: [UInt8]) -> NTPTransaction? {
    feed(NTPParser(), [.server(bytes)]).transactions.first as? NTPTransaction
  }

  @Test func `a message says its version, mode, stratum and reference`() throws {
    let message = try #require(seen(Self.message(version: 3, mode: 4, stratum: 2, reference: "LOCL")))
    #expect(message.version == 3 && message.mode == 4 && message.stratum == 2 && message.events.isEmpty)
    #expect(message.spelled(.ntpReferenceID, .toClient) == "LOCL" && message.spelled(.ntpReferenceID, .toServer) == nil)
    #expect(message.number(.ntpStratum, .toClient, index: 0) == 2 && message.number(.ntpStratum, .toServer, index: 0) == nil)
    #expect(message.soleDirection == .toClient && message.isComplete)
  }

  @Test func `a message that is an octet short is malformed, a control message is short`() throws {
    let short = try #require(seen(Array(Self.message().dropLast())))
    #expect(short.events == [NTPTransaction.malformed] && short.stratum == nil)
    let control = try #require(seen([4 << 3 | 6, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]))
    #expect(control.events.isEmpty && control.mode == 6)
  }
}

@Suite struct TFTPParserTests {
  private func seen(_ bytes: [UInt8]) -> TFTPTransaction? {
    feed(TFTPParser(), [.client(bytes)]).transactions.first as? TFTPTransaction
  }

  @Test func `a request names a file and a mode`() throws {
    let read = try #require(seen([0, 1] + Array("a.cfg\0OCTET\0tsize\u{0}0\0".utf8)))
    #expect(!read.isWrite && read.spelled(.tftpFile, .toServer) == "a.cfg" && read.spelled(.tftpMode, .toServer) == "octet")
    #expect(seen([0, 2] + Array("a\0mail\0".utf8))?.isWrite == true)
  }

  @Test(arguments: [
    [], [0], [0, 1], [0, 3, 0, 1], [0, 1] + Array("a\0octet".utf8), [0, 1] + Array("\0octet\0".utf8), [0, 1, 97],
    [0, 1] + [UInt8](repeating: 97, count: 600) + [0, 98, 0],
  ] as [[UInt8]])
  func `what is no request is none`(bytes: [UInt8]) { #expect(seen(bytes) == nil) }
}

@Suite struct DHCPParserTests {
  /// Header (RFC 2131 section 2), magic number, options.
  static func message(_ opcode: UInt8, _ options: [UInt8]) -> [UInt8] {
    [opcode, 1, 6, 0, 1, 2, 3, 4, 0, 0, 0, 0] + [10, 0, 0, 1] + [10, 0, 0, 2] + [10, 0, 0, 3] + [10, 0, 0, 4]
      + [2, 0, 0, 0, 0, 9] + [UInt8](repeating: 0, count: 10 + 192) + [99, 130, 83, 99] + options
  }

  private func seen(_ bytes: [UInt8]) -> DHCPTransaction? {
    feed(DHCPParser(), [.server(bytes)]).transactions.first as? DHCPTransaction
  }

  @Test func `a message says addresses and times`() throws {
    let message = try #require(
      seen(Self.message(2, [53, 1, 5, 0, 51, 4, 0, 0, 14, 16, 58, 4, 0, 0, 7, 8, 59, 4, 0, 0, 12, 78, 255, 1])))
    #expect(message.transactionID == 0x0102_0304 && message.messageType == 5 && message.events.isEmpty)
    #expect(message.clientAddress == [10, 0, 0, 1] && message.assignedAddress == [10, 0, 0, 2])
    #expect(message.nextServer == [10, 0, 0, 3] && message.relay == [10, 0, 0, 4])
    #expect(message.hardwareAddress == [2, 0, 0, 0, 0, 9])
    #expect(message.number(.dhcpLeaseTime, .toClient, index: 0) == 3600)
    #expect(message.number(.dhcpRenewalTime, .toClient, index: 0) == 1800)
    #expect(message.number(.dhcpRebindingTime, .toClient, index: 0) == 3150)
    #expect(message.number(.dhcpLeaseTime, .toServer, index: 0) == nil)
  }

  @Test(arguments: [
    ([53, 1], DHCPTransaction.truncated), ([53], DHCPTransaction.truncated), ([], DHCPTransaction.truncated),
    ([12, 255, 1], DHCPTransaction.truncated), ([51, 2, 0, 1, 255], DHCPTransaction.malformed),
  ] as [([UInt8], AppEvent)])
  func `options that are no options are told of`(options: [UInt8], event: AppEvent) {
    #expect(seen(Self.message(2, options))?.events == [event])
  }

  @Test func `a header that is short, or another magic number, is no message`() {
    #expect(seen(Array(Self.message(1, []).dropLast())) == nil)
    var other = Self.message(1, [255])
    other[236] = 0
    #expect(seen(other) == nil)
  }

  @Test func `options beyond the limit are left out`() {
    let many = (0..<400).flatMap { _ in [12, 0] as [UInt8] }
    #expect(seen(Self.message(1, many))?.options.count == DHCPTransaction.optionCountMax)
  }
}

@Suite struct TelnetParserTests {
  private static let session: [Sent] = [
    .client([255, 253, 3, 255, 251, 24]), .server([255, 250, 24, 1, 255, 240]), .server("login: "),
    .client("ann\nls "), .client([255, 244]), .client("\u{0}x"), .client([97, 255, 255, 98, 10]), .clientEnd,
  ]

  private func marking() -> TelnetParser {
    let parser = TelnetParser()
    parser.frames = FrameLog(.telnet)
    return parser
  }

  @Test func `signals and lines are marked off`() {
    let parser = marking()
    feed(parser, Self.session)
    let client = (parser.frames?.frames ?? []).filter { $0.direction == .toServer }
    #expect(client.filter { $0.kind.name == "ctl" }.map(\.bytes) == [[255, 253, 3], [255, 251, 24], [255, 244]])
    let lines = client.filter { $0.kind.name == "data" }.map(\.bytes)
    #expect(lines == [Array("ann\r\n".utf8), Array("ls ".utf8), [0, 120, 97], [255, 255, 98, 10]])
    #expect(client.filter { $0.kind.name == "pdu" }.count == 7)
    let server = (parser.frames?.frames ?? []).filter { $0.direction == .toClient && $0.kind.name == "ctl" }
    #expect(server.map(\.bytes) == [[255, 250, 24, 1, 255, 240]])
  }

  @Test func `how a direction is cut does not matter, damaged or not`() {
    expectCutsDoNotMatter(Self.session, seed: 61) { marking() }
  }

  @Test func `a message without end is marked off in pieces`() {
    let parser = marking()
    feed(parser, [.client([UInt8](repeating: 97, count: TelnetParser.messageBytesMax * 2))])
    #expect(parser.frames?.frames.filter { $0.kind.name == "data" }.count == 2)
  }
}
