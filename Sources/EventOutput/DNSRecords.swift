import AppLayer
import Traffic

/// The `dns` object in its versions 3 and 2, and the `mdns` object.
/// - Source: Suricata 8, EVE JSON format, "Event type: DNS".
public enum DNSRecords {
  /// Whether the settings want this message.
  public static func isLoggable(_ tx: DNSTransaction, settings: EVESettings.DNS) -> Bool {
    guard tx.isLoggable,
      tx.message.isResponse ? settings.logsResponses : settings.logsRequests
    else { return false }
    guard let types = settings.types else { return true }
    return tx.message.queries.contains { types.contains(DNSNames.type($0.type).lowercased()) }
  }

  /// Writes the members of version 3; the caller opens and closes the object.
  /// - Parameter isInside: as a part of another record, which leaves the groups out.
  public static func write(
    _ tx: DNSTransaction, settings: EVESettings.DNS, isInside: Bool = false, into json: inout JSONWriter
  ) {
    let message = tx.message
    json.member("version", 3)
    json.member("type", message.isResponse ? "response" : "request")
    json.member("tx_id", tx.id)
    json.member("id", message.id)
    writeFlags(message, into: &json)
    json.member("opcode", message.opcode)
    json.member("rcode", text: DNSNames.rcode(message.rcode))
    if !message.queries.isEmpty { writeQueries(message, into: &json) }
    if settings.isDetailed || !message.isResponse {
      writeSection("answers", message.answers, into: &json)
    }
    writeSection("authorities", message.authorities, into: &json)
    writeSection("additionals", message.additionals, into: &json)
    if settings.isGrouped, !isInside { writeGrouped(message.answers, into: &json) }
  }

  /// Writes the members of version 2: a request tells of one question, a response of all.
  public static func writeVersion2(
    _ tx: DNSTransaction, query: Int, settings: EVESettings.DNS, into json: inout JSONWriter
  ) {
    let message = tx.message
    json.member("version", 2)
    json.member("type", message.isResponse ? "answer" : "query")
    json.member("id", message.id)
    if message.isResponse { writeFlags(message, into: &json) }
    if query < message.queries.count {
      writeName(message.queries[query].name, into: &json)
      json.member("rrtype", text: DNSNames.type(message.queries[query].type))
    }
    if !message.isResponse { json.member("tx_id", tx.id) }
    json.member("opcode", message.opcode)
    guard message.isResponse else { return }
    json.member("rcode", text: DNSNames.rcode(message.rcode))
    if settings.isDetailed { writeSection("answers", message.answers, into: &json) }
    if settings.isGrouped { writeGrouped(message.answers, into: &json) }
    writeSection("authorities", message.authorities, into: &json)
  }

  private static func writeFlags(_ message: DNSMessage, into json: inout JSONWriter) {
    json.key("flags")
    json.string { JSONText.appendShortHex(UInt64(message.flags), to: &$0) }
    if message.isResponse { json.member("qr", true) }
    if message.isAuthoritative { json.member("aa", true) }
    if message.isTruncated { json.member("tc", true) }
    if message.isRecursionDesired { json.member("rd", true) }
    if message.isRecursionAvailable { json.member("ra", true) }
    if message.z { json.member("z", true) }
  }

  private static func writeQueries(_ message: DNSMessage, into json: inout JSONWriter) {
    json.beginArray("queries")
    for query in message.queries {
      json.beginObject()
      writeName(query.name, into: &json)
      json.member("rrtype", text: DNSNames.type(query.type))
      json.endObject()
    }
    json.endArray()
  }

  private static func writeName(_ name: DNSName, into json: inout JSONWriter) {
    json.member("rrname", name.text)
    if name.isTruncated { json.member("rrname_truncated", true) }
  }

  // MARK: Records

  private static func writeSection(
    _ key: StaticString, _ records: [DNSRecord], into json: inout JSONWriter
  ) {
    let records = records.filter { if case .opt(let options) = $0.data { !options.isEmpty } else { true } }
    guard !records.isEmpty else { return }
    json.beginArray(key)
    for record in records {
      // Each string of a TXT record is shown as a record of its own.
      if case .txt(let texts) = record.data, texts.count > 1 {
        for text in texts { write(record, .txt([text]), into: &json) }
      } else {
        write(record, record.data, into: &json)
      }
    }
    json.endArray()
  }

  private static func write(
    _ record: DNSRecord, _ data: DNSRecordData, into json: inout JSONWriter
  ) {
    json.beginObject()
    writeName(record.name, into: &json)
    json.member("rrtype", text: DNSNames.type(record.type))
    json.member("ttl", record.ttl)
    switch data {
    case .soa(let soa):
      json.key("soa")
      writeStartOfAuthority(soa, into: &json)
    case .srv, .sshfp:
      if record.type == DNSType.srv { json.key("srv") } else { json.key("sshfp") }
      writeValue(data, type: record.type, into: &json)
    case .opt(let options):
      json.beginArray("opt")
      for option in options {
        json.beginObject()
        json.member("code", option.code)
        json.key("data")
        json.string { out in for octet in option.data { JSONText.appendHex(octet, to: &out) } }
        json.endObject()
      }
      json.endArray()
    default:
      if hasValue(data, type: record.type) {
        json.key("rdata")
        writeValue(data, type: record.type, into: &json)
      }
    }
    json.endObject()
  }

  /// Whether the data can be shown as one value.
  private static func hasValue(_ data: DNSRecordData, type: UInt16) -> Bool {
    switch data {
    case .address, .name, .mx, .txt, .srv, .sshfp: true
    case .raw: type == DNSType.null
    case .soa, .caa, .service, .naptr, .opt: false
    }
  }

  /// The data as one value: a string for most, an object for SRV and SSHFP.
  private static func writeValue(
    _ data: DNSRecordData, type: UInt16, into json: inout JSONWriter
  ) {
    switch data {
    case .address(let octets): writeAddress(octets, into: &json)
    case .name(let name), .mx(_, let name): json.string(name.text)
    case .txt(let texts): json.string(texts.first ?? [])
    case .raw(let bytes): json.string(bytes)
    case .srv(let priority, let weight, let port, let target):
      json.beginObject()
      json.member("priority", priority)
      json.member("weight", weight)
      json.member("port", port)
      json.member("name", target.text)
      json.endObject()
    case .sshfp(let algorithm, let fingerprintType, let fingerprint):
      json.beginObject()
      json.key("fingerprint")
      json.string { out in
        for (index, octet) in fingerprint.enumerated() {
          if index > 0 { out.append(UInt8(ascii: ":")) }
          JSONText.appendHex(octet, to: &out)
        }
      }
      json.member("algo", algorithm)
      json.member("type", fingerprintType)
      json.endObject()
    case .soa(let soa): writeStartOfAuthority(soa, into: &json)
    case .caa, .service, .naptr, .opt: json.string("")
    }
  }

  private static func writeAddress(_ octets: [UInt8], into json: inout JSONWriter) {
    let bytes = octets.rawSpan
    json.string { out in
      if octets.count == 16 {
        // All groups in full, also where it maps an IPv4 address.
        for index in 0..<16 {
          if index > 0, index & 1 == 0 { out.append(UInt8(ascii: ":")) }
          JSONText.appendHex(bytes.u8(at: index), to: &out)
        }
      } else if octets.count == 4 {
        JSONText.appendAddress(IPAddress(ipv4: bytes.u32(at: 0)), to: &out)
      }
    }
  }

  private static func writeStartOfAuthority(
    _ soa: DNSStartOfAuthority, into json: inout JSONWriter
  ) {
    json.beginObject()
    json.member("mname", soa.mname.text)
    json.member("rname", soa.rname.text)
    json.member("serial", soa.serial)
    json.member("refresh", soa.refresh)
    json.member("retry", soa.retry)
    json.member("expire", soa.expire)
    json.member("minimum", soa.minimum)
    json.endObject()
  }

  private static func isGrouped(_ record: DNSRecord) -> Bool {
    if case .soa = record.data { return true }
    return hasValue(record.data, type: record.type)
  }

  /// Answers by type, in the order in which types first occur.
  private static func writeGrouped(_ records: [DNSRecord], into json: inout JSONWriter) {
    var types: [UInt16] = []
    for record in records where !types.contains(record.type) && isGrouped(record) {
      types.append(record.type)
    }
    guard !types.isEmpty else { return }
    json.beginObject("grouped")
    for type in types {
      json.key(text: Array(DNSNames.type(type).utf8))
      json.beginArray()
      for record in records where record.type == type && isGrouped(record) {
        if case .txt(let texts) = record.data {
          for text in texts { json.string(text) }
        } else {
          writeValue(record.data, type: type, into: &json)
        }
      }
      json.endArray()
    }
    json.endObject()
  }

  // MARK: Multicast

  /// Writes the members of `mdns`: types in lower case, data under the name of its type.
  public static func writeMulticast(_ tx: DNSTransaction, into json: inout JSONWriter) {
    let message = tx.message
    json.member("type", message.isResponse ? "response" : "request")
    json.member("id", message.id)
    let flags: [(Bool, StaticString)] = [
      (message.isAuthoritative, "aa"), (message.isTruncated, "tc"), (message.isRecursionDesired, "rd"),
      (message.isRecursionAvailable, "ra"), (message.z, "z"),
    ]
    if flags.contains(where: \.0) {
      json.beginArray("flags")
      for (isSet, name) in flags where isSet { json.string(name) }
      json.endArray()
    }
    json.member("opcode", message.opcode)
    json.member("rcode", message.rcode)
    if !message.queries.isEmpty {
      json.beginArray("queries")
      for query in message.queries {
        json.beginObject()
        writeName(query.name, into: &json)
        json.member("rrtype", text: DNSNames.type(query.type).lowercased())
        json.endObject()
      }
      json.endArray()
    }
    writeMulticastSection("answers", message.answers, into: &json)
    writeMulticastSection("authorities", message.authorities, into: &json)
    writeMulticastSection("additionals", message.additionals, into: &json)
  }

  private static func writeMulticastSection(
    _ key: StaticString, _ records: [DNSRecord], into json: inout JSONWriter
  ) {
    guard !records.isEmpty else { return }
    json.beginArray(key)
    for record in records {
      json.beginObject()
      writeName(record.name, into: &json)
      json.key(text: Array(DNSNames.type(record.type).lowercased().utf8))
      switch record.data {
      case .txt(let texts):
        json.beginArray()
        for text in texts { json.string(text) }
        json.endArray()
      case .raw: json.bool(true)
      default: writeValue(record.data, type: record.type, into: &json)
      }
      json.endObject()
    }
    json.endArray()
  }
}
