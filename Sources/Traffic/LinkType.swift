/// What a captured packet begins with, by the numbers of capture files.
///
/// - Source: the tcpdump.org registry of link-layer header types. Any number is a valid value;
///   those without a name here are read and counted, but not decoded.
public struct LinkType: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
  public var rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// BSD loopback: a 4-byte address family in the byte order of the capturing host.
  public static let null = LinkType(rawValue: 0)
  public static let ethernet = LinkType(rawValue: 1)
  public static let ppp = LinkType(rawValue: 9)
  /// IPv4 or IPv6 by the version nibble (DLT_RAW on most systems).
  public static let rawBSD = LinkType(rawValue: 12)
  /// The same, on OpenBSD.
  public static let rawOpenBSD = LinkType(rawValue: 14)
  public static let pppHDLC = LinkType(rawValue: 50)
  public static let pppEthernet = LinkType(rawValue: 51)
  /// IPv4 or IPv6 by the version nibble; also what NFQUEUE yields.
  public static let raw = LinkType(rawValue: 101)
  public static let ciscoHDLC = LinkType(rawValue: 104)
  public static let ieee80211 = LinkType(rawValue: 105)
  /// OpenBSD loopback: a 4-byte address family in network order.
  public static let loop = LinkType(rawValue: 108)
  /// Linux "any" device, 16-byte header.
  public static let linuxCooked = LinkType(rawValue: 113)
  public static let ieee80211Radiotap = LinkType(rawValue: 127)
  public static let ipv4 = LinkType(rawValue: 228)
  public static let ipv6 = LinkType(rawValue: 229)
  /// Linux "any" device, 20-byte header.
  public static let linuxCookedV2 = LinkType(rawValue: 276)

  /// The packet begins with an IPv4 or IPv6 header, whichever its version nibble says.
  @inlinable
  public var isRawIP: Bool {
    rawValue == 101 || rawValue == 12 || rawValue == 14 || rawValue == 228 || rawValue == 229
  }
}

extension LinkType: CustomStringConvertible {
  public var description: String {
    switch rawValue {
    case 0: "NULL"
    case 1: "EN10MB"
    case 9: "PPP"
    case 12, 14, 101: "RAW"
    case 50: "PPP_SERIAL"
    case 51: "PPP_ETHER"
    case 104: "C_HDLC"
    case 105: "IEEE802_11"
    case 108: "LOOP"
    case 113: "LINUX_SLL"
    case 127: "IEEE802_11_RADIO"
    case 228: "IPV4"
    case 229: "IPV6"
    case 276: "LINUX_SLL2"
    default: "DLT \(rawValue)"
    }
  }
}
