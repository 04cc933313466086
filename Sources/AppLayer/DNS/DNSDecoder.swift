import Traffic

/// Takes one DNS message apart.
///
/// What is malformed ends the reading of its section, and what came before is kept; `oddities`
/// tells. Data after the last record is ignored.
/// - Source: RFC 1035 sections 4.1 and 4.1.4 (compression).
struct DNSDecoder: ~Escapable {
  private let message: RawSpan
  private var reader: ByteReader
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
  /// Flags, services, regular expression (RFC 3403 section 4.1).
  static let namingTextCount = 3

  @_lifetime(copy message)
  init(_ message: RawSpan) {
    self.message = message
    reader = ByteReader(message)
  }

  /// - Parameter out: empty, but for the message's octets.
  @_lifetime(self: copy self)
  mutating func decode(into out: inout DNSParts) {
    guard let id = reader.u16(), let flags = reader.u16(), let queryCount = reader.u16(),
      let answerCount = reader.u16(), let authorityCount = reader.u16(),
      let additionalCount = reader.u16()
    else {
      out.isMalformed = true
      out.note("malformed_data")
      return
    }
    (out.id, out.flags) = (id, flags)
    if flags & 0x0040 != 0 { out.note("z_flag_set") }
    if out.opcode >= 7 { out.note("invalid_opcode") }
    var isSound = queries(queryCount, &out)
    if isSound { isSound = records(answerCount, &out) }
    out.answerCount = out.records.count
    if !isSound {
      out.isMalformed = true
      out.note("malformed_data")
      return
    }
    isSound = records(authorityCount, &out)
    out.authorityCount = out.records.count - out.answerCount
    if !isSound {
      out.note("invalid_authorities")
    } else if !records(additionalCount, &out) {
      out.note("invalid_additionals")
    }
  }

  @_lifetime(self: copy self)
  private mutating func queries(_ count: UInt16, _ out: inout DNSParts) -> Bool {
    for _ in 0..<count {
      guard let name = name(&out), let type = reader.u16(), let recordClass = reader.u16() else {
        return false
      }
      out.queries.append(DNSParts.Query(name: name, type: type, recordClass: recordClass))
    }
    return true
  }

  @_lifetime(self: copy self)
  private mutating func records(_ count: UInt16, _ out: inout DNSParts) -> Bool {
    for _ in 0..<count {
      guard let name = name(&out), let type = reader.u16(), let recordClass = reader.u16(),
        let ttl = reader.u32(), let length = reader.u16(), Int(length) <= reader.remaining
      else { return false }
      let start = reader.position
      var record = DNSParts.Record(
        name: name, type: type, recordClass: recordClass, ttl: ttl, dataStart: start, dataEnd: start + Int(length))
      let isSound = data(&record, &out)
      // Names in the data may be read past its end or stop short of it; the length decides.
      reader = ByteReader(message)
      guard reader.skip(record.dataEnd), isSound else { return false }
      out.records.append(record)
    }
    return true
  }

  // MARK: Names

  /// Octets of a name as sent that the standard allows (RFC 1035 section 3.1): with no more, no limit is reached.
  private static let plainOctetsMax = 255
  private static let plainPointersMax = 8

  /// The name at the reader's position, which goes behind it; nil when malformed.
  @_lifetime(self: copy self)
  private mutating func name(_ out: inout DNSParts) -> DNSParts.Name? {
    let start = out.text.count
    if let name = plainName(&out) { return name }
    if out.text.count > start { out.text.removeLast(out.text.count - start) }
    return anyName(&out)
  }

  /// A name that is sound and within all limits, with one copy for each run of labels.
  ///
  /// - Returns: nil for any other, part of which may be in `out` then.
  @_lifetime(self: copy self)
  private mutating func plainName(_ out: inout DNSParts) -> DNSParts.Name? {
    let start = out.text.count
    let countMax = min(Self.plainOctetsMax, nameOctetsLeft)
    var (count, pointers, behind) = (0, 0, 0)
    var position = reader.position
    while true {
      let run = position
      var octet: UInt8 = 0
      while position < message.byteCount {
        octet = message.u8(at: position)
        if octet == 0 || octet >= 0x40 { break }
        position += 1 + Int(octet)
      }
      guard position < message.byteCount else { return nil }
      count += position - run
      guard count <= countMax else { return nil }
      if position > run { appendRun(run..<position, start, &out.text) }
      if octet == 0 { break }
      pointers += 1
      guard octet >= 0xc0, position + 2 <= message.byteCount, pointers <= Self.plainPointersMax else { return nil }
      if behind == 0 { behind = position + 2 }
      position = Int(message.u16(at: position) & 0x3fff)
    }
    let octets = out.text.count - start
    nameOctetsLeft -= octets
    guard reader.skip((behind > 0 ? behind : position + 1) - reader.position) else { return nil }
    return DNSParts.Name(start: Int32(truncatingIfNeeded: start), count: Int32(truncatingIfNeeded: octets))
  }

  /// Appends labels that lie one behind the other, with dots in place of the lengths between them.
  private func appendRun(_ run: Range<Int>, _ start: Int, _ text: inout [UInt8]) {
    if text.count > start { text.append(UInt8(ascii: ".")) }
    // Where an octet of the message comes to lie.
    let shift = text.count - (run.lowerBound + 1)
    text.append(message.extracting(run.lowerBound + 1..<run.upperBound))
    var length = run.lowerBound + 1 + Int(message.u8(at: run.lowerBound))
    while length < run.upperBound {
      text[length + shift] = UInt8(ascii: ".")
      length += 1 + Int(message.u8(at: length))
    }
  }

  @_lifetime(self: copy self)
  private mutating func anyName(_ out: inout DNSParts) -> DNSParts.Name? {
    let start = out.text.count
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
        cut = appendLabel(position + 1, length, &out.text, start, &labels)
      }
      position += 1 + length
      // What is cut is still walked to its end, unless that is elsewhere.
      if cut != nil, behind != nil { break }
    }
    if let cut { out.note(cut) }
    let count = out.text.count - start
    nameOctetsLeft -= count
    guard reader.skip((behind ?? position) - reader.position) else { return nil }
    // Names of a message have fewer octets together than 32 bits count.
    return DNSParts.Name(
      start: Int32(truncatingIfNeeded: start), count: Int32(truncatingIfNeeded: count), isTruncated: cut != nil)
  }

  /// - Parameter start: where the name begins in `text`.
  /// - Returns: the event when a limit is reached.
  private func appendLabel(
    _ place: Int, _ length: Int, _ text: inout [UInt8], _ start: Int, _ labels: inout Int
  ) -> String? {
    labels += 1
    if labels > Self.labelCountMax { return "too_many_labels" }
    if text.count > start { text.append(UInt8(ascii: ".")) }
    let room = min(Self.nameLengthMax, max(0, nameOctetsLeft)) - (text.count - start)
    let kept = max(0, min(length, room))
    text.append(message.extracting(place..<place + kept))
    return kept < length ? "name_too_long" : nil
  }

  // MARK: Data

  /// Reads the names in the data of a record, at whose start the reader is.
  /// - Returns: false when one is malformed where that spoils the message.
  @_lifetime(self: copy self)
  private mutating func data(_ record: inout DNSParts.Record, _ out: inout DNSParts) -> Bool {
    guard record.dataEnd > record.dataStart else { return true }
    switch record.type {
    case DNSType.cname, DNSType.ns, DNSType.ptr, DNSType.dname: return name(of: &record, behind: 0, &out)
    case DNSType.mx: return name(of: &record, behind: 2, &out)
    case DNSType.srv: return name(of: &record, behind: 6, &out)
    case DNSType.soa:
      guard name(of: &record, behind: 0, &out), let second = name(&out) else { return false }
      record.second = second
      record.behindNames = reader.position
      // Serial, refresh, retry, expire, minimum.
      return reader.skip(20)
    case DNSType.https, DNSType.svcb:
      if !name(of: &record, behind: 2, &out) || reader.position > record.dataEnd { record.hasNames = false }
      return true
    case DNSType.naptr:
      if !namingAuthority(&record, &out) { record.hasNames = false }
      return true
    default: return true
    }
  }

  @_lifetime(self: copy self)
  private mutating func name(of record: inout DNSParts.Record, behind count: Int, _ out: inout DNSParts) -> Bool {
    guard reader.skip(count), let first = name(&out) else { return false }
    record.first = first
    record.hasNames = true
    record.behindNames = reader.position
    return true
  }

  @_lifetime(self: copy self)
  private mutating func namingAuthority(_ record: inout DNSParts.Record, _ out: inout DNSParts) -> Bool {
    guard reader.skip(4) else { return false }
    for _ in 0..<Self.namingTextCount {
      guard let length = reader.u8(), reader.skip(Int(length)) else { return false }
    }
    return name(of: &record, behind: 0, &out)
  }
}
