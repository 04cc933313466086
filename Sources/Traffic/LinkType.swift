/// What a captured packet begins with: the DLT / LINKTYPE numbers of libpcap.
public struct LinkType: RawRepresentable, Sendable, Hashable, BitwiseCopyable {
  public var rawValue: UInt32
  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  public static let null = LinkType(rawValue: 0)
  public static let ethernet = LinkType(rawValue: 1)
  public static let ppp = LinkType(rawValue: 9)
  /// LINKTYPE_RAW (101), and DLT_RAW as two systems number it (12, 14).
  public static let raw = LinkType(rawValue: 101)
  public static let rawBSD = LinkType(rawValue: 12)
  public static let rawOpenBSD = LinkType(rawValue: 14)
  public static let pppHDLC = LinkType(rawValue: 50)
  public static let loop = LinkType(rawValue: 108)
  public static let linuxCooked = LinkType(rawValue: 113)
  public static let linuxCookedV2 = LinkType(rawValue: 276)
  public static let ipv4 = LinkType(rawValue: 228)
  public static let ipv6 = LinkType(rawValue: 229)
}
