/// Which way a packet or chunk travels within its flow.
///
/// The client is the side that sent the first packet (for TCP, the SYN).
public enum Direction: UInt8, Sendable, Hashable, CaseIterable, BitwiseCopyable {
  case toServer = 0
  case toClient = 1

  /// Stored: the list that the compiler would make is allocated anew each time it is asked for.
  public static let allCases: [Direction] = [.toServer, .toClient]

  @inlinable
  public var opposite: Direction { self == .toServer ? .toClient : .toServer }

  /// 0 for toServer, 1 for toClient; for two-element tables.
  @inlinable
  public var index: Int { Int(rawValue) }
}
