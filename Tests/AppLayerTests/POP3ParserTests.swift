import TestSupport
import Testing
import Traffic

@testable import AppLayer

@Suite struct POP3ParserTests {
  private static let session: [Sent] = [
    .server("+OK ready\n"), .client("USER ann\n"), .server("+OK\n"), .client("PASS secret word\n"), .server("-ERR no\n"),
    .client("AUTH PLAIN\n"), .server("+ \n"), .client("AGEAYg==\n"), .server("+OK welcome\n"), .client("list\n"),
    .server("+OK 2 messages\n1 10\n"), .server("2 20\n..x\n.\n"), .client("LIST 1\n"), .server("+OK 1 10\n"),
    .client("RETR 1\n"),
    .server("+OK\nFrom: a@b.example\nContent-Type: application/x-y; name=a.bin\n\nMZ\n..dot\n.\n"),
    .client("QUIT\n"), .server("+OK bye\n"),
  ]

  private func commands(_ conversation: [Sent], _ settings: POP3Settings = POP3Settings()) -> [POP3Transaction] {
    feed(POP3Parser(settings: settings), conversation).transactions.compactMap { $0 as? POP3Transaction }
  }

  private func text(_ bytes: [UInt8]?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

  @Test func `a command goes with its response`() throws {
    let seen = commands(Self.session)
    #expect(
      seen.map { text($0.command) } == [nil, "USER", "PASS", "AUTH", "<SASL DATA>", "LIST", "LIST", "RETR", "QUIT"])
    #expect(seen.map(\.isSuccess) == [true, true, false, true, true, true, true, true, true])
    #expect(seen.allSatisfy { $0.isComplete && $0.events.isEmpty })
    #expect(text(seen[0].header) == "ready" && text(seen[2].header) == "no" && text(seen[3].header) == "")
    #expect(seen[5].data.map { text($0) } == ["1 10", "2 20", ".x"] && seen[6].data.isEmpty && seen[7].data.isEmpty)
    #expect(seen[1].recordedArguments.map { text($0) } == ["ann"] && seen[2].recordedArguments.isEmpty)
    let file = try #require(seen[7].files(.toClient).first)
    #expect(text(file.name) == "a.bin" && file.state == .closed)
    #expect(seen[7].spelled(.fileData, .toClient)?.hasPrefix("MZ\r\n.dot") == true)
  }

  @Test func `how a direction is cut does not matter, damaged or not`() {
    expectCutsDoNotMatter(Self.session, seed: 51) { POP3Parser() }
  }

  @Test(arguments: [
    ("ODD\n", POP3Event.unknownCommand), ("USER\n", .argumentCount), ("RETR\n", .argumentCount), ("TOP 1\n", .argumentCount),
    ("STAT 1\n", .argumentCount), ("USER " + String(repeating: "a", count: 300) + "\n", .longRequest),
  ])
  func `what is odd is an event`(line: String, event: POP3Event) {
    #expect(commands([.client(line)]).first?.events == [event.appEvent])
  }

  @Test func `a response that is too long is told of`() {
    let seen = commands([.client("NOOP\n"), .server("+OK " + String(repeating: "a", count: 600) + "\n")])
    #expect(seen.first?.events == [POP3Event.longResponse.appEvent])
  }

  @Test func `too many commands without an answer end it`() {
    var settings = POP3Settings()
    settings.transactionCountMax = 2
    let parser = POP3Parser(settings: settings)
    feed(parser, [.client("NOOP\nNOOP\nNOOP\n")])
    #expect(parser.hasFailed == (true, true) && parser.transactions.count == 2)
    #expect(parser.transactions[1].events == [POP3Event.tooManyTransactions.appEvent])
  }

  @Test func `a server that speaks alone makes one transaction`() {
    let seen = commands([.server(String(repeating: "+OK x\n", count: 1000)), .client("NOOP\n"), .server("+OK\n")])
    #expect(seen.map { text($0.command) } == [nil, "NOOP"])
  }

  @Test func `after TLS is agreed on nothing more is read`() {
    let parser = POP3Parser()
    feed(parser, [.client("STLS\n"), .server("+OK go on\n"), .client("USER x\n")])
    #expect(parser.successor == .to(.tls) && parser.transactions.count == 1)
  }

  @Test func `a mail cut short by the end has a file cut short`() {
    let parser = POP3Parser()
    feed(parser, [.client("RETR 1\n"), .server("+OK\nContent-Type: a/b; name=x\n\nabc\n")])
    parser.finish(at: trafficTime)
    #expect(parser.transactions.first?.files(.toClient).first?.state == .truncated)
  }
}
