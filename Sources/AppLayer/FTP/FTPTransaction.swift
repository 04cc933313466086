import Traffic

/// A command of FTP with its replies; or replies that nobody asked for, such as the greeting.
public final class FTPTransaction: Transaction {
  /// Where the data connection of a command goes.
  public enum Mode: UInt8, Sendable {
    /// The client connects to the server.
    case passive
    /// The server connects to the client.
    case active
  }

  /// In capitals; nil where there was none.
  public let command: [UInt8]?
  public let commandData: [UInt8]
  /// The command was longer than what is kept of it.
  public let isCommandCut: Bool
  /// Lines of the replies, those that go on included, without their codes.
  public private(set) var replies: [[UInt8]] = []
  public private(set) var completionCodes: [[UInt8]] = []
  public internal(set) var isReplyCut = false
  /// A last reply has come.
  public private(set) var isAnswered = false
  /// The port that a data connection is offered at, by the command or its reply.
  public internal(set) var dynamicPort: UInt16?
  public internal(set) var mode: Mode?
  /// The address of an offer is not that of its sender.
  var isBounce = false
  /// Octets of text kept.
  private(set) var textBytes = 0

  init(
    id: UInt64, command: [UInt8]?, data: [UInt8] = [], isCut: Bool = false, start: Timestamp
  ) {
    self.command = command
    commandData = data
    isCommandCut = isCut
    textBytes = (command?.count ?? 0) + data.count
    super.init(id: id, appProtocol: .ftp, progressComplete: 1, start: start)
  }

  func raise(_ event: FTPEvent) { raise(event.appEvent) }

  func add(code: [UInt8]?, reply: [UInt8]) {
    if let code { completionCodes.append(code) }
    replies.append(reply)
    textBytes += reply.count + (code?.count ?? 0)
  }

  /// - Parameter isAnswered: by a reply, not by the end of the connection.
  func finish(isAnswered: Bool) {
    guard !isComplete else { return }
    self.isAnswered = isAnswered
    progress = (1, 1)
  }

  override public func buffer(_ id: BufferID, _ direction: Direction, index: Int) -> BufferView? {
    guard index >= 0 else { return nil }
    switch (id, direction) {
    case (.ftpCommand, .toServer): return index == 0 ? command.map { BufferView($0) } : nil
    case (.ftpCommandData, .toServer):
      return index == 0 && !commandData.isEmpty ? BufferView(commandData) : nil
    case (.ftpReply, .toClient): return index < replies.count ? BufferView(replies[index]) : nil
    case (.ftpCompletionCode, .toClient):
      return index < completionCodes.count ? BufferView(completionCodes[index]) : nil
    default: return nil
    }
  }

  override public func number(_ id: NumberID, _ direction: Direction, index: Int) -> UInt64? {
    guard index == 0 else { return nil }
    switch id {
    case .ftpDynamicPort: return dynamicPort.map { UInt64($0) }
    case .ftpMode: return dynamicPort == nil ? nil : mode.map { UInt64($0.rawValue) }
    // Whether there is an answer is known once it has come, or cannot any more.
    case .ftpReplyReceived: return isComplete && command != nil ? (isAnswered ? 1 : 0) : nil
    case .ftpBounce: return isBounce && direction == .toServer ? 1 : nil
    default: return nil
    }
  }
}

/// What can be odd about a control connection of FTP (`app-layer-event:ftp.…`).
///
/// - Source: Suricata 8's `ftp-events.rules`.
public enum FTPEvent: String, Sendable, CaseIterable {
  case longCommand = "request_command_too_long"
  case longReply = "response_command_too_long"
  /// A file is asked for before it was said where to.
  case fileBeforePort = "file_before_port"
  case tooManyTransactions = "too_many_transactions"

  public var appEvent: AppEvent { AppEvent(.ftp, rawValue) }
}

extension BufferTable {
  private typealias Source = BufferDeclaration.Source

  private static let commands = [Source(.ftp, .toServer, progress: 0)]
  private static let replies = [Source(.ftp, .toClient, progress: 0)]

  /// - Source: Suricata 8, "FTP/FTP-DATA Keywords".
  static let ftp: [BufferDeclaration] = [
    .init(.ftpCommand, ["ftp.command"], commands, summary: "The command of a client, in capitals."),
    .init(.ftpCommandData, ["ftp.command_data"], commands, summary: "What stands behind the command."),
    .init(
      .ftpReply, ["ftp.reply"], replies, isMultiple: true, isStreaming: true,
      summary: "Each line of the replies to a command, without its code."),
    .init(
      .ftpCompletionCode, ["ftp.completion_code"], replies, isMultiple: true, isStreaming: true,
      summary: "The code of each reply to a command."),
  ]

  /// File buffers with the place where data connections of FTP have them too.
  static func sharedWithFTP(_ declarations: [BufferDeclaration]) -> [BufferDeclaration] {
    declarations.map { declaration in
      guard [.fileData, .fileName, .fileMagic].contains(declaration.id) else { return declaration }
      var copy = declaration
      copy.sources += Direction.allCases.map { Source(.ftpData, $0, progress: 0) }
      return copy
    }
  }
}
