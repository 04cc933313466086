/// A DNS message, taken apart.
/// - Source: RFC 1035 section 4.
public struct DNSMessage: Sendable {
  public var id: UInt16
  public var flags: UInt16
  public var queries: [DNSQuery] = []
  public var answers: [DNSRecord] = []
  public var authorities: [DNSRecord] = []
  public var additionals: [DNSRecord] = []

  public var isResponse: Bool { flags & 0x8000 != 0 }
  public var opcode: UInt8 { UInt8(truncatingIfNeeded: flags >> 11 & 15) }
  public var isAuthoritative: Bool { flags & 0x0400 != 0 }
  public var isTruncated: Bool { flags & 0x0200 != 0 }
  public var isRecursionDesired: Bool { flags & 0x0100 != 0 }
  public var isRecursionAvailable: Bool { flags & 0x0080 != 0 }
  /// The reserved bit, which must be zero.
  public var z: Bool { flags & 0x0040 != 0 }
  public var rcode: UInt8 { UInt8(truncatingIfNeeded: flags & 15) }
}

/// A domain name: dotted text without the final dot, bytes of labels as sent.
public struct DNSName: Sendable, Hashable {
  public var text: [UInt8]
  /// Cut at the limit of length or of compression pointers.
  public var isTruncated = false

  public init(_ text: [UInt8], isTruncated: Bool = false) {
    self.text = text
    self.isTruncated = isTruncated
  }
}

public struct DNSQuery: Sendable, Hashable {
  public var name: DNSName
  public var type: UInt16
  public var recordClass: UInt16
}

public struct DNSRecord: Sendable, Hashable {
  public var name: DNSName
  public var type: UInt16
  public var recordClass: UInt16
  public var ttl: UInt32
  public var data: DNSRecordData
}

/// The data of a record, by type.
public enum DNSRecordData: Sendable, Hashable {
  /// 4 octets (A) or 16 (AAAA).
  case address([UInt8])
  /// CNAME, NS, PTR.
  case name(DNSName)
  case mx(preference: UInt16, exchange: DNSName)
  case txt([[UInt8]])
  case soa(DNSStartOfAuthority)
  case srv(priority: UInt16, weight: UInt16, port: UInt16, target: DNSName)
  case sshfp(algorithm: UInt8, fingerprintType: UInt8, fingerprint: [UInt8])
  /// EDNS options.
  case opt([DNSOption])
  /// Types not taken apart, and those whose data is malformed.
  case raw([UInt8])
}

public struct DNSStartOfAuthority: Sendable, Hashable {
  public var mname: DNSName
  public var rname: DNSName
  public var serial: UInt32
  public var refresh: UInt32
  public var retry: UInt32
  public var expire: UInt32
  public var minimum: UInt32
}

public struct DNSOption: Sendable, Hashable {
  public var code: UInt16
  public var data: [UInt8]
}
