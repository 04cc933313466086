import Traffic

/// A command of POP3 with its response; or a response that nobody asked for, such as the greeting.
public final class POP3Transaction: Transaction {
  /// In capitals; ``sasl`` for what is said within AUTH; nil where there was none.
  public let command: [UInt8]?
  public let arguments: [[UInt8]]
  /// Nil until a response has come.
  public internal(set) var isSuccess: Bool?
  /// What stands behind the status.
  public internal(set) var header: [UInt8] = []
  /// The lines of a response of several, but for those of a mail.
  public private(set) var data: [[UInt8]] = []

  /// What a line within AUTH is called: it has no command.
  public static let sasl = Array("<SASL DATA>".utf8)

  let isMultiline: Bool
  private let settings: POP3Settings
  private var reader: MIMEReader?
  private var raisedCount = 0

  init(
    id: UInt64, command: [UInt8]?, arguments: [[UInt8]], settings: POP3Settings, files: FlowFiles?,
    start: Timestamp
  ) {
    self.command = command
    self.arguments = arguments
    self.settings = settings
    let name = String(decoding: command ?? [], as: UTF8.self)
    switch name {
    case "CAPA", "RETR", "TOP": isMultiline = true
    case "LIST", "UIDL", "AUTH": isMultiline = arguments.isEmpty
    default: isMultiline = false
    }
    super.init(id: id, appProtocol: .pop3, progressComplete: 1, start: start)
    flowFiles = files
    if name == "RETR", settings.mime.isEnabled { reader = MIMEReader(settings.mime) }
    isMail = name == "RETR" || name == "TOP"
  }

  /// Its response is a mail.
  private var isMail = false

  /// The passwords of PASS and APOP are nobody's business.
  public var recordedArguments: [[UInt8]] {
    guard let command else { return [] }
    if command.elementsEqual("PASS".utf8) { return [] }
    return command.elementsEqual("APOP".utf8) ? Array(arguments.prefix(1)) : arguments
  }

  /// The head and attachments of the mail that is fetched.
  public var email: MIMEMessage? { reader?.message }

  func raise(_ event: POP3Event) { raise(event.appEvent) }

  /// A line of a response of several.
  func add(_ line: [UInt8], end: [UInt8]) {
    guard !isMail else { return edit { reader, output in reader.take(line, end: end, output) } }
    if !end.isEmpty, data.count < settings.dataLineCountMax { data.append(line) }
  }

  func addGap(_ count: UInt64) {
    guard let file = filesToClient.last, file.state == .open else { return }
    file.appendGap(count)
    file.content?.appendGap(count)
  }

  /// - Parameter isCut: not by its own end.
  func finish(isCut: Bool = false) {
    guard !isComplete else { return }
    if isCut, let file = filesToClient.last {
      file.content?.complete()
      file.close(isCut: true)
    }
    edit { reader, output in reader.finish(output) }
    progress = (1, 1)
  }

  private func edit(_ body: (inout MIMEReader, (MIMEReader.Output) -> Void) -> Void) {
    guard var reader else { return }
    self.reader = nil
    body(&reader) { take($0) }
    self.reader = reader
  }

  private func take(_ output: MIMEReader.Output) {
    switch output {
    case .open(let name): addFile(name, .toClient, content: HTTPBody())
    case .content(let bytes):
      guard let file = filesToClient.last else { return }
      file.content?.append(bytes.rawSpan, limitBytes: nil)
      file.content?.trimUninspected(windowBytes: settings.fileWindowBytes)
      file.append(bytes.rawSpan)
    case .close:
      filesToClient.last?.content?.complete()
      filesToClient.last?.close()
    }
  }

  override public func buffer(_ id: BufferID, _ direction: Direction, index: Int) -> BufferView? {
    direction == .toClient ? fileBuffer(id, direction, index: index) : nil
  }

  override public func markInspected(_ direction: Direction) {
    guard direction == .toClient else { return }
    for file in filesToClient { file.content?.markInspected(windowBytes: settings.fileWindowBytes) }
  }
}

/// What can be odd about POP3 (`app-layer-event:pop3.…`).
///
/// - Source: Suricata 8's `pop3-events.rules`.
public enum POP3Event: String, Sendable, CaseIterable {
  case tooManyTransactions = "too_many_transactions"
  case longRequest = "request_too_long"
  case argumentCount = "incorrect_argument_count"
  case unknownCommand = "unknown_command"
  case longResponse = "response_too_long"

  public var appEvent: AppEvent { AppEvent(.pop3, rawValue) }
}

/// What an operator may set for POP3 (`app-layer.protocols.pop3`).
public struct POP3Settings: Sendable, Equatable {
  public var mime = MIMESettings()
  /// Octets of a line that are kept; RFC 2449 section 4 allows 255 for commands and 512 for the first of a response.
  public var lineBytesMax = 4096
  public var commandBytesMax = 255
  public var headerBytesMax = 512
  /// `max-tx`: commands that wait for their response; beyond, the connection is not followed any more.
  public var transactionCountMax = 256
  /// Lines of a response that are kept.
  public var dataLineCountMax = 1024
  /// Octets of a line of mail that are held; a longer one is read in pieces.
  public var contentLineBytesMax = 16_384
  /// Octets of a file that stay for rules on `file.data`.
  public var fileWindowBytes = 65_536

  public init() {}
}

extension BufferTable {
  /// File buffers with the place where POP3 has them too.
  static func sharedWithPOP3(_ declarations: [BufferDeclaration]) -> [BufferDeclaration] {
    declarations.map { declaration in
      guard [.fileData, .fileName, .fileMagic].contains(declaration.id) else { return declaration }
      var copy = declaration
      copy.sources.append(.init(.pop3, .toClient, progress: 0))
      return copy
    }
  }
}
