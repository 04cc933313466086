import Traffic

/// Takes one DNS message apart.
///
/// What is malformed ends the reading of its section, and what came before is kept; `oddities`
/// tells. Data after the last record is ignored.
/// - Source: RFC 1035 sections 4.1 and 4.1.4 (compression).
struct DNSDecoder: ~Escapable {
  private let message: RawSpan
  private var reader: ByteReader
  private var oddities: [String] = []
  /// Octets that names may still take up together.
  private var nameOctetsLeft = nameOctetsMax

  static let headerOctets = 12
  /// Of one name, as Suricata has it; the standard allows 255.
  static let nameLengthMax = 1025
  static let labelCountMax = 255
  /// Compression pointers followed in one name: a real one needs one or two.
  static let pointerCountMax = 128
  /// Of all names of a message: compression could make gigabytes of 64 kilobytes.
  static let nameOctetsMax = 262_144

  @_lifetime(copy message)
  init(_ message: RawSpan) {
    self.message = message
    reader = ByteReader(message)
  }

  @_lifetime(self: copy self)
  mutating func decode() -> DNSMessage {
    guard let id = reader.u16(), let flags = reader.u16(), let queryCount = reader.u16(),
      let answerCount = reader.u16(), let authorityCount = reader.u16(),
      let additionalCount = reader.u16()
    else {
      var broken = DNSMessage(id: 0, flags: 0)
      broken.isMalformed = true
      broken.oddities = ["malformed_data"]
      return broken
    }
    var out = DNSMessage(id: id, flags: flags)
    if out.z { note("z_flag_set") }
    if out.opcode >= 7 { note("invalid_opcode") }
    var isSound = queries(queryCount, &out.queries)
    if isSound { isSound = records(answerCount, &out.answers) }
    if !isSound {
      out.isMalformed = true
      note("malformed_data")
    } else if !records(authorityCount, &out.authorities) {
      note("invalid_authorities")
    } else if !records(additionalCount, &out.additionals) {
      note("invalid_additionals")
    }
    out.oddities = oddities
    return out
  }

  private mutating func note(_ name: String) {
    if !oddities.contains(name) { oddities.append(name) }
  }

  @_lifetime(self: copy self)
  private mutating func queries(_ count: UInt16, _ out: inout [DNSQuery]) -> Bool {
    for _ in 0..<count {
      guard let name = name(), let type = reader.u16(), let recordClass = reader.u16() else {
        return false
      }
      out.append(DNSQuery(name: name, type: type, recordClass: recordClass))
    }
    return true
  }

  @_lifetime(self: copy self)
  private mutating func records(_ count: UInt16, _ out: inout [DNSRecord]) -> Bool {
    for _ in 0..<count {
      guard let name = name(), let type = reader.u16(), let recordClass = reader.u16(),
        let ttl = reader.u32(), let length = reader.u16(), Int(length) <= reader.remaining
      else { return false }
      let start = reader.position
      let data = recordData(type, start: start, end: start + Int(length))
      // Names in the data may be read past its end or stop short of it; the length decides.
      reader = ByteReader(message)
      guard reader.skip(start + Int(length)) else { return false }
      guard let data else { return false }
      out.append(
        DNSRecord(name: name, type: type, recordClass: recordClass, ttl: ttl, data: data))
    }
    return true
  }

  // MARK: Names

  /// The name at the reader's position, which goes behind it; nil when malformed.
  @_lifetime(self: copy self)
  private mutating func name() -> DNSName? {
    var text: [UInt8] = []
    var labels = 0
    var pointers = 0
    var cut: String?
    var position = reader.position
    var behind: Int?
    while true {
      guard position < message.byteCount else { return nil }
      let octet = message.u8(at: position)
      if octet == 0 {
        position += 1
        break
      }
      if octet & 0xc0 == 0xc0 {
        guard position + 2 <= message.byteCount else { return nil }
        if behind == nil { behind = position + 2 }
        pointers += 1
        if pointers > Self.pointerCountMax {
          cut = "infinite_loop"
          break
        }
        position = Int(message.u16(at: position) & 0x3fff)
        continue
      }
      let length = Int(octet)
      guard octet & 0xc0 == 0, position + 1 + length <= message.byteCount else { return nil }
      if cut == nil {
        cut = appendLabel(position + 1, length, &text, &labels)
      }
      position += 1 + length
      // What is cut is still walked to its end, unless that is elsewhere.
      if cut != nil, behind != nil { break }
    }
    if let cut { note(cut) }
    nameOctetsLeft -= text.count
    guard reader.skip((behind ?? position) - reader.position) else { return nil }
    return DNSName(text, isTruncated: cut != nil)
  }

  /// - Returns: the event when a limit is reached.
  private func appendLabel(
    _ start: Int, _ length: Int, _ text: inout [UInt8], _ labels: inout Int
  ) -> String? {
    labels += 1
    if labels > Self.labelCountMax { return "too_many_labels" }
    if !text.isEmpty { text.append(UInt8(ascii: ".")) }
    let room = min(Self.nameLengthMax, max(0, nameOctetsLeft)) - text.count
    let kept = max(0, min(length, room))
    text.append(message.extracting(start..<start + kept))
    return kept < length ? "name_too_long" : nil
  }

  // MARK: Data

  /// The data of a record between two offsets; nil when a name in it is malformed.
  @_lifetime(self: copy self)
  private mutating func recordData(_ type: UInt16, start: Int, end: Int) -> DNSRecordData? {
    let content = message.extracting(start..<end)
    // Empty data occurs in updates and in answers of negligent servers.
    if content.byteCount == 0 { return type == DNSType.txt ? .txt([]) : .raw([]) }
    let raw = DNSRecordData.raw(content.copied())
    var fields = ByteReader(content)
    switch type {
    case DNSType.a: return content.byteCount == 4 ? .address(content.copied()) : raw
    case DNSType.aaaa: return content.byteCount == 16 ? .address(content.copied()) : raw
    case DNSType.cname, DNSType.ns, DNSType.ptr, DNSType.dname: return name().map { .name($0) }
    case DNSType.mx:
      guard let preference = reader.u16(), let exchange = name() else { return nil }
      return .mx(preference: preference, exchange: exchange)
    case DNSType.txt: return Self.strings(&fields).map { .txt($0) } ?? raw
    case DNSType.soa: return startOfAuthority()
    case DNSType.srv:
      guard let priority = reader.u16(), let weight = reader.u16(), let port = reader.u16(),
        let target = name()
      else { return nil }
      return .srv(priority: priority, weight: weight, port: port, target: target)
    case DNSType.sshfp:
      guard let algorithm = fields.u8(), let kind = fields.u8() else { return raw }
      return .sshfp(
        algorithm: algorithm, fingerprintType: kind, fingerprint: fields.rest().copied())
    case DNSType.caa:
      guard let flags = fields.u8(), let octets = fields.u8(), let tag = fields.take(Int(octets))
      else { return raw }
      return .caa(flags: flags, tag: tag.copied(), value: fields.rest().copied())
    case DNSType.https, DNSType.svcb: return service(end: end) ?? raw
    case DNSType.naptr: return namingAuthority() ?? raw
    case DNSType.opt: return Self.options(&fields).map { .opt($0) } ?? raw
    default: return raw
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
      guard let code = fields.u16(), let length = fields.u16(),
        let data = fields.take(Int(length))
      else { return nil }
      out.append(DNSOption(code: code, data: data.copied()))
    }
    return out
  }

  @_lifetime(self: copy self)
  private mutating func startOfAuthority() -> DNSRecordData? {
    guard let mname = name(), let rname = name(), let serial = reader.u32(),
      let refresh = reader.u32(), let retry = reader.u32(), let expire = reader.u32(),
      let minimum = reader.u32()
    else { return nil }
    return .soa(
      DNSStartOfAuthority(
        mname: mname, rname: rname, serial: serial, refresh: refresh, retry: retry,
        expire: expire, minimum: minimum))
  }

  @_lifetime(self: copy self)
  private mutating func service(end: Int) -> DNSRecordData? {
    guard let priority = reader.u16(), let target = name(), reader.position <= end,
      let parameters = reader.take(end - reader.position)
    else { return nil }
    return .service(priority: priority, target: target, parameters: parameters.copied())
  }

  @_lifetime(self: copy self)
  private mutating func namingAuthority() -> DNSRecordData? {
    guard let order = reader.u16(), let preference = reader.u16() else { return nil }
    var texts: [[UInt8]] = []
    // Flags, services, regular expression (RFC 3403 section 4.1).
    for _ in 0..<3 {
      guard let length = reader.u8(), let text = reader.take(Int(length)) else { return nil }
      texts.append(text.copied())
    }
    guard let replacement = name() else { return nil }
    return .naptr(order: order, preference: preference, texts: texts, replacement: replacement)
  }
}
