import Traffic

/// Writes an X.501 name in one line: "C=US, O=Example, CN=example.org".
///
/// The order is that of the certificate; attributes in one set are joined by " + ". String values
/// stand as their bytes (BMPString as UTF-8), others as hex; what has no short name shows its
/// identifier. Suricata gives up on a name with a string that is not UTF-8; here it stays as it is.
enum DistinguishedName {
  /// - Parameter isWhole: set to false when the name is malformed; the text then ends there.
  static func text(_ name: RawSpan, isWhole: inout Bool) -> [UInt8] {
    var out: [UInt8] = []
    var sets = DERReader(name)
    while !sets.isAtEnd {
      guard let set = sets.next(DERTag.set) else {
        isWhole = false
        return out
      }
      if !out.isEmpty { out += ", ".utf8 }
      var attributes = DERReader(set)
      var isFirst = true
      while !attributes.isAtEnd {
        guard let attribute = attributes.next(DERTag.sequence) else {
          isWhole = false
          return out
        }
        if !isFirst { out += " + ".utf8 }
        isFirst = false
        if !append(attribute, to: &out) {
          isWhole = false
          return out
        }
      }
    }
    return out
  }

  private static func append(_ attribute: RawSpan, to out: inout [UInt8]) -> Bool {
    var parts = DERReader(attribute)
    guard let type = parts.next(DERTag.objectIdentifier), let value = parts.next() else {
      return false
    }
    appendType(type, to: &out)
    out.append(UInt8(ascii: "="))
    switch value.tag {
    // UTF8, Numeric, Printable, T61, Videotex, IA5, Graphic, Visible, General String.
    case 0x0c, 0x12, 0x13, 0x14, 0x15, 0x16, 0x19, 0x1a, 0x1b: out.append(value.content)
    case DERTag.bmpString: appendBMP(value.content, to: &out)
    default: out += Hex.upper(value.content.copied())
    }
    return true
  }

  private static func appendType(_ type: RawSpan, to out: inout [UInt8]) {
    let octets = type.copied()
    if octets.count == 3, octets[0] == 0x55, octets[1] == 0x04, let name = attributes[octets[2]] {
      out += name.utf8
    } else if octets == emailAddress {
      out += "Email".utf8
    } else if octets == domainComponent {
      out += "DC".utf8
    } else if octets == [0x55, 0x1d, 0x11] {
      out += "subjectAltName".utf8
    } else if octets.dropLast() == jurisdiction, let last = octets.last, (1...3).contains(last) {
      out += ["msJurisdictionLocality", "msJurisdictionStateOrProvince", "msJurisdictionCountry"][Int(last) - 1].utf8
    } else {
      out += "OID(\(dotted(octets)))".utf8
    }
  }

  /// Below 2.5.4.
  private static let attributes: [UInt8: String] = [
    3: "CN", 4: "SN", 5: "serialNumber", 6: "C", 7: "L", 8: "ST", 9: "streetAddress", 10: "O", 11: "OU",
    12: "title", 13: "description", 15: "businessCategory", 17: "postalCode", 41: "name",
    42: "givenName", 43: "initials", 44: "generationQualifier", 46: "dnQualifier",
  ]
  /// 1.2.840.113549.1.9.1
  private static let emailAddress: [UInt8] = [
    0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01,
  ]
  /// 0.9.2342.19200300.100.1.25
  private static let domainComponent: [UInt8] = [
    0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19,
  ]

  /// 1.3.6.1.4.1.311.60.2.1, of extended validation.
  private static let jurisdiction: [UInt8] = [
    0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x3c, 0x02, 0x01,
  ]

  /// "1.3.6.1.…"; arcs wrap at 64 bits, which no registered one reaches.
  private static func dotted(_ octets: [UInt8]) -> String {
    guard let first = octets.first else { return "" }
    var text = first < 80 ? "\(first / 40).\(first % 40)" : "2.\(first - 80)"
    var arc: UInt64 = 0
    for octet in octets.dropFirst() {
      arc = arc << 7 | UInt64(octet & 0x7f)
      if octet & 0x80 == 0 {
        text += ".\(arc)"
        arc = 0
      }
    }
    return text
  }

  private static func appendBMP(_ content: RawSpan, to out: inout [UInt8]) {
    var units: [UInt16] = []
    var reader = ByteReader(content)
    while let unit = reader.u16() { units.append(unit) }
    out += String(decoding: units, as: UTF16.self).utf8
  }
}

/// Times of a certificate's validity.
/// - Source: RFC 5280 section 4.1.2.5; a time zone other than Z and missing seconds are accepted too.
enum CertificateTime {
  /// Seconds since 1970; nil when malformed.
  static func seconds(_ tag: UInt8, _ content: RawSpan) -> Int64? {
    var reader = ByteReader(content)
    let year: Int
    switch tag {
    case DERTag.utcTime:
      guard let short = digits(&reader, 2) else { return nil }
      year = short >= 50 ? 1900 + short : 2000 + short
    case DERTag.generalizedTime:
      guard let full = digits(&reader, 4) else { return nil }
      year = full
    default: return nil
    }
    guard let month = digits(&reader, 2), let day = digits(&reader, 2),
      let hour = digits(&reader, 2), let minute = digits(&reader, 2),
      (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60
    else { return nil }
    let second = digits(&reader, 2) ?? 0
    guard second <= 60 else { return nil }
    let time = hour * 3600 + minute * 60 + second
    return Int64(days(year, month, day) * 86400 + time)
  }

  private static func digits(_ reader: inout ByteReader, _ count: Int) -> Int? {
    var value = 0
    // Looked at first, so that a "Z" in place of seconds is not consumed.
    let rest = reader.rest()
    guard rest.byteCount >= count else { return nil }
    for index in 0..<count {
      let digit = rest.u8(at: index)
      guard digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "9") else { return nil }
      value = value * 10 + Int(digit - UInt8(ascii: "0"))
    }
    _ = reader.skip(count)
    return value
  }

  /// Days from 1970-01-01 in the Gregorian calendar, for years 0 to 9999.
  private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
    // March is made the first month, so that the leap day comes last.
    let shifted = month > 2 ? year : year - 1
    let era = (shifted >= 0 ? shifted : shifted - 399) / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * 146_097 + dayOfEra - 719_468
  }
}
