import Traffic

/// Reads both directions of an SMTP connection into mails.
///
/// - Source: RFC 5321, RFC 2920 (pipelining), RFC 3030 (BDAT), RFC 3207 (STARTTLS); Suricata 8 for where a
///   transaction ends and what is an event.
/// - Limits: ``SMTPSettings``.
/// - Invariant: the result does not depend on how a direction is cut into chunks, only on the order in
///   which lines of the two directions come.
public final class SMTPParser: AppLayerParser {
  /// What a reply is awaited for.
  enum Command {
    case helo(resets: Bool)
    case data(SMTPTransaction)
    /// The end of a mail: its reply ends the transaction, which takes no more commands by then.
    case endOfMail(SMTPTransaction)
    case startTLS, reset, other
  }

  private enum Mode {
    case command
    case data
    case bdat(left: UInt64, isLast: Bool)
  }

  let settings: SMTPSettings
  private let files: FlowFiles?
  private var mode = Mode.command
  private var pending: [Command] = []
  private var pendingStart = 0
  private var current: SMTPTransaction?
  private var nextID: UInt64 = 0
  /// What the client last called itself; later mails of the session keep it.
  private var helo: [UInt8]?
  /// The server has said something.
  private var hasGreeting = false
  private var supportsPipelining = false
  private var commandLine = SMTPLine()
  /// Of the mail itself; may go on from one chunk of BDAT to the next.
  private var contentLine = SMTPLine()
  private var replyLine = SMTPLine()
  /// A frame of that kind has begun.
  private var isCommandMarked = false
  private var isDataMarked = false
  private var isReplyMarked = false

  /// - Parameter files: who looks at the files in mails; nil where nobody does.
  public init(settings: SMTPSettings, files: FileExaminer? = nil) {
    self.settings = settings
    self.files = files.map(FlowFiles.init)
    super.init(appProtocol: .smtp)
  }

  override public var endsMessagesWithTransactions: Bool { false }

  override public func consume(_ chunk: borrowing StreamChunk) {
    guard successor == nil else { return }
    switch chunk.direction {
    case .toServer:
      if hasFailed.toServer { return }
      if chunk.gapBefore > 0 { skipRequestGap(chunk.gapBefore) }
      consumeRequest(chunk.bytes, chunk.time)
    case .toClient:
      if hasFailed.toClient { return }
      if chunk.gapBefore > 0 { skipReplyGap() }
      consumeReplies(chunk.bytes, chunk.time)
    }
  }

  override public func finish(at time: Timestamp) {
    current?.finish(isCut: true)
    current = nil
    for case let mail as SMTPTransaction in transactions { mail.finish() }
  }

  // MARK: Transactions

  private func transaction(_ time: Timestamp) -> SMTPTransaction {
    if let current { return current }
    let made = SMTPTransaction(id: nextID, settings: settings, files: files, start: time)
    nextID &+= 1
    transactions.append(made)
    current = made
    return made
  }

  /// The mail is taken or given up; the next command begins another.
  private func completeTransaction() {
    current?.finish()
    current = nil
  }

  private func expect(_ command: Command) {
    if pendingStart > 64, pendingStart * 2 > pending.count {
      pending.removeFirst(pendingStart)
      pendingStart = 0
    }
    if pending.count - pendingStart < settings.pendingCountMax { pending.append(command) }
  }

  // MARK: Client

  private func consumeRequest(_ bytes: RawSpan, _ time: Timestamp) {
    var at = 0
    while at < bytes.byteCount, !hasFailed.toServer {
      switch mode {
      case .bdat(let left, let isLast):
        let count = Int(min(UInt64(bytes.byteCount - at), left))
        takeContent(bytes.extracting(at..<at + count))
        at += count
        mode = .bdat(left: left - UInt64(count), isLast: isLast)
        if left == UInt64(count) { endBDAT(isLast: isLast) }
      case .command:
        let start = at
        at = commandLine.take(bytes, at, limit: settings.lineBytesMax)
        mark("command_line", bytes.extracting(start..<at), .toServer, &isCommandMarked, isEnd: commandLine.isWhole, of: nil)
        if commandLine.isWhole { takeMarkedCommand(time) }
      case .data:
        let start = at
        at = contentLine.take(bytes, at, limit: settings.contentLineBytesMax, cutsLong: true)
        let isEnd = contentLine.isWhole && contentLine.isStart && contentLine.text == [46] && !contentLine.end.isEmpty
        mark("data", bytes.extracting(start..<at), .toServer, &isDataMarked, isEnd: isEnd, of: current?.id)
        if contentLine.isWhole { takeDataLine() }
      }
    }
  }

  /// Puts octets into the frame of that name, which they may begin and end.
  private func mark(
    _ name: String, _ bytes: RawSpan, _ direction: Direction, _ isOpen: inout Bool, isEnd: Bool,
    of transaction: UInt64?
  ) {
    guard let frames else { return }
    if !isOpen { frames.begin(name, direction, transaction: transaction) }
    if isEnd { frames.end(name, direction) }
    frames.feed(bytes, direction)
    isOpen = !isEnd
  }

  /// A command's line is a frame with its end and, of the transaction that it is for, one without.
  ///
  /// - Source: seen of Suricata 8, whose rules on frames so see `content:"DATA"; endswith` as well as `"DATA|0d 0a|"`.
  private func takeMarkedCommand(_ time: Timestamp) {
    guard let frames else { return takeCommand(time) }
    let line = commandLine.text
    let began = current?.id
    takeCommand(time)
    frames.add("command_line", .toServer, line.rawSpan, transaction: current?.id ?? began)
  }

  private func takeDataLine() {
    var line = contentLine.text
    let end = contentLine.end
    let isStart = contentLine.isStart
    contentLine.next()
    if isStart, line == [46], !end.isEmpty {
      mode = .command
      endMail()
      return
    }
    // RFC 5321 section 4.5.2: a dot in front was added on the way.
    if isStart, line.count > 1, line[0] == 46 { line.removeFirst() }
    // RFC 2920 section 3.1: DATA is the last of a group.
    if let current, !current.isDataAnswered { current.raise(.invalidPipelining) }
    current?.addLine(line, end: end)
  }

  /// Content of a chunk of known length, cut into lines.
  private func takeContent(_ bytes: RawSpan) {
    var at = 0
    while at < bytes.byteCount {
      at = contentLine.take(bytes, at, limit: settings.contentLineBytesMax, cutsLong: true)
      if contentLine.isWhole {
        current?.addLine(contentLine.text, end: contentLine.end)
        contentLine.next()
      }
    }
  }

  private func endBDAT(isLast: Bool) {
    mode = .command
    guard isLast else { return expect(.other) }
    if !contentLine.text.isEmpty { current?.addLine(contentLine.text, end: []) }
    contentLine = SMTPLine()
    endMail()
  }

  private func endMail() {
    guard let mail = current else { return expect(.other) }
    mail.finishContent()
    expect(.endOfMail(mail))
    current = nil
  }

  private func skipRequestGap(_ count: UInt64) {
    switch mode {
    case .command: commandLine = SMTPLine()
    case .data:
      current?.addGap(count)
      contentLine = SMTPLine()
    case .bdat(let left, let isLast):
      current?.addGap(min(count, left))
      contentLine = SMTPLine()
      mode = .bdat(left: left - min(count, left), isLast: isLast)
      if count >= left { endBDAT(isLast: isLast) }
    }
  }

  // MARK: Commands

  private func takeCommand(_ time: Timestamp) {
    let line = commandLine.text
    let isCut = commandLine.isCut
    commandLine.next()
    endMessage(.toServer)
    let all = 0..<line.count
    func begins(_ text: StaticString) -> Bool { HTTPText.hasPrefix(line, all, text) }
    // Nothing to tell of a session that only says goodbye.
    if current == nil, begins("rset") || begins("quit") {
      expect(.other)
      return
    }
    let transaction = transaction(time)
    if isCut { transaction.raise(.longCommand) }
    if !hasGreeting { transaction.raise(.noWelcome) }
    if begins("starttls") {
      expect(.startTLS)
    } else if begins("data") {
      takeData(transaction)
    } else if begins("bdat") {
      takeBDAT(line, transaction)
    } else if begins("helo") || begins("ehlo") {
      let resets = transaction.helo != nil
      if resets { transaction.raise(.duplicateFields) }
      helo = Self.parameter(line, 4)
      if !resets { transaction.helo = helo }
      expect(.helo(resets: resets))
    } else {
      if begins("mail from") {
        if transaction.mailFrom == nil {
          transaction.mailFrom = Self.parameter(line, 9)
        } else {
          transaction.raise(.duplicateFields)
        }
      } else if begins("rcpt to"), transaction.recipients.count < settings.recipientCountMax {
        transaction.recipients.append(Self.parameter(line, 7))
      }
      expect(begins("rset") ? .reset : .other)
    }
    if transaction.helo == nil { transaction.helo = helo }
  }

  /// What stands behind the command and a colon or blank, up to the next blank.
  private static func parameter(_ line: [UInt8], _ start: Int) -> [UInt8] {
    var i = start + 1
    while i < line.count, HTTPText.isBlank(line[i]) { i += 1 }
    guard i < line.count else { return [] }
    return Array(line[i...].prefix { !HTTPText.isBlank($0) })
  }

  private func takeData(_ transaction: SMTPTransaction) {
    guard !transaction.isDataAsked else {
      transaction.raise(.unparsableContent)
      expect(.other)
      return
    }
    transaction.isDataAsked = true
    transaction.beginContent()
    contentLine = SMTPLine()
    expect(.data(transaction))
    // A server that takes commands in a row may get the mail without having asked for it.
    if supportsPipelining { mode = .data }
  }

  /// RFC 3030 section 2: `BDAT 86 LAST`.
  private func takeBDAT(_ line: [UInt8], _ transaction: SMTPTransaction) {
    let words = line.split(whereSeparator: HTTPText.isBlank)
    let isLast = words.count == 3 && words[2].lazy.map(HTTPText.lower).elementsEqual("last".utf8)
    guard words.count == 2 || isLast, words[1].count <= 18, words[1].allSatisfy(HTTPText.isDigit) else {
      transaction.raise(.invalidBDAT)
      expect(.other)
      return
    }
    // At most 18 digits: no overflow.
    let count = words[1].reduce(UInt64(0)) { $0 &* 10 &+ UInt64($1 - 48) }
    transaction.beginContent()
    mode = .bdat(left: count, isLast: isLast)
    if count == 0 { endBDAT(isLast: isLast) }
  }

  // MARK: Server

  private func consumeReplies(_ bytes: RawSpan, _ time: Timestamp) {
    var at = 0
    while at < bytes.byteCount, !hasFailed.toClient, successor == nil {
      let start = at
      at = replyLine.take(bytes, at, limit: settings.lineBytesMax)
      mark("response_line", bytes.extracting(start..<at), .toClient, &isReplyMarked, isEnd: replyLine.isWhole, of: current?.id)
      if replyLine.isWhole { takeReply(time) }
    }
  }

  private func skipReplyGap() {
    replyLine = SMTPLine()
    // Which reply belongs to which command cannot be told any more.
    pending = []
    pendingStart = 0
  }

  private func takeReply(_ time: Timestamp) {
    let line = replyLine.text
    let isCut = replyLine.isCut
    replyLine.next()
    if isCut { answered(time).raise(.longReply) }
    guard let code = Self.code(line) else {
      answered(time).raise(.invalidReply)
      fail()
      return
    }
    if !Self.knownCodes.contains(code) { answered(time).raise(.invalidReply) }
    let isMore = line.count > 3 && line[3] == 45
    if case .helo? = awaited, code == 250,
      HTTPText.equals(line, min(4, line.count)..<line.count, "pipelining")
    {
      supportsPipelining = true
    }
    if isMore { return }
    if !hasGreeting {
      hasGreeting = true
      if case .startTLS? = awaited {} else if code == 220 { return }
      if awaited == nil { return transaction(time).raise(.invalidReply) }
    }
    if code == 354 { skipToData() }
    endMessage(.toClient)
    guard let command = awaited else {
      current?.raise(.unmatchedReply)
      return
    }
    pendingStart += 1
    settle(command, code)
  }

  /// Only DATA is answered so: replies to commands before it were not told apart.
  private func skipToData() {
    let waiting = pending[pendingStart...]
    guard let index = waiting.firstIndex(where: { if case .data = $0 { true } else { false } }) else { return }
    pendingStart = index
  }

  /// Replies that RFC 5321, 3207, 4954, 5248 and 7504 name; others are read by their first digit.
  private static let knownCodes: Set<Int> = [
    211, 214, 220, 221, 235, 250, 251, 252, 334, 354, 421, 432, 450, 451, 452, 454, 455, 500, 501, 502, 503, 504,
    521, 523, 524, 525, 530, 534, 535, 538, 550, 551, 552, 553, 554, 555, 556,
  ]

  /// What a reply is about.
  private func answered(_ time: Timestamp) -> SMTPTransaction {
    switch awaited {
    case .data(let mail)?, .endOfMail(let mail)?: mail
    default: transaction(time)
    }
  }

  private var awaited: Command? { pendingStart < pending.count ? pending[pendingStart] : nil }

  /// RFC 5321 section 4.2: three digits, the first 2 to 5, the second 0 to 5, then a blank, a dash or the end.
  private static func code(_ line: [UInt8]) -> Int? {
    guard line.count >= 3, (50...53).contains(line[0]), (48...53).contains(line[1]),
      HTTPText.isDigit(line[2]), line.count == 3 || line[3] == 32 || line[3] == 45
    else { return nil }
    return line[..<3].reduce(0) { $0 * 10 + Int($1 - 48) }
  }

  private func settle(_ command: Command, _ code: Int) {
    switch command {
    case .helo(let resets): if resets, code == 250 { completeTransaction() }
    case .data(let mail):
      if code == 354 {
        mail.isDataAnswered = true
        if case .command = mode, !supportsPipelining, mail === current { mode = .data }
      } else {
        mail.raise(.dataRejected)
        mail.isDataAsked = false
        if case .data = mode, mail === current { mode = .command }
      }
    case .endOfMail(let mail): mail.finish()
    case .reset: if code == 250 { completeTransaction() }
    case .startTLS:
      if code == 220 {
        completeTransaction()
        successor = .to(.tls)
      } else {
        current?.raise(.tlsRejected)
      }
    case .other: break
    }
  }

  /// The server does not speak SMTP: nothing more can be understood.
  private func fail() {
    hasFailed = (true, true)
    current?.finish(isCut: true)
    current = nil
    for case let mail as SMTPTransaction in transactions { mail.finish() }
  }
}
