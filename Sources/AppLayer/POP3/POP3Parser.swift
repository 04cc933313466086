import Traffic

/// Reads both directions of a POP3 connection into commands with their responses.
///
/// - Source: RFC 1939; RFC 2449 (CAPA, lengths), RFC 2595 (STLS), RFC 5034 (AUTH); Suricata 8 for what is an event.
/// - Limits: ``POP3Settings``.
/// - Invariant: the result does not depend on how a direction is cut into chunks, only on the order in which lines of
///   the two directions come.
public final class POP3Parser: AppLayerParser {
  let settings: POP3Settings
  private let files: FlowFiles?
  private var nextID: UInt64 = 0
  /// Commands that wait for their response, oldest first.
  private var open: [POP3Transaction] = []
  /// The response in hand has more lines, up to one with a dot alone.
  private var listed: POP3Transaction?
  private var commandLine = SMTPLine()
  private var responseLine = SMTPLine()
  /// AUTH goes on: the client's next line is no command.
  private var isAuthenticating = false
  /// After a hole, what comes before the next line end is the rest of a line that nobody knows.
  private var skips: (toServer: Bool, toClient: Bool) = (false, false)

  public init(settings: POP3Settings = POP3Settings(), files: FileExaminer? = nil) {
    self.settings = settings
    self.files = files.map(FlowFiles.init)
    super.init(appProtocol: .pop3)
  }

  override public func consume(_ chunk: borrowing StreamChunk) {
    guard successor == nil else { return }
    let (bytes, time) = (chunk.bytes, chunk.time)
    switch chunk.direction {
    case .toServer:
      if hasFailed.toServer { return }
      if chunk.gapBefore > 0 {
        commandLine = SMTPLine()
        skips.toServer = true
      }
      consumeCommands(bytes, time)
    case .toClient:
      if hasFailed.toClient { return }
      if chunk.gapBefore > 0 {
        listed?.addGap(chunk.gapBefore)
        responseLine = SMTPLine()
        skips.toClient = true
      }
      consumeResponses(bytes, time)
    }
  }

  override public func finish(at time: Timestamp) {
    for command in open { command.finish(isCut: true) }
    listed?.finish(isCut: true)
    open = []
    listed = nil
  }

  private func make(_ command: [UInt8]?, _ arguments: [[UInt8]], _ time: Timestamp) -> POP3Transaction {
    let made = POP3Transaction(
      id: nextID, command: command, arguments: arguments, settings: settings, files: files, start: time)
    nextID &+= 1
    transactions.append(made)
    open.append(made)
    return made
  }

  // MARK: Client

  private func consumeCommands(_ bytes: RawSpan, _ time: Timestamp) {
    var at = 0
    while at < bytes.byteCount, !hasFailed.toServer {
      at = commandLine.take(bytes, at, limit: settings.lineBytesMax)
      guard commandLine.isWhole else { continue }
      let line = commandLine.text
      commandLine.next()
      if skips.toServer { skips.toServer = false } else { takeCommand(line, time) }
    }
  }

  /// Least and most arguments.
  private static let commands: [String: ClosedRange<Int>] = [
    "USER": 1...Int.max, "PASS": 1...Int.max, "APOP": 2...2, "QUIT": 0...0, "STAT": 0...0, "LIST": 0...1, "RETR": 1...1,
    "DELE": 1...1, "NOOP": 0...0, "RSET": 0...0, "TOP": 2...2, "UIDL": 0...1, "CAPA": 0...0, "AUTH": 0...2, "STLS": 0...0,
    "UTF8": 0...0, "LANG": 0...1,
  ]

  private func takeCommand(_ line: [UInt8], _ time: Timestamp) {
    guard open.count < settings.transactionCountMax else {
      open.last?.raise(.tooManyTransactions)
      hasFailed = (true, true)
      return finish(at: time)
    }
    let command: POP3Transaction
    if isAuthenticating {
      isAuthenticating = false
      command = make(POP3Transaction.sasl, [], time)
    } else {
      let words = line.split(whereSeparator: HTTPText.isSpace)
      guard let first = words.first else { return }
      let name = first.map { $0 >= 97 && $0 <= 122 ? $0 &- 32 : $0 }
      command = make(name, words.dropFirst().map { Array($0) }, time)
      if let range = Self.commands[String(decoding: name, as: UTF8.self)] {
        if !range.contains(command.arguments.count) { command.raise(.argumentCount) }
      } else {
        command.raise(.unknownCommand)
      }
    }
    if line.count > settings.commandBytesMax { command.raise(.longRequest) }
  }

  // MARK: Server

  private func consumeResponses(_ bytes: RawSpan, _ time: Timestamp) {
    var at = 0
    while at < bytes.byteCount, !hasFailed.toClient, successor == nil {
      let isListed = listed != nil
      at = responseLine.take(
        bytes, at, limit: isListed ? settings.contentLineBytesMax : settings.lineBytesMax, cutsLong: isListed)
      guard responseLine.isWhole else { continue }
      let (line, end, isStart) = (responseLine.text, responseLine.end, responseLine.isStart)
      responseLine.next()
      if skips.toClient {
        if !end.isEmpty { skips.toClient = false }
      } else if let listed {
        takeLine(line, end, isStart: isStart, listed)
      } else {
        takeResponse(line, time)
      }
    }
  }

  /// RFC 1939 section 3: a dot alone ends a response, one in front of others was added on the way.
  private func takeLine(_ line: [UInt8], _ end: [UInt8], isStart: Bool, _ command: POP3Transaction) {
    if isStart, !end.isEmpty, line == [UInt8(ascii: ".")] {
      listed = nil
      return command.finish()
    }
    let isStuffed = isStart && line.first == UInt8(ascii: ".")
    command.add(isStuffed ? Array(line.dropFirst()) : line, end: end)
  }

  private func takeResponse(_ line: [UInt8], _ time: Timestamp) {
    guard !line.isEmpty else { return }
    // What nobody asked for is told once until there is a command: a server alone does not fill memory.
    if open.isEmpty, let last = transactions.last as? POP3Transaction, last.command == nil { return }
    let command = open.first ?? make(nil, [], time)
    if line.count > settings.headerBytesMax { command.raise(.longResponse) }
    func begins(_ text: StaticString) -> Bool { HTTPText.hasPrefix(line, 0..<line.count, text) }
    if !open.isEmpty { open.removeFirst() }
    let isSuccess = !begins("-err")
    command.isSuccess = isSuccess
    let status = begins("+ok") ? 3 : begins("-err") ? 4 : begins("+ ") || line == [UInt8(ascii: "+")] ? 1 : 0
    command.header = Array(line[HTTPText.trimmed(line, status..<line.count)])
    let name = command.command ?? []
    if status == 1 {
      isAuthenticating = true
    } else if name.elementsEqual("STLS".utf8), isSuccess {
      successor = .to(.tls)
    } else if isSuccess, command.isMultiline {
      listed = command
      return
    }
    command.finish()
  }
}
