import AppLayer
import RuleLanguage
import Traffic

/// Keywords about transactions that are no sticky buffers.
///
/// - Source: Suricata "HTTP Keywords" (urilen), "DNS Keywords", "SSL/TLS Keywords".
enum TransactionKeywords {
  static let table: [String: KeywordHandler] = [
    "urilen": urilen, "uricontent": uricontent,
    "dns.opcode": number(.dnsOpcode, [.dns], 65_535), "dns.rcode": number(.dnsRcode, [.dns], 65_535),
    "dns.rrtype": rrtype,
    "tls.version": tlsVersion, "ssl_version": sslVersion, "ssl_state": sslState,
    "tls.cert_chain_len": number(.tlsCertificateChainLength, [.tls], UInt64(UInt32.max)),
    "tls.subject": text(.tlsCertificateSubject), "tls.issuerdn": text(.tlsCertificateIssuer),
    "tls.fingerprint": fingerprint,
    "tls_cert_notbefore": date(.tlsNotBefore), "tls_cert_notafter": date(.tlsNotAfter),
    "tls_cert_expired": validity(false), "tls_cert_valid": validity(true),
  ]

  /// Protocols whose transactions there are.
  static let parsed: Set<AppProtocol> = Set(BufferTable.all.flatMap { $0.sources.map(\.appProtocol) } + [.dhcp])

  private static func number(
    _ id: NumberID, _ protocols: [AppProtocol], _ max: UInt64
  ) -> KeywordHandler {
    { (reader, option) throws(RuleValueError) in
      reader.limit(to: protocols)
      reader.draft.transactionConditions.append(.number(id, try option.condition(max: max)))
    }
  }

  private static let recordTypes: [String: UInt64] = [
    "A": 1, "NS": 2, "MD": 3, "MF": 4, "CNAME": 5, "SOA": 6, "MB": 7, "MG": 8, "MR": 9, "NULL": 10, "WKS": 11,
    "PTR": 12, "HINFO": 13, "MINFO": 14, "MX": 15, "TXT": 16, "RP": 17, "AFSDB": 18, "X25": 19, "ISDN": 20, "RT": 21,
    "NSAP": 22, "NSAPPTR": 23, "SIG": 24, "KEY": 25, "PX": 26, "GPOS": 27, "AAAA": 28, "LOC": 29, "NXT": 30,
    "SRV": 33, "ATMA": 34, "NAPTR": 35, "KX": 36, "CERT": 37, "A6": 38, "DNAME": 39, "OPT": 41, "APL": 42, "DS": 43,
    "SSHFP": 44, "IPSECKEY": 45, "RRSIG": 46, "NSEC": 47, "DNSKEY": 48, "DHCID": 49, "NSEC3": 50, "NSEC3PARAM": 51,
    "TLSA": 52, "HIP": 55, "CDS": 59, "CDNSKEY": 60, "SVCB": 64, "HTTPS": 65, "SPF": 99, "TKEY": 249, "TSIG": 250,
    "IXFR": 251, "AXFR": 252, "MAILB": 253, "MAILA": 254, "ANY": 255, "URI": 256, "CAA": 257,
  ]

  private static let rrtype: KeywordHandler = { (reader, option) throws(RuleValueError) in
    reader.limit(to: [.dns])
    var name = try option.word()
    let isNegated = name.hasPrefix("!")
    if isNegated { name = String(name.dropFirst()) }
    if let number = recordTypes[name.uppercased()] {
      reader.draft.transactionConditions.append(
        .number(.dnsQueryType, isNegated ? .notEqual(number) : .equal(number)))
      return
    }
    reader.draft.transactionConditions.append(
      .number(.dnsQueryType, try option.condition(max: 65_535)))
  }

  // MARK: URI

  private static let urilen: KeywordHandler = { (reader, option) throws(RuleValueError) in
    var text = try option.word()
    var buffer = BufferID.httpURI
    if let comma = text.firstIndex(of: ",") {
      switch String(text[text.index(after: comma)...]).trimmed {
      case "norm": buffer = .httpURI
      case "raw": buffer = .httpURIRaw
      default: throw RuleValueError("must end in norm or raw")
      }
      text = String(text[..<comma])
    }
    let condition = try NumericCondition.parse(Array(text.utf8), max: 65_535)
    try reader.edit(buffer) { builder throws(RuleValueError) in builder.append(size: condition) }
  }

  private static let uricontent: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let pattern = try ContentPattern.parse(try option.required())
    let index = try reader.edit(.httpURI) { builder throws(RuleValueError) in
      builder.append(content: ContentStep(bytes: pattern.bytes, isNegated: pattern.isNegated))
    }
    reader.lastContentBlock = index
  }

  // MARK: TLS

  private static let versions: [String: UInt64] = [
    "sslv2": 0x0200, "sslv3": 0x0300, "1.0": 0x0301, "1.1": 0x0302, "1.2": 0x0303, "1.3": 0x0304,
    "tls1.0": 0x0301, "tls1.1": 0x0302, "tls1.2": 0x0303, "tls1.3": 0x0304,
  ]

  private static let tlsVersion: KeywordHandler = { (reader, option) throws(RuleValueError) in
    reader.limit(to: [.tls])
    let word = try option.word().lowercased()
    let number: UInt64?
    if word.hasPrefix("0x") {
      number = UInt64(word.dropFirst(2), radix: 16)
    } else {
      number = versions[word]
    }
    guard let number else { throw RuleValueError("\(word) is no TLS version") }
    reader.draft.transactionConditions.append(.number(.tlsVersion, .equal(number)))
  }

  private static let sslVersion: KeywordHandler = { (reader, option) throws(RuleValueError) in
    reader.limit(to: [.tls])
    var numbers: [UInt64] = []
    var negatedCount = 0
    let items = try RuleValueList.parse(Array(try option.word().utf8))
    for item in items {
      let isNegated = item.text.hasPrefix("!")
      let name = isNegated ? String(item.word.dropFirst()).trimmed : item.word
      guard let number = versions[name] else { throw item.error("\(name) is no version") }
      negatedCount += isNegated ? 1 : 0
      numbers.append(number)
    }
    guard negatedCount == 0 || negatedCount == items.count else {
      throw RuleValueError("either all versions are negated or none")
    }
    reader.draft.transactionConditions.append(
      .numberIn(.tlsVersion, numbers, isNegated: negatedCount > 0))
  }

  /// One of these messages has come, or with `!` has not.
  ///
  /// - Source: Suricata "SSL/TLS Keywords", ssl_state: any of the states that are named will do.
  private static let sslState: KeywordHandler = { (reader, option) throws(RuleValueError) in
    reader.limit(to: [.tls])
    var states: [(side: Direction, progress: Int, isNegated: Bool)] = []
    for part in try option.word().split(omittingEmptySubsequences: false, whereSeparator: { $0 == "|" || $0 == "," }) {
      var name = String(part).trimmed
      let isNegated = name.hasPrefix("!")
      if isNegated { name = String(name.dropFirst()).trimmed }
      switch name {
      case "client_hello": states.append((.toServer, TLSProgress.clientHelloDone, isNegated))
      case "client_keyx": states.append((.toServer, TLSProgress.clientHandshakeDone, isNegated))
      case "server_hello": states.append((.toClient, TLSProgress.serverHello, isNegated))
      case "server_keyx": states.append((.toClient, TLSProgress.serverHelloDone, isNegated))
      default:
        throw RuleValueError(
          name == "unknown" ? "the state unknown is not supported" : "\(name) is no state of TLS",
          hint: "client_hello, server_hello, client_keyx or server_keyx")
      }
    }
    reader.draft.transactionConditions.append(.anyProgress(states))
  }

  /// `tls.subject:"CN=…"`, perhaps negated: a part of the name.
  private static func text(_ buffer: BufferID) -> KeywordHandler {
    { (reader, option) throws(RuleValueError) in
      let pattern = try ContentPattern.parse(try quoted(option))
      try reader.edit(buffer) { builder throws(RuleValueError) in
        builder.append(content: ContentStep(bytes: pattern.bytes, isNegated: pattern.isNegated))
      }
    }
  }

  private static let fingerprint: KeywordHandler = { (reader, option) throws(RuleValueError) in
    let pattern = try ContentPattern.parse(try quoted(option))
    var content = ContentStep(bytes: pattern.bytes, isNegated: pattern.isNegated)
    content.isCaseInsensitive = true
    content.startsWith = true
    content.endsWith = true
    try reader.edit(.tlsCertificateFingerprint) { builder throws(RuleValueError) in
      builder.append(content: content)
    }
  }

  /// Old rules leave the quotes out.
  private static func quoted(_ option: RuleOption) throws(RuleValueError) -> [UInt8] {
    let value = try option.required()
    if value.contains(UInt8(ascii: "\"")) { return value }
    if value.first == UInt8(ascii: "!") { return Array("!\"".utf8) + value.dropFirst() + Array("\"".utf8) }
    return Array("\"".utf8) + value + Array("\"".utf8)
  }
}

extension RuleReader {
  /// The rule is only about transactions of these protocols.
  mutating func limit(to protocols: [AppProtocol]) {
    // DNS over HTTP/2 is both.
    let all = protocols.contains(.dns) || protocols.contains(.http2) ? protocols + [.doh2] : protocols
    conditionProtocols = conditionProtocols.map { $0.filter(all.contains) } ?? all
  }

  /// The rule is only about what goes this way.
  mutating func limitDirection(_ direction: Direction) {
    let other: FlowCondition = direction == .toServer ? .toClient : .toServer
    guard !draft.head.flow.contains(other) else { return }
    draft.head.flow.insert(direction == .toServer ? .toServer : .toClient)
  }

  /// Adds steps to a buffer that the keyword names by itself, without selecting it.
  @discardableResult
  mutating func edit(
    _ buffer: BufferID, _ body: (inout PayloadProgramBuilder) throws(RuleValueError) -> Void
  ) throws(RuleValueError) -> Int {
    guard let known = KeywordTable.known(buffer) else {
      throw RuleValueError("the buffer it is about is not supported")
    }
    let index = block(for: known)
    try body(&blocks[index].builder)
    return index
  }
}
