import AppLayer
import Traffic

extension StreamPath {
  /// A file is over and not told yet, or the store has something to do.
  func hasFileNews(_ transaction: Transaction) -> Bool {
    for direction in Direction.allCases {
      for file in transaction.files(direction) where file.hasNewsForStore || !file.isRecorded && file.state != .open {
        return true
      }
    }
    return false
  }

  /// Hands on what is to be stored and tells of files that are over.
  ///
  /// - Parameter isEnd: the flow is over; what is there is told.
  func reportFiles(
    of transaction: Transaction, isEnd: Bool, _ context: borrowing EventContext, _ bytes: RawSpan
  ) {
    for direction in Direction.allCases {
      for file in transaction.files(direction) {
        if file.hasNewsForStore { sink.emit(.fileContent(file, transaction), context, bytes: bytes) }
        guard !file.isRecorded, file.state != .open || isEnd else { continue }
        file.isRecorded = true
        file.forgetContent()
        if settings.logs.files || file.isStored { sink.emit(.file(file, transaction), context, bytes: bytes) }
      }
    }
  }
}
