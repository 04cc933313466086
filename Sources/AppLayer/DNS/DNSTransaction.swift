import Traffic

/// One DNS message: a request is a transaction, and so is its response.
public final class DNSTransaction: Transaction {
  private var parts = DNSParts()
  public private(set) var direction: Direction
  /// Names of a response, once they were asked for.
  private var responseNames: [DNSParts.Name] = []
  private var hasResponseNames = false
  private var whole: DNSMessage?

  init(id: UInt64, message: RawSpan, direction: Direction, appProtocol: AppProtocol, start: Timestamp) {
    self.direction = direction
    super.init(id: id, appProtocol: appProtocol, progressComplete: 1, start: start)
    take(message)
  }

  /// Becomes another message of the same protocol.
  func renew(id: UInt64, message: RawSpan, direction: Direction, start: Timestamp) {
    renew(id: id, start: start)
    self.direction = direction
    responseNames.clear()
    hasResponseNames = false
    whole = nil
    take(message)
  }

  private func take(_ message: RawSpan) {
    parts.read(message)
    progress = (1, 1)
    for oddity in parts.oddities { raise(AppEvent(appProtocol, oddity)) }
  }

  /// The room that it takes is that of ordinary messages.
  var isSmall: Bool { parts.isSmall && responseNames.capacity <= 128 }

  public override var soleDirection: Direction? { direction }

  /// Enough was readable for a record to say something.
  public var isLoggable: Bool { !(parts.isMalformed && parts.queries.isEmpty) }

  public var isResponse: Bool { parts.isResponse }
  var isMalformed: Bool { parts.isMalformed }
  var hasQueries: Bool { !parts.queries.isEmpty }

  /// All of the message; put together when it is first asked for, which rules do not.
  public var message: DNSMessage {
    if let whole { return whole }
    let made = parts.message()
    whole = made
    return made
  }

  /// Every name of a response: questions, owners, and those in data that are host names.
  private func collectResponseNames() {
    hasResponseNames = true
    for query in parts.queries { responseNames.append(query.name) }
    for record in parts.records {
      responseNames.append(record.name)
      if let name = record.hostName { responseNames.append(name) }
    }
  }

  public override func buffer(_ id: BufferID, _ direction: Direction, index: Int) -> BufferView? {
    guard direction == self.direction, index >= 0 else { return nil }
    switch id {
    case .dnsQueryName:
      return parts.isResponse ? nil : query(index)
    case .dnsQueriesName, .mdnsQueriesName: return query(index)
    case .dnsAnswerName, .mdnsAnswerName: return owner(parts.answers, index)
    case .dnsAuthorityName, .mdnsAuthorityName: return owner(parts.authorities, index)
    case .dnsAdditionalName, .mdnsAdditionalName: return owner(parts.additionals, index)
    case .dnsResponseName, .mdnsResponseName:
      guard parts.isResponse else { return nil }
      if !hasResponseNames { collectResponseNames() }
      return index < responseNames.count ? view(responseNames[index]) : nil
    default: return nil
    }
  }

  private func view(_ name: DNSParts.Name) -> BufferView { BufferView(parts.text, range: name.range) }

  private func query(_ index: Int) -> BufferView? {
    index < parts.queries.count ? view(parts.queries[index].name) : nil
  }

  private func owner(_ section: Range<Int>, _ index: Int) -> BufferView? {
    index < section.count ? view(parts.records[section.lowerBound + index].name) : nil
  }

  /// `dnsQueryType` is each type asked for in a request, each type answered in a response.
  public override func number(_ id: NumberID, _ direction: Direction, index: Int) -> UInt64? {
    guard direction == self.direction, index >= 0 else { return nil }
    switch id {
    case .dnsOpcode: return index == 0 ? UInt64(parts.opcode) : nil
    case .dnsRcode: return index == 0 ? UInt64(parts.rcode) : nil
    case .dnsQueryType:
      if parts.isResponse {
        return index < parts.answerCount ? UInt64(parts.records[index].type) : nil
      }
      return index < parts.queries.count ? UInt64(parts.queries[index].type) : nil
    default: return nil
    }
  }
}
