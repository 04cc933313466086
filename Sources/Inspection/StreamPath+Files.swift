import AppLayer
import Detection
import Traffic

extension StreamPath {
  /// A file is over and not told yet, or the store has something to do.
  mutating func hasFileNews(_ transaction: Transaction, _ flow: FlowInspection) -> Bool {
    hasFileNews(transaction, flow, .toServer) || hasFileNews(transaction, flow, .toClient)
  }

  private mutating func hasFileNews(_ transaction: Transaction, _ flow: FlowInspection, _ direction: Direction) -> Bool {
    guard isInspected(transaction, flow, direction) else { return false }
    for file in transaction.files(direction)
    where file.hasNewsForStore || !file.isRecorded && file.state != .open { return true }
    return false
  }

  /// A file of it is recorded or stored, or may be.
  mutating func hasFilesToTell(_ transaction: Transaction) -> Bool {
    guard transaction.hasFiles else { return false }
    if settings.logs.files { return true }
    for direction in Direction.allCases {
      for file in transaction.files(direction) where file.isStored || file.hasNewsForStore { return true }
    }
    return false
  }

  /// Rules have seen what came in that direction, and said what is to become of its files.
  private mutating func isInspected(
    _ transaction: Transaction, _ flow: FlowInspection, _ direction: Direction
  ) -> Bool {
    !flow.hasNews(direction) || flow.detection.isPassed || flow.isExempt
      || Detector.isInspected(transaction)
  }

  /// Hands on what is to be stored and tells of files that are over.
  ///
  /// - Parameter isEnd: the flow is over; what is there is told.
  mutating func reportFiles(
    of transaction: Transaction, _ flow: FlowInspection, isEnd: Bool,
    _ context: borrowing EventContext, _ bytes: RawSpan
  ) {
    for direction in Direction.allCases where isEnd || isInspected(transaction, flow, direction) {
      for file in transaction.files(direction) {
        if file.hasNewsForStore { sink.emit(.fileContent(file, transaction), context, bytes: bytes) }
        guard !file.isRecorded, file.state != .open || isEnd else { continue }
        file.isRecorded = true
        if settings.logs.files || file.isStored { sink.emit(.file(file, transaction), context, bytes: bytes) }
        file.forgetContent()
      }
    }
  }
}
