import Traffic

/// Reads the control connection of FTP, and announces the data connections that are agreed on there.
///
/// - Source: RFC 959; RFC 2228 (AUTH, PROT), RFC 2428 (EPRT, EPSV), RFC 3659 (MLSD), RFC 4217 (TLS); Suricata 8 for
///   what is a transaction and an event.
/// - Limits: ``FTPSettings``.
/// - Invariant: the result does not depend on how a direction is cut into chunks, only on the order in which lines of
///   the two directions come.
public final class FTPParser: AppLayerParser {
  let settings: FTPSettings
  private let ends: FlowEnds?
  private var nextID: UInt64 = 0
  /// Commands that wait for their reply, oldest first.
  private var open: [FTPTransaction] = []
  /// The code of a reply of several lines that is not over.
  private var openReply: [UInt8]?
  private var commandLine = SMTPLine()
  private var replyLine = SMTPLine()
  /// After a hole, what comes before the next line end is the rest of a line that nobody knows.
  private var skips: (toServer: Bool, toClient: Bool) = (false, false)
  /// Where the next data connection goes.
  private var offer: (port: UInt16, mode: FTPTransaction.Mode, by: FTPTransaction)?
  /// Data connections have TLS of their own.
  private var isProtected = false

  public init(settings: FTPSettings = FTPSettings(), ends: FlowEnds? = nil) {
    self.settings = settings
    self.ends = ends
    super.init(appProtocol: .ftp)
  }

  override public var endsMessagesWithTransactions: Bool { false }

  override public func consume(_ chunk: borrowing StreamChunk) {
    guard successor == nil else { return }
    let time = chunk.time
    switch chunk.direction {
    case .toServer:
      if hasFailed.toServer { return }
      if chunk.gapBefore > 0 {
        commandLine = SMTPLine()
        skips.toServer = true
      }
      consumeCommands(chunk.bytes, time)
    case .toClient:
      if hasFailed.toClient { return }
      if chunk.gapBefore > 0 { skipReplyGap() }
      consumeReplies(chunk.bytes, time)
    }
  }

  override public func finish(at time: Timestamp) {
    for command in open { command.finish(isAnswered: false) }
    open = []
  }

  // MARK: Client

  private func consumeCommands(_ bytes: RawSpan, _ time: Timestamp) {
    var at = 0
    while at < bytes.byteCount, !hasFailed.toServer {
      at = commandLine.take(bytes, at, limit: settings.lineBytesMax)
      guard commandLine.isWhole else { continue }
      let (line, isCut) = (commandLine.text, commandLine.isCut)
      commandLine.next()
      if skips.toServer {
        skips.toServer = false
      } else {
        takeCommand(line, isCut: isCut, time)
      }
    }
  }

  private func takeCommand(_ line: [UInt8], isCut: Bool, _ time: Timestamp) {
    // RFC 959 section 4.1.3: ABOR may come behind telnet's own signals.
    var line = line[...]
    while line.count >= 2, line.first == 255 { line = line.dropFirst(2) }
    while let last = line.last, HTTPText.isSpace(last) { line = line.dropLast() }
    guard !line.isEmpty else { return }
    guard open.count < settings.transactionCountMax else { return giveUp() }
    var (name, data) = Self.words(line)
    if isAuthTLS(name, data) {
      name = Array("AUTH TLS".utf8)
      data = data.dropFirst(3).drop { HTTPText.isBlank($0) }
    }
    let room = room(for: data.count)
    let command = FTPTransaction(
      id: nextID, command: name, data: Array(data.prefix(room)), isCut: isCut || data.count > room, start: time)
    nextID &+= 1
    transactions.append(command)
    open.append(command)
    if isCut { command.raise(.longCommand) }
    act(on: command, data)
  }

  /// The command in capitals and what stands behind it.
  private static func words(_ line: ArraySlice<UInt8>) -> (name: [UInt8], data: ArraySlice<UInt8>) {
    let name = line.prefix { !HTTPText.isBlank($0) }
    let upper = name.map { HTTPText.lower($0) == $0 && $0 >= 97 && $0 <= 122 ? $0 &- 32 : $0 }
    return (upper, line[name.endIndex...].dropFirst())
  }

  private func isAuthTLS(_ name: [UInt8], _ data: ArraySlice<UInt8>) -> Bool {
    name.elementsEqual("AUTH".utf8) && data.count >= 3
      && data.prefix(3).lazy.map(HTTPText.lower).elementsEqual("tls".utf8)
  }

  /// Octets of text that may still be kept.
  private func room(for wanted: Int) -> Int {
    guard let limit = settings.textBytesMax else { return wanted }
    let kept = transactions.reduce(0) { $0 + (($1 as? FTPTransaction)?.textBytes ?? 0) }
    return max(0, min(wanted, limit - kept))
  }

  private func act(on command: FTPTransaction, _ data: ArraySlice<UInt8>) {
    switch String(decoding: command.command ?? [], as: UTF8.self) {
    case "PORT":
      command.mode = .active
      guard let (address, port) = FTPAddress.sixNumbers(data), port > 0 else { return }
      makeOffer(port, .active, command)
      command.isBounce = isElsewhere(address)
    case "EPRT":
      command.mode = .active
      guard let (address, port) = FTPAddress.extended(data) else { return }
      makeOffer(port, .active, command)
      command.isBounce = address.map(isElsewhere) ?? false
    case "PASV", "EPSV": command.mode = .passive
    case "RETR": expectData(of: command, isFile: true, isUpload: false)
    case "STOR", "APPE", "STOU": expectData(of: command, isFile: true, isUpload: true)
    case "LIST", "NLST", "MLSD": expectData(of: command, isFile: false, isUpload: false)
    case "PROT": isProtected = data.first.map(HTTPText.lower) == UInt8(ascii: "p")
    default: break
    }
  }

  /// - Source: RFC 2577 section 3: the bounce attack names a host that is not the client.
  private func isElsewhere(_ address: IPAddress) -> Bool {
    guard let ends, ends.tuple.source.isIPv4 == address.isIPv4 else { return false }
    return address != ends.tuple.source
  }

  private func makeOffer(_ port: UInt16, _ mode: FTPTransaction.Mode, _ command: FTPTransaction) {
    command.dynamicPort = port
    offer = (port, mode, command)
  }

  private func expectData(of command: FTPTransaction, isFile: Bool, isUpload: Bool) {
    guard let offer else {
      if isFile { command.raise(.fileBeforePort) }
      return
    }
    self.offer = nil
    guard let ends else { return }
    // The server of the data connection is the client of this one in active mode.
    let isToServer = (offer.mode == .passive) == isUpload
    let transfer = FTPTransfer(
      command: command.command ?? [], fileName: isFile ? command.commandData : [], isFile: isFile,
      direction: isToServer ? .toServer : .toClient, isProtected: isProtected, parentID: ends.flowID)
    ends.expected.expect(transfer, between: ends.tuple, port: offer.port, at: command.start)
  }

  /// Too many commands without an answer: which reply belongs to which is not followed any more.
  private func giveUp() {
    hasFailed = (true, true)
    open.last?.raise(.tooManyTransactions)
    for command in open { command.finish(isAnswered: false) }
    open = []
  }

  // MARK: Server

  private func consumeReplies(_ bytes: RawSpan, _ time: Timestamp) {
    var at = 0
    while at < bytes.byteCount, !hasFailed.toClient, successor == nil {
      at = replyLine.take(bytes, at, limit: settings.lineBytesMax)
      guard replyLine.isWhole else { continue }
      let (line, isCut) = (replyLine.text, replyLine.isCut)
      replyLine.next()
      if skips.toClient {
        skips.toClient = false
      } else {
        takeReply(line, isCut: isCut, time)
      }
    }
  }

  private func skipReplyGap() {
    replyLine = SMTPLine()
    skips.toClient = true
    openReply = nil
    // Which reply belongs to which command cannot be told any more.
    for command in open { command.finish(isAnswered: false) }
    open = []
  }

  private func takeReply(_ line: [UInt8], isCut: Bool, _ time: Timestamp) {
    var text = line[...]
    while let last = text.last, HTTPText.isSpace(last) { text = text.dropLast() }
    guard !text.isEmpty else { return }
    let code = Self.code(text)
    let isLast = code.map { $0.isLast && (openReply == nil || openReply == $0.digits) } ?? false
    let command = replied(time)
    note(text, isLast ? code?.digits : nil, isCut: isCut, command)
    if let open = openReply {
      if isLast { openReply = nil }
      if !isLast || open.first == UInt8(ascii: "1") { return }
    } else if let code, !code.isLast {
      openReply = code.digits
      return
    }
    // RFC 959 section 4.2: after a 1xx another reply follows.
    if code?.digits.first == UInt8(ascii: "1") { return }
    settle(command, code?.digits, text)
  }

  /// The digits that a line begins with; with a dash behind them more lines follow.
  private static func code(_ text: ArraySlice<UInt8>) -> (digits: [UInt8], isLast: Bool)? {
    guard text.count >= 3, text.prefix(3).allSatisfy(HTTPText.isDigit) else { return nil }
    let digits = Array(text.prefix(3))
    guard text.count > 3 else { return (digits, true) }
    switch text[text.startIndex + 3] {
    case UInt8(ascii: " "): return (digits, true)
    case UInt8(ascii: "-"): return (digits, false)
    default: return nil
    }
  }

  /// What a line is a reply to.
  private func replied(_ time: Timestamp) -> FTPTransaction {
    if let first = open.first { return first }
    // What nobody asked for is one transaction until there is a command: a server alone does not fill memory.
    if let last = transactions.last as? FTPTransaction, last.command == nil { return last }
    let greeting = FTPTransaction(id: nextID, command: nil, start: time)
    nextID &+= 1
    transactions.append(greeting)
    open.append(greeting)
    return greeting
  }

  private func note(_ text: ArraySlice<UInt8>, _ code: [UInt8]?, isCut: Bool, _ command: FTPTransaction) {
    if isCut {
      command.isReplyCut = true
      command.raise(.longReply)
    }
    let reply = code == nil ? text : text.dropFirst(min(4, text.count))
    guard command.replies.count < settings.replyCountMax else {
      command.isReplyCut = true
      return
    }
    let room = room(for: reply.count)
    if room < reply.count { command.isReplyCut = true }
    command.add(code: code, reply: Array(reply.prefix(room)))
  }

  /// The last reply to a command has come.
  private func settle(_ command: FTPTransaction, _ code: [UInt8]?, _ text: ArraySlice<UInt8>) {
    if !open.isEmpty { open.removeFirst() }
    defer { command.finish(isAnswered: true) }
    let name = command.command ?? []
    if name.elementsEqual("PASV".utf8), code?.elementsEqual("227".utf8) == true {
      if let (_, port) = FTPAddress.sixNumbers(text.dropFirst(3)), port > 0 { makeOffer(port, .passive, command) }
    } else if name.elementsEqual("EPSV".utf8), code?.elementsEqual("229".utf8) == true {
      if let port = FTPAddress.extendedPassive(text) { makeOffer(port, .passive, command) }
    } else if name.elementsEqual("AUTH TLS".utf8), code?.elementsEqual("234".utf8) == true {
      successor = .to(.tls)
    }
    // A refused PORT leads nowhere.
    if let offer, offer.by === command, let first = code?.first, first >= UInt8(ascii: "4") { self.offer = nil }
  }
}
