import AppLayer
import Inspection
import Traffic

extension EVEWriter {
  /// Hands the store what has come of a file.
  func store(_ file: TransferFile) {
    guard let fileOutput else { return file.forgetContent() }
    let bytes = file.takeWaiting()
    if file.storeNumber == 0 {
      // Nothing to store of an empty file.
      guard !bytes.isEmpty else { return file.forgetContent() }
      file.storeNumber = fileOutput.nextNumber()
    }
    if !bytes.isEmpty, !fileOutput.append(bytes.rawSpan, to: file.storeNumber) { return file.forgetContent() }
    guard file.state != .open, let digest = file.sha256 else { return }
    file.isStored = fileOutput.finish(file.storeNumber, as: FileInfoRecord.hex(digest))
    if !file.isStored { file.forgetContent() }
  }

  /// - Source: Suricata 8, EVE JSON format, "Event type: Fileinfo".
  func write(
    _ file: TransferFile, _ transaction: Transaction, _ context: borrowing EventContext, _ bytes: RawSpan
  ) {
    if settings.logsFileInfo {
      writeRecord(file, transaction, context, bytes)
      end(context.decryption)
    }
    guard settings.describesStoredFiles, file.isStored, let fileOutput, let digest = file.sha256 else { return }
    // The same record once more, in a text of its own.
    var text = JSONWriter(capacity: 2048)
    swap(&text, &json)
    writeRecord(file, transaction, context, bytes)
    json.endObject()
    json.endLine()
    swap(&text, &json)
    let suffix = ".\(context.time.seconds).\(file.storeNumber).json"
    fileOutput.describe(FileInfoRecord.hex(digest), Array(suffix.utf8), record: text.bytes.rawSpan)
  }

  private func writeRecord(
    _ file: TransferFile, _ transaction: Transaction, _ context: borrowing EventContext, _ bytes: RawSpan
  ) {
    begin("fileinfo", context, .direction(file.direction), bytes)
    writeInside(transaction)
    writeAppProtocol(context)
    json.beginObject("fileinfo")
    FileInfoRecord.write(file, transactionID: transaction.id, into: &json)
    json.endObject()
    writeMetadata(context.flow, [])
  }
}
