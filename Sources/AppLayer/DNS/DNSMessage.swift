/// A DNS message, taken apart.
/// - Source: RFC 1035 section 4.
public struct DNSMessage: Sendable {
  public var id: UInt16
  public var flags: UInt16
  public var queries: [DNSQuery] = []
  public var answers: [DNSRecord] = []
  public var authorities: [DNSRecord] = []
  public var additionals: [DNSRecord] = []
  /// What was odd, by the names of events.
  public internal(set) var oddities: [String] = []
  /// Something of the header, the questions or the answers could not be read.
  public internal(set) var isMalformed = false

  public init(id: UInt16, flags: UInt16) {
    self.id = id
    self.flags = flags
  }

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
  /// Cut at a limit of length, labels or compression pointers.
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
  /// CNAME, NS, PTR, DNAME.
  case name(DNSName)
  case mx(preference: UInt16, exchange: DNSName)
  /// One or more strings.
  case txt([[UInt8]])
  case soa(DNSStartOfAuthority)
  case srv(priority: UInt16, weight: UInt16, port: UInt16, target: DNSName)
  case sshfp(algorithm: UInt8, fingerprintType: UInt8, fingerprint: [UInt8])
  case caa(flags: UInt8, tag: [UInt8], value: [UInt8])
  /// HTTPS and SVCB; parameters as sent.
  case service(priority: UInt16, target: DNSName, parameters: [UInt8])
  case naptr(order: UInt16, preference: UInt16, texts: [[UInt8]], replacement: DNSName)
  /// EDNS options.
  case opt([DNSOption])
  /// Types not taken apart, and those whose data is malformed.
  case raw([UInt8])

  /// The name in the data that `dns.response.rrname` looks at, if there is one.
  public var hostName: DNSName? {
    switch self {
    case .name(let name), .mx(_, let name): name
    case .soa(let soa): soa.mname
    case .address, .txt, .srv, .sshfp, .caa, .service, .naptr, .opt, .raw: nil
    }
  }
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

/// Record types whose data is taken apart.
/// - Source: IANA "DNS Parameters".
public enum DNSType {
  public static let a: UInt16 = 1
  public static let ns: UInt16 = 2
  public static let cname: UInt16 = 5
  public static let soa: UInt16 = 6
  public static let null: UInt16 = 10
  public static let ptr: UInt16 = 12
  public static let mx: UInt16 = 15
  public static let txt: UInt16 = 16
  public static let aaaa: UInt16 = 28
  public static let srv: UInt16 = 33
  public static let naptr: UInt16 = 35
  public static let dname: UInt16 = 39
  public static let opt: UInt16 = 41
  public static let sshfp: UInt16 = 44
  public static let svcb: UInt16 = 64
  public static let https: UInt16 = 65
  public static let caa: UInt16 = 257
}
