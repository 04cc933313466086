import Traffic

/// One mail, from its envelope to the reply that takes or refuses it; or what a session without mail said.
public final class SMTPTransaction: Transaction {
  public internal(set) var helo: [UInt8]?
  public internal(set) var mailFrom: [UInt8]?
  public internal(set) var recipients: [[UInt8]] = []
  /// There once DATA or BDAT was asked for.
  public var email: MIMEMessage? { reader?.message }

  private let settings: SMTPSettings
  private var reader: MIMEReader?
  private var raisedCount = 0
  /// DATA was asked for and not refused.
  var isDataAsked = false
  /// The server has said that it takes the mail.
  var isDataAnswered = false

  init(id: UInt64, settings: SMTPSettings, files: FlowFiles?, start: Timestamp) {
    self.settings = settings
    super.init(id: id, appProtocol: .smtp, progressComplete: 1, start: start)
    flowFiles = files
  }

  func raise(_ event: SMTPEvent) { raise(event.appEvent) }

  // MARK: Content

  func beginContent() {
    if settings.mime.isEnabled, reader == nil { reader = MIMEReader(settings.mime) }
  }

  func addLine(_ line: [UInt8], end: [UInt8]) {
    edit { reader, output in reader.take(line, end: end, output) }
  }

  func addGap(_ count: UInt64) {
    if let file = filesToServer.last, file.state == .open {
      file.appendGap(count)
      file.content?.appendGap(count)
    }
  }

  private func edit(_ body: (inout MIMEReader, (MIMEReader.Output) -> Void) -> Void) {
    guard var reader else { return }
    self.reader = nil
    body(&reader) { take($0) }
    while raisedCount < reader.events.count {
      raise(AppEvent(.smtp, reader.events[raisedCount].rawValue))
      raisedCount += 1
    }
    self.reader = reader
  }

  private func take(_ output: MIMEReader.Output) {
    switch output {
    case .open(let name): addFile(name, .toServer, content: HTTPBody())
    case .content(let bytes):
      guard let file = filesToServer.last else { return }
      file.content?.append(bytes.rawSpan, limitBytes: nil)
      file.append(bytes.rawSpan)
    case .close:
      filesToServer.last?.content?.complete()
      filesToServer.last?.close()
    }
  }

  /// The message is over.
  ///
  /// - Parameter isCut: not by its own end.
  func finishContent(isCut: Bool = false) {
    if isCut {
      filesToServer.last?.content?.complete()
      filesToServer.last?.close(isCut: true)
    }
    edit { reader, output in reader.finish(output) }
  }

  func finish(isCut: Bool = false) {
    guard !isComplete else { return }
    finishContent(isCut: isCut)
    progress = (1, 1)
  }

  // MARK: Buffers

  override public func buffer(_ id: BufferID, _ direction: Direction, index: Int) -> BufferView? {
    guard direction == .toServer, index >= 0 else { return nil }
    switch id {
    case .fileData, .fileName, .fileMagic: return fileBuffer(id, direction, index: index)
    case .smtpRecipient: return index < recipients.count ? BufferView(recipients[index]) : nil
    case .emailURL:
      let urls = email?.urls ?? []
      return index < urls.count ? BufferView(urls[index]) : nil
    case .emailReceived:
      guard let email, email.hasHead else { return nil }
      let all = email.values("received")
      return index < all.count ? BufferView(all[index]) : nil
    default: break
    }
    guard index == 0 else { return nil }
    switch id {
    case .smtpHelo: return helo.map { BufferView($0) }
    case .smtpMailFrom: return mailFrom.map { BufferView($0) }
    case .emailFrom: return field("from")
    case .emailSubject: return field("subject")
    case .emailTo: return field("to")
    case .emailCC: return field("cc")
    case .emailDate: return field("date")
    case .emailMessageID: return field("message-id")
    case .emailXMailer: return field("x-mailer")
    default: return nil
    }
  }

  private func field(_ name: StaticString) -> BufferView? {
    guard let email, email.hasHead else { return nil }
    return email.value(name).map { BufferView($0) }
  }

  override public func markInspected(_ direction: Direction) {
    guard direction == .toServer else { return }
    for file in filesToServer { file.content?.markInspected(windowBytes: settings.fileWindowBytes) }
  }
}
