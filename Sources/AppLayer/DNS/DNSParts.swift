import Traffic

/// A DNS message as it is kept while rules look at it: the octets as sent, with what was found in them in lists of plain
/// numbers. All of its room is used again for the next message.
struct DNSParts {
  /// Where a name lies in `text`.
  struct Name {
    var start: Int32 = 0
    var count: Int32 = 0
    var isTruncated = false

    var range: Range<Int> { Int(start)..<Int(start) + Int(count) }
  }

  struct Query {
    var name: Name
    var type: UInt16
    var recordClass: UInt16
  }

  struct Record {
    var name: Name
    var type: UInt16
    var recordClass: UInt16
    var ttl: UInt32
    /// Where its data lies in the message.
    var dataStart: Int
    var dataEnd: Int
    /// The data has names, which are these.
    var hasNames = false
    var first = Name()
    var second = Name()
    /// Where the data goes on behind its names.
    var behindNames = 0

    /// The name in the data that `dns.response.rrname` looks at, if there is one.
    var hostName: Name? {
      guard hasNames else { return nil }
      switch type {
      case DNSType.cname, DNSType.ns, DNSType.ptr, DNSType.dname, DNSType.mx, DNSType.soa: return first
      default: return nil
      }
    }
  }

  private(set) var bytes: [UInt8] = []
  /// All names, dotted, one behind the other.
  var text: [UInt8] = []
  var id: UInt16 = 0
  var flags: UInt16 = 0
  var queries: [Query] = []
  /// Answers, then authorities, then additionals.
  var records: [Record] = []
  var answerCount = 0
  var authorityCount = 0
  var oddities: [String] = []
  var isMalformed = false

  var isResponse: Bool { flags & 0x8000 != 0 }
  var opcode: UInt8 { UInt8(truncatingIfNeeded: flags >> 11 & 15) }
  var rcode: UInt8 { UInt8(truncatingIfNeeded: flags & 15) }

  /// What is in `records` of each section.
  var answers: Range<Int> { 0..<answerCount }
  var authorities: Range<Int> { answerCount..<answerCount + authorityCount }
  var additionals: Range<Int> { answerCount + authorityCount..<records.count }

  /// Forgets the message, keeping the room that it took.
  mutating func reset() {
    bytes.clear()
    text.clear()
    (id, flags) = (0, 0)
    queries.clear()
    records.clear()
    (answerCount, authorityCount) = (0, 0)
    oddities.clear()
    isMalformed = false
  }

  /// The room is that of ordinary messages, and may be kept for the next.
  var isSmall: Bool {
    bytes.capacity <= 4096 && text.capacity <= 4096 && records.capacity <= 64 && queries.capacity <= 64
      && oddities.capacity <= 16
  }

  /// Takes a message in and apart.
  mutating func read(_ message: RawSpan) {
    reset()
    bytes.append(message)
    var decoder = DNSDecoder(message)
    decoder.decode(into: &self)
  }

  mutating func note(_ name: String) {
    if !oddities.contains(name) { oddities.append(name) }
  }

  // MARK: As a whole

  /// The message with lists of its own for each part, as records tell of it.
  func message() -> DNSMessage {
    var out = DNSMessage(id: id, flags: flags)
    out.queries = queries.map { DNSQuery(name: name($0.name), type: $0.type, recordClass: $0.recordClass) }
    out.answers = answers.map { record(records[$0]) }
    out.authorities = authorities.map { record(records[$0]) }
    out.additionals = additionals.map { record(records[$0]) }
    out.oddities = oddities
    out.isMalformed = isMalformed
    return out
  }

  private func name(_ place: Name) -> DNSName { DNSName(Array(text[place.range]), isTruncated: place.isTruncated) }

  private func record(_ record: Record) -> DNSRecord {
    DNSRecord(
      name: name(record.name), type: record.type, recordClass: record.recordClass, ttl: record.ttl,
      data: data(of: record))
  }

  private func data(of record: Record) -> DNSRecordData {
    let raw = DNSRecordData.raw(Array(bytes[record.dataStart..<record.dataEnd]))
    guard record.hasNames else {
      return DNSRecordData(plain: record.type, bytes.rawSpan.extracting(record.dataStart..<record.dataEnd))
    }
    var fields = ByteReader(bytes.rawSpan)
    guard fields.skip(record.dataStart) else { return raw }
    switch record.type {
    case DNSType.cname, DNSType.ns, DNSType.ptr, DNSType.dname: return .name(name(record.first))
    case DNSType.mx: return .mx(preference: fields.u16() ?? 0, exchange: name(record.first))
    case DNSType.soa: return startOfAuthority(record)
    case DNSType.srv:
      return .srv(
        priority: fields.u16() ?? 0, weight: fields.u16() ?? 0, port: fields.u16() ?? 0, target: name(record.first))
    case DNSType.https, DNSType.svcb:
      return .service(
        priority: fields.u16() ?? 0, target: name(record.first),
        parameters: Array(bytes[record.behindNames..<record.dataEnd]))
    case DNSType.naptr:
      let (order, preference) = (fields.u16() ?? 0, fields.u16() ?? 0)
      var texts: [[UInt8]] = []
      while texts.count < DNSDecoder.namingTextCount, let length = fields.u8(), let text = fields.take(Int(length)) {
        texts.append(text.copied())
      }
      return .naptr(order: order, preference: preference, texts: texts, replacement: name(record.first))
    default: return raw
    }
  }

  private func startOfAuthority(_ record: Record) -> DNSRecordData {
    var numbers = ByteReader(bytes.rawSpan)
    _ = numbers.skip(record.behindNames)
    return .soa(
      DNSStartOfAuthority(
        mname: name(record.first), rname: name(record.second), serial: numbers.u32() ?? 0, refresh: numbers.u32() ?? 0,
        retry: numbers.u32() ?? 0, expire: numbers.u32() ?? 0, minimum: numbers.u32() ?? 0))
  }
}

extension DNSRecordData {
  /// Data without names; what is not as its type has it stays as sent.
  init(plain type: UInt16, _ content: RawSpan) {
    // Empty data occurs in updates and in answers of negligent servers.
    if content.byteCount == 0 {
      self = type == DNSType.txt ? .txt([]) : .raw([])
      return
    }
    self = Self.known(type, content) ?? .raw(content.copied())
  }

  private static func known(_ type: UInt16, _ content: RawSpan) -> DNSRecordData? {
    var fields = ByteReader(content)
    switch type {
    case DNSType.a: return content.byteCount == 4 ? .address(content.copied()) : nil
    case DNSType.aaaa: return content.byteCount == 16 ? .address(content.copied()) : nil
    case DNSType.txt: return strings(&fields).map { .txt($0) }
    case DNSType.sshfp:
      guard let algorithm = fields.u8(), let kind = fields.u8() else { return nil }
      return .sshfp(algorithm: algorithm, fingerprintType: kind, fingerprint: fields.rest().copied())
    case DNSType.caa:
      guard let flags = fields.u8(), let octets = fields.u8(), let tag = fields.take(Int(octets)) else { return nil }
      return .caa(flags: flags, tag: tag.copied(), value: fields.rest().copied())
    case DNSType.opt: return options(&fields).map { .opt($0) }
    default: return nil
    }
  }

  private static func strings(_ fields: inout ByteReader) -> [[UInt8]]? {
    var out: [[UInt8]] = []
    while !fields.isAtEnd {
      guard let length = fields.u8(), let text = fields.take(Int(length)) else { return nil }
      out.append(text.copied())
    }
    return out
  }

  private static func options(_ fields: inout ByteReader) -> [DNSOption]? {
    var out: [DNSOption] = []
    while !fields.isAtEnd {
      guard let code = fields.u16(), let length = fields.u16(), let data = fields.take(Int(length)) else { return nil }
      out.append(DNSOption(code: code, data: data.copied()))
    }
    return out
  }
}
