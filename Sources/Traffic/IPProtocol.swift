/// IANA protocol numbers that Sluice looks into.
public enum IPProtocol {
  public static let icmp: UInt8 = 1
  public static let ipv4: UInt8 = 4
  public static let tcp: UInt8 = 6
  public static let udp: UInt8 = 17
  public static let ipv6: UInt8 = 41
  /// A fragment, whatever it is a fragment of.
  public static let ipv6Fragment: UInt8 = 44
  public static let gre: UInt8 = 47
  public static let esp: UInt8 = 50
  public static let ah: UInt8 = 51
  public static let icmpv6: UInt8 = 58
  public static let sctp: UInt8 = 132
}
