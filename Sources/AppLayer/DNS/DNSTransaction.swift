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
    for oddity in message.oddities { raise(AppEvent(appProtocol, oddity)) }
  }

  public override var soleDirection: Direction? { direction }

  /// Enough was readable for a record to say something.
  public var isLoggable: Bool { !(message.isMalformed && message.queries.isEmpty) }

  /// Every name of a response: questions, owners, and those in data that are host names.
  private lazy var responseNames: [[UInt8]] = {
    var names = message.queries.map(\.name.text)
    for section in [message.answers, message.authorities, message.additionals] {
      for record in section {
        names.append(record.name.text)
        if let name = record.data.hostName { names.append(name.text) }
      }
    }
    return names
  }()

  public override func buffer(_ id: BufferID, _ direction: Direction, index: Int) -> BufferView? {
    guard direction == self.direction, index >= 0 else { return nil }
    switch id {
    case .dnsQueryName:
      return message.isResponse ? nil : query(index)
    case .dnsQueriesName, .mdnsQueriesName: return query(index)
    case .dnsAnswerName, .mdnsAnswerName: return owner(message.answers, index)
    case .dnsAuthorityName, .mdnsAuthorityName: return owner(message.authorities, index)
    case .dnsAdditionalName, .mdnsAdditionalName: return owner(message.additionals, index)
    case .dnsResponseName, .mdnsResponseName:
      guard message.isResponse, index < responseNames.count else { return nil }
      return BufferView(responseNames[index])
    default: return nil
    }
  }

  private func query(_ index: Int) -> BufferView? {
    index < message.queries.count ? BufferView(message.queries[index].name.text) : nil
  }

  private func owner(_ records: [DNSRecord], _ index: Int) -> BufferView? {
    index < records.count ? BufferView(records[index].name.text) : nil
  }

  /// `dnsQueryType` is each type asked for in a request, each type answered in a response.
  public override func number(_ id: NumberID, _ direction: Direction, index: Int) -> UInt64? {
    guard direction == self.direction, index >= 0 else { return nil }
    switch id {
    case .dnsOpcode: return index == 0 ? UInt64(message.opcode) : nil
    case .dnsRcode: return index == 0 ? UInt64(message.rcode) : nil
    case .dnsQueryType:
      if message.isResponse {
        return index < message.answers.count ? UInt64(message.answers[index].type) : nil
      }
      return index < message.queries.count ? UInt64(message.queries[index].type) : nil
    default: return nil
    }
  }
}
