import PacketDecoding

/// What TCP tracking says of one packet.
public struct TCPTrackResult: Sendable, BitwiseCopyable {
  public struct Flags: OptionSet, Sendable, Hashable, BitwiseCopyable {
    public let rawValue: UInt32
    @inlinable
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The session has completed its handshake (or was picked up), with this packet counted.
    public static let established = Flags(rawValue: 1)
    /// This packet completed the handshake.
    public static let handshakeCompleted = Flags(rawValue: 1 << 1)
    /// The segment is usable: hand it to reassembly.
    public static let accepted = Flags(rawValue: 1 << 2)
    public static let outOfWindow = Flags(rawValue: 1 << 3)
    /// All of its payload was sent before.
    public static let retransmission = Flags(rawValue: 1 << 4)
    public static let keepAlive = Flags(rawValue: 1 << 5)
    /// The session is over with this packet (RST, or both FINs acknowledged).
    public static let sessionEnded = Flags(rawValue: 1 << 6)
    /// The checksum is wrong and checksums are verified: no host will take this packet.
    public static let badChecksum = Flags(rawValue: 1 << 7)
    /// There is no session and this packet begins none (`stream.midstream` is off).
    public static let noSession = Flags(rawValue: 1 << 8)
    public static let midstreamPickup = Flags(rawValue: 1 << 9)
    public static let sessionStarted = Flags(rawValue: 1 << 10)
    /// Breaks the state machine; inline callers drop it where `stream.drop-invalid` is on.
    public static let invalid = Flags(rawValue: 1 << 11)
    /// Only one side of the connection is seen; deliver without waiting for acknowledgements.
    public static let oneSided = Flags(rawValue: 1 << 12)
    /// It would begin a session, but there is no memory for one.
    public static let noRoom = Flags(rawValue: 1 << 13)
  }

  public var flags = Flags()
  public var events = StreamEventSet()

  @inlinable
  public init() {}

  @inlinable
  public var isAccepted: Bool { flags.contains(.accepted) }
  @inlinable
  public var isEstablished: Bool { flags.contains(.established) }
  @inlinable
  public var isHandshakeCompleted: Bool { flags.contains(.handshakeCompleted) }
  @inlinable
  public var isOutOfWindow: Bool { flags.contains(.outOfWindow) }
  @inlinable
  public var isRetransmission: Bool { flags.contains(.retransmission) }
  @inlinable
  public var isKeepAlive: Bool { flags.contains(.keepAlive) }
  @inlinable
  public var isSessionEnded: Bool { flags.contains(.sessionEnded) }
  @inlinable
  public var isInvalid: Bool { flags.contains(.invalid) }

  /// A packet that breaks the rules: not for reassembly.
  mutating func refuse(_ event: StreamEvent) {
    events.insert(event)
    refuse()
  }

  mutating func refuse() {
    flags.insert(.invalid)
    flags.remove(.accepted)
  }
}
