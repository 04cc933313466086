import TestSupport
import Testing
import Traffic

@testable import AppLayer

private let client = IPAddress(ipv4: 0x0a00_0001)
private let server = IPAddress(ipv4: 0xc0a8_0001)
private let control = FlowTuple(
  source: client, destination: server, sourcePort: 40_000, destinationPort: 21, ipProtocol: 6)

private func commands(
  _ conversation: [Sent], _ settings: FTPSettings = FTPSettings(), _ ends: FlowEnds? = nil
) -> [FTPTransaction] {
  feed(FTPParser(settings: settings, ends: ends), conversation).transactions.compactMap { $0 as? FTPTransaction }
}


@Suite struct FTPParserTests {
  private static let session: [Sent] = [
    .server("220 FTP ready\n"), .client("USER anonymous\n"), .server("331 who?\n"), .client("pass me@\n"),
    .server("230-Welcome\n to all\n230 you are in\n"), .client("PASV\n"),
    .server("227 Entering Passive Mode (192,168,0,1,10,20).\n"), .client("RETR a b.txt\n"),
    .server("150 here it comes\n"), .server("226 done\n"), .client("EPRT |1|10.0.0.1|5000|\n"), .server("200 ok\n"),
    .client("STOR up.bin\n"), .server("150 go on\n226 done\n"), .client("QUIT\n"), .server("221 bye\n"),
  ]

  @Test func `a command goes with its replies`() {
    let seen = commands(Self.session)
    #expect(seen.map { text($0.command) } == [nil, "USER", "PASS", "PASV", "RETR", "EPRT", "STOR", "QUIT"])
    #expect(seen.allSatisfy { $0.isComplete && $0.isAnswered && $0.events.isEmpty })
    #expect(text(seen[4].commandData) == "a b.txt")
    #expect(seen[4].replies.map { text($0) } == ["here it comes", "done"])
    #expect(seen[4].completionCodes.map { text($0) } == ["150", "226"])
    #expect(seen[2].replies.map { text($0) } == ["230-Welcome", " to all", "you are in"])
    #expect(seen[2].completionCodes.map { text($0) } == ["230"])
    #expect(seen[3].dynamicPort == 2580 && seen[3].mode == .passive)
    #expect(seen[5].dynamicPort == 5000 && seen[5].mode == .active)
    #expect(seen[1].spelled(.ftpCommand, .toServer) == "USER" && seen[1].spelled(.ftpCommand, .toClient) == nil)
    #expect(seen[1].spelled(.ftpReply, .toClient) == "who?" && seen[1].spelled(.ftpReply, .toServer) == nil)
  }

  @Test func `how a direction is cut does not matter, damaged or not`() {
    expectCutsDoNotMatter(Self.session, seed: 31) { FTPParser() }
  }

  @Test(arguments: [
    ("PORT 10,0,0,1,4,1", 1025), ("port 10, 0, 0, 1, 4, 1", 1025), ("PORT 10,0,0,1,256,1", nil),
    ("PORT 10,0,0,1,4", nil), ("PORT 10,0,0,1,0,0", nil), ("PORT", nil), ("EPRT |2|2001:db8::1|41813|", 41_813),
    ("EPRT !1!10.0.0.1!1!", 1), ("EPRT |1|10.0.0.1|65536|", nil), ("EPRT |1|10.0.0.1|", nil), ("EPRT 12345", nil),
  ] as [(String, Int?)])
  func `an offer of a client names a port`(line: String, port: Int?) {
    #expect(commands([.client(line + "\n")]).first?.dynamicPort.map { Int($0) } == port)
  }

  @Test(arguments: [
    ("PASV", "227 =10,0,0,1,4,1", 1025), ("PASV", "227 (10,0,0,1,4)", nil), ("PASV", "500 (10,0,0,1,4,1)", nil),
    ("EPSV", "229 ok (|||58612|)", 58_612), ("EPSV", "229 ok (!!!1!)", 1), ("EPSV", "229 ok (|||0|)", nil),
    ("EPSV", "229 ok (|||70000|)", nil), ("EPSV", "229 ok (", nil), ("NOOP", "227 (10,0,0,1,4,1)", nil),
  ] as [(String, String, Int?)])
  func `an offer of a server names a port`(line: String, reply: String, port: Int?) {
    let seen = commands([.client(line + "\n"), .server(reply + "\n")])
    #expect(seen.first?.dynamicPort.map { Int($0) } == port)
  }

  @Test func `a bounce names another host than the client`() {
    let ends = FlowEnds(control, expected: ExpectedFlows())
    func bounces(_ line: String) -> Bool {
      commands([.client(line + "\n")], FTPSettings(), ends).first?.number(.ftpBounce, .toServer, index: 0) == 1
    }
    #expect(bounces("PORT 10,0,0,2,4,1") && bounces("EPRT |1|10.0.0.2|1025|"))
    #expect(!bounces("PORT 10,0,0,1,4,1") && !bounces("EPRT |1|10.0.0.1|1025|") && !bounces("EPRT |2|::1|1025|"))
    #expect(!bounces("PORT 10,0,0,2,4") && !bounces("SITE 10,0,0,2,4,1"))
  }

  @Test func `lines beyond the limit are cut with an event`() throws {
    var settings = FTPSettings()
    settings.lineBytesMax = 20
    let long = String(repeating: "a", count: 40)
    let seen = commands([.client("RETR \(long)\nRETR short\n"), .server("550 \(long)\n550 no\n")], settings)
    #expect(seen[0].isCommandCut && text(seen[0].commandData)?.count == 15 && seen[0].isReplyCut)
    #expect(seen[0].events.contains(FTPEvent.longCommand.appEvent) && seen[0].events.contains(FTPEvent.longReply.appEvent))
    #expect(!seen[1].isCommandCut && !seen[1].isReplyCut && text(seen[1].commandData) == "short")
  }

  @Test func `what is kept of one connection has its limits`() {
    var settings = FTPSettings()
    settings.textBytesMax = 64
    settings.replyCountMax = 2
    let long = String(repeating: "a", count: 60)
    let seen = commands([.client("RETR \(long)\nRETR \(long)\n"), .server("150 a\n150 b\n150 c\n226 d\n")], settings)
    #expect(seen[0].commandData.count == 60 && seen[1].commandData.isEmpty && seen[1].isCommandCut)
    #expect(seen[0].replies.count == 2 && seen[0].isReplyCut)
  }

  @Test func `too many commands without an answer end it`() {
    var settings = FTPSettings()
    settings.transactionCountMax = 2
    let parser = FTPParser(settings: settings)
    feed(parser, [.client("NOOP\nNOOP\n"), .server("200 ok\n"), .client("NOOP\n")])
    #expect(parser.hasFailed == (false, false) && parser.transactions.count == 3)
    feed(parser, [.client("NOOP\n")])
    #expect(parser.hasFailed == (true, true) && parser.transactions.count == 3)
    #expect(parser.transactions[2].events == [FTPEvent.tooManyTransactions.appEvent])
    #expect(parser.transactions.allSatisfy { $0.isComplete })
  }

  @Test func `a file without an offer is told of`() {
    let seen = commands([.client("RETR a\n"), .client("LIST\n")])
    #expect(seen[0].events == [FTPEvent.fileBeforePort.appEvent] && seen[1].events.isEmpty)
  }

  @Test func `after TLS is agreed on nothing more is read`() {
    let parser = FTPParser()
    feed(parser, [.client("AUTH TLS\n"), .server("234 go on\n"), .client("USER x\n")])
    #expect(parser.successor == .to(.tls) && parser.transactions.count == 1)
    #expect(parser.transactions[0].spelled(.ftpCommand, .toServer) == "AUTH TLS")
    let refused = FTPParser()
    feed(refused, [.client("AUTH TLS\n"), .server("500 no\n")])
    #expect(refused.successor == nil)
  }

  @Test func `after a hole the rest of a line is no line`() {
    let seen = commands([.client("USER a\n"), .client("ETR x\nNOOP\n").after(gap: 5), .server("331 b\n200 ok\n")])
    #expect(seen.map { text($0.command) } == ["USER", "NOOP"])
    let answers = commands([.client("USER a\n"), .server("n\n200 ok\n").after(gap: 9)])
    #expect(answers.count == 2 && !answers[0].isAnswered && answers[1].command == nil)
  }

  @Test func `a server that speaks alone makes one transaction`() {
    let seen = commands([.server(String(repeating: "220 x\n", count: 1000)), .client("NOOP\n"), .server("200 ok\n421 bye\n421 bye\n")])
    #expect(seen.map { text($0.command) } == [nil, "NOOP", nil])
    #expect(seen[0].replies.count == FTPSettings().replyCountMax && seen[0].isReplyCut)
  }

  @Test func `signals of telnet before a command are passed over`() {
    #expect(text(commands([.client([255, 244, 255, 242] + Array("ABOR\r\n".utf8))]).first?.command) == "ABOR")
  }
}

@Suite struct FTPDataTests {
  private func data(
    _ commands: [Sent], _ tuple: FlowTuple, _ direction: Direction, isDecrypted: Bool = false, later: Int64 = 0
  ) -> AppLayerFlow {
    let expected = ExpectedFlows()
    feed(FTPParser(ends: FlowEnds(control, expected: expected)), commands)
    let flow = AppLayerFlow(
      settings: AppLayerSettings(), transport: .tcp, serverPort: tuple.destinationPort, clientPort: tuple.sourcePort,
      ends: FlowEnds(tuple, expected: expected, isDecrypted: isDecrypted))
    let time = Timestamp(seconds: trafficTime.seconds + later)
    flow.consume(StreamChunk(bytes: Array("MZ of ".utf8).rawSpan, direction: direction, offset: 0, time: time))
    flow.consume(StreamChunk(bytes: Array("a file".utf8).rawSpan, direction: direction, offset: 6, isEnd: true, time: time))
    return flow
  }

  private static let passive: [Sent] = [.client("PASV\n"), .server("227 (192,168,0,1,10,20)\n")]
  private static let active: [Sent] = [.client("PORT 10,0,0,1,10,20\n"), .server("200 ok\n")]
  private static let toServer = FlowTuple(
    source: client, destination: server, sourcePort: 40_001, destinationPort: 2580, ipProtocol: 6)
  private static let toClient = FlowTuple(
    source: server, destination: client, sourcePort: 20, destinationPort: 2580, ipProtocol: 6)

  @Test(arguments: [
    (passive, "RETR", toServer, Direction.toClient), (passive, "STOR", toServer, .toServer),
    (active, "RETR", toClient, .toServer), (active, "STOR", toClient, .toClient),
  ] as [([Sent], String, FlowTuple, Direction)])
  func `a data connection carries the file that was asked for`(
    offer: [Sent], command: String, tuple: FlowTuple, direction: Direction
  ) throws {
    let flow = data(offer + [.client(command + " x.exe\n")], tuple, direction)
    #expect(flow.appProtocol == .ftpData)
    let transfer = try #require(flow.transactions.first as? FTPDataTransaction)
    #expect(String(decoding: transfer.command, as: UTF8.self) == command)
    let file = try #require(transfer.files(direction).first)
    #expect(String(decoding: file.name, as: UTF8.self) == "x.exe" && file.sizeBytes == 12 && file.state == .closed)
    #expect(transfer.spelled(.fileData, direction) == "MZ of a file" && transfer.isComplete)
    let way: Direction = command == "RETR" ? .toClient : .toServer
    #expect(transfer.number(.ftpDataCommand, way, index: 0) != nil)
    #expect(transfer.number(.ftpDataCommand, way.opposite, index: 0) == nil)
  }

  @Test func `a list of a folder is no file`() throws {
    let flow = data(Self.passive + [.client("LIST\n")], Self.toServer, .toClient)
    #expect(flow.appProtocol == .ftpData && flow.transactions.first?.hasFiles == false)
  }

  @Test func `what was not announced is not taken for a transfer`() {
    let asked: [Sent] = Self.passive + [.client("RETR x\n")]
    var other = Self.toServer
    other.destinationPort = 2581
    #expect(data(asked, other, .toClient).appProtocol != .ftpData)
    var stranger = Self.toServer
    stranger.source = IPAddress(ipv4: 0x0a00_0009)
    #expect(data(asked, stranger, .toClient).appProtocol != .ftpData)
    // The wrong way, too late, not asked for.
    #expect(data(asked, Self.toServer, .toServer).appProtocol != .ftpData)
    #expect(data(asked, Self.toServer, .toClient, later: 31).appProtocol != .ftpData)
    #expect(data(Self.passive, Self.toServer, .toClient).appProtocol != .ftpData)
    #expect(data([.client("RETR x\n")] + Self.passive, Self.toServer, .toClient).appProtocol != .ftpData)
    #expect(
      data([.client("PORT 10,0,0,1,10,20\n"), .server("500 no\n"), .client("RETR x\n")], Self.toClient, .toServer)
        .appProtocol != .ftpData)
  }

  @Test func `a protected transfer is found only where it is decrypted`() {
    let asked: [Sent] = [.client("PROT P\n"), .server("200 ok\n")] + Self.passive + [.client("RETR x\n")]
    #expect(data(asked, Self.toServer, .toClient).appProtocol != .ftpData)
    #expect(data(asked, Self.toServer, .toClient, isDecrypted: true).appProtocol == .ftpData)
  }

  @Test func `an announced connection is taken once, and few are kept for a pair of hosts`() {
    let expected = ExpectedFlows()
    let transfer = FTPTransfer(command: [], fileName: [], isFile: true, direction: .toServer)
    for port in 0..<UInt16(ExpectedFlows.perPairMax + 1) {
      expected.expect(transfer, between: control, port: 1000 + port, at: trafficTime)
    }
    func take(_ port: UInt16) -> Bool {
      var tuple = control
      tuple.destinationPort = port
      return expected.take(tuple, .toServer, isDecrypted: false, at: trafficTime) != nil
    }
    #expect(!take(1000) && take(1001) && !take(1001) && expected.evictedCount == 1)
  }

  @Test func `what nobody inspects is not kept`() {
    let parser = FTPDataParser(
      FTPTransfer(command: [], fileName: [97], isFile: true, direction: .toClient), settings: FTPSettings(), files: nil,
      at: trafficTime)
    for _ in 0..<40 { feed(parser, [.server([UInt8](repeating: 97, count: 65_536))]) }
    let view = parser.transactions.first?.buffer(.fileData, .toClient, index: 0)
    #expect(view.map { $0.count <= HTTPBody.uninspectedBytesMax } == true)
    #expect(parser.transactions.first?.files(.toClient).first?.sizeBytes == 40 * 65_536)
  }

  @Test func `a connection that ends without an end has a file cut short`() {
    let parser = FTPDataParser(
      FTPTransfer(command: [], fileName: [97], isFile: true, direction: .toClient), settings: FTPSettings(), files: nil,
      at: trafficTime)
    feed(parser, [.server("abc"), .server("def").after(gap: 4)])
    parser.finish(at: trafficTime)
    let file = parser.transactions.first?.files(.toClient).first
    #expect(file?.state == .truncated && file?.sizeBytes == 10 && file?.hasGap == true)
  }
}
