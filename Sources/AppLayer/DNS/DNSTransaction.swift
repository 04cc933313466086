import Traffic

/// One DNS message: a request is a transaction, and so is its response.
public final class DNSTransaction: Transaction {
  public let message: DNSMessage
  public let direction: Direction

  init(
    id: UInt64, message: DNSMessage, direction: Direction, appProtocol: AppProtocol,
    start: Timestamp
  ) {
    self.message = message
    self.direction = direction
    super.init(id: id, appProtocol: appProtocol, progressComplete: 1, start: start)
    progress = (1, 1)
  }

  public override var soleDirection: Direction? { direction }
}
