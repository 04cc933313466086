/// A protocol version as hellos and records carry it.
public struct TLSVersion: RawRepresentable, Sendable, Hashable, Comparable {
  public var rawValue: UInt16
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  public static let ssl2 = TLSVersion(rawValue: 0x0200)
  public static let ssl3 = TLSVersion(rawValue: 0x0300)
  public static let tls10 = TLSVersion(rawValue: 0x0301)
  public static let tls11 = TLSVersion(rawValue: 0x0302)
  public static let tls12 = TLSVersion(rawValue: 0x0303)
  public static let tls13 = TLSVersion(rawValue: 0x0304)

  public static func < (left: TLSVersion, right: TLSVersion) -> Bool {
    left.rawValue < right.rawValue
  }

  /// A draft of TLS 1.3 (0x7f00 and the draft's number), or TLS 1.3 as Facebook numbered it (0xfb).
  public var isTLS13Draft: Bool {
    (rawValue >= 0x7f10 && rawValue <= 0x7f1c) || rawValue == 0xfb17 || rawValue == 0xfb1a
  }

  /// TLS 1.3 or a draft of it: certificates are encrypted, records do not tell their type.
  public var isTLS13: Bool { self == .tls13 || isTLS13Draft }

  /// SSL 2 to TLS 1.3, drafts included.
  public var isKnown: Bool { self == .ssl2 || (self >= .ssl3 && self <= .tls13) || isTLS13Draft }

  /// The name in EVE (`tls.version`), with Suricata's inconsistent spelling of TLS 1.0.
  public var name: String {
    switch rawValue {
    case 0x0200: "SSLv2"
    case 0x0300: "SSLv3"
    case 0x0301: "TLSv1"
    case 0x0302: "TLS 1.1"
    case 0x0303: "TLS 1.2"
    case 0x0304: "TLS 1.3"
    case 0x7f10...0x7f1c: "TLS 1.3 draft-\(rawValue & 0xff)"
    case 0xfb17, 0xfb1a: "TLS 1.3 draft-\(rawValue & 0xff)-fb"
    case 0: "UNDETERMINED"
    default: "0x" + String(rawValue, radix: 16)
    }
  }

  /// A value of the kind that clients send to keep servers tolerant (RFC 8701), in any field.
  public static func isGREASE(_ value: UInt16) -> Bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
  }
}
