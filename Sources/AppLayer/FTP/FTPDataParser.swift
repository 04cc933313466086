import Traffic

/// A data connection of FTP: one transfer, from its first octet to its end.
///
/// - Source: RFC 959 section 3.3: stream mode, where the end of the connection is the end of the file.
public final class FTPDataParser: AppLayerParser {
  private let transaction: FTPDataTransaction

  init(_ transfer: FTPTransfer, settings: FTPSettings, files: FileExaminer?, at time: Timestamp) {
    transaction = FTPDataTransaction(transfer, settings: settings, files: files.map(FlowFiles.init), start: time)
    super.init(appProtocol: .ftpData)
    transactions.append(transaction)
  }

  override public func consume(_ chunk: borrowing StreamChunk) {
    guard chunk.direction == transaction.transfer.direction, !transaction.isComplete else { return }
    transaction.take(chunk.bytes, gap: chunk.gapBefore)
    if chunk.isEnd { transaction.finish(isCut: false) }
  }

  override public func finish(at time: Timestamp) { transaction.finish(isCut: true) }
}

/// What a data connection of FTP carries: a file, or the list of a folder.
public final class FTPDataTransaction: Transaction {
  let transfer: FTPTransfer
  private let settings: FTPSettings

  init(_ transfer: FTPTransfer, settings: FTPSettings, files: FlowFiles?, start: Timestamp) {
    self.transfer = transfer
    self.settings = settings
    super.init(id: 0, appProtocol: .ftpData, progressComplete: 1, start: start)
    flowFiles = files
    // Nothing of what goes the other way is looked at.
    if transfer.direction == .toServer { progress.toClient = 1 } else { progress.toServer = 1 }
    if transfer.isFile { addFile(transfer.fileName, transfer.direction, content: HTTPBody()) }
  }

  /// "RETR" or "STOR"; that of lists is told, too.
  public var command: [UInt8] { transfer.command }
  /// Empty where it is no file.
  public var fileName: [UInt8] { transfer.fileName }

  private var file: TransferFile? { files(transfer.direction).first }

  func take(_ bytes: RawSpan, gap: UInt64) {
    guard let file, file.state == .open else { return }
    if gap > 0 {
      file.appendGap(gap)
      file.content?.appendGap(gap)
    }
    file.content?.append(bytes, limitBytes: nil)
    file.content?.trimUninspected(windowBytes: settings.fileWindowBytes)
    let limit = flowFiles?.examiner.bodyLimitBytes(nil) ?? .max
    guard file.sizeBytes &+ UInt64(bytes.byteCount) > limit, limit > 0 else { return file.append(bytes) }
    // What is stored of a file has its limit (`file-store.stream-depth`).
    file.append(bytes.extracting(0..<Int(limit > file.sizeBytes ? limit - file.sizeBytes : 0)))
    file.close(isCut: true)
  }

  func finish(isCut: Bool) {
    guard !isComplete else { return }
    file?.content?.complete()
    file?.close(isCut: isCut)
    progress = (1, 1)
  }

  override public func buffer(_ id: BufferID, _ direction: Direction, index: Int) -> BufferView? {
    fileBuffer(id, direction, index: index)
  }

  /// `ftpdata_command`: what a client fetches is seen to go to it, what it puts to the server, whichever side has
  /// opened the connection.
  override public func number(_ id: NumberID, _ direction: Direction, index: Int) -> UInt64? {
    guard id == .ftpDataCommand, index == 0 else { return nil }
    switch direction {
    case .toClient: return transfer.command.elementsEqual("RETR".utf8) ? 1 : nil
    case .toServer: return transfer.command.elementsEqual("STOR".utf8) ? 2 : nil
    }
  }

  override public func markInspected(_ direction: Direction) {
    guard direction == transfer.direction else { return }
    file?.content?.markInspected(windowBytes: settings.fileWindowBytes)
  }
}
