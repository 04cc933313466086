import Traffic

/// What is logged and matched of an X.509 certificate.
/// - Source: RFC 5280 section 4.1.
public struct Certificate: Sendable {
  /// "C=US, ST=…, O=…, CN=…" in the order of the certificate, as Suricata writes it.
  public internal(set) var subject: [UInt8] = []
  public internal(set) var issuer: [UInt8] = []
  /// "0A:3F:…", with the leading zero octet where the encoding has one.
  public internal(set) var serial: [UInt8] = []
  /// Seconds since 1970.
  public internal(set) var notBefore: Int64 = 0
  public internal(set) var notAfter: Int64 = 0
  /// At most `subjectAltNameCountMax`.
  public internal(set) var subjectAltNames: [[UInt8]] = []
  /// What was odd, by the names of events.
  public internal(set) var oddities: [String] = []

  /// A certificate for a content delivery network has some 100; what comes after is left out.
  public static let subjectAltNameCountMax = 256

  /// The octets end before an element that they begin does, as far as a certificate without a serial
  /// number can be read.
  static func isCut(_ der: RawSpan) -> Bool {
    var start = 0
    var end = der.byteCount
    for level in 0..<3 {
      let span = der.extracting(start..<end)
      // Nothing at all is another fault.
      guard span.byteCount >= 2 else { return span.byteCount == 1 }
      var length = Int(span.u8(at: 1))
      var header = 2
      if length & 0x80 != 0 {
        let octets = length & 0x7f
        guard octets >= 1, octets <= 4 else { return false }
        guard span.byteCount >= 2 + octets else { return true }
        length = (0..<octets).reduce(0) { $0 << 8 | Int(span.u8(at: 2 + $1)) }
        header += octets
      }
      // Within another element it is that one which is wrong.
      guard header + length <= span.byteCount else { return level == 0 }
      guard span.u8(at: 0) == DERTag.sequence else { return false }
      end = start + header + length
      start += header
    }
    return false
  }

  /// Reads a certificate as far as it goes.
  /// - Returns: nil when not even its serial number can be read.
  public init?(parsing der: RawSpan) {
    var outer = DERReader(der)
    guard let certificate = outer.next(DERTag.sequence) else { return nil }
    var inner = DERReader(certificate)
    guard let toBeSigned = inner.next(DERTag.sequence) else { return nil }
    var fields = DERReader(toBeSigned)
    if fields.nextTag == 0xa0 { _ = fields.next() }
    guard let serial = fields.next(DERTag.integer) else { return nil }
    self.serial = Hex.upper(serial.copied(), separator: UInt8(ascii: ":"))
    guard fields.next(DERTag.sequence) != nil else {
      oddities.append("certificate_invalid_algorithmidentifier")
      return
    }
    guard let issuer = fields.next(DERTag.sequence) else {
      oddities.append("certificate_invalid_issuer")
      return
    }
    self.issuer = takeName(issuer)
    guard let validity = fields.next(DERTag.sequence) else {
      oddities.append("certificate_invalid_validity")
      return
    }
    takeValidity(validity)
    guard let subject = fields.next(DERTag.sequence) else {
      oddities.append("certificate_invalid_subject")
      return
    }
    self.subject = takeName(subject)
    takeRest(&fields)
  }

  private mutating func takeName(_ name: RawSpan) -> [UInt8] {
    var isWhole = true
    let text = DistinguishedName.text(name, isWhole: &isWhole)
    if !isWhole { oddities.append("certificate_invalid_x509name") }
    return text
  }

  private mutating func takeValidity(_ validity: RawSpan) {
    var times = DERReader(validity)
    guard let first = times.next(), let from = CertificateTime.seconds(first.tag, first.content),
      let second = times.next(), let to = CertificateTime.seconds(second.tag, second.content)
    else {
      oddities.append("certificate_invalid_date")
      return
    }
    notBefore = from
    notAfter = to
  }

  /// Key, unique identifiers, extensions.
  private mutating func takeRest(_ fields: inout DERReader) {
    guard fields.next(DERTag.sequence) != nil else {
      oddities.append("certificate_invalid_der")
      return
    }
    while !fields.isAtEnd {
      guard let element = fields.next() else {
        oddities.append("certificate_invalid_der")
        return
      }
      if element.tag == 0xa3 { takeExtensions(element.content) }
    }
  }

  private mutating func takeExtensions(_ content: RawSpan) {
    var outer = DERReader(content)
    guard let list = outer.next(DERTag.sequence) else {
      oddities.append("certificate_invalid_extensions")
      return
    }
    var extensions = DERReader(list)
    while !extensions.isAtEnd {
      guard let one = extensions.next(DERTag.sequence) else {
        oddities.append("certificate_invalid_extensions")
        return
      }
      var parts = DERReader(one)
      // 2.5.29.17, subjectAltName.
      guard let oid = parts.next(DERTag.objectIdentifier), oid.byteCount == 3,
        oid.u16(at: 0) == 0x551d, oid.u8(at: 2) == 0x11
      else { continue }
      while let part = parts.next() {
        if part.tag == DERTag.octetString { takeSubjectAltNames(part.content) }
      }
    }
  }

  private mutating func takeSubjectAltNames(_ content: RawSpan) {
    var outer = DERReader(content)
    guard let list = outer.next(DERTag.sequence) else {
      oddities.append("certificate_invalid_extensions")
      return
    }
    var names = DERReader(list)
    while !names.isAtEnd {
      guard let name = names.next() else {
        oddities.append("certificate_invalid_extensions")
        return
      }
      guard subjectAltNames.count < Self.subjectAltNameCountMax else {
        oddities.append("too_many_subject_alternative_names")
        return
      }
      switch name.tag {
      case 0x81, 0x82, 0x86:  // rfc822Name, dNSName, URI
        subjectAltNames.append(name.content.copied())
      case 0x87:
        if let address = Self.address(name.content) { subjectAltNames.append(address) }
      default: continue
      }
    }
  }

  private static func address(_ octets: RawSpan) -> [UInt8]? {
    switch octets.byteCount {
    case 4: Array(IPAddress(ipv4: octets.u32(at: 0)).description.utf8)
    case 16: Array(IPAddress(high: octets.u64(at: 0), low: octets.u64(at: 8)).description.utf8)
    default: nil
    }
  }
}

/// The certificates of one side, leaf first.
public struct CertificateChain: Sendable {
  /// DER, each; at most `certificateCountMax` are kept.
  public let certificates: [[UInt8]]
  /// How many there were.
  public let count: Int
  /// The first one, as far as it could be read.
  public let leaf: Certificate?
  /// SHA-1 of the first one, "aa:bb:…".
  public let fingerprint: [UInt8]

  /// Real chains have 2 to 5; what comes after is counted and left out.
  public static let certificateCountMax = 32

  init(_ certificates: [[UInt8]], count: Int) {
    self.certificates = certificates
    self.count = count
    leaf = certificates.first.flatMap { Certificate(parsing: $0.rawSpan) }
    fingerprint =
      certificates.first.map {
        Hex.lower(Digest.sha1.hash($0), separator: UInt8(ascii: ":"))
      } ?? []
  }

  /// Reads a Certificate message of TLS 1.2 or earlier, without its header (RFC 5246 section 7.4.2).
  /// - Returns: the chain, and whether its lengths agree; no chain when there is no certificate.
  static func parse(_ body: RawSpan) -> (chain: CertificateChain?, isConsistent: Bool) {
    var reader = ByteReader(body)
    guard let octets = reader.u24() else { return (nil, false) }
    var isConsistent = Int(octets) == reader.remaining
    guard let list = reader.take(min(Int(octets), reader.remaining)) else { return (nil, false) }
    var inner = ByteReader(list)
    var kept: [[UInt8]] = []
    var count = 0
    while !inner.isAtEnd {
      guard let length = inner.u24(), length > 0, let der = inner.take(Int(length)) else {
        isConsistent = false
        break
      }
      count += 1
      if kept.count < certificateCountMax { kept.append(der.copied()) }
    }
    return (kept.isEmpty ? nil : CertificateChain(kept, count: count), isConsistent)
  }
}
